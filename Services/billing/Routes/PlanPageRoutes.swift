import HTTP
import Identity
import Postgres
import Telemetry
import Text
import Values
import Web

/// The pages of plans, and of what a user pays.
extension Routes {
    /// The longest time between a price on a page and the order for it.
    private static let previewLife = Duration.seconds(15 * 60)
    private static let invoicesOnPage = 12

    // MARK: Plans

    /// `interval=month|year`, and `done`: the act that led here.
    func showPlans(_ request: Request, caller: Principal) async throws -> Response {
        let name = try request.query.optionalString("interval")
        let interval = name.flatMap { Plan.Interval(rawValue: $0) }
        guard name == nil || interval != nil else { throw Problem.invalidRequest("`interval` must be month or year.", param: "interval") }
        return try await plansPage(request, caller, interval).show(done: request.query["done"].flatMap(PlansPage.Done.init))
    }

    private func plansPage(_ request: Request, _ caller: Principal, _ interval: Plan.Interval?) async throws -> PlansPage {
        async let viewer = viewer(request, caller)
        let (plans, prices) = try await pool.withConnection { try await $0.pipeline(ReadPlans(), AllPlanPrices()) }
        let state = try await planState(of: caller)
        return PlansPage(
            viewer: await viewer,
            plans: plans.filter { $0.isActive || $0.id.text == state.plan || $0.id.text == state.current?.price?.plan },
            prices: prices.filter(\.isCurrent), state: state, interval: interval ?? state.current?.price?.interval ?? .month,
            obstacle: try await obstacle(of: caller))
    }

    private func planState(of caller: Principal) async throws -> PlanState {
        let customer = try await pool.first(FindCustomer(userID: caller.userID))
        return PlanState(
            plan: customer?.plan ?? Plan.ID.free.text, current: try await billing.subscriptions.current(of: caller.userID))
    }

    /// A form {plan, interval} → 303 to Stripe's checkout page. With {act: resume} it takes back an ordered end.
    func submitPlans(_ request: Request, caller: Principal) async throws -> Response {
        let sent = try FormInput(request)
        let viewer = site.viewer(request, caller)
        if sent["act"] == PlansPage.resume { return try await resume(viewer, caller) }
        let price = try await wanted(sent["plan"], sent["interval"])
        switch try await order(.plan(price), by: caller, back: Place.plans.link) {
        case .checkout(let checkout): return viewer.seeOther(checkout)
        case .hindered: return try await plansPage(request, caller, price.interval).show(status: 403)
        case .alreadySubscribed: return viewer.seeOther(done(.subscribed))
        }
    }

    private func resume(_ viewer: Viewer, _ caller: Principal) async throws -> Response {
        guard let current = try await billing.subscriptions.current(of: caller.userID) else { return viewer.seeOther(Place.plans.link) }
        return viewer.seeOther(try answer(try await billing.subscriptions.resume(current.subscription.id, of: caller.userID), .resumed))
    }

    private func done(_ done: PlansPage.Done) -> Link { Place.plans.link.with("done", done.rawValue) }

    /// Returns the page that follows an act that needs no payment.
    private func answer(_ outcome: SubscriptionCalls.Outcome, _ done: PlansPage.Done) throws(Problem) -> Link {
        switch outcome {
        case .done: self.done(done)
        case .notFound: Place.plans.link
        case .paymentPending: Place.billing.link.with("done", "pending")
        case .paymentFailed(let message): throw .paymentFailed(message)
        case .refused(let refusal): throw .refused(refusal)
        case .disputed: throw .purchasesSuspended
        case .differs: Place.plans.link
        }
    }

    /// - Throws: 404 for a plan that is not sold for the interval.
    private func wanted(_ plan: String, _ interval: String) async throws -> PlanPrice {
        guard let interval = Plan.Interval(rawValue: interval), let price = try await billing.price(of: plan, interval) else {
            throw Problem.notFound("This plan")
        }
        return price
    }

    // MARK: Changes

    /// `plan` and `interval`: asks Stripe for the price, and the user once.
    func askPlanChange(_ request: Request, caller: Principal) async throws -> Response {
        let price = try await wanted(try request.query.string("plan"), try request.query.string("interval"))
        return try await askPlanChange(to: price, request, caller)
    }

    private func askPlanChange(
        to price: PlanPrice, _ request: Request, _ caller: Principal, declined: String? = nil
    ) async throws -> Response {
        let pages = try await changePages(request, caller)
        let here = pages.viewer.at(PlansPage.change(to: price))
        guard let current = pages.state.current,
            let preview = try await billing.subscriptions.preview(current.subscription.id, of: caller.userID, to: price)
        else { return pages.viewer.seeOther(Place.plans.link) }
        if case .refused(let refusal) = preview.change { return pages.refuse(refusal) }
        return PlanChangePages(viewer: here, plans: pages.plans, state: pages.state).ask(preview, to: price, declined: declined)
    }

    private func changePages(_ request: Request, _ caller: Principal) async throws -> PlanChangePages {
        async let viewer = viewer(request, caller)
        return PlanChangePages(viewer: await viewer, plans: try await pool.query(ReadPlans()), state: try await planState(of: caller))
    }

