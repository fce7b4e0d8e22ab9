import JSON
import Values

/// A visit to Stripe's checkout page (docs.stripe.com/api/checkout/sessions/object).
struct CheckoutSession: Hashable, Sendable {
    var id: String
    /// `payment` or `subscription`.
    var mode: String
    /// `open`, `complete` or `expired`.
    var status: String
    /// `paid`, `unpaid` or `no_payment_required`.
    var paymentStatus: String
    /// The id of the purchase that it belongs to, as this service wrote it into the metadata.
    var purchaseID: String?
    /// The user that the session was made for (`client_reference_id`).
    var userID: UserID?
    var customerID: String?
    var subscriptionID: String?
    /// The first invoice of the subscription.
    var invoiceID: String?
    var paymentIntentID: String?
    /// Cents, before taxes and discounts.
    var subtotalCents: Int64
    /// Cents, with them.
    var totalCents: Int64
    var currency: String
    var url: String?

    init(_ json: JSONObject) throws {
        id = try json.stripeString("id")
        mode = try json.stripeString("mode")
        status = try json.stripeString("status")
        paymentStatus = try json.stripeString("payment_status")
        purchaseID = try json.metadata("purchase_id")
        userID = try json.optionalStripeString("client_reference_id").flatMap { UserID($0) }
        customerID = try json.stripeID("customer")
        subscriptionID = try json.stripeID("subscription")
        invoiceID = try json.stripeID("invoice")
        paymentIntentID = try json.stripeID("payment_intent")
        subtotalCents = try json.optionalStripeInteger("amount_subtotal") ?? 0
        totalCents = try json.optionalStripeInteger("amount_total") ?? 0
        currency = try json.optionalStripeString("currency") ?? ""
        url = try json.optionalStripeString("url")
    }
}
