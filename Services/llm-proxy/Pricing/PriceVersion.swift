import Contracts
import Values

/// Pico-dollars: 1 USD = 1,000,000,000,000. Provider prices are pico-dollars per unit.
struct PicoUSD: Hashable, Comparable, Sendable {
    let value: Int64

    static func < (left: Self, right: Self) -> Bool { left.value < right.value }

    static let perUSD: Int64 = 1_000_000_000_000
}

/// Everything that the charge of a call is computed from: the provider's prices and the operator's
/// rule. A version never changes, and a receipt names it, so each charge can be computed again.
struct PriceVersion: Hashable, Sendable {
    var version: Int64
    var rule: PricingRule
    /// The provider's price of each unit that the model is sold by.
    var units: [UsageUnit: PicoUSD]

    /// Returns the provider's cost.
    /// - Returns: nil beyond the integer range (about 9 million USD), and for a unit or a tier
    ///   without a price.
    func cost(of usage: Usage) -> PicoUSD? {
        guard !usage.isOfAnotherTier else { return nil }
        var sum: Int64 = 0
        var unpriced = usage.unitCount
        for (unit, price) in units {
            let quantity = usage[unit]
            guard quantity > 0 else { continue }
            unpriced -= 1
            let (product, tooLarge) = quantity.multipliedReportingOverflow(by: price.value)
            let (total, overflow) = sum.addingReportingOverflow(product)
            guard !tooLarge, !overflow, total >= 0 else { return nil }
            sum = total
        }
        return unpriced == 0 ? PicoUSD(value: sum) : nil
    }

    /// Returns the price of a call, rounded up once, at the end, to a nano-credit. No usage costs
    /// nothing, not even the minimum.
    /// - Returns: nil if the exact price does not fit in ``Credits``, and for a unit or a tier without
    ///   a price.
    func credits(for usage: Usage) -> Credits? {
        guard !usage.isEmpty else { return .zero }
        switch rule.formula {
        case .costPlus(let markupBasisPoints, let creditsPerUSD):
            guard let cost = cost(of: usage) else { return nil }
            let (price, overflow) = Int128(cost.value)
                .multipliedReportingOverflow(by: (10_000 + Int128(markupBasisPoints)) * Int128(creditsPerUSD.nano))
            return overflow ? nil : atLeastMinimum(price, over: 10_000 * Int128(PicoUSD.perUSD))
        case .perToken(let creditsPer1kTokens):
            guard !usage.isOfAnotherTier, usage.quantities.allSatisfy({ units[$0.unit] != nil }) else { return nil }
            let tokens = Int128(usage.promptTokens) + Int128(usage.completionTokens)
            return atLeastMinimum(tokens * Int128(creditsPer1kTokens.nano), over: 1_000)
        }
    }

    private func atLeastMinimum(_ numerator: Int128, over denominator: Int128) -> Credits? {
        guard numerator <= Int128(Int64.max) * denominator else { return nil }
        let roundedUp = (numerator + denominator - 1) / denominator
        guard let nano = Int64(exactly: roundedUp) else { return nil }
        return max(Credits(nano: nano), rule.minimumCharge)
    }
}

/// How cost becomes credits. The operator chooses it for all models.
struct PricingRule: Hashable, Sendable {
    enum Formula: Hashable, Sendable {
        /// Cost × (1 + markup) × credits per USD.
        case costPlus(markupBasisPoints: Int64, creditsPerUSD: Credits)
        /// A flat number of credits per 1,000 tokens, whatever the model costs.
        case perToken(creditsPer1kTokens: Credits)
    }

    var formula: Formula
    /// The least that a billable call costs.
    var minimumCharge: Credits
}
