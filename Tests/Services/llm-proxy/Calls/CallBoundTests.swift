import Contracts
import TestSupport
import Testing
import Values

@testable import LLMProxy

/// Tests SPEC §2: no call can cost more than its hold.
struct CallBoundTests {
    /// The price is a thousandth of a credit for each token, also of the prompt.
    static let price = PriceVersion(prompt: 1_000_000_000, completion: 1_000_000_000)
    static func tokens(_ count: Int64) -> Credits { Credits(nano: count * 1_000_000) }

    static func model(
        usual: Int64 = 100, longest: Int64 = 4_000, least: Int64 = 64, context: Int64 = 100_000, price: PriceVersion = price,
        reasoning: ModelLimits.Reasoning = .none
    ) -> Catalogue.Model {
        Catalogue.Model(
            id: "m", provider: .init(name: "p", kind: "openai", baseURL: "http://h", apiKeyVariable: "K"), providerModel: "m", price: price,
            limits: ModelLimits(
                contextTokens: context, maxOutputTokens: longest, defaultOutputTokens: usual, outputTokensLeast: least, imageTokensMax: nil,
                reasoning: reasoning, outputLimitMember: .maxTokens),
            createdAt: Instant(microseconds: 0))
    }

    /// The prompt has 984 bytes in one message: at most 1,000 tokens, at least 500, likely 246.
    static func bound(
        limit: Int64? = nil, streams: Bool = true, choices: Int64 = 1, usual: Int64 = 100, longest: Int64 = 4_000, least: Int64 = 64,
        context: Int64 = 100_000, price: PriceVersion = price, reasoning: ModelLimits.Reasoning = .none, requiresLimit: Bool = false
    ) -> CallBound {
        CallBound(
            model: model(usual: usual, longest: longest, least: least, context: context, price: price, reasoning: reasoning),
            prompt: PromptSize(textBytes: 984, messages: 1, pictures: 0), choices: choices, callerLimit: limit, isStreaming: streams,
            logprobs: 0, requiresLimit: requiresLimit)
    }

    @Test func `a provider that requires a limit gets the room that the prompt leaves`() {
        let bound = Self.bound(context: 4_100)
        let all = bound.credits(for: 4_000)
        #expect(bound.limit(paidBy: all) == OutputLimit(tokens: 4_000, isSent: false, isClamped: false))
        let needy = Self.bound(context: 4_100, requiresLimit: true)
        #expect(needy.limit(paidBy: all) == OutputLimit(tokens: 4_100 - 246, isSent: true, isClamped: true))
    }

    private func expect(_ bound: CallBound, _ most: Int64, _ usual: Int64, _ least: Int64, share: Bool) {
        #expect(bound.amounts == HoldAmounts(most: Self.tokens(most), usual: Self.tokens(usual), least: Self.tokens(least)))
        #expect(bound.takesShare == share)
    }

    @Test func `a non-streaming call asks for the whole bound, and for a share if the client set no limit`() {
        expect(Self.bound(streams: false), 5_000, 1_100, 564, share: true)
        expect(Self.bound(limit: 2_000, streams: false), 3_000, 1_100, 564, share: false)
        expect(Self.bound(limit: 10, streams: false), 1_010, 1_010, 510, share: false)
        expect(Self.bound(limit: 10_000_000, streams: false), 5_000, 1_100, 564, share: false)
    }

    @Test func `a visible stream asks for the usual length or the client's limit`() {
        expect(Self.bound(), 1_100, 1_100, 564, share: false)
        expect(Self.bound(reasoning: .visible), 1_100, 1_100, 564, share: false)
        expect(Self.bound(limit: 70), 1_070, 1_070, 564, share: false)
    }

    @Test func `hidden reasoning is held like a non-streaming call, and its least is never below the model's`() {
        expect(Self.bound(least: 2_048, reasoning: .hidden), 5_000, 3_048, 2_548, share: true)
        expect(Self.bound(limit: 500, least: 2_048, reasoning: .hidden), 1_500, 1_500, 1_000, share: false)
    }

    @Test func `a hold covers each of several answers`() {
        expect(Self.bound(streams: false, choices: 3), 13_000, 1_300, 692, share: true)
    }

