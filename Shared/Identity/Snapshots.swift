import Contracts
import EventLoop
import Telemetry
import Values

/// Asks auth for snapshots: at the start, each minute, and after each gap in the events.
final class Snapshots: Sendable {
    private let source: any IdentitySource
    private let state: SharedIdentityState
    private let clock: @Sendable () -> Moment
    private let log: Logger
    private let flights = SingleFlight<Int, Void>(flightsMax: 1)
    private let alarm = Alarm()

    init(source: any IdentitySource, state: SharedIdentityState, clock: @escaping @Sendable () -> Moment, log: Logger) {
        (self.source, self.state, self.clock, self.log) = (source, state, clock, log)
    }

    /// Lets ``run()`` ask at once. Callable from any thread.
    func askSoon() { alarm.ring() }

    /// Asks until it is cancelled. A new installation's auth may answer before it has made its first
    /// key.
    func run() async throws {
        guard let loop = EventLoop.current else { preconditionFailure("snapshots are asked for on a loop") }
        while true {
            let isAnswered = await refresh()
            let (hasKeys, hasGap) = state.withLock { (!$0.keys.isEmpty, $0.hasGap) }
            // The answer that came may be older than the gap, because another task asked before it.
            if isAnswered, hasGap { continue }
            try await alarm.pause(for: isAnswered && hasKeys ? IdentityState.snapshotFreshFor : .seconds(1), on: loop)
        }
    }

    /// Asks for a snapshot, or waits for the one that is under way. Returns false if auth does not
    /// answer: all that is known stays.
    func refresh() async -> Bool {
        do {
            try await flights.value(for: 0) { [self] in
                do {
                    try await sync()
                } catch {
                    state.withLock { $0.keysDidNotCome(now: clock()) }
                    log.warning("signing key refresh failed", error: error)
                    throw error
                }
            }
            return true
        } catch {
            return false
        }
    }

    /// The most answers of one snapshot.
    private static let answersMax = 2_000

    private struct SnapshotTooLong: Error {}

    /// Asks answer by answer. Each answer is learnt at once, all together count as one snapshot.
    private func sync() async throws {
        let asked = state.withLock { $0.asking(now: clock()) }
        var question = state.withLock(\.question)
        var readAt: Instant?
        for _ in 0..<Self.answersMax {
            let answer = try await source.signingKeys(question)
            let first = readAt ?? answer.readAt
            readAt = first
            state.withLock { $0.learn(answer, now: clock()) }
            guard answer.hasMore else { return state.withLock { $0.sync(asked, readAt: first) } }
            question = question.following(answer)
        }
        throw SnapshotTooLong()
    }
}
