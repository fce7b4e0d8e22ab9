import Contracts
import Testing
import Values

@testable import LLMProxy

struct ListedPriceTests {
    private func listed(_ rows: [UnitPriceRow], minimum: Credits = .zero, formula: PricingRule.Formula? = nil) -> ListedPrice {
        var rule = PricingRule.standard
        rule.minimumCharge = minimum
        if let formula { rule.formula = formula }
        return ListedPrice(PriceVersion(version: 7, rule: rule, rows: rows))
    }

    private func row(_ unit: UsageUnit, _ pico: Int64, above: Int64 = 0, _ tier: ServiceTier = .standard) -> UnitPriceRow {
        UnitPriceRow(unit: unit, tier: tier, aboveInputTokens: above, price: PicoUSD(value: pico))
    }

    @Test func `1,000 tokens cost their price with markup, whatever the minimum`() {
        let price = listed([row(.input, 1_000_000), row(.output, 4_000_000)], minimum: Credits(whole: 1))
        #expect((price.version, price.minimum) == (7, Credits(whole: 1)))
        #expect(price.tokens == .init(prompt: Credits(decimal: "0.02875"), completion: Credits(decimal: "0.115"), cachedPrompt: nil))
        #expect(price.sound.isEmpty && price.pictures.isEmpty && price.longPrompts.isEmpty && price.units.isEmpty)
    }

    @Test func `under per_token every kind of token has the same price`() {
        let rows = [row(.input, 1), row(.cachedInput, 1), row(.output, 5), row(.input, 2, above: 10), row(.output, 9, above: 10)]
        let price = listed(rows, formula: .perToken(creditsPer1kTokens: Credits(whole: 2)))
        #expect(price.tokens == .init(prompt: Credits(whole: 2), completion: Credits(whole: 2), cachedPrompt: Credits(whole: 2)))
        #expect(price.longPrompts.isEmpty)
    }

    @Test func `long prompts are listed in their order, and other tiers are not`() {
        let price = listed([
            row(.input, 1_000_000), row(.output, 1_000_000), row(.input, 3_000_000, above: 200), row(.output, 3_000_000, above: 200),
            row(.input, 2_000_000, above: 100), row(.output, 2_000_000, above: 100), row(.input, 9_000_000, .priority),
            row(.output, 9_000_000, .priority), row(.input, 1_000_000, above: 50), row(.output, 1_000_000, above: 50),
        ])
        #expect(price.tokens.prompt == Credits(decimal: "0.02875"))
        #expect(price.longPrompts.map(\.aboveInputTokens) == [100, 200])
        #expect(price.longPrompts.map(\.tokens.completion) == [Credits(decimal: "0.0575"), Credits(decimal: "0.08625")])
    }

    @Test func `a unit has a price for each class, once`() {
        let price = listed([row(.image, 40_000_000_000), row(.image, 80_000_000_000, .hd), row(.image, 50_000_000_000, above: 1_000)])
        #expect(price.units.map(\.tier) == [.standard, .hd])
        #expect(price.units.map(\.credits) == [Credits(decimal: "1.15"), Credits(decimal: "2.3")])
        #expect(price.tokens.isEmpty)
    }

    @Test func `a price beyond the largest amount is not known`() {
        #expect(listed([row(.input, .max), row(.output, 1)]).tokens.prompt == nil)
    }
}
