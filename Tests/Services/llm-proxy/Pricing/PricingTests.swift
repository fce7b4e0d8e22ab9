import Contracts
import TestSupport
import Testing
import Values

@testable import LLMProxy

struct PricingTests {
    private static func plus(_ markup: Int64, perUSD: Int64) -> PricingRule {
        PricingRule(formula: .costPlus(markupBasisPoints: markup, creditsPerUSD: Credits(whole: perUSD)), minimumCharge: .zero)
    }

    private static func perToken(_ credits: Int64, minimum: Int64 = 0) -> PricingRule {
        PricingRule(formula: .perToken(creditsPer1kTokens: Credits(whole: credits)), minimumCharge: Credits(whole: minimum))
    }

    private static let oneToken = Usage(promptTokens: 0, completionTokens: 1)

    @Test func `one credit a dollar, ten cents, fifteen percent: 0.115 credits`() {
        let price = PriceVersion(prompt: 0, completion: PicoUSD.perUSD / 10, rule: Self.plus(1_500, perUSD: 1))
        #expect(price.credits(for: Self.oneToken) == Credits(decimal: "0.115"))
    }

    @Test func `25 credits a dollar, ten cents, fifteen percent: 2.875 credits`() {
        let price = PriceVersion(prompt: 0, completion: PicoUSD.perUSD / 10, rule: .standard)
        #expect(price.credits(for: Self.oneToken) == Credits(decimal: "2.875"))
    }

    @Test func `per token, one credit a thousand: 1500 tokens are 1.5 credits, 200 are the minimum of 1`() {
        let price = PriceVersion(prompt: 0, completion: 1, rule: Self.perToken(1, minimum: 1))
        #expect(price.credits(for: Usage(promptTokens: 1_000, completionTokens: 500)) == Credits(decimal: "1.5"))
        #expect(price.credits(for: Usage(promptTokens: 150, completionTokens: 50)) == Credits(whole: 1))
    }

    @Test func `a fraction of a nano-credit is rounded up, once`() {
        let rule = Self.plus(1_500, perUSD: 1)
        #expect(PriceVersion(prompt: 0, completion: 1, rule: rule).credits(for: Self.oneToken) == Credits(nano: 1))
        #expect(PriceVersion(prompt: 0, completion: 1_000, rule: rule).credits(for: Self.oneToken) == Credits(nano: 2))
    }

    @Test func `no usage costs nothing, whatever the minimum`() {
        #expect(PriceVersion(prompt: 0, completion: 1, rule: Self.perToken(1, minimum: 1)).credits(for: .none) == .zero)
    }

    @Test func `each unit has its own price`() {
        let units: UnitPrices = [.input: PicoUSD(value: 1_000), .cachedInput: PicoUSD(value: 100), .image: PicoUSD(value: 7_000)]
        let price = PriceVersion(version: 1, rule: Self.plus(0, perUSD: 1), units: units)
        var usage = Usage(promptTokens: 3, completionTokens: 0)
        usage[.cachedInput] = 50
        usage[.image] = 2
        #expect(price.cost(of: usage) == PicoUSD(value: 3 * 1_000 + 50 * 100 + 2 * 7_000))
        #expect(price.credits(for: usage) == Credits(nano: 22))
        #expect(usage.promptTokens == 53)
    }

    @Test func `a unit without a price has no cost, never a cost of zero`() {
        var usage = Usage(promptTokens: 3, completionTokens: 4)
        usage[.audioOutput] = 1
        for rule in [PricingRule.standard, Self.perToken(1)] {
            let price = PriceVersion(prompt: 1, completion: 1, rule: rule)
            #expect(price.cost(of: usage) == nil)
            #expect(price.credits(for: usage) == nil)
            var dearer = Self.oneToken
            dearer.tier = .priority
            #expect(price.cost(of: dearer) == nil)
            #expect(price.credits(for: dearer) == nil)
        }
    }

    @Test func `a price beyond the integer range is nil, never a small number`() {
        let usage = Usage(promptTokens: .max, completionTokens: 0)
        #expect(PriceVersion(prompt: 4_000_000, completion: 0, rule: .standard).credits(for: usage) == nil)
        #expect(PriceVersion(prompt: 4_000_000, completion: 0, rule: Self.perToken(1_000)).credits(for: usage) == nil)
        let extreme = PricingRule(
            formula: .costPlus(markupBasisPoints: .max, creditsPerUSD: Credits(nano: .max)), minimumCharge: .zero)
        #expect(PriceVersion(prompt: 1, completion: 0, rule: extreme).credits(for: usage) == nil)
        #expect(PriceVersion(prompt: 1, completion: 0, rule: Self.plus(100_000, perUSD: 1_000_000)).credits(for: usage) == nil)
    }

    // MARK: Conditions

