import EventLoop
import Synchronization
import Values

/// Spreads calls evenly in time.
final class RequestPace: Sendable {
    private let interval: Duration
    private let waitMax: Duration
    private let next: Mutex<MonotonicInstant>

    init(callsPerSecond: Int, waitMax: Duration = .seconds(10)) {
        (interval, self.waitMax) = (.seconds(1) / callsPerSecond, waitMax)
        next = Mutex(.current())
    }

    /// Takes the next place in the line.
    /// - Returns: the time to wait for it; nil if the line is longer than ten seconds.
    func takePlace(at now: MonotonicInstant = .current()) -> Duration? {
        next.withLock { next in
            let place = max(now, next)
            guard place - now <= waitMax else { return nil }
            next = place + interval
            return place - now
        }
    }
}
