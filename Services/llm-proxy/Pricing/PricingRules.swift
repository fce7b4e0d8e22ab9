import Contracts

/// The operator's rules by the kind of a model.
struct PricingRules: Hashable, Sendable {
    /// The rule of models that are sold by tokens.
    var tokens: PricingRule
    /// The rule of models that are sold by pictures, characters or seconds.
    var media: PricingRule

    /// Returns the rule of a model with these prices. Rows with flat prices are a rule of their own.
    func rule(for rows: [UnitPriceRow]) -> PricingRule {
        if rows.contains(where: { $0.flat != nil }) {
            var rule = media
            rule.formula = .flat
            return rule
        }
        return rows.contains { $0.unit.isPromptToken || $0.unit.isCompletionToken } ? tokens : media
    }
}
