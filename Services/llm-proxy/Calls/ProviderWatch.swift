import EventLoop
import Synchronization

/// The providers that answer no call at all, in contrast to slow ones. The process has one watch.
///
/// Only streams are evidence of silence. The head of an answer in one piece comes last, so a call
/// that waits for it proves nothing.
final class ProviderWatch: Sendable {
    /// The time after which a provider that has answered no call since a stream began to wait is
    /// silent. A client that leaves its call pays nothing.
    static let silence = Duration.seconds(30)

    private struct Waiting {
        var streams = 0
        /// The time at which a stream began to wait after the last head of an answer. Nil if none
        /// has waited since. A stream that ends without a head does not change it.
        var since: MonotonicInstant?
    }

    private let waiting = Mutex<[String: Waiting]>([:])

    func sent(to provider: String, isStream: Bool, at now: MonotonicInstant) {
        guard isStream else { return }
        waiting.withLock { waiting in
            var entry = waiting[provider] ?? Waiting()
            entry.streams += 1
            entry.since = entry.since ?? now
            waiting[provider] = entry
        }
    }

    /// - Parameter hasAnswered: false if the call ended without the head of an answer.
    func ended(at provider: String, isStream: Bool, hasAnswered: Bool, at now: MonotonicInstant) {
        waiting.withLock { waiting in
            guard var entry = waiting[provider] else { return }
            if isStream { entry.streams -= 1 }
            if hasAnswered { entry.since = entry.streams > 0 ? now : nil }
            waiting[provider] = entry
        }
    }

    /// Returns whether the provider is silent.
    func isSilent(_ provider: String, at now: MonotonicInstant) -> Bool {
        waiting.withLock { waiting in
            guard let since = waiting[provider]?.since else { return false }
            return now - since >= Self.silence
        }
    }
}
