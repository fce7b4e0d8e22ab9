import EventLoop
import Synchronization

/// Keeps holds from expiring until what was said during an outage has been heard.
///
/// While the broker, the database or the ledger itself is away, usage reports and settlements wait in the queue and cannot prolong or
/// end their holds. Expired at once afterwards, those calls would be charged at their last report, their credits given to others,
/// and their settlements come too late to be covered. So each outage closes the gate for a time that is enough to read the backlog.
final class ExpiryGate: Sendable {
    private let grace: Duration
    private let opensAt: Mutex<MonotonicInstant>

    /// Closed at first: a start is the end of an outage.
    init(grace: Duration) {
        self.grace = grace
        opensAt = Mutex(.current() + grace)
    }

    var isOpen: Bool { opensAt.withLock { $0 <= .current() } }

    /// To be called as long as it lasts, and when it ends.
    func outage() { opensAt.withLock { $0 = .current() + grace } }
}
