import HTTP
import Identity
import JSON
import Postgres
import Values

extension Routes {
    /// The caller's plan, and the subscription that pays for it.
    func getSubscription(_ request: Request, caller: Principal) async throws -> Response {
        let current = try await billing.subscriptions.refreshed(of: caller.userID)
        let customer = try await billing.pool.first(FindCustomer(userID: caller.userID))
        return .object(200) { json in
            json.field("plan", customer?.plan ?? Plan.ID.free.text)
            json.field("plan_until", customer?.planUntil)
            if let current { json.object("subscription") { current.encode(into: &$0) } } else { json.field("subscription", String?.none) }
        }
    }

    /// {subscription_id?, at_period_end?, comment?}
    func cancelSubscription(_ request: Request, caller: Principal) async throws -> Response {
        let json = try request.json(of: ["subscription_id", "at_period_end", "comment"])
        let comment = try json.optionalString("comment")
        guard (comment ?? "").unicodeScalars.count <= 500 else {
            throw Problem.invalidRequest("`comment` must have at most 500 characters.", param: "comment")
        }
        let atPeriodEnd = try json.optionalBool("at_period_end") ?? true
        return try response(
            try await billing.subscriptions.cancel(
                try await subscription(json, caller), of: caller.userID, atPeriodEnd: atPeriodEnd, comment: comment))
    }

    /// {subscription_id?}: takes back an ordered end.
    func resumeSubscription(_ request: Request, caller: Principal) async throws -> Response {
        let json = try request.json(of: ["subscription_id"])
        return try response(try await billing.subscriptions.resume(try await subscription(json, caller), of: caller.userID))
    }

    /// {subscription_id?, plan, interval?}: what the change costs now.
    func previewPlanChange(_ request: Request, caller: Principal) async throws -> Response {
        let json = try request.json(of: ["subscription_id", "plan", "interval"])
        let (id, price) = try await target(json, caller)
        guard let preview = try await billing.subscriptions.preview(id, of: caller.userID, to: price) else {
            throw Problem.notFound("The subscription")
        }
        if case .refused(let refusal) = preview.change { throw Problem.refused(refusal) }
        return .object(200) { json in
            json.field("effective", preview.change == .downgradeAtRenewal ? "at_renewal" : "now")
            json.field("amount_due", USD(cents: preview.dueCents ?? 0))
            json.field("currency", preview.currency)
        }
    }

    /// {subscription_id?, plan, interval?}: 200 with the subscription, or 202 with the page on which the user confirms the payment.
    func changePlan(_ request: Request, caller: Principal) async throws -> Response {
        let json = try request.json(of: ["subscription_id", "plan", "interval"])
        let (id, price) = try await target(json, caller)
        return try response(try await billing.subscriptions.change(id, of: caller.userID, to: price))
    }

    private func target(_ json: JSONObject, _ caller: Principal) async throws -> (String, PlanPrice) {
        let id = try await subscription(json, caller)
        let interval = try await billing.subscriptions.current(of: caller.userID)?.price?.interval
        return (id, try await price(json, default: interval ?? .month))
    }

    /// The subscription that the body names, or the caller's running one.
    private func subscription(_ json: JSONObject, _ caller: Principal) async throws -> String {
        if let id = try json.optionalString("subscription_id") { return id }
        guard let current = try await billing.subscriptions.current(of: caller.userID) else {
            throw Problem.notFound("A running subscription")
        }
        return current.subscription.id
    }

    private func response(_ outcome: SubscriptionCalls.Outcome) throws -> Response {
        switch outcome {
        case .done(let described): return .object(200) { described.encode(into: &$0) }
        case .paymentPending(let url):
            return .object(202) { json in
                json.field("status", "payment_pending")
                json.field("url", url)
            }
        case .paymentFailed(let message): throw Problem.paymentFailed(message)
        case .refused(let refusal): throw Problem.refused(refusal)
        case .disputed: throw Problem.purchasesSuspended
        case .differs: throw Problem.conflict("The subscription has changed meanwhile. Ask for the price again.")
        case .notFound: throw Problem.notFound("The subscription")
        }
    }
}

extension SubscriptionCalls.Described {
    func encode(into json: inout JSONWriter) {
        json.field("id", subscription.id)
        json.field("status", subscription.status)
        json.field("plan", paid?.plan ?? price?.plan)
        json.field("next_plan", price?.plan)
        json.field("interval", price?.interval.rawValue)
        if let price { json.field("price", USD(cents: price.amountCents)) } else { json.field("price", String?.none) }
        json.field("current_period_start", subscription.periodStart)
        json.field("current_period_end", subscription.periodEnd)
        json.field("cancel_at", subscription.cancelAt)
    }
}
