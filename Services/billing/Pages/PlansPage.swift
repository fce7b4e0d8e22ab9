import Contracts
import HTTP
import Values
import Web

/// A user's plan, and the subscription that pays for it.
struct PlanState: Sendable {
    /// The id of the plan that the user has.
    var plan: String
    /// Nil for a user who pays for none.
    var current: SubscriptionCalls.Described?

    /// The end of the paid period.
    var periodEnd: Instant? { current.map { $0.subscription.cancelAt ?? $0.subscription.periodEnd } }
    /// The id of the plan that is paid; nil without a subscription.
    var paidPlan: String? { current.flatMap { $0.paid?.plan ?? $0.price?.plan } }
    var isEnding: Bool { current?.subscription.cancelAt != nil }

    /// The way to another price; nil for a user who pays for no plan.
    func change(to price: PlanPrice) -> PlanChange? {
        current.map { current in
            guard let present = current.price else { return .refused(.unknownPrice) }
            return PlanChange(
                of: current.subscription, from: present, to: price, paidPosition: current.paid?.position ?? present.position,
                hasPendingUpdate: current.hasPendingUpdate)
        }
    }
}

/// `/plans`: the plans, what they cost, and the way to each.
struct PlansPage {
    let viewer: Viewer
    /// In the order of their positions.
    let plans: [Plan]
    /// The prices that are sold.
    let prices: [PlanPrice]
    let state: PlanState
    let interval: Plan.Interval
    /// Nil for a user who can buy.
    let obstacle: Obstacle?
    private var strings: PlanStrings { PlanStrings(language: viewer.language) }

    /// The act that led here.
    enum Done: String {
        case changed, ordered, kept, cancelled, resumed, subscribed
    }

    static let change: Link = "/plans/change"
    static let cancel: Link = "/plans/cancel"
    static let resume = "resume"

    static func change(to price: PlanPrice) -> Link {
        change.with("plan", price.plan).with("interval", price.interval.rawValue)
    }

    func show(done: Done? = nil, status: Int = 200) -> Response {
        viewer.show(Page(strings.title, status: status, place: .plans, isWide: true)) {
            if let done { notice(.done) { p { strings.done(done, plan: name(of: state.paidPlan), day: endDay) } } }
            div(.class("split")) {
                div {
                    h1 { strings.title }
                    p(.class("muted")) { strings.intro }
                }
                intervals
            }
            if let obstacle { obstacle.notice(viewer) }
            if let current = state.current { BillingPage.failedPayment(viewer, current) }
            planCards(strings.title, plans.map(card))
            comparison
        }
    }

    private var endDay: String { state.periodEnd.map(viewer.dayText) ?? "" }

    func name(of id: String?) -> String { plans.first { $0.id.text == id }?.name ?? "" }

    private func price(of plan: Plan, _ interval: Plan.Interval) -> PlanPrice? {
        prices.first { $0.plan == plan.id.text && $0.interval == interval }
    }

    // MARK: The switch

    private var intervals: HTML {
        let year = Place.plans.link.with("interval", "year")
        let month = Place.plans.link.with("interval", "month")
        return segments(
            strings.interval, [(strings.monthly, month), (strings.yearly(off: savings), year)], current: interval == .month ? month : year)
    }

    /// The smallest and the largest part in percent that a year costs less than twelve months.
    private var savings: ClosedRange<Int64>? {
        let parts = plans.compactMap { plan -> Int64? in
            guard let month = price(of: plan, .month), let year = price(of: plan, .year) else { return nil }
            return (month.amountCents * 12 - year.amountCents) * 100 / (month.amountCents * 12)
        }
        guard let least = parts.min(), let most = parts.max() else { return nil }
        return least...most
    }

    // MARK: A card

    private func card(_ plan: Plan) -> PlanCard {
        let price = price(of: plan, interval)
        let cents = plan.id == .free ? 0 : price?.amountCents
        let isYours = plan.id.text == state.plan
        let monthly = plan.monthlyCredits.nano / Credits.nanoPerCredit
        let rate = price.map { viewer.rate(cents: $0.amountCents, credits: monthly * interval.months) }
        var notes = [strings.credits(viewer.text(plan.monthlyCredits), rate: rate)]
        if let price, interval == .year { notes.append(strings.monthlyPart(viewer.price(cents: price.amountCents / 12))) }
        if isYours, let current = state.current {
            notes.append(state.isEnding || current.price?.plan != plan.id.text ? strings.endsOn(endDay) : strings.renewsOn(endDay))
        }
        return PlanCard(
            plan.name, mark: isYours ? strings.yours : plan.isPopular ? strings.popular : nil, isChosen: isYours,
            figure: cents.map { viewer.price(cents: $0) } ?? "–", unit: cents == nil ? "" : strings.unit(interval), notes: notes,
            features: plan.features, act: act(plan, price))
    }

    private func text(_ text: String) -> HTML { p(.class("muted")) { text } }

    private func act(_ plan: Plan, _ price: PlanPrice?) -> HTML {
        guard plan.id != .free else { return text(state.isEnding ? strings.from(endDay) : strings.included) }
        guard let price else { return text(strings.notSold(interval)) }
        guard let change = state.change(to: price) else { return subscribe(plan, price) }
        switch change {
        case .upgrade: return linkButton(strings.upgrade, Self.change(to: price), .primary, of: plan.name)
        case .downgradeAtRenewal: return linkButton(strings.changeOn(endDay), Self.change(to: price), of: plan.name)
        case .keepPaidPlan: return linkButton(strings.keep(plan.name), Self.change(to: price))
        case .payYearly: return linkButton(strings.payYearly, Self.change(to: price), .primary, of: plan.name)
        case .refused(.alreadySo), .refused(.ending):
            guard state.current?.price?.priceID == price.priceID else { return text(strings.short(.ending)) }
            if plan.id.text != state.paidPlan { return text(strings.from(endDay)) }
            return state.isEnding
                ? Form(viewer).button(strings.resume, Place.plans.link, .primary, of: plan.name, hidden: ["act": Self.resume])
                : linkButton(strings.cancelOn(endDay), Self.cancel, of: plan.name)
        case .refused(let refusal): return text(strings.short(refusal))
        }
    }

    private func subscribe(_ plan: Plan, _ price: PlanPrice) -> HTML {
        guard obstacle == nil else { return .empty }
        return Form(viewer).button(
            strings.subscribe, Place.plans.link, plan.isPopular ? .primary : .secondary, of: plan.name,
            hidden: ["plan": price.plan, "interval": price.interval.rawValue])
    }

    // MARK: The comparison

    private var comparison: HTML {
        func limit(_ limit: Int64?) -> HTML { HTML(limit.map(viewer.number) ?? strings.unlimited) }
        func row(_ title: String, _ value: (Plan) -> HTML) -> [HTML] { [HTML(title)] + plans.map(value) }
        return panel(strings.comparison) {
            div(.class("compare")) {
                dataTable(
                    strings.comparison, [Column(strings.feature)] + plans.map { Column($0.name) },
                    [
                        row(strings.creditsAMonth) { viewer.figure($0.monthlyCredits) },
                        row(strings.requests) { limit($0.limits.requestsPerMinute) },
                        row(strings.tokens) { limit($0.limits.tokensPerMinute) },
                        row(strings.concurrency) { limit($0.limits.concurrency) },
                        row(strings.endpoints) { plan in
                            plan.limits.endpoints.map { names in bdi { names.joined(separator: ", ") } } ?? HTML(strings.everything)
                        },
                        row(strings.priority) { HTML(strings.priority($0.limits.priority)) },
                    ])
            }
        }
    }
}
