import Contracts
import Values

/// The meaning of a checkout session for its order.
enum PurchaseOutcome: Hashable, Sendable {
    case unchanged
    case awaitingPayment
    case paid(paymentIntentID: String?, paidCents: Int64)
    case failed
    case expired
    case review(String)

    /// - Parameter paymentFailed: true if Stripe has given up the payment of a complete session.
    init(_ purchase: Purchase, _ session: CheckoutSession, paymentFailed: Bool) {
        // Only an administrator ends a review.
        guard purchase.status != .paid, purchase.review == nil else {
            self = .unchanged
            return
        }
        guard purchase.kind == .subscription || purchase.credits > 0 else {
            self = .review("there is no order of session \(session.id)")
            return
        }
        guard session.purchaseID == purchase.id.description else {
            self = .review("session \(session.id) names another purchase")
            return
        }
        switch session.status {
        case "open": self = .unchanged
        case "expired": self = .expired
        case "complete": self = Self.complete(purchase, session, paymentFailed: paymentFailed)
        default: self = .review("session \(session.id) has the unknown status \(session.status)")
        }
    }

    private static func complete(_ purchase: Purchase, _ session: CheckoutSession, paymentFailed: Bool) -> PurchaseOutcome {
        guard session.mode == (purchase.kind == .credits ? "payment" : "subscription") else {
            return .review("session \(session.id) has the mode \(session.mode)")
        }
        switch session.paymentStatus {
        case "paid":
            guard session.currency == purchase.currency, session.subtotalCents == purchase.amountCents else {
                return .review(
                    "paid \(session.subtotalCents) \(session.currency), ordered for \(purchase.amountCents) \(purchase.currency)")
            }
            return .paid(paymentIntentID: session.paymentIntentID, paidCents: session.totalCents)
        case "unpaid": return paymentFailed ? .failed : .awaitingPayment
        case "no_payment_required": return .review("session \(session.id) was free, and no order is")
        default: return .review("session \(session.id) has the unknown payment status \(session.paymentStatus)")
        }
    }
}

extension Purchase {
    /// A paid session without an order. Nothing says how many credits were sold.
    init(unordered session: CheckoutSession, _ id: PurchaseID, of user: UserID, now: Instant) {
        self.init(
            id: id, userID: user, kind: session.mode == "subscription" ? .subscription : .credits, credits: 0, bonus: 0,
            amountCents: session.subtotalCents, currency: session.currency, status: .review, successURL: "", cancelURL: "",
            sessionID: session.id, sessionExpiresAt: now, paymentIntentID: session.paymentIntentID, paidCents: session.totalCents,
            review: "there is no order of session \(session.id)", createdAt: now)
    }

    /// The credits of a paid order. A subscription's come from its invoices.
    func effects(chargeIDs: () -> ChargeID) -> [Effect] {
        guard kind == .credits else { return [] }
        let title = package.map { "\($0) package: \(credits) credits" } ?? "\(credits) credits"
        var effects = [
            Effect(
                key: .purchase(id), accountID: AccountID(userID), kind: .purchase, amount: Credits(whole: credits), description: title,
                expiresAt: nil, chargeID: chargeIDs(), source: source)
        ]
        if bonus > 0 {
            effects.append(
                Effect(
                    key: .bonus(of: id), accountID: AccountID(userID), kind: .bonus, amount: Credits(whole: bonus),
                    description: "\(package ?? "Package") package: bonus", expiresAt: nil, chargeID: chargeIDs(), source: source))
        }
        return effects
    }
}

extension Effect.Key {
    /// The credits of an order: `pur:{id}`.
    static func purchase(_ id: PurchaseID) -> Effect.Key { Effect.Key(text: "pur:\(id)") }
    /// The bonus of an order: `pur:{id}:bonus`.
    static func bonus(of id: PurchaseID) -> Effect.Key { Effect.Key(text: "pur:\(id):bonus") }
}
