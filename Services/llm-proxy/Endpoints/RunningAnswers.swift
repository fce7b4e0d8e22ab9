import Contracts
import Crypto
import EventLoop
import Synchronization
import Values

/// The answers of this replica that another request may join, while their calls run.
final class RunningAnswers: Sendable {
    /// A request that an SDK may repeat without a key.
    struct Request: Hashable, Sendable {
        var account: AccountID
        /// The digest of path and body.
        var digest: SHA256Digest
    }

    private struct State {
        var byCharge: [ChargeID: SharedAnswer] = [:]
        var byRequest: [Request: (answer: SharedAnswer, since: MonotonicInstant)] = [:]
    }

    private let state = Mutex(State())

    /// The time for which the retry of an SDK is taken for the same call.
    static let retriesWithin = Duration.seconds(120)

    subscript(charge: ChargeID) -> SharedAnswer? {
        get { state.withLock { $0.byCharge[charge] } }
        set { state.withLock { $0.byCharge[charge] = newValue } }
    }

    func answer(to request: Request, at now: MonotonicInstant) -> SharedAnswer? {
        state.withLock { state in
            state.byRequest[request].flatMap { now - $0.since <= Self.retriesWithin ? $0.answer : nil }
        }
    }

    /// Adds the answer to a request, unless an earlier one runs.
    func add(_ answer: SharedAnswer, to request: Request, at now: MonotonicInstant) {
        state.withLock { state in
            if state.byRequest[request] == nil { state.byRequest[request] = (answer, now) }
        }
    }

    func remove(_ answer: SharedAnswer, to request: Request) {
        state.withLock { state in
            if state.byRequest[request]?.answer === answer { state.byRequest[request] = nil }
        }
    }
}
