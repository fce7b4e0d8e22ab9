import JSON
import Values

/// The price of a plan (docs.stripe.com/api/prices/object).
struct StripePrice: Hashable, Sendable {
    var id: String
    var amountCents: Int64
    var currency: String
    /// `day`, `week`, `month` or `year`; nil for a one-time price.
    var interval: String?
    var intervalCount: Int64

    init(_ json: JSONObject) throws {
        id = try json.stripeString("id")
        amountCents = try json.stripeInteger("unit_amount")
        currency = try json.stripeString("currency")
        let recurring = try json.optionalStripeObject("recurring")
        interval = try recurring?.stripeString("interval")
        intervalCount = try recurring?.stripeInteger("interval_count") ?? 0
    }
}

/// A stored way to pay (docs.stripe.com/api/payment_methods/object).
struct StripePaymentMethod: Hashable, Sendable {
    var id: String
    /// `card`, `sepa_debit` …
    var type: String
    var brand: String?
    var last4: String?
    var expiresMonth: Int64?
    var expiresYear: Int64?

    init(_ json: JSONObject) throws {
        id = try json.stripeString("id")
        type = try json.stripeString("type")
        let card = try json.optionalStripeObject("card")
        brand = try card?.optionalStripeString("brand")
        last4 = try card?.optionalStripeString("last4") ?? json.optionalStripeObject(type)?.optionalStripeString("last4")
        expiresMonth = try card?.optionalStripeInteger("exp_month")
        expiresYear = try card?.optionalStripeInteger("exp_year")
    }
}
