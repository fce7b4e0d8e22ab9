import JSON
import Values

/// Money on its way back to a customer (docs.stripe.com/api/refunds/object).
struct StripeRefund: Hashable, Sendable {
    var id: String
    var amountCents: Int64
    /// `pending`, `requires_action`, `succeeded`, `failed` or `canceled`.
    var status: String
    var paymentIntentID: String?

    init(_ json: JSONObject) throws {
        id = try json.stripeString("id")
        amountCents = try json.stripeInteger("amount")
        status = try json.optionalStripeString("status") ?? ""
        paymentIntentID = try json.stripeID("payment_intent")
    }

    /// False if the money stays with the operator after all.
    var counts: Bool { ["pending", "requires_action", "succeeded"].contains(status) }
}

/// A payment that a customer disputes (docs.stripe.com/api/disputes/object).
struct StripeDispute: Hashable, Sendable {
    var id: String
    var amountCents: Int64
    var status: String
    var paymentIntentID: String?
    var createdAt: Instant
    /// True while Stripe has taken the money from the operator. The balance transactions say so: names
    /// of statuses come and go with versions. Their amounts are in the operator's currency, each at the rate
    /// of its day, so their sum says nothing.
    var isWithdrawn: Bool

    init(_ json: JSONObject) throws {
        id = try json.stripeString("id")
        amountCents = try json.stripeInteger("amount")
        status = try json.stripeString("status")
        paymentIntentID = try json.stripeID("payment_intent")
        createdAt = try json.stripeTime("created")
        var takings = 0
        for value in try json.stripe("balance_transactions", { (json, name) throws(JSONError) in try json.optionalArray(name) }) ?? [] {
            guard let transaction = value.object else { throw StripeError.malformed("`balance_transactions` must have objects only") }
            takings += try transaction.stripeInteger("amount") < 0 ? 1 : -1
        }
        isWithdrawn = takings > 0 && status != "won"
    }

    /// True while the bank has not decided. An inquiry (`warning_…`) is no dispute yet.
    var isOpen: Bool { ["needs_response", "under_review"].contains(status) }
}
