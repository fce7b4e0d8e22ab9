import EventLoop
import Synchronization

/// Keeps holds from expiring until what was said during an outage has been heard.
///
/// While the broker, the database or the ledger itself is away, usage reports and settlements wait in the queue and cannot prolong or
/// end their holds. Expired at once afterwards, those calls would be charged at their last report, their credits given to others,
/// and their settlements come too late to be covered. So each outage closes the gate for a time that is enough to read the backlog.
/// A batch that takes long is an outage too, whatever holds it up: what is said meanwhile waits behind it.
final class ExpiryGate: Sendable {
    private struct State {
        var opensAt: MonotonicInstant
        /// Since when the batch under way is.
        var deciding: MonotonicInstant?
    }

    private let grace: Duration
    private let stall: Duration
    private let state: Mutex<State>

    /// Closed at first: a start is the end of an outage.
    /// - Parameter stall: so long a batch may take before it counts as an outage.
    init(grace: Duration, stall: Duration = .seconds(3)) {
        (self.grace, self.stall) = (grace, stall)
        state = Mutex(State(opensAt: .current() + grace))
    }

    var isOpen: Bool {
        state.withLock { state in
            let now = MonotonicInstant.current()
            return state.opensAt <= now && !isStalled(state, at: now)
        }
    }

    /// To be called as long as it lasts, and when it ends.
    func outage() { state.withLock { $0.opensAt = .current() + grace } }

    /// What was heard is being decided, until ``decided()``.
    func deciding() { state.withLock { $0.deciding = .current() } }

    func decided() {
        state.withLock { state in
            let now = MonotonicInstant.current()
            if isStalled(state, at: now) { state.opensAt = now + grace }
            state.deciding = nil
        }
    }

    private func isStalled(_ state: State, at now: MonotonicInstant) -> Bool {
        state.deciding.map { now - $0 >= stall } ?? false
    }
}
