import Contracts
import EventLoop
import JSON
import Outbox
import Postgres
import Telemetry
import Values

/// Brings billing's rows to what Stripe says now, and has the ledger grant or take back what follows.
///
/// Events, sweeps, the page after the checkout and administrators call the same functions, in any order
/// and as often as they like. Keys of effects make each grant happen once.
///
/// Nothing is locked while Stripe is asked. Instead each asking takes a number before, a ``Reading``, and an
/// object keeps the number of the last answer that was written. An answer with a lower number is dropped:
/// whatever led to it was at Stripe before the other one asked.
struct Settlement: Sendable {
    let operations: StripeOperations

    var pool: PostgresPool { operations.pool }
    var stripe: StripeClient { operations.stripe }
    var log: Logger { operations.log }
    private var clock: @Sendable () -> Instant { operations.clock }

    /// A month is due this much before its time: Stripe's clock may be ahead of ours, and a new subscriber should not wait for that.
    static let clockDifference = Duration.seconds(300)

    /// An object that cannot be settled now.
    enum Failure: Error, Hashable, CustomStringConvertible {
        /// No user has this customer of Stripe's. The row of a new user may come later.
        case unknownCustomer(String)

        var description: String {
            switch self {
            case .unknownCustomer(let id): "no user has Stripe's customer \(id)"
            }
        }
    }
}

// MARK: Readings

extension Settlement {
    /// One asking of Stripe.
    fileprivate struct Reading: Sendable {
        let number: Int64
        /// A moment before Stripe was asked.
        let at: Instant
    }

    /// Call it before Stripe is asked.
    private func reading() async throws -> Reading {
        let at = clock()
        return Reading(number: try await pool.one(NextReading()), at: at)
    }
}

extension PostgresTransaction {
    /// - Returns: false if the answer of a later asking was written already.
    fileprivate func accept(_ reading: Settlement.Reading, of subject: String) async throws -> Bool {
        try await first(AcceptReading(subject: subject, number: reading.number)) != nil
    }
}

// MARK: Orders

extension Settlement {
    /// Settles the order of a checkout session. A paid session of a user that has no order waits for an administrator.
    func settleSession(_ id: String) async throws {
        let session = try CheckoutSession(try await stripe.get("/v1/checkout/sessions/\(id)"))
        let purchaseID = session.purchaseID.flatMap { PurchaseID($0) }
        if let purchaseID, try await settlePurchase(purchaseID, sessionID: id) != nil { return }
        guard session.status == "complete", session.paymentStatus == "paid", let user = session.userID,
            try await pool.first(FindCustomer(userID: user)) != nil
        else { return }
        let purchase = Purchase(unordered: session, purchaseID ?? .make(), of: user, now: clock())
        guard try await pool.execute(InsertPurchase(purchase: purchase)) > 0 else { return }
        log.error("purchase needs review", ["purchase_id": .describing(purchase.id), "reason": .string(purchase.review ?? "")])
    }

    /// Brings an order to where its checkout session is.
    /// - Parameters:
    ///   - sessionID: the session, where the order does not know it yet.
    ///   - decidesAgain: true if an administrator wants the order that waits for one to be decided again.
    /// - Returns: the present order; nil for an unknown id.
    func settlePurchase(_ id: PurchaseID, sessionID: String? = nil, decidesAgain: Bool = false) async throws -> Purchase? {
        guard let known = try await pool.first(FindPurchase(id: id)) else { return nil }
        guard let sessionID = known.sessionID ?? sessionID else { return known }
        let reading = try await reading()
        let session = try CheckoutSession(try await stripe.get("/v1/checkout/sessions/\(sessionID)"))
        let paymentFailed = try await hasPaymentFailed(session)
        // An order that waited may have been refunded since. Both are written in one transaction.
        let returns = decidesAgain ? try await returns(of: [session.paymentIntentID].compactMap(\.self)) : nil
        let settled = try await pool.transaction { transaction in
            var purchase = try await transaction.one(LockPurchase(id: id))
            guard try await transaction.accept(reading, of: "purchase:\(id)") else { return purchase }
            if decidesAgain, purchase.status == .review { (purchase.status, purchase.review) = (.open, nil) }
            if purchase.sessionID == nil, session.purchaseID == purchase.id.description {
                try await transaction.execute(OpenPurchasePage(id: id, sessionID: session.id, url: session.url))
            }
            try await apply(PurchaseOutcome(purchase, session, paymentFailed: paymentFailed), to: purchase, in: transaction)
            purchase = try await transaction.one(LockPurchase(id: id))
            if let returns { try await take(returns, reading, of: purchase, in: transaction) }
            return purchase
        }
        if let returns { try await expirePages(of: settled.userID, after: returns.disputes) }
        if session.paymentStatus == "paid", session.subscriptionID != nil, let invoiceID = session.invoiceID {
            try await settleInvoice(invoiceID)
        } else if let subscriptionID = session.subscriptionID {
            try await syncSubscription(subscriptionID)
        }
        return settled
    }

