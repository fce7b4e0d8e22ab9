import HTTP
import Values
import Web

/// `/plans/change` and `/plans/cancel`: the pages that ask once before a plan changes or ends.
struct PlanChangePages {
    let viewer: Viewer
    let plans: [Plan]
    let state: PlanState
    private var strings: PlanStrings { PlanStrings(language: viewer.language) }

    /// The field with the moment that a price was computed for, in seconds.
    static let at = "at"

    /// Names the price of a change, and asks once.
    /// - Parameter declined: the reason of the bank that refused the payment.
    func ask(_ preview: SubscriptionCalls.Preview, to price: PlanPrice, declined: String? = nil, status: Int = 200) -> Response {
        let (change, old, new) = (preview.change, name(of: state.paidPlan), name(of: price.plan))
        let day = state.current.map { viewer.dayText($0.subscription.periodEnd) } ?? ""
        let due = viewer.money(cents: preview.dueCents ?? 0, preview.currency)
        var hidden = ["plan": price.plan, "interval": price.interval.rawValue]
        if preview.dueCents != nil { hidden[Self.at] = String(preview.prorationDate.seconds) }
        return page(strings.changeTitle(change, new), status: declined == nil ? status : 402) {
            if let declined {
                notice(.failure) {
                    p { HTML(strings.declined) + HTML(" ") + bdi { declined } }
                    linkButton(strings.changeCard, Place.billing.link)
                }
            }
            panel {
                h1 { strings.changeTitle(change, new) }
                facts(described(preview, price, old, new, due, day))
                p { strings.consequence(change, now: old, new: new, day: day) }
                Form(viewer)(PlansPage.change, hidden: hidden) { submit(strings.act(change, plan: new, due: due, day: day)) }
                linkButton(strings.back, Place.plans.link)
            }
        }
    }

    private func described(
        _ preview: SubscriptionCalls.Preview, _ price: PlanPrice, _ old: String, _ new: String, _ due: String, _ day: String
    ) -> [(name: String, value: HTML)] {
        let after = viewer.price(cents: price.amountCents)
        return [
            (strings.now, bdi { old }), (strings.new, bdi { new }),
            (strings.youPay, strong { preview.dueCents == nil ? strings.nothing : due }),
            (
                strings.after,
                HTML(
                    preview.change == .payYearly
                        ? strings.price(after, price.interval) : strings.price(after, price.interval, from: day))
            ),
        ]
    }

    /// Says why a change is not possible.
    func refuse(_ refusal: PlanChange.Refusal) -> Response {
        let title = strings.changeTitle(.refused(refusal), "")
        return page(title, status: 409) {
            panel {
                h1 { title }
                p { strings.long(refusal) }
                if [.pending, .unpaid].contains(refusal) {
                    linkButton(BillingStrings(language: viewer.language).title, Place.billing.link, .primary)
                }
                linkButton(strings.back, Place.plans.link)
            }
        }
    }

    /// Names the plan that ends and what stays, and asks once.
    func askCancel(_ current: SubscriptionCalls.Described) -> Response {
        let (plan, day) = (name(of: state.paidPlan), viewer.dayText(current.subscription.periodEnd))
        return viewer.confirm(
            strings.cancelTitle(plan), place: .plans, act: strings.cancel, at: PlansPage.cancel, back: Place.plans.link,
            leave: strings.keep(plan)
        ) {
            p { strings.cancelText(plan, day) }
            p { strings.cancelKept }
        }
    }

    private func name(of id: String?) -> String { plans.first { $0.id.text == id }?.name ?? id ?? "" }

    private func page(_ title: String, status: Int, @HTMLBuilder content: () -> HTML) -> Response {
        viewer.show(Page(title, status: status, place: .plans), content: content)
    }
}
