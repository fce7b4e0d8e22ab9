import HTTP
import Values
import Web

/// `/billing`: the subscription of a user, and what the user has paid.
struct BillingPage {
    let viewer: Viewer
    let plans: [Plan]
    let state: PlanState
    /// Nil while Stripe does not answer.
    let records: Records?
    /// The newest orders of credits.
    let purchases: [Purchase]
    /// True for a user who has been at Stripe's checkout page.
    let isKnownAtStripe: Bool
    private var strings: BillingStrings { BillingStrings(language: viewer.language) }
    private var plansStrings: PlanStrings { PlanStrings(language: viewer.language) }

    /// The records that Stripe keeps.
    struct Records: Sendable {
        var methods: [CustomerReads.PaymentMethod]
        var invoices: CustomerReads.InvoicePage
    }

    /// - Parameters:
    ///   - isFirst: true for the page with the newest invoices.
    ///   - isPending: true after a change whose payment the bank wants to have confirmed.
    func show(isFirst: Bool, isPending: Bool) -> Response {
        viewer.show(Page(strings.title, place: .billing, isWide: true)) {
            if isPending { notice(.warning) { p { strings.pending } } }
            h1 { strings.title }
            if !isPending, let current = state.current { Self.failedPayment(viewer, current) }
            div(.class("columns")) {
                panel(strings.plan) { plan }
                panel(strings.methods) { methods }
            }
            panel(strings.invoices) { invoices(isFirst) }
            panel(strings.purchases, side: a(Place.transactions.link) { strings.transactions }) { bought }
        }
    }

    /// The notice of a payment that failed, with the way to mend it.
    @HTMLBuilder static func failedPayment(_ viewer: Viewer, _ current: SubscriptionCalls.Described) -> HTML {
        if !current.subscription.isInGoodStanding {
            let strings = BillingStrings(language: viewer.language)
            div(.class("notice failure")) {
                p { strings.failedPayment }
                Form(viewer).button(strings.openPortal, Place.billing.link)
            }
        }
    }

    // MARK: The plan

    private func name(of id: String?) -> String { plans.first { $0.id.text == id }?.name ?? id ?? "" }

    @HTMLBuilder private var plan: HTML {
        if let current = state.current {
            let subscription = current.subscription
            facts(
                [
                    (strings.plan, bdi { name(of: state.paidPlan) }),
                    (
                        strings.price,
                        current.price.map { HTML(plansStrings.price(viewer.price(cents: $0.amountCents), $0.interval)) }
                    ),
                    (
                        subscription.cancelAt == nil ? strings.nextPayment : strings.ends,
                        viewer.day(subscription.cancelAt ?? subscription.periodEnd)
                    ),
                    (
                        strings.nextPlan,
                        current.price?.plan == state.paidPlan || state.isEnding
                            ? nil
                            : current.price.map { next in bdi { strings.from(name(of: next.plan), viewer.dayText(subscription.periodEnd)) }
                            }
                    ),
                ].compactMap { row in row.1.map { (row.0, $0) } })
            div(.class("buttons")) {
                linkButton(strings.changePlan, Place.plans.link.with("interval", (current.price?.interval ?? .month).rawValue))
                if state.isEnding {
                    Form(viewer).button(plansStrings.resume, Place.plans.link, .primary, hidden: ["act": PlansPage.resume])
                } else {
                    linkButton(strings.cancelPlan, PlansPage.cancel)
                }
            }
        } else {
            facts([(strings.plan, bdi { name(of: state.plan) })])
            p { strings.free }
            linkButton(strings.seePlans, Place.plans.link, .primary)
        }
    }

    // MARK: Payment methods

    @HTMLBuilder private var methods: HTML {
        if let records {
            if records.methods.isEmpty {
                emptyState(strings.noMethods)
            } else {
                rows(records.methods.map { (method($0), .empty) })
            }
        } else {
            emptyState(strings.unavailable)
        }
        if isKnownAtStripe {
            Form(viewer)(Place.billing.link) { submit(strings.openPortal, .secondary) }
            p(.class("muted small")) { strings.atStripe }
        }
    }

    private func method(_ found: CustomerReads.PaymentMethod) -> HTML {
        let method = found.method
        let kind = (method.brand ?? method.type).replacing("_", with: " ")
        return p {
            strong { bdi { kind.prefix(1).uppercased() + kind.dropFirst() } }
            if let digits = method.last4 { " \(strings.endingIn(digits))" }
            if let month = method.expiresMonth, let year = method.expiresYear {
                span(.class("muted")) { " · \(strings.expires("\(month < 10 ? "0" : "")\(month)/\(year)"))" }
            }
            if found.isDefault { HTML(" ") + tag(strings.standard) }
        }
    }

    // MARK: Invoices and orders

    @HTMLBuilder private func invoices(_ isFirst: Bool) -> HTML {
        if let page = records?.invoices {
            if page.invoices.isEmpty {
                emptyState(strings.noInvoices)
            } else {
                dataTable(
                    strings.invoices,
                    [
                        Column(strings.date), Column(strings.number, isLong: true), Column(strings.state), .figures(strings.amount),
                        Column(strings.documents),
                    ], page.invoices.map(row), isStacked: true)
            }
            let next = page.hasMore ? page.invoices.last.map { Place.billing.link.with("after", $0.id) } : nil
            pager(viewer, first: isFirst ? nil : Place.billing.link, next: next)
        } else {
            emptyState(strings.unavailable)
        }
    }

    private func row(_ invoice: StripeInvoice) -> [HTML] {
        [
            viewer.day(invoice.createdAt), bdi { invoice.number ?? invoice.id },
            tag(strings.state(ofInvoice: invoice.status), isWarning: invoice.status == "open"),
            span(.class("amount")) { viewer.money(cents: invoice.totalCents, invoice.currency) }, documents(invoice),
        ]
    }

    @HTMLBuilder private func documents(_ invoice: StripeInvoice) -> HTML {
        let name = invoice.number ?? invoice.id
        span(.class("links")) {
            if let page = invoice.pageURL.flatMap({ OutsideLink($0) }) {
                let text = invoice.status == "open" ? strings.pay : strings.view
                a(page, .ariaLabel("\(text): \(name)")) { text }
            }
            if let pdf = invoice.pdfURL.flatMap({ OutsideLink($0) }) { a(pdf, .ariaLabel("\(strings.pdf): \(name)")) { strings.pdf } }
        }
    }

    @HTMLBuilder private var bought: HTML {
        if purchases.isEmpty {
            emptyState(strings.noPurchases) { linkButton(strings.buy, Place.buy.link) }
        } else {
            dataTable(
                strings.purchases,
                [Column(strings.date), Column(strings.what, isLong: true), Column(strings.state), .figures(strings.amount)],
                purchases.map { order in
                    [
                        order.sessionID.map { id in a(OrderPage.link(id)) { viewer.moment(order.createdAt) } }
                            ?? viewer.moment(order.createdAt),
                        HTML(what(order)),
                        tag(strings.state(of: order.status), isWarning: [.failed, .review].contains(order.status)),
                        span(.class("amount")) { viewer.money(cents: order.paidCents ?? order.amountCents, order.currency) },
                    ]
                }, isStacked: true)
        }
    }

    private func what(_ order: Purchase) -> String {
        func text(_ credits: Int64) -> String { viewer.text(Credits(whole: credits)) }
        return strings.bought(text(order.credits), bonus: order.bonus > 0 ? text(order.bonus) : nil)
    }
}