    /// Expires the page of an order, and settles the order, which may have been paid meanwhile.
    func expirePage(_ sessionID: String, of id: PurchaseID) async throws -> Purchase? {
        do {
            _ = try await operations.perform(
                .expire, subject: sessionID, path: "/v1/checkout/sessions/\(sessionID)/expire", form: [:])
        } catch StripeError.refused {
            // Paid or expired already: settling tells which.
        }
        return try await settlePurchase(id)
    }

    /// A complete session with an unpaid payment waits for a bank, or will never be paid.
    private func hasPaymentFailed(_ session: CheckoutSession) async throws -> Bool {
        guard session.status == "complete", session.paymentStatus == "unpaid" else { return false }
        guard let payment = session.paymentIntentID else {
            guard let subscription = session.subscriptionID else { return false }
            let status = try await stripe.get("/v1/subscriptions/\(subscription)").stripeString("status")
            return ["canceled", "incomplete_expired"].contains(status)
        }
        let status = try await stripe.get("/v1/payment_intents/\(payment)").stripeString("status")
        return ["requires_payment_method", "canceled"].contains(status)
    }

    private func apply(_ outcome: PurchaseOutcome, to purchase: Purchase, in transaction: PostgresTransaction) async throws {
        let fields: LogFields = ["purchase_id": .describing(purchase.id), "user_id": .describing(purchase.userID)]
        func set(_ status: Purchase.Status, _ paymentIntentID: String? = nil, _ paidCents: Int64? = nil, review: String? = nil) async throws
        {
            try await transaction.execute(
                SetPurchaseStatus(
                    id: purchase.id, status: status, paymentIntentID: paymentIntentID, paidCents: paidCents, review: review))
        }
        switch outcome {
        case .unchanged: break
        case .awaitingPayment: try await set(.awaitingPayment)
        case .failed: try await set(.failed)
        case .expired: try await set(.expired)
        case .review(let reason):
            log.error("purchase needs review", fields + ["reason": .string(reason)])
            try await set(.review, review: reason)
        case .paid(let paymentIntentID, let paidCents):
            try await set(.paid, paymentIntentID, paidCents)
            try await transaction.record(purchase.effects(chargeIDs: ChargeID.make))
            log.info("Checkout completed", fields)
            if purchase.kind == .credits {
                log.info("Credits fulfilled", fields + ["credits": .integer(purchase.credits), "bonus": .integer(purchase.bonus)])
            }
        }
    }
}

// MARK: Subscriptions and their invoices

extension Settlement {
    /// Writes a subscription as it is at Stripe, and the plan that follows for its user. One of another system is left alone.
    func syncSubscription(_ id: String) async throws {
        let reading = try await reading()
        guard let (found, user) = try await owned(id) else { return }
        try await pool.transaction { transaction in
            _ = try await transaction.one(LockCustomer(userID: user))
            try await sync(found, reading, of: user, in: transaction)
            try await decidePlan(of: user, in: transaction)
        }
    }

