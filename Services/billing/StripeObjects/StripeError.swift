/// A call of Stripe without the object that was asked for.
enum StripeError: Error, Hashable, CustomStringConvertible {
    /// Stripe decided against the call, and did nothing.
    case refused(StripeRefusal)
    /// Stripe cannot be reached or is busy, and did nothing.
    case unavailable(String)
    /// Stripe may have done what the call asks for. The same idempotency key shows it.
    case outcomeUnknown(String)
    /// The answer is none of the pinned version.
    case malformed(String)

    var description: String {
        switch self {
        case .refused(let refusal): "\(refusal)"
        case .unavailable(let reason): "Stripe is unavailable: \(reason)"
        case .outcomeUnknown(let reason): "the outcome at Stripe is unknown: \(reason)"
        case .malformed(let reason): "the answer of Stripe is malformed: \(reason)"
        }
    }

    /// True if the object does not exist at Stripe.
    var isMissing: Bool {
        if case .refused(let refusal) = self { refusal.status == 404 || refusal.code == "resource_missing" } else { false }
    }
}

/// Stripe's error object (docs.stripe.com/api/errors).
struct StripeRefusal: Hashable, Sendable, CustomStringConvertible {
    var status: Int
    var type: String
    var code: String
    /// Stripe's sentence. For a card it is written for the person who pays.
    var message: String
    var param: String?
    var requestID: String

    var description: String {
        "Stripe refused with \(status) \(type) \(code)\(param.map { " (\($0))" } ?? ""): \(message.prefix(300)) [\(requestID)]"
    }
}
