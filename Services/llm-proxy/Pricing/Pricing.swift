import Values

/// Pico-dollars: 1 USD = 1,000,000,000,000. Provider prices are pico-dollars per token.
struct PicoUSD: Hashable, Comparable, Sendable {
    let value: Int64

    static func < (left: Self, right: Self) -> Bool { left.value < right.value }

    static let perUSD: Int64 = 1_000_000_000_000
}

/// The prices of a model's tokens at its provider from one moment on. A receipt names the version it was computed with.
struct TokenPrice: Hashable, Sendable {
    var version: Int64
    var prompt: PicoUSD
    var completion: PicoUSD

    /// The provider's cost of a call; nil beyond the integer range (about 9 million USD), which no call may reach.
    func cost(of usage: TokenUsage) -> PicoUSD? {
        let prompt = usage.promptTokens.multipliedReportingOverflow(by: self.prompt.value)
        let completion = usage.completionTokens.multipliedReportingOverflow(by: self.completion.value)
        let sum = prompt.partialValue.addingReportingOverflow(completion.partialValue)
        guard !prompt.overflow, !completion.overflow, !sum.overflow, sum.partialValue >= 0 else { return nil }
        return PicoUSD(value: sum.partialValue)
    }
}

struct TokenUsage: Hashable, Sendable {
    var promptTokens: Int64
    var completionTokens: Int64
}

/// How cost becomes credits; the operator's choice, the same for every call of one price list.
struct PricingRule: Hashable, Sendable {
    enum Formula: Hashable, Sendable {
        /// Cost × (1 + markup) × credits per USD.
        case costPlus(markupBasisPoints: Int64, creditsPerUSD: Credits)
        /// A flat number of credits per 1,000 tokens, whatever the model costs.
        case perToken(creditsPer1kTokens: Credits)
    }

    var formula: Formula
    /// The least a billable call costs.
    var minimumCharge: Credits

    static let standard = PricingRule(
        formula: .costPlus(markupBasisPoints: 1_500, creditsPerUSD: Credits(whole: 25)), minimumCharge: .zero)

    /// The price of a call, rounded up once, at the end, to a nano-credit. Nothing used costs nothing, not even the minimum.
    /// - Returns: nil when the exact price does not fit in ``Credits``.
    func credits(for usage: TokenUsage, at price: TokenPrice) -> Credits? {
        guard usage.promptTokens > 0 || usage.completionTokens > 0 else { return .zero }
        switch formula {
        case .costPlus(let markupBasisPoints, let creditsPerUSD):
            guard let cost = price.cost(of: usage) else { return nil }
            let (price, overflow) = Int128(cost.value)
                .multipliedReportingOverflow(by: Int128(10_000 + markupBasisPoints) * Int128(creditsPerUSD.nano))
            return overflow ? nil : atLeastMinimum(price, over: 10_000 * Int128(PicoUSD.perUSD))
        case .perToken(let creditsPer1kTokens):
            let tokens = Int128(usage.promptTokens) + Int128(usage.completionTokens)
            return atLeastMinimum(tokens * Int128(creditsPer1kTokens.nano), over: 1_000)
        }
    }

    var markupBasisPoints: Int64 {
        switch formula {
        case .costPlus(let markupBasisPoints, _): markupBasisPoints
        case .perToken: 0
        }
    }

    private func atLeastMinimum(_ numerator: Int128, over denominator: Int128) -> Credits? {
        guard numerator <= Int128(Int64.max) * denominator else { return nil }
        let roundedUp = (numerator + denominator - 1) / denominator
        guard let nano = Int64(exactly: roundedUp) else { return nil }
        return max(Credits(nano: nano), minimumCharge)
    }
}
