import Values

/// The id of an order on Stripe's checkout page.
struct PurchaseID: TypedID {
    let rawValue: UUIDv7
    init(rawValue: UUIDv7) { self.rawValue = rawValue }
}

/// An order: credits once, or a subscription. Price and credits are those of the moment of the order.
struct Purchase: Hashable, Sendable {
    enum Kind: String, Sendable { case credits, subscription }

    enum Status: String, Sendable {
        /// Stripe's page is not known yet.
        case creating
        /// The user can pay.
        case open
        /// The user has ordered the payment, and the bank takes days for it.
        case awaitingPayment = "awaiting_payment"
        case paid, failed, expired
        /// The payment does not fit the order. An administrator decides.
        case review
    }

    var id: PurchaseID
    var userID: UserID
    var kind: Kind
    /// The name of the package; nil for an amount of the user's own, and for a subscription.
    var package: String?
    var credits: Int64
    var bonus: Int64
    var amountCents: Int64
    var currency: String
    var plan: String?
    var priceID: String?
    var status: Status
    var successURL: String
    var cancelURL: String
    var sessionID: String?
    var sessionURL: String?
    var sessionExpiresAt: Instant
    var paymentIntentID: String?
    /// The cents that Stripe took, tax included.
    var paidCents: Int64?
    var review: String?
    var createdAt: Instant

    /// The source of its effects.
    var source: String { "purchase:\(id)" }

    /// True if a user can still pay it, with ten minutes to do so.
    func isPayable(at now: Instant) -> Bool { [.creating, .open].contains(status) && now + .seconds(600) < sessionExpiresAt }
}
