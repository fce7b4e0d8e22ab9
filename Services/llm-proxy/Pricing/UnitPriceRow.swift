import Contracts
import Values

/// A row of a price version: the price of a unit under a condition.
struct UnitPriceRow: Hashable, Sendable {
    var unit: UsageUnit
    var tier = ServiceTier.standard
    /// The row applies to prompts of more tokens than this. 0: to any prompt.
    var aboveInputTokens: Int64 = 0
    /// The provider's price. In a flat version the operator's figure of it, zero if it is not known.
    var price: PicoUSD
    /// The price of a flat version.
    var flat: Credits?

    static let stepRange: ClosedRange<Int64> = 0...100_000_000
    /// 0 to 1,000 USD for a unit.
    static let priceRange: ClosedRange<Int64> = 0...(1_000 * PicoUSD.perUSD)
    /// The most rows of a version.
    static let countMax = 128
}

extension PriceVersion {
    init(version: Int64, rule: PricingRule, rows: [UnitPriceRow]) {
        func prices(_ rows: [UnitPriceRow]) -> UnitPrices {
            UnitPrices(
                Dictionary(rows.map { ($0.unit, $0.price) }) { first, _ in first },
                flat: Dictionary(rows.compactMap { row in row.flat.map { (row.unit, $0) } }) { first, _ in first })
        }
        let conditions = Dictionary(grouping: rows, by: Condition.init)
        self.init(
            version: version, rule: rule, units: prices(conditions[.usual] ?? []),
            conditional: conditions.filter { $0.key != .usual }.sorted { $0.key < $1.key }.map { condition, rows in
                ConditionalPrices(tier: condition.tier, aboveInputTokens: condition.aboveInputTokens, units: prices(rows))
            })
    }

    /// The rows in the order of their conditions and units.
    var rows: [UnitPriceRow] {
        let conditions = [ConditionalPrices(units: units)] + conditional
        return conditions.flatMap { prices in
            prices.units.listed.sorted { $0.key.rawValue < $1.key.rawValue }.map { unit, price in
                UnitPriceRow(
                    unit: unit, tier: prices.tier, aboveInputTokens: prices.aboveInputTokens, price: price, flat: prices.units.flat[unit])
            }
        }
    }
}

/// The condition of a price.
private struct Condition: Hashable, Comparable {
    var tier: ServiceTier
    var aboveInputTokens: Int64

    static let usual = Condition(tier: .standard, aboveInputTokens: 0)

    static func < (left: Self, right: Self) -> Bool {
        (left.tier.rawValue, left.aboveInputTokens) < (right.tier.rawValue, right.aboveInputTokens)
    }
}

extension Condition {
    init(_ row: UnitPriceRow) { self.init(tier: row.tier, aboveInputTokens: row.aboveInputTokens) }
}

/// A rule that rows of a price version break. The rules keep each hold an upper bound of its charge.
enum PriceFlaw: Hashable {
    case twice(UnitPriceRow)
    /// There is no price, or a condition has tokens with a price, but no price of input or none of output.
    case incomplete(ServiceTier, aboveInputTokens: Int64)
    /// Cached input that costs more than input, or an unasked cache write that costs less.
    case cacheOutOfOrder(UnitPriceRow)
    /// A long prompt that costs less than a short one.
    case cheaperAbove(UnitPriceRow)

    /// Returns the first broken rule.
    static func find(in rows: [UnitPriceRow]) -> PriceFlaw? {
        guard !rows.isEmpty else { return .incomplete(.standard, aboveInputTokens: 0) }
        var keys: Set<UnitPriceRow> = []
        for row in rows {
            var key = row
            (key.price, key.flat) = (PicoUSD(value: 0), nil)
            guard keys.insert(key).inserted else { return .twice(row) }
        }
        let conditions = Dictionary(grouping: rows, by: Condition.init)
        let prices = conditions.mapValues { UnitPrices(Dictionary($0.map { ($0.unit, $0.price) }) { first, _ in first }) }
        for (condition, prices) in prices where prices.hasTokens && !(prices.hasPrompt && prices.hasAnswer) {
            return .incomplete(condition.tier, aboveInputTokens: condition.aboveInputTokens)
        }
        for row in rows {
            guard let units = prices[Condition(row)], let input = units[.input] else { continue }
            if row.unit == .cachedInput, row.price > input { return .cacheOutOfOrder(row) }
            if row.unit == .cacheWrite, row.price < input { return .cacheOutOfOrder(row) }
            // A unit without a price of its own in a condition has that of another unit.
            for (condition, lower) in prices where condition.tier == row.tier && condition.aboveInputTokens < row.aboveInputTokens {
                if let price = lower[row.unit], row.price < price { return .cheaperAbove(row) }
            }
            for (condition, higher) in prices where condition.tier == row.tier && condition.aboveInputTokens > row.aboveInputTokens {
                if let price = higher[row.unit], price < row.price {
                    var cheaper = row
                    (cheaper.aboveInputTokens, cheaper.price) = (condition.aboveInputTokens, price)
                    return .cheaperAbove(cheaper)
                }
            }
        }
        return nil
    }
}

extension UnitPrices {
    /// True if the model is sold by tokens.
    var hasTokens: Bool { units.contains { $0.isPromptToken || $0.isCompletionToken } }
    var hasPrompt: Bool { units.contains(.input) }
    /// True if what the model makes has a price: text, sound or pictures.
    var hasAnswer: Bool { !units.isDisjoint(with: [.output, .audioOutput, .imageOutput]) }
}
