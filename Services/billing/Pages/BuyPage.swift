import HTTP
import Values
import Web

/// `/buy`: packages of credits, and an amount of the user's own.
struct BuyPage {
    let viewer: Viewer
    let catalogue: Catalogue
    /// Nil for a user who can buy.
    let obstacle: Obstacle?
    private var strings: BuyStrings { BuyStrings(language: viewer.language) }

    static let credits = "credits"

    /// - Parameters:
    ///   - sent: the amount that was asked for.
    ///   - offer: its price.
    func show(_ sent: FormInput = FormInput(), offer: Offer? = nil, status: Int = 200) -> Response {
        viewer.show(Page(strings.title, status: status, place: .buy, isWide: true)) {
            h1 { strings.title }
            p(.class("muted")) { strings.intro }
            if let obstacle { obstacle.notice(viewer) }
            let packages = catalogue.packages.filter(\.isActive)
            if packages.isEmpty { emptyState(strings.none) } else { planCards(strings.packages, packages.map(card)) }
            div(.class("columns")) {
                custom(sent, offer)
                panel(strings.plansTitle) {
                    p { strings.plansText }
                    linkButton(strings.plans, Place.plans.link)
                }
            }
            p(.class("muted small")) { strings.pays }
        }
    }

    private func card(_ package: Package) -> PlanCard {
        let price = viewer.price(cents: package.priceCents)
        return PlanCard(
            package.name, mark: package.isPopular ? strings.popular : nil, isChosen: package.isPopular,
            figure: viewer.number(package.credits), unit: viewer.unit(of: Credits(whole: package.credits)),
            notes: [
                package.bonus > 0 ? strings.bonus(viewer.text(Credits(whole: package.bonus))) : strings.noBonus,
                strings.rate(viewer.rate(cents: package.priceCents, credits: package.credits + package.bonus)),
            ], act: act(package.credits, price, package.isPopular ? .primary : .secondary, of: package.name))
    }

    @HTMLBuilder private func act(_ credits: Int64, _ price: String, _ kind: ButtonKind = .primary, of name: String? = nil) -> HTML {
        if obstacle == nil {
            Form(viewer).button(
                strings.buy(price), Place.buy.link, kind, of: name, hidden: [Self.credits: String(credits)])
        } else {
            p { strong { price } }
        }
    }

    private func custom(_ sent: FormInput, _ offer: Offer?) -> HTML {
        let form = Form(viewer, sent)
        let range = Catalogue.customCredits
        return panel(strings.custom) {
            form.search(Place.buy.link, live: "offer") {
                form.field(
                    Self.credits, strings.credits, .amount,
                    hint: strings.creditsHint(viewer.number(range.lowerBound), viewer.number(range.upperBound)),
                    pattern: "[1-9][0-9]{1,4}|100000")
                submit(strings.showPrice, .secondary)
            }
            div(.id("offer"), .ariaLive) {
                if let offer { price(offer) }
            }
            p(.class("muted small")) { strings.customRate }
        }
    }

    private func price(_ offer: Offer) -> HTML {
        let price = viewer.price(cents: offer.amountCents)
        return div(.class("split")) {
            p {
                strong { "\(viewer.text(Credits(whole: offer.credits))): \(price)" }
                if offer.bonus > 0 { " · \(strings.bonus(viewer.text(Credits(whole: offer.bonus))))" }
            }
            act(offer.credits, price)
        }
    }
}

/// The reason why a user cannot buy now.
enum Obstacle: Sendable {
    /// The address of the account is not confirmed.
    case notVerified
    /// A disputed payment is not decided.
    case disputed

    func notice(_ viewer: Viewer) -> HTML {
        let strings = BuyStrings(language: viewer.language)
        return Web.notice(.warning) {
            switch self {
            case .notVerified:
                p { strings.notVerified }
                linkButton(strings.seeAddress, SettingsTab.profile.link)
            case .disputed:
                p { strings.disputed }
                linkButton(strings.seeBilling, Place.billing.link)
            }
        }
    }
}

extension Viewer {
    /// The price of a credit, to a tenth of a cent: `$0.058`.
    func rate(cents: Int64, credits: Int64) -> String {
        let tenths = (cents * 20 + credits) / (credits * 2)
        let digits = String(tenths % 1_000 + 1_000).dropFirst()
        return "$\(number(tenths / 1_000)).\(digits)"
    }
}
