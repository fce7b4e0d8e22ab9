import Contracts
import Values

/// Pico-dollars: 1 USD = 1,000,000,000,000. Provider prices are pico-dollars per unit.
struct PicoUSD: Hashable, Comparable, Sendable {
    let value: Int64

    static func < (left: Self, right: Self) -> Bool { left.value < right.value }

    static let perUSD: Int64 = 1_000_000_000_000
}

extension PicoUSD: CustomStringConvertible {
    /// USD as a decimal with 12 fraction digits, exact. The amount must not be negative.
    var description: String {
        let fraction = String(value % Self.perUSD)
        return "\(value / Self.perUSD)." + String(repeating: "0", count: 12 - fraction.utf8.count) + fraction
    }

    /// USD per million units, exact: `0.15`.
    var perMillion: String {
        let (nano, overflow) = value.multipliedReportingOverflow(by: 1_000)
        return overflow ? "\(value / 1_000_000)" : Credits(nano: nano).description
    }

    /// Reads USD per million units, a decimal with at most 6 fraction digits. USD per million is
    /// millions of pico-dollars per unit, so it is exact.
    init?(perMillion text: String) {
        guard let amount = Credits(decimal: text), amount >= .zero, amount.nano % 1_000 == 0 else { return nil }
        self.init(value: amount.nano / 1_000)
    }
}

/// Everything that the charge of a call is computed from: the provider's prices and the operator's
/// rule. A version never changes, and a receipt names it, so each charge can be computed again.
struct PriceVersion: Hashable, Sendable {
    var version: Int64
    var rule: PricingRule
    /// The provider's price of each unit that the model is sold by, for a short prompt in the standard
    /// tier.
    var units: UnitPrices
    /// The prices that replace ``units`` in other tiers and for long prompts.
    var conditional: [ConditionalPrices] = []

    /// Returns the provider's cost.
    /// - Returns: nil beyond the integer range (about 9 million USD), for a unit or a condition
    ///   without a price, and for a flat price whose cost is not known.
    func cost(of usage: Usage) -> PicoUSD? {
        // Most models have no conditions. A copy of the prices would be their largest cost.
        guard conditional.isEmpty else { return prices(of: usage)?.cost(of: usage) }
        return usage.tier == .standard ? units.cost(of: usage) : nil
    }

    /// Returns the prices that apply to all units of a call. The size of its prompt and its tier decide.
    ///
    /// A tier without prices for long prompts has no price for them, never that of short ones.
    func prices(of usage: Usage) -> UnitPrices? {
        guard !conditional.isEmpty else { return usage.tier == .standard ? units : nil }
        let promptTokens = usage.promptTokens
        var step: Int64 = 0
        for prices in conditional where prices.aboveInputTokens < promptTokens { step = max(step, prices.aboveInputTokens) }
        if step == 0, usage.tier == .standard { return units }
        return conditional.first { $0.tier == usage.tier && $0.aboveInputTokens == step }?.units
    }

    /// True if every unit of the usage has a price.
    func hasPrice(of usage: Usage) -> Bool {
        guard rule.formula == .flat else { return cost(of: usage) != nil }
        return prices(of: usage)?.flat(for: usage) != nil
    }

    /// Returns the price of a call, rounded up once, at the end, to a nano-credit. No usage costs
    /// nothing, not even the minimum.
    /// - Returns: nil if the exact price does not fit in ``Credits``, and for a unit or a condition
    ///   without a price.
    func credits(for usage: Usage) -> Credits? {
        guard !usage.isEmpty else { return .zero }
        return price(of: usage, basisPoints: 10_000 + Int128(rule.markupBasisPoints)).map { max($0, rule.minimumCharge) }
    }

    /// Returns the price of a call with the user's own provider key: the operator's fee, without a
    /// minimum.
    func ownKeyFee(for usage: Usage) -> Credits? { price(of: usage, basisPoints: Int128(rule.byokFeeBasisPoints)) }

    /// - Parameter basisPoints: the part of the cost, or of the flat price, that is charged.
    private func price(of usage: Usage, basisPoints: Int128) -> Credits? {
        switch rule.formula {
        case .costPlus(_, let creditsPerUSD):
            guard let cost = cost(of: usage) else { return nil }
            let (price, overflow) = Int128(cost.value).multipliedReportingOverflow(by: basisPoints * Int128(creditsPerUSD.nano))
            return overflow ? nil : Self.roundedUp(price, over: 10_000 * Int128(PicoUSD.perUSD))
        case .perToken(let creditsPer1kTokens):
            // Only tokens have this price.
            guard let prices = prices(of: usage),
                usage.forEachUnit({ unit, _ in prices[unit] != nil && (unit.isPromptToken || unit.isCompletionToken) })
            else { return nil }
            let tokens = Int128(usage.promptTokens) + Int128(usage.completionTokens)
            let (price, overflow) = (tokens * Int128(creditsPer1kTokens.nano)).multipliedReportingOverflow(by: basisPoints)
            return overflow ? nil : Self.roundedUp(price, over: 10_000 * 1_000)
        case .flat:
            guard let flat = prices(of: usage)?.flat(for: usage) else { return nil }
            let (price, overflow) = flat.multipliedReportingOverflow(by: basisPoints)
            return overflow ? nil : Self.roundedUp(price, over: 10_000)
        }
    }