    private func sync(
        _ found: StripeSubscription, _ reading: Reading, of user: UserID, in transaction: PostgresTransaction
    ) async throws {
        guard try await transaction.accept(reading, of: "subscription:\(found.id)") else { return }
        let subscription = PlanSubscription(
            id: found.id, userID: user, status: found.status, itemID: found.itemID, priceID: found.priceID, periodStart: found.periodStart,
            periodEnd: found.periodEnd, cancelAt: found.cancelAt, createdAt: found.createdAt)
        try await transaction.execute(UpsertSubscription(subscription: subscription, now: reading.at))
        if !subscription.isRunning {
            try await transaction.execute(CancelInstalments(subscriptionID: subscription.id, dueAfter: found.endedAt ?? clock()))
        }
    }

    /// Writes and announces the plan of a user. The caller has locked the user.
    func decidePlan(of user: UserID, in transaction: PostgresTransaction) async throws {
        let (subscriptions, paid) = try await transaction.pipeline(SubscriptionsOfUser(userID: user), PaidPeriods(userID: user))
        let entitlement = Entitlement(subscriptions, paid, now: clock())
        if try await transaction.announcePlan(of: user, plan: Plan.ID(text: entitlement.plan), until: entitlement.until),
            entitlement != .free
        {
            log.info("Subscription activated", ["user_id": .describing(user), "plan": .string(entitlement.plan)])
        }
    }

    /// Grants what a paid invoice of a subscription gives. Other invoices give nothing.
    /// - Parameter decidesAgain: true if an administrator wants the invoice that waits for one to be decided again.
    func settleInvoice(_ id: String, decidesAgain: Bool = false) async throws {
        let reading = try await reading()
        let seen = try StripeInvoice(try await stripe.get("/v1/invoices/\(id)"))
        guard seen.status == "paid", let subscriptionID = seen.subscriptionID,
            let (subscription, user) = try await owned(subscriptionID)
        else { return }
        let lines = try await stripe.all("/v1/invoices/\(id)/lines", [:]).map(StripeInvoice.Line.init)
        // An invoice that waited may have been refunded since. Both are written in one transaction.
        let returns = decidesAgain ? try await returns(ofInvoice: id) : nil
        try await pool.transaction { transaction in
            _ = try await transaction.one(LockCustomer(userID: user))
            let known = try await transaction.first(FindInvoice(id: id))
            if known == nil || (decidesAgain && known?.review != nil) {
                try await keep(seen, lines, of: user, anchor: subscription.anchor, in: transaction)
            }
            // Before the months are settled: those of an ended subscription are not due any more.
            try await sync(subscription, reading, of: user, in: transaction)
            try await decidePlan(of: user, in: transaction)
            try await settleInstalments(of: id, in: transaction)
            if let returns { try await take(returns, reading, ofInvoice: id, of: user, in: transaction) }
        }
        if let returns { try await expirePages(of: user, after: returns.disputes) }
    }

    private func keep(
        _ invoice: StripeInvoice, _ lines: [StripeInvoice.Line], of user: UserID, anchor: Instant, in transaction: PostgresTransaction
    ) async throws {
        let prices = Dictionary(uniqueKeysWithValues: try await transaction.query(AllPlanPrices()).map { ($0.priceID, $0) })
        var credits: InvoiceCredits?
        var review: String?
        switch InvoiceOutcome(invoice, lines: lines, prices: prices, anchor: anchor) {
        case .credits(let found): credits = found
        case .nothing: break
        case .review(let reason): review = reason
        }
        let subscriptionID = invoice.subscriptionID ?? ""
        if let found = credits, found.isWhole {
            let other = try await transaction.first(
                InvoiceOfPeriod(subscriptionID: subscriptionID, periodStart: found.periodStart, otherThan: invoice.id))
            if let other { (credits, review) = (nil, "invoice \(other) has paid for the same period") }
        }
        if let review {
            log.error("invoice needs review", ["invoice": .string(invoice.id), "reason": .string(review)])
        }
        try await transaction.execute(
            InsertInvoice(
                id: invoice.id, subscriptionID: subscriptionID, userID: user, billingReason: invoice.billingReason,
                totalCents: invoice.totalCents, credits: credits, review: review, paidAt: invoice.paidAt ?? invoice.createdAt))
        if let credits { try await transaction.execute(InsertInstalments(invoiceID: invoice.id, instalments: credits.instalments)) }
    }

