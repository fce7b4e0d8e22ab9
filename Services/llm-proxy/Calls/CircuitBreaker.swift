import EventLoop
import Synchronization

/// Keeps calls away from a provider that fails, and lets one call after the other try it again.
///
/// Closed → open after ``failuresMax`` failures in a row → a trial after a pause → closed, or open for
/// twice the pause.
struct CircuitBreaker: Sendable {
    enum Admission: Sendable { case usual, trial }

    enum Result: Sendable {
        /// The provider answered, also if it refused the request.
        case answered
        case failed
        /// The call ended before the provider could answer.
        case unknown
    }

    static let failuresMax = 5
    static let firstPause = Duration.seconds(5)
    static let longestPause = Duration.seconds(60)

    private var failures = 0
    private var pause = CircuitBreaker.firstPause
    /// The time of the next trial. Nil while the breaker is closed.
    private var trialAt: MonotonicInstant?

    var isOpen: Bool { trialAt != nil }

    /// Returns the time until the next trial; nil if a call may go to the provider.
    func wait(at now: MonotonicInstant) -> Duration? { trialAt.flatMap { $0 > now ? $0 - now : nil } }

    /// Admits a call. While the breaker is open, one call a pause is admitted, as a trial.
    /// - Returns: nil if the provider is not to be called now.
    mutating func admit(at now: MonotonicInstant) -> Admission? {
        guard trialAt != nil else { return .usual }
        guard wait(at: now) == nil else { return nil }
        trialAt = now + pause
        return .trial
    }

    mutating func ended(_ result: Result, of admission: Admission, at now: MonotonicInstant) {
        switch (result, admission) {
        case (.answered, _): self = CircuitBreaker()
        case (.unknown, _): break
        case (.failed, .trial):
            pause = min(pause * 2, Self.longestPause)
            trialAt = now + pause
        case (.failed, .usual):
            failures += 1
            // Calls from before the breaker opened may fail later. They do not move the trial.
            if failures >= Self.failuresMax, trialAt == nil { trialAt = now + pause }
        }
    }
}

extension CircuitBreaker.Result {
    /// A rate limit, and a fault of the request or of the operator's account, are answers.
    init(_ failure: ProviderFailure) {
        switch failure.kind {
        case .unreachable, .timedOut, .wrongAnswer: self = .failed
        case .refused(let status, _): self = status >= 500 ? .failed : .answered
        case .refusedRequest, .accountRefused: self = .answered
        case .cancelled, .saturated, .failedMidStream, .failing, .disabled: self = .unknown
        }
    }
}

/// The breakers of one replica, one a provider. The names are those of the catalogue.
final class CircuitBreakers: Sendable {
    private let breakers = Mutex<[String: CircuitBreaker]>([:])

    func wait(for provider: String, at now: MonotonicInstant) -> Duration? {
        breakers.withLock { $0[provider]?.wait(at: now) }
    }

    func admit(to provider: String, at now: MonotonicInstant) -> CircuitBreaker.Admission? {
        breakers.withLock { breakers in
            // A provider without failures has no entry.
            guard breakers[provider] != nil else { return .usual }
            return breakers[provider]?.admit(at: now)
        }
    }

    /// - Returns: true if this opened the breaker of the provider, false if it closed it, nil for no change.
    func ended(
        _ result: CircuitBreaker.Result, of admission: CircuitBreaker.Admission, at provider: String, at now: MonotonicInstant
    ) -> Bool? {
        breakers.withLock { breakers in
            guard result == .failed || breakers[provider] != nil else { return nil }
            var breaker = breakers[provider] ?? CircuitBreaker()
            let wasOpen = breaker.isOpen
            breaker.ended(result, of: admission, at: now)
            breakers[provider] = result == .answered ? nil : breaker
            return breaker.isOpen == wasOpen ? nil : breaker.isOpen
        }
    }
}
