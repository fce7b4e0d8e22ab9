/// A card of something that is sold: a plan, or a package.
package struct PlanCard: Sendable {
    fileprivate let title: String
    fileprivate let mark: String?
    fileprivate let isChosen: Bool
    fileprivate let figure: String
    fileprivate let unit: String
    fileprivate let notes: [String]
    fileprivate let features: [String]
    fileprivate let act: HTML

    /// - Parameters:
    ///   - title: its name, as the operator wrote it.
    ///   - mark: a word that tells it from the others.
    ///   - isChosen: true for the one that the viewer has.
    ///   - figure: what the card is about, with its unit.
    ///   - features: lines that the operator wrote.
    ///   - act: a button, or the reason why there is none.
    package init(
        _ title: String, mark: String? = nil, isChosen: Bool = false, figure: String, unit: String, notes: [String] = [],
        features: [String] = [], act: HTML
    ) {
        (self.title, self.mark, self.isChosen, self.figure, self.unit) = (title, mark, isChosen, figure, unit)
        (self.notes, self.features, self.act) = (notes, features, act)
    }
}

/// Cards next to each other.
/// - Parameter label: what they offer. Only screen readers speak it.
package func planCards(_ label: String, _ cards: [PlanCard]) -> HTML {
    ul(.class("cards"), .ariaLabel(label)) {
        for card in cards {
            li(card.isChosen ? .class("card chosen") : .class("card")) {
                div(.class("head")) {
                    h2 { bdi { card.title } }
                    if let mark = card.mark { tag(mark) }
                }
                p(.class("figure")) {
                    card.figure
                    small { " \(card.unit)" }
                }
                for note in card.notes { p(.class("muted small")) { note } }
                if !card.features.isEmpty { ul(.class("features")) { for line in card.features { li { bdi { line } } } } }
                div(.class("act")) { card.act }
            }
        }
    }
}
