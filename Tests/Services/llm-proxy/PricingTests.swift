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
        let units: [UsageUnit: PicoUSD] = [.input: PicoUSD(value: 1_000), .cachedInput: PicoUSD(value: 100), .image: PicoUSD(value: 7_000)]
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
            dearer.isOfAnotherTier = true
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
}