    private static func roundedUp(_ numerator: Int128, over denominator: Int128) -> Credits? {
        guard numerator <= Int128(Int64.max) * denominator else { return nil }
        return Int64(exactly: (numerator + denominator - 1) / denominator).map { Credits(nano: $0) }
    }
}

/// The prices of one condition: a service tier, and prompts of more than a number of tokens.
struct ConditionalPrices: Hashable, Sendable {
    var tier = ServiceTier.standard
    /// The prices apply to prompts of more tokens than this, cached ones included. 0: to any prompt.
    var aboveInputTokens: Int64 = 0
    var units: UnitPrices
}

/// The price of each unit under one condition.
///
/// Without prices of their own, cached input, cache writes and pictures cost as much as other input, and
/// the tokens of a picture that the model made as much as other output.
struct UnitPrices: Hashable, Sendable, ExpressibleByDictionaryLiteral {
    /// The provider's prices as they are listed.
    let listed: [UsageUnit: PicoUSD]
    /// The operator's flat prices. Empty unless the formula is flat.
    let flat: [UsageUnit: Credits]
    // The prices of the units of most calls, so that a call looks nothing up.
    private let input: PicoUSD?
    private let cachedInput: PicoUSD?
    private let cacheWrite: PicoUSD?
    private let output: PicoUSD?

    init(_ listed: [UsageUnit: PicoUSD], flat: [UsageUnit: Credits] = [:]) {
        (self.listed, self.flat) = (listed, flat)
        input = listed[.input]
        cachedInput = listed[.cachedInput] ?? input
        cacheWrite = listed[.cacheWrite] ?? input
        output = listed[.output]
    }

    init(dictionaryLiteral elements: (UsageUnit, PicoUSD)...) { self.init(Dictionary(elements) { _, last in last }) }

    subscript(unit: UsageUnit) -> PicoUSD? {
        switch unit {
        case .input: input
        case .cachedInput: cachedInput
        case .cacheWrite: cacheWrite
        case .output: output
        case .imageInput: listed[.imageInput] ?? input
        case .imageOutput: listed[.imageOutput] ?? output
        default: listed[unit]
        }
    }

    /// Returns the unit that costs most.
    func dearest(of units: [UsageUnit]) -> UsageUnit { units.max { (self[$0]?.value ?? 0) < (self[$1]?.value ?? 0) } ?? .output }

    /// The units with a price.
    var units: Set<UsageUnit> { flat.isEmpty ? Set(listed.keys) : Set(flat.keys) }

    /// Returns the sum of the flat prices in nano-credits. Nil for a unit without one.
    func flat(for usage: Usage) -> Int128? {
        var sum: Int128 = 0
        let isPriced = usage.forEachUnit { unit, quantity in
            guard let price = flat[unit] else { return false }
            sum += Int128(quantity) * Int128(price.nano)
            return true
        }
        return isPriced ? sum : nil
    }

    /// - Returns: nil beyond the integer range, and for a unit without a price.
    func cost(of usage: Usage) -> PicoUSD? {
        var sum: Int64 = 0
        guard Self.add(usage[.input], input, to: &sum), Self.add(usage[.cachedInput], cachedInput, to: &sum),
            Self.add(usage[.cacheWrite], cacheWrite, to: &sum), Self.add(usage[.output], output, to: &sum),
            usage.others.isEmpty || usage.others.allSatisfy({ Self.add($0.value, self[$0.key], to: &sum) })
        else { return nil }
        return PicoUSD(value: sum)
    }

    /// - Returns: false beyond the integer range, and for a quantity without a price.
    @inline(__always)
    private static func add(_ quantity: Int64, _ price: PicoUSD?, to sum: inout Int64) -> Bool {
        guard quantity > 0 else { return true }
        guard let price else { return false }
        let (product, tooLarge) = quantity.multipliedReportingOverflow(by: price.value)
        let (total, overflow) = sum.addingReportingOverflow(product)
        sum = total
        return !tooLarge && !overflow && total >= 0
    }
}

/// How cost becomes credits. The operator chooses it for all models, and a flat price for single ones.
struct PricingRule: Hashable, Sendable {
    enum Formula: Hashable, Sendable {
        /// Cost × (1 + markup) × credits per USD.
        case costPlus(markupBasisPoints: Int64, creditsPerUSD: Credits)
        /// A flat number of credits per 1,000 tokens, whatever the model costs.
        case perToken(creditsPer1kTokens: Credits)
        /// Each unit has a price in credits, whatever it costs.
        case flat
    }

    var formula: Formula
    /// The least that a billable call costs.
    var minimumCharge: Credits
    /// The part of the cost that a call with the user's own provider key costs.
    var byokFeeBasisPoints: Int64 = 0

    /// Zero for a flat price.
    var markupBasisPoints: Int64 {
        if case .costPlus(let markup, _) = formula { markup } else { 0 }
    }
}
