import JSON
import Postgres
import Telemetry
import Values

/// Orders: from what a user wants to Stripe's page where the user pays.
struct Checkout: Sendable {
    let operations: StripeOperations
    let settlement: Settlement
    let settings: StripeSettings
    let clock: @Sendable () -> Instant

    /// The life of a page. Stripe allows 30 minutes to 24 hours.
    static let pageLife = Duration.seconds(2 * 3_600)

    /// Unpaid orders of a user, each for another amount.
    static let openOrdersMax: Int64 = 10

    /// The wish of a user who buys.
    enum Wish: Hashable, Sendable {
        case credits(Offer)
        case plan(PlanPrice)
    }

    enum Outcome: Hashable, Sendable {
        /// The user pays at the order's `sessionURL`.
        case page(Purchase)
        /// The address is not confirmed.
        case notVerified
        /// A disputed payment of the user is not decided.
        case disputed
        /// A subscription of the user runs already.
        case alreadySubscribed
        /// The user has left ``openOrdersMax`` orders unpaid.
        case tooManyOrders
    }

    /// Returns the page of an order. A user who orders the same thing again gets the same page, as long as it is not paid.
    /// - Parameters:
    ///   - successURL: where Stripe leads the user after the payment; `{CHECKOUT_SESSION_ID}` stands for the session.
    ///   - cancelURL: where the user comes back without a payment.
    func start(_ wish: Wish, for user: UserID, successURL: String, cancelURL: String) async throws -> Outcome {
        let pool = operations.pool
        guard let customer = try await pool.first(FindCustomer(userID: user)) else { return .notVerified }
        guard try await pool.one(HasOpenDispute(userID: user)) == false else { return .disputed }
        let stripeCustomer = try await StripeCustomers(operations: operations).ensure(customer)
        let wanted = purchase(of: wish, for: user, successURL, cancelURL)
        // Further rounds: an open order that cannot be used any more is closed first.
        for _ in 0..<3 {
            try await pool.execute(InsertPurchase(purchase: wanted))
            guard let open = try await pool.first(OpenPurchase(userID: user, kind: wanted.kind, credits: wanted.credits)) else { continue }
            // Only now: an order that was paid before this one was recorded has its subscription.
            if case .plan = wish, try await hasSubscription(user, stripeCustomer) {
                try await pool.execute(DropPurchase(id: open.id, status: .expired))
                return .alreadySubscribed
            }
            if open.id == wanted.id, try await pool.one(CountOpenPurchases(userID: user)) > Self.openOrdersMax {
                try await pool.execute(DropPurchase(id: open.id, status: .expired))
                return .tooManyOrders
            }
            if isSame(open, wanted), open.isPayable(at: clock()) {
                let page = try await page(of: open, stripeCustomer)
                // A dispute that opened meanwhile has not seen the page.
                guard try await pool.one(HasOpenDispute(userID: user)), let sessionID = page.sessionID else { return .page(page) }
                _ = try await settlement.expirePage(sessionID, of: page.id)
                return .disputed
            }
            let closed = try await close(open, stripeCustomer)
            if case .plan = wish, let closed, [.paid, .awaitingPayment].contains(closed.status) { return .alreadySubscribed }
        }
        throw StripeError.unavailable("an earlier order cannot be closed")
    }

    private func purchase(of wish: Wish, for user: UserID, _ successURL: String, _ cancelURL: String) -> Purchase {
        let now = clock()
        var purchase = Purchase(
            id: .make(), userID: user, kind: .credits, credits: 0, bonus: 0, amountCents: 0, currency: "usd", status: .creating,
            successURL: successURL, cancelURL: cancelURL, sessionExpiresAt: now + Self.pageLife, createdAt: now)
        switch wish {
        case .credits(let offer):
            (purchase.package, purchase.credits, purchase.bonus) = (offer.packageName, offer.credits, offer.bonus)
            purchase.amountCents = offer.amountCents
        case .plan(let price):
            (purchase.kind, purchase.plan, purchase.priceID) = (.subscription, price.plan, price.priceID)
            (purchase.amountCents, purchase.currency) = (price.amountCents, price.currency)
        }
        return purchase
    }