    /// Grants the months of an invoice, or of all invoices, whose time has come.
    /// - Returns: the number of months.
    @discardableResult
    func settleInstalments(of invoiceID: String? = nil, in transaction: PostgresTransaction) async throws -> Int {
        let now = clock()
        let due = try await transaction.query(SettleDueInstalments(now: now + Self.clockDifference, invoiceID: invoiceID))
        let effects = due.map { month in
            month.instalment.given(at: now).effect(
                of: month.invoiceID, for: month.userID, planName: month.planName, isOnly: month.isOnly, chargeID: .make())
        }
        try await transaction.record(effects)
        for (month, effect) in zip(due, effects) where month.kept < month.instalment.amount {
            let all = try await transaction.query(EffectsOfSource(source: effect.source ?? ""))
            guard let own = all.first(where: { $0.key == effect.key }) else { continue }
            try await transaction.reverse(own, target: month.instalment.amount - month.kept, reason: .refund)
        }
        for month in due {
            log.info("Credits fulfilled", ["invoice": .string(month.invoiceID), "user_id": .describing(month.userID)])
        }
        return due.count
    }

    /// Asks for a subscription and its user; nil for one of another system that uses the same account at Stripe.
    private func owned(_ id: String) async throws -> (StripeSubscription, UserID)? {
        let json = try await stripe.get("/v1/subscriptions/\(id)")
        let stripeCustomerID = try json.stripeID("customer") ?? ""
        if let user = try await pool.first(UserOfStripeCustomer(stripeCustomerID: stripeCustomerID)) {
            return (try StripeSubscription(json), user)
        }
        let known = try await pool.first(UserOfSubscription(id: id))
        guard let named = try json.metadata("user_id").flatMap({ UserID($0) }) ?? known else { return nil }
        guard try await pool.first(FindCustomer(userID: named)) != nil else { throw Failure.unknownCustomer(stripeCustomerID) }
        return (try StripeSubscription(json), named)
    }
}

extension Settlement {
    /// True for a customer that was deleted at Stripe.
    func isDeleted(customer id: String) async throws -> Bool {
        do {
            return try await stripe.get("/v1/customers/\(id)").stripeBool("deleted")
        } catch let error as StripeError where error.isMissing {
            return true
        }
    }
}

// MARK: Refunds and disputes

extension Settlement {
    /// Takes back, or gives back, what follows from the refunds and disputes of a payment. Other payments of the account are left alone.
    func settleReturns(ofPayment paymentIntentID: String) async throws {
        let payment = try await stripe.get("/v1/payment_intents/\(paymentIntentID)")
        if let id = try payment.metadata("purchase_id").flatMap({ PurchaseID($0) }) {
            try await settleReturns(ofPurchase: id, paymentIntentID)
            return
        }
        let uses = try await stripe.all(
            "/v1/invoice_payments", ["payment[type]": "payment_intent", "payment[payment_intent]": paymentIntentID])
        for use in uses {
            if let invoice = try use.stripeID("invoice") { try await settleReturns(ofInvoice: invoice) }
        }
    }

    private func settleReturns(ofPurchase id: PurchaseID, _ paymentIntentID: String) async throws {
        // The news of a refund may come before the news of its payment.
        let sessions = try await stripe.get("/v1/checkout/sessions", ["payment_intent": paymentIntentID, "limit": "1"])
        let sessionID = try StripeList(sessions).data.first?.stripeString("id")
        guard let user = try await settlePurchase(id, sessionID: sessionID)?.userID else { return }
        let reading = try await reading()
        let returns = try await returns(of: [paymentIntentID])
        try await pool.transaction { transaction in
            try await take(returns, reading, of: try await transaction.one(LockPurchase(id: id)), in: transaction)
        }
        try await expirePages(of: user, after: returns.disputes)
    }

    private func take(
        _ returns: Returns, _ reading: Reading, of purchase: Purchase, in transaction: PostgresTransaction
    ) async throws {
        guard try await transaction.accept(reading, of: "returns:\(purchase.id)") else { return }
        let share = returns.share(of: purchase.paidCents ?? purchase.amountCents)
        try await keep(returns.disputes, of: purchase.userID, source: purchase.source, in: transaction)
        for effect in try await transaction.query(EffectsOfSource(source: purchase.source)) {
            try await transaction.reverse(effect, target: share.of(effect.amount), reason: returns.reason)
        }
    }

