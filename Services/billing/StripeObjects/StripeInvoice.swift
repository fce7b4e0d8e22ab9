import JSON
import Values

/// An invoice (docs.stripe.com/api/invoices/object).
struct StripeInvoice: Hashable, Sendable {
    var id: String
    var number: String?
    /// `draft`, `open`, `paid`, `uncollectible` or `void`.
    var status: String
    var customerID: String
    var billingReason: String
    var currency: String
    /// Cents, with taxes and discounts.
    var totalCents: Int64
    var subscriptionID: String?
    var createdAt: Instant
    var paidAt: Instant?
    /// Stripe's page where the customer can pay it.
    var pageURL: String?
    var pdfURL: String?

    init(_ json: JSONObject) throws {
        id = try json.stripeString("id")
        number = try json.optionalStripeString("number")
        status = try json.optionalStripeString("status") ?? ""
        customerID = try json.stripeID("customer") ?? ""
        billingReason = try json.optionalStripeString("billing_reason") ?? ""
        currency = try json.stripeString("currency")
        totalCents = try json.stripeInteger("total")
        let parent = try json.optionalStripeObject("parent")
        subscriptionID = try parent?.optionalStripeObject("subscription_details")?.stripeID("subscription")
        createdAt = try json.stripeTime("created")
        paidAt = try json.optionalStripeObject("status_transitions")?.optionalStripeTime("paid_at")
        pageURL = try json.optionalStripeString("hosted_invoice_url")
        pdfURL = try json.optionalStripeString("invoice_pdf")
    }

    /// A line (docs.stripe.com/api/invoice-line-item/object).
    struct Line: Hashable, Sendable {
        /// Cents; negative for credited time.
        var amountCents: Int64
        var currency: String
        var periodStart: Instant
        var periodEnd: Instant
        /// Nil: the line is of no price, such as a manual item.
        var priceID: String?
        /// True for a line of a subscription.
        var isOfSubscription: Bool
        /// True for a part of a period.
        var isProration: Bool

        init(_ json: JSONObject) throws {
            amountCents = try json.stripeInteger("amount")
            currency = try json.stripeString("currency")
            let period = try json.stripeObject("period")
            periodStart = try period.stripeTime("start")
            periodEnd = try period.stripeTime("end")
            priceID = try json.optionalStripeObject("pricing")?.optionalStripeObject("price_details")?.stripeID("price")
            let details = try json.optionalStripeObject("parent")?.optionalStripeObject("subscription_item_details")
            isOfSubscription = details != nil
            isProration = try details?.stripeBool("proration") ?? false
        }
    }
}
