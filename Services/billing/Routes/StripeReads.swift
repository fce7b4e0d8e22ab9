import HTTP
import Identity
import JSON

extension Routes {
    /// Answers with the public key of Stripe, the mode and the currency.
    func config(_ request: Request) async throws -> Response {
        .object(200) { json in
            json.field("publishable_key", billing.settings.publishableKey)
            json.field("livemode", billing.settings.isLive)
            json.field("currency", "usd")
        }
    }

    /// {return_url?}: the address of Stripe's customer portal.
    func openPortal(_ request: Request, caller: Principal) async throws -> Response {
        let json = try request.json(of: ["return_url"])
        let back = try returnAddress(json, "return_url") ?? "\(billing.publicURL)/billing"
        guard let url = try await billing.reads.portal(for: caller.userID, returnURL: back) else {
            throw Problem.notFound("A payment of this account")
        }
        return .object(200) { $0.field("url", url) }
    }

    func listPaymentMethods(_ request: Request, caller: Principal) async throws -> Response {
        let methods = try await billing.reads.paymentMethods(of: caller.userID)
        return .object(200) { json in
            json.array("payment_methods") { json in
                for found in methods {
                    json.object { json in
                        json.field("id", found.method.id)
                        json.field("type", found.method.type)
                        json.field("brand", found.method.brand)
                        json.field("last4", found.method.last4)
                        json.field("exp_month", found.method.expiresMonth)
                        json.field("exp_year", found.method.expiresYear)
                        json.field("is_default", found.isDefault)
                    }
                }
            }
        }
    }

    /// `limit` (1…100, 20 by default) and `starting_after`, the id of the last invoice of the page before.
    func listInvoices(_ request: Request, caller: Principal) async throws -> Response {
        let limit = try request.query.integer("limit", default: 20, in: 1...100)
        let page = try await billing.reads.invoices(
            of: caller.userID, limit: limit, after: try request.query.optionalString("starting_after"))
        return .object(200) { json in
            json.array("invoices") { json in
                for invoice in page.invoices { json.object { invoice.encode(into: &$0) } }
            }
            json.field("has_more", page.hasMore)
        }
    }
}

extension StripeInvoice {
    fileprivate func encode(into json: inout JSONWriter) {
        json.field("id", id)
        json.field("number", number)
        json.field("status", status)
        json.field("total", USD(cents: totalCents))
        json.field("currency", currency)
        json.field("created_at", createdAt)
        json.field("page_url", pageURL)
        json.field("pdf_url", pdfURL)
    }
}
