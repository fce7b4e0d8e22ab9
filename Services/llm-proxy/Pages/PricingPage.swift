import HTTP
import Text
import Values
import Web

/// `/pricing`: the prices of the models, and what a call is charged for.
struct PricingPage {
    let viewer: Viewer
    /// In the order of their names.
    let models: [Model]
    private var strings: PricingStrings { PricingStrings(language: viewer.language) }

    typealias Model = (name: String, price: ListedPrice)

    static let filter = "q"
    /// The most models on a page. Others are found by their names.
    static let modelsMax = 500
    private static let charges = "charges"

    /// - Parameter filter: a part of the names of the models that are shown.
    func show(_ filter: String) -> Response {
        let found = matching(filter)
        let shown = Array(found.prefix(Self.modelsMax))
        return viewer.show(Page(strings.title, place: .pricing, isWide: true)) {
            h1 { strings.title }
            p(.class("muted")) {
                strings.intro
                " "
                a(fragment: Self.charges) { strings.charges }
            }
            if models.isEmpty {
                emptyState(strings.none)
            } else {
                search(filter, found.count)
                if found.isEmpty { emptyState(strings.noMatch) { linkButton(strings.showAll, Place.pricing.link) } }
                tokens(shown.filter { !$0.price.tokens.isEmpty })
                units(shown.filter { !$0.price.units.isEmpty })
            }
            div(.id(Self.charges)) {
                panel(strings.charges) {
                    p(.class("muted")) { strings.chargesText }
                    rules(strings.charges, strings.what, ChargeRule.allCases.map { ($0.rawValue, texts.text(of: $0)) })
                }
                panel(strings.early) {
                    p(.class("muted")) { strings.earlyText }
                    rules(strings.early, strings.seen, EarlyLeaveRule.allCases.map { ($0.rawValue, texts.text(of: $0)) })
                }
            }
        }
    }

    private func matching(_ filter: String) -> [Model] {
        let part = filter.trimmed.lowercased()
        return part.isEmpty ? models : models.filter { $0.name.lowercased().contains(part) }
    }

    @HTMLBuilder private func search(_ filter: String, _ found: Int) -> HTML {
        let form = Form(viewer, FormInput([Self.filter: filter]))
        form.search(Place.pricing.link) {
            form.field(Self.filter, strings.filter, .search)
            submit(strings.find, .secondary)
            if (1..<models.count).contains(found) { linkButton(strings.showAll, Place.pricing.link) }
        }
        p(.class("muted small")) {
            strings.count(viewer.number(Int64(found)), of: viewer.number(Int64(models.count)))
            if minimumColumn.isEmpty { " · \(strings.noMinimum)" }
            if found > Self.modelsMax { " · \(strings.cut(viewer.number(Int64(Self.modelsMax))))" }
        }
    }

    // MARK: Tokens

    @HTMLBuilder private func tokens(_ models: [Model]) -> HTML {
        if !models.isEmpty {
            panel(strings.tokens, side: span(.class("muted small")) { strings.per1k }) {
                dataTable(
                    "\(strings.tokens). \(strings.per1k)",
                    [
                        Column(strings.model, isLong: true), .prices(strings.prompt), .prices(strings.cachedPrompt),
                        .prices(strings.completion),
                    ]
                        + minimumColumn,
                    models.flatMap(rows), isStacked: true)
                p(.class("muted small")) { strings.notes }
            }
        }
    }

    /// A column for the least that a call costs, if any model has it.
    private var minimumColumn: [Column] { models.contains { $0.price.minimum > .zero } ? [.prices(strings.minimum)] : [] }

    /// The usual prices of a model, and below them those of long prompts, of writes to the cache, of sound and of pictures.
    private func rows(_ model: Model) -> [[HTML]] {
        let price = model.price
        let further =
            price.longPrompts.map { (strings.longPrompts(viewer.number($0.aboveInputTokens)), $0.tokens) }
            + [
                (strings.cacheWrite, price.cacheWrite), (strings.cacheWriteHour, price.cacheWriteHour), (strings.sound, price.sound),
                (strings.pictures, price.pictures),
            ].filter { !$0.1.isEmpty }
        return [[name(model)] + figures(price.tokens) + [viewer.price(price.minimum)]]
            + further.map { text, tokens in
                [span(.class("under")) { span(.class("hidden")) { bdi { "\(model.name): " } } + HTML(text) }] + figures(tokens) + [
                    .empty
                ]
            }
    }

    private func name(_ model: Model) -> HTML { code { model.name } }

    private func figures(_ tokens: ListedPrice.Tokens) -> [HTML] {
        [tokens.prompt, tokens.cachedPrompt, tokens.completion].map { amount in amount.map(viewer.price) ?? HTML("–") }
    }

    // MARK: Units

    @HTMLBuilder private func units(_ models: [Model]) -> HTML {
        if !models.isEmpty {
            panel(strings.units, side: span(.class("muted small")) { strings.perUnit }) {
                dataTable(
                    "\(strings.units). \(strings.perUnit)",
                    [Column(strings.model, isLong: true), Column(strings.perUnit)] + minimumColumn,
                    models.map { model in
                        [
                            name(model), ul(.class("lines")) { for unit in model.price.units { line(unit) } },
                            viewer.price(model.price.minimum),
                        ]
                    }, isStacked: true)
            }
        }
    }

    private func line(_ price: ListedPrice.Unit) -> HTML {
        li {
            span {
                strings.name(of: price.unit)
                if price.tier != .standard { HTML(" ") + bdi { text(of: price.tier) } }
            }
            price.credits.map(viewer.price) ?? HTML("–")
        }
    }

    /// `hd_1024x1792` as people write it: `HD 1024×1792`.
    private func text(of tier: ServiceTier) -> String {
        guard tier != .above5Seconds else { return strings.above5Seconds }
        return tier.rawValue.split(separator: "_").map(String.init).map { part in
            ["hd", "4k"].contains(part) ? part.uppercased() : part.first?.isNumber == true ? part.replacing("x", with: "×") : part
        }.joined(separator: " ")
    }

    // MARK: What is charged

    private var texts: ChargeStrings { ChargeStrings(language: viewer.language) }

    /// A table whose rows have addresses.
    private func rules(_ caption: String, _ what: String, _ rules: [(id: String, text: ChargeStrings.Text)]) -> HTML {
        dataTable(
            caption, [Column(what), Column(strings.charged)],
            rules.enumerated().map { index, rule in
                [
                    a(fragment: rule.id, .id(rule.id), .class("anchor"), .ariaLabel(strings.link(to: String(index + 1)))) { "#" }
                        + Self.html(rule.text.what),
                    rule.id == ChargeRule.leftBeforeAnswer.rawValue
                        ? a(fragment: EarlyLeaveRule.complete.rawValue) { rule.text.charged } : Self.html(rule.text.charged),
                ]
            }, isStacked: true)
    }

    /// Shows words between backticks as code.
    private static func html(_ text: String) -> HTML {
        HTMLBuilder.buildArray(
            text.split(separator: "`", omittingEmptySubsequences: false).enumerated().map { index, part in
                index.isMultiple(of: 2) ? HTML(String(part)) : code { String(part) }
            })
    }
}
