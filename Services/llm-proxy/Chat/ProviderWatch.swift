import EventLoop
import Synchronization

/// The providers that answer no call at all, in contrast to slow ones. The process has one watch.
final class ProviderWatch: Sendable {
    /// The time after which a provider that answers no waiting call is silent. A client that leaves
    /// its call pays nothing.
    static let silence = Duration.seconds(30)

    private struct Waiting {
        var calls = 0
        /// The time from which on calls wait without any answer.
        var since: MonotonicInstant
    }

    private let waiting = Mutex<[String: Waiting]>([:])

    func sent(to provider: String, at now: MonotonicInstant) {
        waiting.withLock { waiting in
            var entry = waiting[provider] ?? Waiting(since: now)
            if entry.calls == 0 { entry.since = now }
            entry.calls += 1
            waiting[provider] = entry
        }
    }

    /// - Parameter hasAnswered: false if the call ended without the head of an answer.
    func ended(at provider: String, hasAnswered: Bool, at now: MonotonicInstant) {
        waiting.withLock { waiting in
            waiting[provider]?.calls -= 1
            if hasAnswered { waiting[provider]?.since = now }
        }
    }

    /// Returns whether the provider is silent. Call it while a call waits.
    func isSilent(_ provider: String, at now: MonotonicInstant) -> Bool {
        waiting.withLock { waiting in
            guard let entry = waiting[provider] else { return false }
            return entry.calls > 0 && now - entry.since >= Self.silence
        }
    }
}