    /// A form {plan, interval, at?} → 303. `at` is the moment that the price was computed for; a change that costs something is not
    /// made without it. The same form again changes nothing.
    func submitPlanChange(_ request: Request, caller: Principal) async throws -> Response {
        let sent = try FormInput(request)
        let price = try await wanted(sent["plan"], sent["interval"])
        let viewer = site.viewer(request, caller)
        guard let current = try await billing.subscriptions.current(of: caller.userID) else { return viewer.seeOther(Place.plans.link) }
        let id = current.subscription.id
        let change = PlanState(plan: "", current: current).change(to: price)
        let at = Int64(sent[PlanChangePages.at]).map { Instant(microseconds: $0.multipliedReportingOverflow(by: 1_000_000).partialValue) }
        let costs = change == .upgrade || change == .payYearly
        let now = billing.clock()
        if costs, !(at.map { $0 <= now && $0 + Self.previewLife > now } ?? false) {
            return try await askPlanChange(to: price, request, caller)
        }
        switch try await billing.subscriptions.change(id, of: caller.userID, to: price, agreed: change, prorationDate: costs ? at : nil) {
        case .differs: return try await askPlanChange(to: price, request, caller)
        case .done: return viewer.seeOther(done(change == .downgradeAtRenewal ? .ordered : change == .keepPaidPlan ? .kept : .changed))
        case .refused(.alreadySo): return viewer.seeOther(done(.changed))
        case .paymentPending: return viewer.seeOther(Place.billing.link.with("done", "pending"))
        case .paymentFailed(let message): return try await askPlanChange(to: price, request, caller, declined: message)
        case .refused(let refusal): return try await changePages(request, caller).refuse(refusal)
        case .disputed: return try await plansPage(request, caller, price.interval).show(status: 403)
        case .notFound: return viewer.seeOther(Place.plans.link)
        }
    }

    // MARK: The end

    /// Leads to the plans where no plan runs, or its end is ordered already.
    func askCancel(_ request: Request, caller: Principal) async throws -> Response {
        let pages = try await changePages(request, caller)
        guard let current = pages.state.current, !pages.state.isEnding else { return pages.viewer.seeOther(Place.plans.link) }
        return pages.askCancel(current)
    }

    /// A form without fields → 303. The plan ends with its period.
    func submitCancel(_ request: Request, caller: Principal) async throws -> Response {
        let viewer = site.viewer(request, caller)
        guard let current = try await billing.subscriptions.current(of: caller.userID) else { return viewer.seeOther(Place.plans.link) }
        let outcome = try await billing.subscriptions.cancel(
            current.subscription.id, of: caller.userID, atPeriodEnd: true, comment: nil)
        return viewer.seeOther(try answer(outcome, .cancelled))
    }

    // MARK: Billing

    /// `after`, the id of the last invoice of the page before, and `done=pending`.
    func showBilling(_ request: Request, caller: Principal) async throws -> Response {
        let after = try request.query.optionalString("after")
        guard after.map(Self.isInvoiceID) ?? true else { throw Problem.notFound("This invoice") }
        async let viewer = viewer(request, caller)
        async let records = records(of: caller, after: after)
        _ = try await billing.subscriptions.refreshed(of: caller.userID)
        let page = BillingPage(
            viewer: await viewer, plans: try await pool.query(ReadPlans()), state: try await planState(of: caller),
            records: try await records, purchases: try await pool.query(PurchasesOfUser(userID: caller.userID)),
            isKnownAtStripe: try await pool.first(FindCustomer(userID: caller.userID))?.stripeCustomerID != nil)
        return page.show(isFirst: after == nil, isPending: request.query["done"] == "pending")
    }

    private static func isInvoiceID(_ text: String) -> Bool {
        text.hasPrefix("in_") && text.utf8.count <= 100 && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
    }

    /// Nil while Stripe does not answer: the page is worth showing without its records.
    private func records(of caller: Principal, after: String?) async throws -> BillingPage.Records? {
        do {
            async let methods = billing.reads.paymentMethods(of: caller.userID)
            async let invoices = billing.reads.invoices(of: caller.userID, limit: Self.invoicesOnPage, after: after)
            return BillingPage.Records(methods: try await methods, invoices: try await invoices)
        } catch let error as StripeError {
            if after != nil, error.isMissing { throw Problem.notFound("This invoice") }
            log.warning("records not read", ["user.id": .describing(caller.userID)], error: error)
            return nil
        }
    }

    /// A form without fields → 303 to Stripe's customer portal, which leads back here.
    func submitBilling(_ request: Request, caller: Principal) async throws -> Response {
        let viewer = site.viewer(request, caller)
        let url = try await billing.reads.portal(for: caller.userID, returnURL: "\(billing.publicURL)\(Place.billing.link)")
        guard let url else { return viewer.seeOther(Place.billing.link) }
        guard let portal = OutsideLink(url) else { throw StripeError.malformed("a portal without a URL") }
        return viewer.seeOther(portal)
    }
}
