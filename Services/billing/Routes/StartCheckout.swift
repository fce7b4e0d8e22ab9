import Configuration
import HTTP
import Identity
import JSON
import Postgres
import Values

extension Routes {
    /// {credits_amount, success_url?, cancel_url?}: the price is the catalogue's.
    func checkOutCredits(_ request: Request, caller: Principal) async throws -> Response {
        let json = try request.json(of: ["credits_amount", "success_url", "cancel_url"])
        let credits = try json.integer("credits_amount")
        guard let offer = try await billing.offer(credits: credits) else {
            throw Problem.invalidRequest("`credits_amount` must be a whole number of 10 to 100,000 credits.", param: "credits_amount")
        }
        return try await start(.credits(offer), json, caller)
    }

    /// {plan, interval?, success_url?, cancel_url?}
    func checkOutSubscription(_ request: Request, caller: Principal) async throws -> Response {
        let json = try request.json(of: ["plan", "interval", "success_url", "cancel_url"])
        return try await start(.plan(try await price(json, default: .month)), json, caller)
    }

    /// The price that `plan` and `interval` name.
    func price(_ json: JSONObject, default interval: Plan.Interval?) async throws -> PlanPrice {
        let plan = try json.string("plan")
        let name = try json.optionalString("interval") ?? interval?.rawValue
        guard let wanted = name.flatMap({ Plan.Interval(rawValue: $0) }) else {
            throw Problem.invalidRequest("`interval` must be month or year.", param: "interval")
        }
        guard plan != Plan.ID.free.text else {
            throw Problem.invalidRequest("The free plan is not sold. To return to it, cancel the subscription.", param: "plan")
        }
        guard let price = try await billing.price(of: plan, wanted) else {
            throw Problem.invalidRequest(
                "`plan` must be a plan that is sold for this interval; GET /api/credits/plans lists them.", param: "plan")
        }
        return price
    }

    private func start(_ wish: Checkout.Wish, _ json: JSONObject, _ caller: Principal) async throws -> Response {
        let success = try returnAddress(json, "success_url") ?? "\(billing.publicURL)/buy/done?session_id={CHECKOUT_SESSION_ID}"
        let cancel = try returnAddress(json, "cancel_url") ?? "\(billing.publicURL)/buy"
        switch try await billing.checkout.start(wish, for: caller.userID, successURL: success, cancelURL: cancel) {
        case .page(let purchase):
            return .object(200) { json in
                json.field("session_id", purchase.sessionID)
                json.field("url", purchase.sessionURL)
                json.field("expires_at", purchase.sessionExpiresAt)
            }
        case .notVerified:
            throw Problem(.emailNotVerified, "Confirm the address of the account first; POST /api/auth/email/resend sends the mail again.")
        case .disputed:
            throw Problem.purchasesSuspended
        case .tooManyOrders: throw Problem.tooManyOrders
        case .alreadySubscribed:
            throw Problem(.alreadySubscribed, "The account has a subscription. Change it with POST /api/payment/subscription/change-plan.")
        }
    }

    /// An address that Stripe may lead a browser to: of an origin that the operator allows.
    func returnAddress(_ json: JSONObject, _ name: String) throws -> String? {
        guard let text = try json.optionalString(name) else { return nil }
        guard text.utf8.count <= 1_000, let url = URLText(text), url.user == nil,
            billing.settings.returnOrigins.contains(origin(ofURL: text))
        else {
            throw Problem.invalidRequest("`\(name)` must be an address of this gateway or of an origin in CHECKOUT_ORIGINS.", param: name)
        }
        return text
    }
}

extension Request {
    /// Reads a body that has no other members.
    func json(of names: [String]) throws -> JSONObject {
        let json = try json()
        if let other = json.members.first(where: { !names.contains($0.name) }) { throw Problem.unknownParameter(other.name) }
        return json
    }
}
