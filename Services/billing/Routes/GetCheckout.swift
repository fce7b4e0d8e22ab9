import HTTP
import Identity
import JSON
import Postgres
import Telemetry
import Values

extension Routes {
    /// How an order of the caller stands. Asks Stripe, at most once a second, where it has not ended, so that a page need not wait for an
    /// event.
    func getCheckout(_ request: Request, caller: Principal) async throws -> Response {
        let found = try await order(request.pathParameters["session_id"], of: caller)
        return .object(200) { json in
            json.field("session_id", found.sessionID)
            json.field("status", found.status.rawValue)
            json.field("kind", found.kind.rawValue)
            json.field("credits", found.credits)
            json.field("bonus", found.bonus)
            json.field("plan", found.plan)
            json.field("amount", USD(cents: found.amountCents))
            json.field("currency", found.currency)
        }
    }

    /// - Throws: 404 for the order of another user.
    func order(_ sessionID: String, of caller: Principal) async throws -> Purchase {
        guard let purchase = try await pool.first(PurchaseOfSession(sessionID: sessionID)), purchase.userID == caller.userID else {
            throw Problem.notFound("The checkout session")
        }
        guard [.creating, .open, .awaitingPayment].contains(purchase.status),
            try await pool.first(AskAboutPurchase(id: purchase.id, now: billing.clock())) != nil
        else { return purchase }
        do {
            return try await billing.settlement.settlePurchase(purchase.id) ?? purchase
        } catch let error as StripeError {
            log.warning("order not refreshed", ["purchase_id": .describing(purchase.id)], error: error)
            return purchase
        }
    }
}
