import Contracts
import Testing

@testable import LLMProxy

struct UnitPriceRowTests {
    private static func row(_ unit: UsageUnit, _ price: Int64, tier: ServiceTier = .standard, above: Int64 = 0) -> UnitPriceRow {
        UnitPriceRow(unit: unit, tier: tier, aboveInputTokens: above, price: PicoUSD(value: price))
    }

    private static let rows = [
        row(.cacheWrite, 5), row(.cachedInput, 1), row(.input, 4), row(.output, 8), row(.input, 2, tier: .flex),
        row(.output, 4, tier: .flex),
        row(.input, 8, above: 200), row(.output, 12, above: 200),
    ]

    @Test func `a version has the rows that it was made from`() {
        let price = PriceVersion(version: 1, rule: .standard, rows: Self.rows.shuffled())
        #expect(Set(price.rows) == Set(Self.rows))
        #expect(price.rows == PriceVersion(version: 1, rule: .standard, rows: price.rows).rows)
        #expect(PriceFlaw.find(in: price.rows) == nil)
    }

    @Test func `rows that break a rule are refused`() {
        func flaw(adding row: UnitPriceRow) -> PriceFlaw? { PriceFlaw.find(in: Self.rows + [row]) }
        #expect(flaw(adding: Self.row(.input, 9)) == .twice(Self.row(.input, 9)))
        #expect(flaw(adding: Self.row(.output, 9, tier: .priority)) == .incomplete(.priority, aboveInputTokens: 0))
        #expect(flaw(adding: Self.row(.cacheWrite, 1, tier: .flex)) == .cacheOutOfOrder(Self.row(.cacheWrite, 1, tier: .flex)))
        #expect(flaw(adding: Self.row(.cachedInput, 3, tier: .flex)) == .cacheOutOfOrder(Self.row(.cachedInput, 3, tier: .flex)))
        let cheap = [Self.row(.input, 7, above: 300), Self.row(.output, 12, above: 300)]
        #expect(PriceFlaw.find(in: Self.rows + cheap) == .cheaperAbove(cheap[0]))
        // Without a price of its own, a write costs as much as input.
        let write = [
            Self.row(.cacheWrite, 50), Self.row(.input, 4), Self.row(.output, 8), Self.row(.input, 7, above: 300),
            Self.row(.output, 20, above: 300),
        ]
        #expect(PriceFlaw.find(in: write) == .cheaperAbove(Self.row(.cacheWrite, 7, above: 300)))
        let pictures = Self.row(.imageInput, 1, above: 300)
        let cheapPictures = [
            Self.row(.input, 2), Self.row(.output, 4), Self.row(.input, 4, above: 300), Self.row(.output, 8, above: 300), pictures,
        ]
        #expect(PriceFlaw.find(in: cheapPictures) == .cheaperAbove(pictures))
        #expect(PriceFlaw.find(in: []) == .incomplete(.standard, aboveInputTokens: 0))
    }
}
