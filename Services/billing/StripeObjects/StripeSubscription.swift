import JSON
import Values

/// A subscription with its one item (docs.stripe.com/api/subscriptions/object).
struct StripeSubscription: Hashable, Sendable {
    var id: String
    var customerID: String
    var status: String
    var itemID: String
    var priceID: String
    var periodStart: Instant
    var periodEnd: Instant
    /// The day of the month and the time at which periods begin.
    var anchor: Instant
    /// The end that was ordered. Stripe's portal sets `cancel_at`, and our own calls
    /// `cancel_at_period_end`.
    var cancelAt: Instant?
    var createdAt: Instant
    /// When Stripe ended it.
    var endedAt: Instant?
    /// A change that waits for its payment.
    var hasPendingUpdate: Bool
    /// The last invoice, if it was asked for by `expand`.
    var latestInvoice: StripeInvoice?

    init(_ json: JSONObject) throws {
        id = try json.stripeString("id")
        customerID = try json.stripeID("customer") ?? ""
        status = try json.stripeString("status")
        let items = try StripeList(try json.stripeObject("items"))
        guard let item = items.data.first, items.data.count == 1, !items.hasMore else {
            throw StripeError.malformed("subscription \(id) must have one item")
        }
        itemID = try item.stripeString("id")
        priceID = try item.stripeID("price") ?? ""
        periodStart = try item.stripeTime("current_period_start")
        periodEnd = try item.stripeTime("current_period_end")
        anchor = try json.optionalStripeTime("billing_cycle_anchor") ?? periodStart
        createdAt = try json.stripeTime("created")
        endedAt = try json.optionalStripeTime("ended_at")
        let cancelsAtPeriodEnd = try json.stripeBool("cancel_at_period_end")
        cancelAt = try json.optionalStripeTime("cancel_at") ?? (cancelsAtPeriodEnd ? periodEnd : nil)
        hasPendingUpdate = try json.optionalStripeObject("pending_update") != nil
        latestInvoice = nil
        if json.member("latest_invoice")?.kind == .object { latestInvoice = try StripeInvoice(try json.stripeObject("latest_invoice")) }
    }
}
