import Contracts
import Testing
import Values

@testable import LLMProxy

struct FlatPricesTests {
    private func price(_ flat: [(ServiceTier, String)], cost: Int64 = 0, minimum: Credits = .zero) -> PriceVersion {
        PriceVersion(
            version: 1, rule: PricingRule(formula: .flat, minimumCharge: minimum),
            rows: flat.map { UnitPriceRow(unit: .image, tier: $0.0, price: PicoUSD(value: cost), flat: Credits(decimal: $0.1)) })
    }

    private func pictures(_ count: Int64, _ tier: ServiceTier = .standard) -> Usage {
        var usage = Usage()
        usage[.image] = count
        usage.tier = tier
        return usage
    }

    @Test(arguments: [(.standard, "1"), (.hd, "1.5"), (.fourK, "2")] as [(ServiceTier, String)])
    func `a picture costs 1 credit, 50 percent more in HD and 100 percent more in 4K`(tier: ServiceTier, credits: String) {
        let price = PriceVersion(version: 1, rule: PricingRule(formula: .flat, minimumCharge: .zero), rows: FlatPrices.rows(for: [.images]))
        #expect(price.credits(for: pictures(1, tier)) == Credits(decimal: credits))
        #expect(price.credits(for: pictures(2, tier)).map { $0.nano / 2 } == Credits(decimal: credits)?.nano)
    }

    @Test func `a flat price is exact, has no markup, and the minimum holds`() {
        #expect(price([(.standard, "0.000000001")]).credits(for: pictures(3)) == Credits(nano: 3))
        #expect(price([(.standard, "0.5")], minimum: Credits(whole: 1)).credits(for: pictures(1)) == Credits(whole: 1))
        #expect(price([(.standard, "0.5")]).credits(for: .none) == .zero)
    }

    @Test func `a unit or class without a flat price has none, and its cost is not known`() {
        let price = price([(.standard, "1")])
        #expect(price.credits(for: pictures(1, .hd)) == nil)
        #expect(!price.hasPrice(of: pictures(1, .hd)) && price.hasPrice(of: pictures(1)))
        #expect(price.credits(for: Usage(promptTokens: 1, completionTokens: 0)) == nil)
    }

    @Test func `pictures are never charged by the price of tokens`() {
        let rule = PricingRule(formula: .perToken(creditsPer1kTokens: Credits(whole: 1)), minimumCharge: Credits(whole: 1))
        let price = PriceVersion(version: 1, rule: rule, rows: [UnitPriceRow(unit: .image, price: PicoUSD(value: 1))])
        #expect(price.credits(for: pictures(1)) == nil)
    }

    @Test func `the operator's rule follows the kind of the model`() {
        let tokens = PricingRule(formula: .perToken(creditsPer1kTokens: Credits(whole: 1)), minimumCharge: Credits(whole: 1))
        let rules = PricingRules(tokens: tokens, media: .standard)
        #expect(rules.rule(for: [UnitPriceRow(unit: .input, price: PicoUSD(value: 1))]) == tokens)
        #expect(rules.rule(for: [UnitPriceRow(unit: .image, price: PicoUSD(value: 1))]) == .standard)
        #expect(rules.rule(for: FlatPrices.rows(for: [.images])).formula == .flat)
    }

    @Test func `the margin of a flat price is that of its known cost`() {
        #expect(price([(.standard, "1")], cost: 40_000_000_000).costOfCredit == PicoUSD(value: 40_000_000_000))
        #expect(price([(.standard, "2"), (.hd, "1")], cost: 40_000_000_000).costOfCredit == PicoUSD(value: 40_000_000_000))
        #expect(price([(.standard, "0")], cost: 1).costOfCredit == nil)
        let offers = [CreditOffer(name: "package:x", credits: Credits(whole: 1), priceCents: 100)]
        #expect(Margin.check(offers, [("unknown", price([(.standard, "1")]))]).isEmpty)
    }
}
