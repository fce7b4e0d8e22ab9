import Contracts
import Testing

@testable import LLMProxy

struct PricingTests {
    /// One token of each kind costs what the worked examples of the billing policy say in USD.
    static func price(promptUSD: Int64 = 0, completionPicoUSD: Int64) -> TokenPrice {
        TokenPrice(version: 1, prompt: PicoUSD(value: promptUSD), completion: PicoUSD(value: completionPicoUSD))
    }

    static let tenCents = TokenUsage(promptTokens: 0, completionTokens: 1)

    @Test func `one credit a dollar, ten cents, fifteen percent: 0.115 credits`() {
        let tariff = Tariff(rule: .costPlus(markupBasisPoints: 1_500, creditsPerUSD: Credits(whole: 1)), creditsMin: .zero)
        #expect(tariff.credits(for: Self.tenCents, at: Self.price(completionPicoUSD: PicoUSD.perUSD / 10)) == Credits(decimal: "0.115"))
    }

    @Test func `25 credits a dollar, ten cents, fifteen percent: 2.875 credits`() {
        #expect(
            Tariff.standard.credits(for: Self.tenCents, at: Self.price(completionPicoUSD: PicoUSD.perUSD / 10))
                == Credits(decimal: "2.875"))
    }

    @Test func `per token, one credit a thousand: 1500 tokens are 1.5 credits, 200 are the minimum of 1`() {
        let tariff = Tariff(rule: .perToken(creditsPer1kTokens: Credits(whole: 1)), creditsMin: Credits(whole: 1))
        let price = Self.price(completionPicoUSD: 1)
        #expect(
            tariff.credits(for: TokenUsage(promptTokens: 1_000, completionTokens: 500), at: price) == Credits(decimal: "1.5"))
        #expect(tariff.credits(for: TokenUsage(promptTokens: 150, completionTokens: 50), at: price) == Credits(whole: 1))
    }

    @Test func `what is not a whole nano-credit is rounded up, once`() {
        let tariff = Tariff(rule: .costPlus(markupBasisPoints: 1_500, creditsPerUSD: Credits(whole: 1)), creditsMin: .zero)
        #expect(tariff.credits(for: Self.tenCents, at: Self.price(completionPicoUSD: 1)) == Credits(nano: 1))
        #expect(tariff.credits(for: Self.tenCents, at: Self.price(completionPicoUSD: 1_000)) == Credits(nano: 2))
    }

    @Test func `nothing used costs nothing, whatever the minimum`() {
        let tariff = Tariff(rule: .perToken(creditsPer1kTokens: Credits(whole: 1)), creditsMin: Credits(whole: 1))
        #expect(tariff.credits(for: TokenUsage(promptTokens: 0, completionTokens: 0), at: Self.price(completionPicoUSD: 1)) == .zero)
    }

    @Test func `a price beyond the integer range is nil, never a small number`() {
        let usage = TokenUsage(promptTokens: .max, completionTokens: 0)
        let price = TokenPrice(version: 1, prompt: PicoUSD(value: 4_000_000), completion: PicoUSD(value: 0))
        #expect(Tariff.standard.credits(for: usage, at: price) == nil)
        let tariff = Tariff(rule: .perToken(creditsPer1kTokens: Credits(whole: 1_000)), creditsMin: .zero)
        #expect(tariff.credits(for: usage, at: price) == nil)
        let dearest = Tariff(rule: .costPlus(markupBasisPoints: 100_000, creditsPerUSD: Credits(whole: 1_000_000)), creditsMin: .zero)
        #expect(
            dearest.credits(for: TokenUsage(promptTokens: .max, completionTokens: 0), at: Self.price(promptUSD: 1, completionPicoUSD: 0))
                == nil)
    }

    @Test func `a call that costs nothing holds one nano-credit, and one beyond the ledger's range is none`() throws {
        func estimate(_ pico: Int64, creditsPerUSD: Int64) -> HoldEstimate? {
            let tariff = Tariff(rule: .costPlus(markupBasisPoints: 0, creditsPerUSD: Credits(whole: creditsPerUSD)), creditsMin: .zero)
            return HoldEstimate(
                promptTokens: 8, outputTokens: 10_000_000, answers: 128, tariff: tariff, price: Self.price(completionPicoUSD: pico))
        }
        #expect(try #require(estimate(0, creditsPerUSD: 25)).amount == Credits(nano: 1))
        #expect(try #require(estimate(0, creditsPerUSD: 25)).amountLeast == Credits(nano: 1))
        #expect(estimate(7_000_000_000, creditsPerUSD: 25)?.amount == Credits(whole: 224_000_000))
        #expect(estimate(7_000_000_000, creditsPerUSD: 200) == nil)
    }

    @Test func `a hold covers the requested answer and asks for 64 tokens at the least`() throws {
        let price = TokenPrice(version: 1, prompt: PicoUSD(value: 1_000_000), completion: PicoUSD(value: 4_000_000))
        let estimate = try #require(
            HoldEstimate(promptTokens: 100, outputTokens: 1_000, answers: 2, tariff: .standard, price: price))
        #expect(
            estimate.amount == Tariff.standard.credits(for: TokenUsage(promptTokens: 100, completionTokens: 2_000), at: price))
        #expect(
            estimate.amountLeast == Tariff.standard.credits(for: TokenUsage(promptTokens: 100, completionTokens: 128), at: price))
    }

    @Test func `a clamp is the largest answer that the grant pays for`() throws {
        let price = TokenPrice(version: 1, prompt: PicoUSD(value: 1_000_000), completion: PicoUSD(value: 4_000_000))
        let seed = UInt64.random(in: .min ... .max)
        var random = SeededGenerator(seed: seed)
        for _ in 0..<1_000 {
            let fitting = Int64.random(in: 64...5_000, using: &random)
            let usage = TokenUsage(promptTokens: 100, completionTokens: fitting)
            let granted = try #require(Tariff.standard.credits(for: usage, at: price))
            let clamped = HoldEstimate.outputTokens(
                affordableWith: granted, promptTokens: 100, upTo: 6_000, answers: 1, tariff: .standard, price: price)
            #expect(clamped == fitting, "seed \(seed)")
        }
    }

    @Test func `text that looks like a picture counts as text, and a picture named by its address as a picture`() {
        let long = String(repeating: "A", count: 1_000_000)
        for text in [
            #"{"content":"data:image/png;base64,\#(long)"}"#, #"{"content":"\"url\":\"data:image/png;\#(long)"}"#,
            #"{"url":["data:\#(long)"]}"#,
        ] { #expect(HoldEstimate.promptTokensMax(of: Array(text.utf8)) > 500_000) }
        let remote = #"{"content":[{"type":"image_url","image_url":{"url":"https://host/x.png"}}]}"#
        #expect((2_500..<2_600).contains(HoldEstimate.promptTokensMax(of: Array(remote.utf8))))
        let spaced = #"{"image_url" : {"url" : "data:image/png;base64,\#(long)"}}"#
        #expect(HoldEstimate.promptTokensMax(of: Array(spaced.utf8)) < 3_000)
    }

    @Test func `a picture in the body counts as a picture, not by its bytes`() {
        let picture =
            #"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,"#
            + String(repeating: "A", count: 1_000_000) + #""}}]}]}"#
        #expect(HoldEstimate.promptTokensMax(of: Array(picture.utf8)) < 3_000)
        #expect(HoldEstimate.promptTokensMax(of: Array(repeating: 65, count: 1_000_000)) == 500_008)
    }
}

struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return (state ^ (state >> 29)) &* 0xBF58_476D_1CE4_E5B9
    }
}