    private func settleReturns(ofInvoice id: String) async throws {
        try await settleInvoice(id)
        guard let user = try await pool.first(FindInvoice(id: id))?.userID else { return }
        let reading = try await reading()
        let returns = try await returns(ofInvoice: id)
        try await pool.transaction { transaction in
            _ = try await transaction.one(LockCustomer(userID: user))
            try await take(returns, reading, ofInvoice: id, of: user, in: transaction)
        }
        try await expirePages(of: user, after: returns.disputes)
    }

    /// The caller has locked the user.
    private func take(
        _ returns: Returns, _ reading: Reading, ofInvoice id: String, of user: UserID, in transaction: PostgresTransaction
    ) async throws {
        guard try await transaction.accept(reading, of: "returns:\(id)") else { return }
        let invoice = try await transaction.one(FindInvoice(id: id))
        let (share, source) = (returns.share(of: invoice.totalCents), "invoice:\(id)")
        try await keep(returns.disputes, of: user, source: source, in: transaction)
        try await take(share, ofInvoice: id, source, returns.reason, in: transaction)
        try await transaction.execute(SetInvoiceReturned(id: id, isReturned: share.isWhole && invoice.totalCents > 0))
        try await decidePlan(of: user, in: transaction)
    }

    /// Expires the pages on which a user could still pay, if a dispute is open.
    private func expirePages(of user: UserID, after disputes: [StripeDispute]) async throws {
        guard disputes.contains(where: \.isOpen) else { return }
        for order in try await pool.query(OpenPages(userID: user)) {
            if let sessionID = order.sessionID { _ = try await expirePage(sessionID, of: order.id) }
        }
    }

    /// Cancels months to come first, then takes back what months before have given.
    private func take(
        _ share: ReturnedShare, ofInvoice id: String, _ source: String, _ reason: PurchaseReversed.Reason,
        in transaction: PostgresTransaction
    ) async throws {
        let months = try await transaction.query(InstalmentsOfInvoice(invoiceID: id))
        let kept = share.kept(of: months.map(\.amount))
        try await transaction.execute(SetKeptInstalments(invoiceID: id, numbers: months.map(\.number), kept: kept))
        let effects = try await transaction.query(EffectsOfSource(source: source))
        for (month, keeps) in zip(months, kept) {
            let key = Effect.Key.invoice(id, month: months.count == 1 ? nil : month.number)
            guard let effect = effects.first(where: { $0.key == key }) else { continue }
            try await transaction.reverse(effect, target: month.amount - keeps, reason: reason)
        }
        // A month whose credits had gone wholly may have some again.
        try await settleInstalments(of: id, in: transaction)
    }

    /// The refunds and disputes of payments.
    private struct Returns: Sendable {
        var refunds: [StripeRefund] = []
        var disputes: [StripeDispute] = []

        func share(of totalCents: Int64) -> ReturnedShare { ReturnedShare(refunds: refunds, disputes: disputes, total: totalCents) }
        var reason: PurchaseReversed.Reason { disputes.contains(where: \.isWithdrawn) ? .dispute : .refund }
    }

    private func returns(of payments: [String]) async throws -> Returns {
        var found = Returns()
        for payment in payments {
            found.refunds += try await stripe.all("/v1/refunds", ["payment_intent": payment]).map(StripeRefund.init)
            found.disputes += try await stripe.all("/v1/disputes", ["payment_intent": payment]).map(StripeDispute.init)
        }
        return found
    }

    private func returns(ofInvoice id: String) async throws -> Returns {
        try await returns(
            of: try await stripe.all("/v1/invoice_payments", ["invoice": id]).compactMap { payment in
                try payment.optionalStripeObject("payment")?.stripeID("payment_intent")
            })
    }

    private func keep(_ disputes: [StripeDispute], of user: UserID, source: String, in transaction: PostgresTransaction) async throws {
        for dispute in disputes {
            try await transaction.execute(UpsertDispute(dispute: dispute, userID: user, source: source))
        }
    }
}