    /// 2 pico-dollars for input, 10 for output; above 200,000 tokens twice as much; in the tier `flex` half as much.
    private static let tiered = PriceVersion(
        version: 1, rule: plus(0, perUSD: 1),
        rows: [
            UnitPriceRow(unit: .input, price: PicoUSD(value: 2)), UnitPriceRow(unit: .output, price: PicoUSD(value: 10)),
            UnitPriceRow(unit: .input, aboveInputTokens: 200_000, price: PicoUSD(value: 4)),
            UnitPriceRow(unit: .output, aboveInputTokens: 200_000, price: PicoUSD(value: 20)),
            UnitPriceRow(unit: .input, tier: .flex, price: PicoUSD(value: 1)),
            UnitPriceRow(unit: .output, tier: .flex, price: PicoUSD(value: 5)),
        ])

    @Test(arguments: [(199_999, 2), (200_000, 2), (200_001, 4), (10_000_000, 4)] as [(Int64, Int64)])
    func `a prompt of more tokens than a step has the prices of the step, for its answer too`(promptTokens: Int64, each: Int64) {
        let usage = Usage(promptTokens: promptTokens, completionTokens: 3)
        #expect(Self.tiered.cost(of: usage) == PicoUSD(value: promptTokens * each + 3 * 5 * each))
    }

    @Test func `cached tokens count for the size of the prompt`() {
        var usage = Usage(promptTokens: 1, completionTokens: 0)
        usage[.cachedInput] = 200_000
        #expect(Self.tiered.cost(of: usage) == PicoUSD(value: 200_001 * 4))
    }

    @Test func `a tier has its own prices, and none for a step that it does not list`() {
        var usage = Usage(promptTokens: 200_000, completionTokens: 1)
        usage.tier = .flex
        #expect(Self.tiered.cost(of: usage) == PicoUSD(value: 200_005))
        usage[.input] += 1
        #expect(Self.tiered.cost(of: usage) == nil)
        usage = Usage(promptTokens: 1, completionTokens: 1)
        usage.tier = .priority
        #expect(Self.tiered.cost(of: usage) == nil)
    }

    @Test func `cached input and cache writes cost as much as input, unless they have prices`() {
        var usage = Usage(promptTokens: 3, completionTokens: 0)
        usage[.cachedInput] = 50
        usage[.cacheWrite] = 7
        #expect(PriceVersion(prompt: 1_000, completion: 0).cost(of: usage) == PicoUSD(value: 60_000))
        let prices: UnitPrices = [.input: PicoUSD(value: 1_000), .cachedInput: PicoUSD(value: 100), .cacheWrite: PicoUSD(value: 1_250)]
        #expect(prices.cost(of: usage) == PicoUSD(value: 3_000 + 5_000 + 8_750))
        usage[.cacheWrite1h] = 1
        #expect(prices.cost(of: usage) == nil)
    }

    @Test func `the fee of a call with the user's own key is a part of the cost, without a minimum`() {
        var rule = PricingRule(
            formula: .costPlus(markupBasisPoints: 1_500, creditsPerUSD: Credits(whole: 25)), minimumCharge: Credits(whole: 9))
        #expect(PriceVersion(prompt: 0, completion: PicoUSD.perUSD / 10, rule: rule).ownKeyFee(for: Self.oneToken) == .zero)
        rule.byokFeeBasisPoints = 500
        #expect(
            PriceVersion(prompt: 0, completion: PicoUSD.perUSD / 10, rule: rule).ownKeyFee(for: Self.oneToken) == Credits(decimal: "0.125"))
        #expect(PriceVersion(prompt: 0, completion: 1, rule: rule).ownKeyFee(for: Self.oneToken) == Credits(nano: 1))
        var flat = Self.perToken(1, minimum: 1)
        flat.byokFeeBasisPoints = 1_000
        let tokens = Usage(promptTokens: 1_000, completionTokens: 500)
        #expect(PriceVersion(prompt: 0, completion: 1, rule: flat).ownKeyFee(for: tokens) == Credits(decimal: "0.15"))
    }

    @Test func `one rounding for all units: three fractions of a nano-credit are one`() {
        let rows = [UsageUnit.input, .cachedInput, .output].map { UnitPriceRow(unit: $0, price: PicoUSD(value: 300)) }
        var usage = Usage(promptTokens: 1, completionTokens: 1)
        usage[.cachedInput] = 1
        #expect(PriceVersion(version: 1, rule: Self.plus(0, perUSD: 1), rows: rows).credits(for: usage) == Credits(nano: 1))
    }

    @Test func `the metered units of another tier name it`() {
        var usage = Usage(promptTokens: 3, completionTokens: 4)
        #expect(usage.metered == [.input: 3, .output: 4])
        usage.tier = .flex
        #expect(usage.metered.all.map(\.key.rawValue).sorted() == ["input:flex", "output:flex"])
        #expect(usage.metered.promptTokens == 3)
    }
}
