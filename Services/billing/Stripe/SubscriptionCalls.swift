import JSON
import Postgres
import Telemetry
import Values

/// The acts of users on a running subscription.
struct SubscriptionCalls: Sendable {
    let operations: StripeOperations
    let settlement: Settlement
    let clock: @Sendable () -> Instant

    private var stripe: StripeClient { operations.stripe }
    private var pool: PostgresPool { operations.pool }

    /// A subscription with its prices.
    struct Described: Sendable {
        var subscription: PlanSubscription
        /// The price of the next period; nil if it is none that this service sells.
        var price: PlanPrice?
        var paid: PaidPeriod?
        var hasPendingUpdate: Bool
    }

    enum Outcome: Sendable {
        /// The subscription as it is now.
        case done(Described)
        /// The bank wants something of the user first, on this page.
        case paymentPending(pageURL: String?)
        /// The card was declined. Stripe's sentence for the user.
        case paymentFailed(String)
        case refused(PlanChange.Refusal)
        /// It is not the change that the user agreed to any more.
        case differs
        /// A disputed payment of the user is not decided.
        case disputed
        /// The user has no such subscription.
        case notFound
    }

    /// The age at which the row of a subscription is not shown before Stripe was asked.
    private static let shownFor = Duration.seconds(15 * 60)

    /// Returns the running subscription of a user as Stripe has it, or had it within fifteen minutes. While Stripe does not answer, it is
    /// the last one known.
    func refreshed(of user: UserID) async throws -> Described? {
        for id in try await pool.query(OldSubscriptions(userID: user, syncedBefore: clock() - Self.shownFor)) {
            do {
                try await settlement.syncSubscription(id)
            } catch let error as StripeError {
                operations.log.warning("subscription not refreshed", ["subscription": .string(id)], error: error)
            }
        }
        return try await current(of: user)
    }

    /// Returns the running subscription of a user; nil for a user without one.
    func current(of user: UserID) async throws -> Described? {
        let (subscriptions, paid, prices) = try await pool.pipeline(
            SubscriptionsOfUser(userID: user), PaidPeriods(userID: user), AllPlanPrices())
        guard let subscription = subscriptions.first(where: \.isRunning) else { return nil }
        let price = prices.first { $0.priceID == subscription.priceID }
        let last = PaidPeriod.last(of: subscription.id, in: paid)
        return Described(subscription: subscription, price: price, paid: last, hasPendingUpdate: false)
    }

    /// Orders the end of a subscription, at the end of its period or now. Money is not given back, and credits stay.
    func cancel(_ id: String, of user: UserID, atPeriodEnd: Bool, comment: String?) async throws -> Outcome {
        guard try await own(id, user) != nil else { return .notFound }
        if atPeriodEnd {
            try await decide(id) { acts in
                guard try StripeSubscription(try await stripe.get("/v1/subscriptions/\(id)")).cancelAt == nil else { return }
                var form: StripeForm = ["cancel_at_period_end": "true"]
                if let comment { form.append("cancellation_details[comment]", comment) }
                _ = try await operations.perform(.cancel, subject: id, path: "/v1/subscriptions/\(id)", form: form, acts: acts)
            }
        } else {
            // Nothing follows from a second end, so it is not committed before.
            do {
                _ = try await stripe.delete("/v1/subscriptions/\(id)", ["invoice_now": "false", "prorate": "false"])
            } catch let error as StripeError {
                // It may have been cancelled all the same.
                let seen = try StripeSubscription(try await stripe.get("/v1/subscriptions/\(id)"))
                guard seen.status == "canceled" else { throw error }
            }
        }
        return try await synced(id, user)
    }

    /// Takes back an ordered end.
    func resume(_ id: String, of user: UserID) async throws -> Outcome {
        guard try await own(id, user) != nil else { return .notFound }
        try await decide(id) { acts in
            let seen = try await stripe.get("/v1/subscriptions/\(id)")
            guard try StripeSubscription(seen).cancelAt != nil else { return }
            // The portal sets `cancel_at`, and this service the flag.
            let form: StripeForm = try seen.stripeBool("cancel_at_period_end") ? ["cancel_at_period_end": "false"] : ["cancel_at": ""]
            _ = try await operations.perform(.resume, subject: id, path: "/v1/subscriptions/\(id)", form: form, acts: acts)
        }
        return try await synced(id, user)
    }

    /// Runs an act, and once more if another act on the subscription has ended since it was decided.
    private func decide<Value>(_ id: String, _ act: (_ acts: Int64) async throws -> Value) async throws -> Value {
        for _ in 0..<3 {
            do { return try await act(try await operations.acts(on: id)) } catch is StripeOperations.OldDecision { continue }
        }
        throw StripeError.unavailable("other acts on \(id) are under way")
    }

    /// The cost of a change.
    struct Preview: Sendable {
        var change: PlanChange
        /// Cents that are paid now; nil: nothing is paid now.
        var dueCents: Int64?
        var currency: String
        /// The moment for which Stripe computed the parts of the period.
        var prorationDate: Instant
    }

