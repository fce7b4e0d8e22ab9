import Values

/// The rule for repeating a call of Stripe, as Stripe's own libraries have it
/// (github.com/stripe/stripe-node, RequestSender), and 429 besides.
enum StripeRetry {
    /// The end of one attempt.
    struct Attempt: Sendable {
        /// Nil: no answer arrived.
        var status: Int?
        /// The header `Stripe-Should-Retry`.
        var shouldRetry: Bool?
        /// The header `Retry-After`, in seconds.
        var retryAfter: Int?
        /// True if the request certainly did not reach Stripe.
        var neverSent = false
    }

    /// Returns whether an attempt is worth another one with the same idempotency key.
    static func isWorthRepeating(_ attempt: Attempt) -> Bool {
        guard let status = attempt.status else { return true }
        if let shouldRetry = attempt.shouldRetry { return shouldRetry }
        return status == 409 || status == 429 || status >= 500
    }

    /// The pause before a repetition: 0.5 s, 1 s, 2 s … 5 s, less up to a half of it by `random` in 0…1.
    /// Stripe's own wish counts up to 10 s.
    static func pause(after attempt: Attempt, number: Int, random: Double) -> Duration {
        if let seconds = attempt.retryAfter, (0...10).contains(seconds) { return .seconds(seconds) }
        let full = min(5_000, 500 << min(number - 1, 4))
        return .milliseconds(Int(Double(full) * (1 - random / 2)))
    }
}
