import JSON
import Postgres
import Values

/// The records of Stripe that a user sees.
struct CustomerReads: Sendable {
    let pool: PostgresPool
    let stripe: StripeClient
    let settings: StripeSettings

    struct PaymentMethod: Hashable, Sendable {
        var method: StripePaymentMethod
        var isDefault: Bool
    }

    struct InvoicePage: Sendable {
        var invoices: [StripeInvoice]
        var hasMore: Bool
    }

    /// The stored ways to pay; none for a user who has not bought yet.
    func paymentMethods(of user: UserID) async throws -> [PaymentMethod] {
        guard let id = try await stripeCustomer(of: user) else { return [] }
        let customer = try await stripe.get("/v1/customers/\(id)")
        let chosen = try customer.optionalStripeObject("invoice_settings")?.stripeID("default_payment_method")
        return try StripeList(try await stripe.get("/v1/payment_methods", ["customer": id, "limit": "100"])).data.map { json in
            let method = try StripePaymentMethod(json)
            return PaymentMethod(method: method, isDefault: method.id == chosen)
        }
    }

    /// A page of invoices, newest first.
    /// - Parameter after: the id of the last invoice of the page before.
    func invoices(of user: UserID, limit: Int, after: String?) async throws -> InvoicePage {
        guard let id = try await stripeCustomer(of: user) else { return InvoicePage(invoices: [], hasMore: false) }
        var query: StripeForm = ["customer": id, "limit": "\(limit)"]
        if let after { query.append("starting_after", after) }
        let list = try StripeList(try await stripe.get("/v1/invoices", query))
        return InvoicePage(invoices: try list.data.map(StripeInvoice.init), hasMore: list.hasMore)
    }

    /// Makes a visit to Stripe's customer portal. One that is made twice disturbs nothing, so it is not committed before.
    /// - Returns: its address; nil for a user who has not bought yet.
    func portal(for user: UserID, returnURL: String) async throws -> String? {
        guard let id = try await stripeCustomer(of: user) else { return nil }
        var form: StripeForm = ["customer": id, "return_url": returnURL]
        if let configuration = settings.portalConfiguration { form.append("configuration", configuration) }
        return try await stripe.post("/v1/billing_portal/sessions", form: form.encoded, idempotencyKey: "portal-\(UUIDv7.make())")
            .stripeString("url")
    }

    private func stripeCustomer(of user: UserID) async throws -> String? {
        try await pool.first(FindCustomer(userID: user))?.stripeCustomerID
    }
}