    @Test func `a hold covers a prompt that the provider writes to its cache, and a long one`() throws {
        var price = PriceVersion(prompt: 1_000_000_000, completion: 1_000_000_000)
        price.units = [
            .input: PicoUSD(value: 1_000_000_000), .cacheWrite: PicoUSD(value: 1_250_000_000), .output: PicoUSD(value: 1_000_000_000),
        ]
        func bound(_ price: PriceVersion, _ unit: UsageUnit) -> CallBound {
            CallBound(
                model: Self.model(price: price), prompt: PromptSize(textBytes: 984, messages: 1, pictures: 0), choices: 1, callerLimit: nil,
                isStreaming: false, logprobs: 0, promptUnit: unit)
        }
        #expect(bound(price, .cacheWrite).amounts?.most == Self.tokens(1_250 + 4_000))
        #expect(bound(price, .input).amounts?.most == Self.tokens(5_000))
        #expect(bound(Self.price, .cacheWrite).amounts?.most == Self.tokens(5_000))
        price.conditional = [
            ConditionalPrices(
                aboveInputTokens: 999, units: [.input: PicoUSD(value: 2_000_000_000), .output: PicoUSD(value: 3_000_000_000)])
        ]
        #expect(bound(price, .input).amounts?.most == Self.tokens(2_000 + 12_000))
        #expect(bound(price, .input).amounts?.least == Self.tokens(500 + 64))
    }

    @Test func `a free call holds one nano-credit, and a least beyond the ledger's range is refused`() {
        let free = PriceVersion(prompt: 0, completion: 0)
        #expect(Self.bound(price: free).amounts == HoldAmounts(most: Credits(nano: 1), usual: Credits(nano: 1), least: Credits(nano: 1)))
        let dear = PriceVersion(prompt: .max / 2_000, completion: .max / 2_000)
        #expect(Self.bound(choices: 128, price: dear).amounts == nil)
        let high = PriceVersion(prompt: 0, completion: 100_000_000_000_000_000)
        #expect(Self.bound(streams: false, price: high).amounts?.most == CallBound.amountMax)
    }

    @Test func `a call without output tokens holds its prompt and sends no longer limit`() {
        let bound = Self.bound(limit: 0, streams: false)
        expect(bound, 1_000, 1_000, 500, share: false)
        for credits in [0, 500, 999, 1_000, 9_999] as [Int64] {
            #expect(bound.limit(paidBy: Self.tokens(credits)) == OutputLimit(tokens: 0, isSent: true, isClamped: false))
        }
        let limit = bound.limit(paidBy: Self.tokens(1_000))
        #expect(bound.allows(Usage(promptTokens: 1_000, completionTokens: 0), limit: limit))
        #expect(!bound.allows(Usage(promptTokens: 1_001, completionTokens: 0), limit: limit))
        #expect(!bound.allows(Usage(promptTokens: 1_000, completionTokens: 1), limit: limit))
    }

    @Test func `a token that the client sent as a number is one token in each bound`() {
        let prompt = PromptSize(textBytes: 40, messages: 0, pictures: 0, tokens: 1_000)
        let limits = Self.model().limits
        #expect((prompt.tokensMax(limits), prompt.tokensLeast(limits), prompt.estimatedTokens(limits)) == (1_040, 1_020, 1_010))
    }

    @Test func `no value of a request or of the catalogue traps`() {
        let wide = PricingRule(
            formula: .costPlus(markupBasisPoints: 100_000, creditsPerUSD: Credits(whole: 1_000_000)), minimumCharge: .zero)
        let price = PriceVersion(prompt: .max, completion: .max, rule: wide)
        for streams in [true, false] {
            let bound = Self.bound(limit: 10_000_000, streams: streams, choices: 128, longest: 10_000_000, price: price)
            #expect(bound.amounts == nil)
            #expect(bound.limit(paidBy: Credits(nano: .max)).tokens == 64)
        }
        #expect(Credits(nano: .max).adding(Credits(nano: 1)) == Credits(nano: .max))
        #expect(Credits(nano: .min).adding(Credits(nano: -1)) == Credits(nano: .min))
    }

    // MARK: The provider's limit

    @Test func `no limit is sent if the hold pays for the model's whole cap and the client set none`() {
        #expect(Self.bound(streams: false).limit(paidBy: Self.tokens(5_000)) == .init(tokens: 4_000, isSent: false, isClamped: false))
        #expect(Self.bound(streams: false).limit(paidBy: Self.tokens(4_999)) == .init(tokens: 3_999, isSent: true, isClamped: true))
    }

