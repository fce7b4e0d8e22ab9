import HTTP
import Values
import Web

/// `/buy/done`: an order after the visit to Stripe's checkout page.
struct OrderPage {
    let viewer: Viewer
    let order: Purchase
    /// The name of the plan that was ordered.
    let planName: String
    private var strings: BuyStrings { BuyStrings(language: viewer.language) }

    /// A page that waits asks so many times by itself: about a minute.
    static let triesMax = 20

    static func link(_ sessionID: String) -> Link { Link("/buy/done").with("session_id", sessionID) }

    private var link: Link { Self.link(order.sessionID ?? "") }

    /// - Parameters:
    ///   - credits: the credits that have arrived; nil: not yet.
    ///   - tries: the times that the page asked before.
    func show(arrived credits: Credits?, tries: Int) -> Response {
        switch order.status {
        case .paid: if let credits { done(credits) } else { waiting(tries) }
        case .creating, .open:
            page(strings.openTitle, strings.open) {
                if let checkout = order.sessionURL.flatMap({ OutsideLink($0) }) { linkButton(strings.toCheckout, checkout, .primary) }
                linkButton(strings.askAgain, link)
            }
        case .awaitingPayment: page(strings.bankTitle, strings.bank) { linkButton(strings.dashboard, Place.dashboard.link, .primary) }
        case .failed: page(strings.failedTitle, strings.failed) { startAgain }
        case .expired: page(strings.expiredTitle, strings.expired) { startAgain }
        case .review: page(strings.reviewTitle, strings.review) { linkButton(strings.seeBilling, Place.billing.link, .primary) }
        }
    }

    private var startAgain: HTML {
        linkButton(strings.again, order.kind == .credits ? Place.buy.link : Place.plans.link, .primary)
    }

    private func done(_ credits: Credits) -> Response {
        let isPlan = order.kind == .subscription
        return page(
            isPlan ? strings.subscribed(planName) : strings.added(viewer.text(credits)),
            isPlan ? strings.firstMonth(viewer.text(credits)) : strings.thanks, isArrived: true
        ) {
            linkButton(strings.dashboard, Place.dashboard.link, .primary)
            linkButton(strings.transactions, Place.transactions.link)
        }
    }

    private func waiting(_ tries: Int) -> Response {
        let isPatient = tries < Self.triesMax
        let next = link.with("tries", String(tries + 1))
        return page(strings.waitingTitle, isPatient ? strings.waiting : strings.late, next: isPatient ? next : nil) {
            linkButton(strings.askAgain, isPatient ? next : link, .primary)
        }
    }

    private func page(
        _ title: String, _ text: String, isArrived: Bool = false, next: Link? = nil, @HTMLBuilder acts: () -> HTML
    ) -> Response {
        viewer.show(Page(title, place: order.kind == .credits ? .buy : .plans, next: next)) {
            panel {
                h1 { title }
                p(.role("status")) { text }
                facts(
                    [
                        (strings.order, HTML(ordered)),
                        (
                            order.status == .paid ? strings.paid : strings.price,
                            HTML(viewer.money(cents: order.paidCents ?? order.amountCents, order.currency))
                        ),
                        (strings.balance, isArrived ? viewer.balance.map { viewer.credits($0.available) } : nil),
                    ].compactMap { row in row.1.map { (row.0, $0) } })
                acts()
            }
        }
    }

    private var ordered: String {
        guard order.kind == .credits else { return strings.plan(planName) }
        func text(_ credits: Int64) -> String { viewer.text(Credits(whole: credits)) }
        return strings.ordered(text(order.credits), bonus: order.bonus > 0 ? text(order.bonus) : nil)
    }
}
