import JSON
import Values

/// The object that billing fetches because of an event of Stripe's. The payload of the event decides nothing else.
enum EventTask: Hashable, Sendable {
    case session(String)
    case subscription(String)
    case invoice(String)
    /// The refunds and disputes of a payment.
    case returns(payment: String)
    case customerDeleted(String)
    /// Operators want to hear of it; nothing is to be done.
    case report(String)
    /// It concerns nothing of ours.
    case nothing

    /// The types that the webhook endpoint subscribes to, and that sweeps ask for: `deploy/stripe/setup.sh` has the same list.
    static let types = [
        "checkout.session.completed", "checkout.session.async_payment_succeeded", "checkout.session.async_payment_failed",
        "checkout.session.expired", "customer.subscription.created", "customer.subscription.updated", "customer.subscription.deleted",
        "customer.subscription.paused", "customer.subscription.resumed", "customer.subscription.pending_update_applied",
        "customer.subscription.pending_update_expired", "invoice.paid", "invoice.payment_failed", "invoice.payment_action_required",
        "invoice.finalization_failed", "invoice.voided", "invoice.marked_uncollectible", "payment_intent.succeeded", "refund.created",
        "refund.updated", "refund.failed", "charge.refunded", "charge.dispute.created", "charge.dispute.updated",
        "charge.dispute.closed", "charge.dispute.funds_withdrawn", "charge.dispute.funds_reinstated", "radar.early_fraud_warning.created",
        "customer.deleted",
    ]

    /// - Throws: ``StripeError/malformed(_:)``.
    init(type: String, object: JSONObject) throws {
        switch type {
        case let type where type.hasPrefix("checkout.session."):
            let ours = try object.metadata("purchase_id") ?? object.optionalStripeString("client_reference_id")
            self = ours == nil ? .nothing : .session(try object.stripeString("id"))
        case let type where type.hasPrefix("customer.subscription."): self = .subscription(try object.stripeString("id"))
        case "invoice.paid": self = .invoice(try object.stripeString("id"))
        case "invoice.finalization_failed", "radar.early_fraud_warning.created": self = .report(try object.stripeString("id"))
        case let type where type.hasPrefix("invoice."):
            // An invoice's own state decides nothing here. Its subscription's does.
            let parent = try object.optionalStripeObject("parent")
            self = try parent?.optionalStripeObject("subscription_details")?.stripeID("subscription").map { .subscription($0) } ?? .nothing
        case "payment_intent.succeeded":
            self = try object.metadata("purchase_id") == nil ? .nothing : .returns(payment: try object.stripeString("id"))
        case let type where type.hasPrefix("refund.") || type == "charge.refunded" || type.hasPrefix("charge.dispute."):
            self = try object.stripeID("payment_intent").map { .returns(payment: $0) } ?? .nothing
        case "customer.deleted": self = .customerDeleted(try object.stripeString("id"))
        default: self = .nothing
        }
    }
}