    @Test func `the limit is the least of the client's, the model's cap, and what the credits pay for`() {
        func limit(_ callers: Int64, _ credits: Int64) -> OutputLimit { Self.bound(limit: callers).limit(paidBy: Self.tokens(credits)) }
        #expect(limit(70, 9_999) == .init(tokens: 70, isSent: true, isClamped: false))
        #expect(limit(4_000, 9_999) == .init(tokens: 4_000, isSent: true, isClamped: false))
        #expect(limit(4_001, 9_999) == .init(tokens: 4_000, isSent: true, isClamped: true))
        #expect(limit(3_000, 1_500) == .init(tokens: 500, isSent: true, isClamped: true))
    }

    @Test func `the limit is never below the model's least, with any hold and context`() {
        #expect(Self.bound(streams: false).limit(paidBy: Self.tokens(564)).tokens == 64)
        #expect(Self.bound(limit: 10, streams: false).limit(paidBy: Self.tokens(510)).tokens == 10)
        #expect(Self.bound(limit: 4_000, context: 300).limit(paidBy: Self.tokens(9_999)).tokens == 64)
        #expect(
            Self.bound(limit: 4_000, context: 1_246).limit(paidBy: Self.tokens(9_999))
                == .init(tokens: 1_000, isSent: true, isClamped: true))
    }

    @Test func `an answer within the limit never costs more than the hold, unless the hold is the least`() throws {
        let seed = drawSeed()
        var random = SplitMix64(seed: seed)
        for _ in 0..<2_000 {
            let longest = Int64.random(in: 1...50_000, using: &random)
            let usual = Int64.random(in: 1...longest, using: &random)
            let bound = Self.bound(
                limit: Bool.random(using: &random) ? Int64.random(in: 1...100_000, using: &random) : nil,
                streams: Bool.random(using: &random), choices: Int64.random(in: 1...128, using: &random), usual: usual, longest: longest,
                least: Int64.random(in: 1...longest, using: &random), context: Int64.random(in: longest...100_000, using: &random),
                price: PriceVersion(
                    prompt: 1_000_000_000, completion: 1_000_000_000, minimum: Bool.random(using: &random) ? Credits(whole: 1) : .zero))
            let amounts = try #require(bound.amounts)
            #expect(amounts.least <= amounts.usual && amounts.usual <= amounts.most, "seed \(seed)")
            let granted = Credits(nano: Int64.random(in: amounts.least.nano...amounts.most.nano, using: &random))
            let limit = bound.limit(paidBy: granted)
            #expect(limit.tokens >= bound.outputLeast && limit.tokens <= bound.outputMax, "seed \(seed)")
            guard limit.tokens > bound.outputLeast else { continue }
            #expect(bound.credits(for: limit.tokens) <= granted, "seed \(seed)")
        }
    }

    @Test func `a clamp is the largest answer that the grant pays for`() throws {
        let seed = drawSeed()
        var random = SplitMix64(seed: seed)
        let price = PriceVersion(prompt: 1_000_000, completion: 4_000_000, rule: .standard)
        let bound = Self.bound(limit: 6_000, streams: false, longest: 6_000, price: price)
        for _ in 0..<1_000 {
            let fitting = Int64.random(in: 64...5_999, using: &random)
            #expect(bound.limit(paidBy: bound.credits(for: fitting)).tokens == fitting, "seed \(seed)")
        }
    }
}

extension PriceVersion {
    /// Makes a price in pico-dollars for each token. Without a rule, a dollar of cost is one credit.
    init(prompt: Int64, completion: Int64, minimum: Credits = .zero, rule: PricingRule? = nil) {
        let cost = PricingRule(formula: .costPlus(markupBasisPoints: 0, creditsPerUSD: Credits(whole: 1)), minimumCharge: minimum)
        self.init(
            version: 1, rule: rule ?? cost, units: [.input: PicoUSD(value: prompt), .output: PicoUSD(value: completion)])
    }
}

extension PricingRules {
    /// The rules of an operator who sets no variable.
    static let standard = PricingRules(tokens: .standard, media: .standard)
}

extension PricingRule {
    /// The rule of an operator who sets no variable.
    static let standard = PricingRule(
        formula: .costPlus(markupBasisPoints: 1_500, creditsPerUSD: Credits(whole: 25)), minimumCharge: .zero)
}