    /// Asks Stripe what a change would cost now.
    func preview(_ id: String, of user: UserID, to target: PlanPrice) async throws -> Preview? {
        guard let (seen, _, change) = try await plan(id, user, target) else { return nil }
        let now = clock()
        var preview = Preview(change: change, dueCents: nil, currency: target.currency, prorationDate: now)
        guard change == .upgrade || change == .payYearly else { return preview }
        let json = try await stripe.post(
            "/v1/invoices/create_preview",
            form: ([
                "customer": seen.customerID, "subscription": id, "subscription_details[items][0][id]": seen.itemID,
                "subscription_details[items][0][price]": target.priceID,
                "subscription_details[proration_behavior]": "always_invoice",
                "subscription_details[proration_date]": "\(now.seconds)",
            ] as StripeForm).encoded, idempotencyKey: "preview-\(UUIDv7.make())")
        (preview.dueCents, preview.currency) = (try json.stripeInteger("amount_due"), try json.stripeString("currency"))
        return preview
    }

    /// Changes plan or interval.
    /// - Parameters:
    ///   - agreed: the change that the user agreed to; nil: any.
    ///   - prorationDate: the moment of the preview that the user agreed to; nil: now.
    func change(
        _ id: String, of user: UserID, to target: PlanPrice, agreed: PlanChange? = nil, prorationDate: Instant? = nil
    ) async throws -> Outcome {
        try await decide(id) { acts in try await change(id, of: user, to: target, agreed, prorationDate, acts) }
    }

    private func change(
        _ id: String, of user: UserID, to target: PlanPrice, _ agreed: PlanChange?, _ prorationDate: Instant?, _ acts: Int64
    ) async throws -> Outcome {
        guard let (seen, _, change) = try await plan(id, user, target) else { return .notFound }
        if let agreed, change != agreed, change != .refused(.alreadySo) { return .differs }
        var form: StripeForm = ["items[0][id]": seen.itemID, "items[0][price]": target.priceID]
        switch change {
        case .refused(let refusal): return .refused(refusal)
        case .downgradeAtRenewal, .keepPaidPlan: form.append("proration_behavior", "none")
        case .upgrade, .payYearly:
            guard try await pool.one(HasOpenDispute(userID: user)) == false else { return .disputed }
            form.append("proration_behavior", "always_invoice")
            form.append("payment_behavior", "pending_if_incomplete")
            form.append("expand[]", "latest_invoice")
            if let prorationDate { form.append("proration_date", "\(prorationDate.seconds)") }
        }
        let object: JSONObject
        do {
            object = try await operations.perform(.changePlan, subject: id, path: "/v1/subscriptions/\(id)", form: form, acts: acts)
        } catch StripeError.refused(let refusal) where refusal.status == 402 {
            return .paymentFailed(refusal.message)
        }
        let changed = try StripeSubscription(object)
        if changed.hasPendingUpdate {
            try await settlement.syncSubscription(id)
            return .paymentPending(pageURL: changed.latestInvoice?.pageURL)
        }
        if let invoice = changed.latestInvoice, invoice.status == "paid" { try await settlement.settleInvoice(invoice.id) }
        return try await synced(id, user)
    }

    private func plan(_ id: String, _ user: UserID, _ target: PlanPrice) async throws -> (StripeSubscription, Described, PlanChange)? {
        guard try await own(id, user) != nil else { return nil }
        let seen = try StripeSubscription(try await stripe.get("/v1/subscriptions/\(id)"))
        try await settlement.syncSubscription(id)
        guard let current = try await current(of: user), current.subscription.id == id else { return nil }
        guard let price = current.price else { return (seen, current, .refused(.unknownPrice)) }
        // Without a payment that counts there is nothing that a difference could be paid on.
        guard let paid = current.paid, paid.end > clock() else { return (seen, current, .refused(.unpaid)) }
        let change = PlanChange(
            of: current.subscription, from: price, to: target, paidPosition: paid.position, hasPendingUpdate: seen.hasPendingUpdate)
        return (seen, current, change)
    }

    private func own(_ id: String, _ user: UserID) async throws -> PlanSubscription? {
        try await pool.query(SubscriptionsOfUser(userID: user)).first { $0.id == id && $0.isRunning }
    }

    private func synced(_ id: String, _ user: UserID) async throws -> Outcome {
        try await settlement.syncSubscription(id)
        let (subscriptions, paid, prices) = try await pool.pipeline(
            SubscriptionsOfUser(userID: user), PaidPeriods(userID: user), AllPlanPrices())
        guard let subscription = subscriptions.first(where: { $0.id == id }) else { return .notFound }
        let price = prices.first { $0.priceID == subscription.priceID }
        let last = PaidPeriod.last(of: id, in: paid)
        return .done(Described(subscription: subscription, price: price, paid: last, hasPendingUpdate: false))
    }
}