    /// The catalogue may have changed since the open order.
    private func isSame(_ open: Purchase, _ wanted: Purchase) -> Bool {
        (open.credits, open.bonus, open.amountCents, open.priceID) == (wanted.credits, wanted.bonus, wanted.amountCents, wanted.priceID)
            && (open.successURL, open.cancelURL) == (wanted.successURL, wanted.cancelURL)
    }

    /// Stripe's list may have a new subscription later than billing.
    private func hasSubscription(_ user: UserID, _ stripeCustomer: String) async throws -> Bool {
        if try await operations.pool.query(SubscriptionsOfUser(userID: user)).contains(where: \.isRunning) { return true }
        let found = try await operations.stripe.all("/v1/subscriptions", ["customer": stripeCustomer, "status": "all"])
        return try found.contains { !["canceled", "incomplete_expired"].contains(try $0.stripeString("status")) }
    }

    /// Ends an open order, at Stripe too. One that was paid meanwhile is fulfilled.
    private func close(_ order: Purchase, _ stripeCustomer: String) async throws -> Purchase? {
        do {
            // A call whose answer was lost may have made the page, and another click may be about to show it.
            let order = order.status == .creating ? try await page(of: order, stripeCustomer) : order
            guard order.status == .open, let sessionID = order.sessionID else { return try await settlement.settlePurchase(order.id) }
            return try await settlement.expirePage(sessionID, of: order.id)
        } catch StripeError.refused {
            return try await operations.pool.first(FindPurchase(id: order.id))
        }
    }

    private func page(of purchase: Purchase, _ stripeCustomer: String) async throws -> Purchase {
        if purchase.status == .open, purchase.sessionURL != nil { return purchase }
        let form = try await form(of: purchase, stripeCustomer)
        do {
            let object = try await operations.perform(
                .checkout, subject: purchase.id.description, path: "/v1/checkout/sessions", form: form, key: "cs-\(purchase.id)")
            let session = try CheckoutSession(object)
            try await operations.pool.execute(OpenPurchasePage(id: purchase.id, sessionID: session.id, url: session.url))
            let opened = try await operations.pool.one(FindPurchase(id: purchase.id))
            // Another order of the user has replaced it meanwhile. The user does not get this page.
            guard opened.status == .open else { throw StripeError.unavailable("the order was replaced") }
            return opened
        } catch let error as StripeError {
            if case .refused = error { try await operations.pool.execute(DropPurchase(id: purchase.id, status: .failed)) }
            throw error
        }
    }

    /// The parameters of a session. They are the same for each attempt: all come from the order's row.
    private func form(of purchase: Purchase, _ stripeCustomer: String) async throws -> StripeForm {
        let user = purchase.userID.description
        let id = purchase.id.description
        var form: StripeForm = [
            "mode": purchase.kind == .credits ? "payment" : "subscription", "customer": stripeCustomer, "client_reference_id": user,
            "success_url": purchase.successURL, "cancel_url": purchase.cancelURL,
            "expires_at": "\(purchase.sessionExpiresAt.seconds)", "metadata[purchase_id]": id, "metadata[user_id]": user,
            "line_items[0][quantity]": "1",
        ]
        switch purchase.kind {
        case .credits:
            form.append("line_items[0][price_data][currency]", purchase.currency)
            form.append("line_items[0][price_data][unit_amount]", "\(purchase.amountCents)")
            form.append("line_items[0][price_data][product_data][name]", purchase.productName)
            form.append("payment_intent_data[metadata][purchase_id]", id)
            form.append("payment_intent_data[metadata][user_id]", user)
        case .subscription:
            form.append("line_items[0][price]", purchase.priceID ?? "")
            form.append("subscription_data[metadata][user_id]", user)
            form.append("subscription_data[metadata][plan]", purchase.plan ?? "")
            form.append("subscription_data[metadata][purchase_id]", id)
            form.append("subscription_data[billing_mode][type]", "flexible")
        }
        if settings.hasTax {
            form.append("automatic_tax[enabled]", "true")
            form.append("customer_update[address]", "auto")
        }
        return form
    }
}

extension Purchase {
    /// The name of the product on Stripe's page.
    var productName: String { "\(credits) credits" + (bonus > 0 ? " + \(bonus) bonus credits" : "") }
}
