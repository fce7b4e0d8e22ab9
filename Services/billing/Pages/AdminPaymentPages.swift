import HTTP
import Values
import Web

/// `/admin/payments` and below: the events of Stripe, and the payments that a person must look at.
struct AdminPaymentPages {
    let viewer: Viewer
    private var strings: PaymentStrings { PaymentStrings(language: viewer.language) }

    static let state = "state"
    static let reviews: Link = "/admin/payments/reviews"
    static let close = "close"

    /// The act that led to the list.
    enum Done: String {
        case decided, closed, waits
    }

    static func link(_ event: String) -> Link { Place.adminPayments.link.segment(event) }

    // MARK: The list

    /// - Parameters:
    ///   - state: the state that is asked for; empty for all.
    ///   - next: the time after which the next page begins; nil on the last page.
    func list(
        _ events: [ListEvents.Listed], state: String, isFirst: Bool, next: Instant?, hasDead: Bool, reviews: [Review],
        done: Done? = nil
    ) -> Response {
        let form = Form(viewer, FormInput([Self.state: state]))
        let link = state.isEmpty ? Place.adminPayments.link : Place.adminPayments.link.with("state", state)
        return page(strings.title) {
            if let done { notice(done == .waits ? .warning : .done) { p { strings.done(done) } } }
            h1 { strings.title }
            if hasDead, state != "dead" {
                div(.class("notice failure")) {
                    p { strings.dead }
                    linkButton(strings.showDead, Place.adminPayments.link.with("state", "dead"))
                }
            }
            panel(strings.review) { review(reviews) }
            panel(strings.events) {
                form.search(Place.adminPayments.link) {
                    form.choice(
                        Self.state, strings.state,
                        [Form.Option("", strings.all)] + ListEvents.states.map { Form.Option($0, strings.name(of: $0)) })
                    submit(strings.find, .secondary)
                }
                if events.isEmpty { emptyState(state.isEmpty ? strings.noneYet : strings.none) } else { table(events) }
                pager(viewer, first: isFirst ? nil : link, next: next.map { link.with("before", $0.description) })
            }
        }
    }

    private func table(_ events: [ListEvents.Listed]) -> HTML {
        dataTable(
            strings.events,
            [
                Column(strings.received), Column(strings.type, isLong: true), Column(strings.object, isMinor: true, isLong: true),
                Column(strings.state), .figures(strings.attempts, isMinor: true),
            ],
            events.map { event in
                [
                    a(Self.link(event.id)) { viewer.moment(event.receivedAt) }, code { event.type }, code { event.objectID ?? "" },
                    tag(strings.name(of: event.state), isWarning: event.state == "dead" || event.state == "retry"),
                    HTML(viewer.number(event.attempts)),
                ]
            }, isStacked: true)
    }

    @HTMLBuilder private func review(_ cases: [Review]) -> HTML {
        if cases.isEmpty {
            p(.class("muted")) { strings.noReview }
        } else {
            p { strings.reviewText }
            dataTable(
                strings.review,
                [
                    Column(strings.when), Column(strings.id, isLong: true), Column(strings.user, isLong: true),
                    Column(strings.reason, isLong: true), Column(strings.acts),
                ],
                cases.map { found in
                    [
                        viewer.moment(found.since), code { found.id },
                        a(Place.adminUsers.link.segment(found.userID.description)) { code { found.userID.description } },
                        bdi { found.reason }, acts(found),
                    ]
                }, isStacked: true)
        }
    }

    private func acts(_ review: Review) -> HTML {
        let link = Self.reviews.segment(review.id)
        return div(.class("buttons")) {
            Form(viewer).button(strings.decide, link, .primary, of: review.id)
            if review.kind != .subscription { Form(viewer).button(strings.close, link, of: review.id, hidden: ["act": Self.close]) }
        }
    }

    // MARK: An event

    func show(_ event: ListEvents.Listed, body: [UInt8], isReplayed: Bool) -> Response {
        page(strings.event) {
            if isReplayed { notice(.done) { p { strings.replayed } } }
            p(.class("back")) { a(Place.adminPayments.link) { strings.back } }
            h1 { strings.event }
            div(.class("columns")) {
                panel {
                    facts(
                        [
                            (strings.id, code { event.id }), (strings.type, code { event.type }),
                            (strings.object, event.objectID.map { id in code { id } }),
                            (strings.state, tag(strings.name(of: event.state), isWarning: event.state == "dead")),
                            (strings.error, event.lastError.map { error in bdi { error } }),
                        ].compactMap { row in row.1.map { (row.0, $0) } })
                    if ["done", "ignored", "dead"].contains(event.state) {
                        p(.class("muted small")) { strings.replayText }
                        Form(viewer)(Self.link(event.id)) { submit(strings.replay, event.state == "dead" ? .primary : .secondary) }
                    } else {
                        p(.class("muted small")) { strings.inWork }
                    }
                }
                panel {
                    facts([
                        (strings.received, viewer.moment(event.receivedAt)), (strings.created, viewer.moment(event.createdAt)),
                        (strings.attempts, HTML(viewer.number(event.attempts))),
                        (strings.deliveries, HTML(viewer.number(event.deliveries))),
                        (strings.foundBy, HTML(strings.found(by: event.foundBy))),
                    ])
                }
            }
            panel(strings.body) { p(.class("listing")) { code { Self.withoutSecrets(String(decoding: body, as: UTF8.self)) } } }
        }
    }

    /// A client secret lets its bearer pay or confirm in a user's name.
    private static func withoutSecrets(_ body: String) -> String {
        body.replacing(/("client_secret"\s*:\s*)"[^"]*"/) { "\($0.1)\"…\"" }
    }

    private func page(_ title: String, @HTMLBuilder content: () -> HTML) -> Response {
        viewer.show(Page(title, place: .adminPayments, isWide: true), content: content)
    }
}
