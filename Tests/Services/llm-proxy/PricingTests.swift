import TestSupport
import Testing
import Values

@testable import LLMProxy

struct PricingTests {
    /// One token of each kind costs what the worked examples of the billing policy say in USD.
    static func price(promptUSD: Int64 = 0, completionPicoUSD: Int64) -> TokenPrice {
        TokenPrice(version: 1, prompt: PicoUSD(value: promptUSD), completion: PicoUSD(value: completionPicoUSD))
    }

    static let tenCents = TokenUsage(promptTokens: 0, completionTokens: 1)

    @Test func `one credit a dollar, ten cents, fifteen percent: 0.115 credits`() {
        let pricing = PricingRule(formula: .costPlus(markupBasisPoints: 1_500, creditsPerUSD: Credits(whole: 1)), minimumCharge: .zero)
        #expect(pricing.credits(for: Self.tenCents, at: Self.price(completionPicoUSD: PicoUSD.perUSD / 10)) == Credits(decimal: "0.115"))
    }

    @Test func `25 credits a dollar, ten cents, fifteen percent: 2.875 credits`() {
        #expect(
            PricingRule.standard.credits(for: Self.tenCents, at: Self.price(completionPicoUSD: PicoUSD.perUSD / 10))
                == Credits(decimal: "2.875"))
    }

    @Test func `per token, one credit a thousand: 1500 tokens are 1.5 credits, 200 are the minimum of 1`() {
        let pricing = PricingRule(formula: .perToken(creditsPer1kTokens: Credits(whole: 1)), minimumCharge: Credits(whole: 1))
        let price = Self.price(completionPicoUSD: 1)
        #expect(
            pricing.credits(for: TokenUsage(promptTokens: 1_000, completionTokens: 500), at: price) == Credits(decimal: "1.5"))
        #expect(pricing.credits(for: TokenUsage(promptTokens: 150, completionTokens: 50), at: price) == Credits(whole: 1))
    }

    @Test func `a fraction of a nano-credit is rounded up, once`() {
        let pricing = PricingRule(formula: .costPlus(markupBasisPoints: 1_500, creditsPerUSD: Credits(whole: 1)), minimumCharge: .zero)
        #expect(pricing.credits(for: Self.tenCents, at: Self.price(completionPicoUSD: 1)) == Credits(nano: 1))
        #expect(pricing.credits(for: Self.tenCents, at: Self.price(completionPicoUSD: 1_000)) == Credits(nano: 2))
    }

    @Test func `no usage costs nothing, with any minimum`() {
        let pricing = PricingRule(formula: .perToken(creditsPer1kTokens: Credits(whole: 1)), minimumCharge: Credits(whole: 1))
        #expect(pricing.credits(for: TokenUsage(promptTokens: 0, completionTokens: 0), at: Self.price(completionPicoUSD: 1)) == .zero)
    }

    @Test func `a price beyond the integer range is nil, never a small number`() {
        let usage = TokenUsage(promptTokens: .max, completionTokens: 0)
        let price = TokenPrice(version: 1, prompt: PicoUSD(value: 4_000_000), completion: PicoUSD(value: 0))
        #expect(PricingRule.standard.credits(for: usage, at: price) == nil)
        let pricing = PricingRule(formula: .perToken(creditsPer1kTokens: Credits(whole: 1_000)), minimumCharge: .zero)
        #expect(pricing.credits(for: usage, at: price) == nil)
        let dearest = PricingRule(
            formula: .costPlus(markupBasisPoints: 100_000, creditsPerUSD: Credits(whole: 1_000_000)), minimumCharge: .zero)
        #expect(
            dearest.credits(for: TokenUsage(promptTokens: .max, completionTokens: 0), at: Self.price(promptUSD: 1, completionPicoUSD: 0))
                == nil)
    }
}
