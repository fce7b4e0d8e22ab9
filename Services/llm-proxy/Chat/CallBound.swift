import Contracts

/// The bounds of one call's price: what to hold, and which limit the provider gets, so that no call costs more than its hold.
struct CallBound: Sendable {
    let model: Catalogue.Model
    let tariff: Tariff
    let prompt: PromptSize
    /// `n`: the answers that the provider generates, each with a limit of its own.
    let answers: Int64
    /// The caller's limit for one answer; nil where the caller set none.
    let callerLimit: Int64?
    let isStreaming: Bool

    /// The most credits that the ledger takes in one charge.
    static let amountMax = Credits(whole: 1_000_000_000)

    /// True where the gateway cannot count the tokens on the way: the hold must then pay for the whole answer.
    var isHeldWhole: Bool { !isStreaming || model.limits.reasoning == .hidden }

    /// The longest answer that may come, in tokens.
    var outputMax: Int64 { min(callerLimit ?? .max, model.limits.maxOutputTokens) }
    /// The shortest limit that is of use.
    var outputLeast: Int64 { min(model.limits.outputTokensLeast, outputMax) }
    var outputUsual: Int64 { min(max(model.limits.usualOutputTokens, outputLeast), outputMax) }

    /// Nil where even the least answer costs more than one charge can hold.
    var amounts: HoldAmounts? {
        let leastUsage = TokenUsage(promptTokens: prompt.tokensLeast(model.limits), completionTokens: outputLeast * answers)
        guard let least = tariff.credits(for: leastUsage, at: model.price), least <= Self.amountMax else { return nil }
        // A free call holds one nano-credit, because the ledger refuses a hold of zero.
        return HoldAmounts(
            most: max(credits(for: isHeldWhole ? outputMax : outputUsual), Credits(nano: 1)),
            usual: max(credits(for: outputUsual), Credits(nano: 1)), least: max(least, Credits(nano: 1)))
    }

    /// A caller without a limit gets a share of what is available, so that a crowd of such callers shares it.
    var takesShare: Bool { isHeldWhole && callerLimit == nil }

    /// The price of the prompt's bound and `outputTokens` in each answer, cut to ``amountMax``.
    func credits(for outputTokens: Int64) -> Credits { price(of: outputTokens) ?? Self.amountMax }

    /// Returns the longest answer that `credits` pay for, in tokens: at least ``outputLeast``, at most `longest`.
    func outputTokens(paidBy credits: Credits, upTo longest: Int64) -> Int64 {
        // The price grows with the tokens, so the largest number that fits is found by bisection.
        var fits = min(outputLeast, longest)
        var tooMany = longest + 1
        while tooMany - fits > 1 {
            let middle = fits + (tooMany - fits) / 2
            if let price = price(of: middle), price <= credits { fits = middle } else { tooMany = middle }
        }
        return fits
    }

    private func price(of outputTokens: Int64) -> Credits? {
        let usage = TokenUsage(promptTokens: prompt.tokensMax(model.limits), completionTokens: outputTokens * answers)
        return tariff.credits(for: usage, at: model.price).flatMap { $0 <= Self.amountMax ? $0 : nil }
    }

    /// The limit of each answer, as the provider gets it.
    struct Limit: Hashable, Sendable {
        /// The tokens after which the provider stops.
        var tokens: Int64
        /// False where the model's own cap is the limit: a request without a limit then passes as it came.
        var isSent: Bool
        /// True where the answer may end earlier than its caller asked for.
        var isClamped: Bool
    }

    /// - Parameter credits: the hold; for a visible stream also what the account can still spend.
    func limit(paidBy credits: Credits) -> Limit {
        let affordable = outputTokens(paidBy: credits, upTo: outputMax)
        if callerLimit == nil, affordable == outputMax { return Limit(tokens: outputMax, isSent: false, isClamped: false) }
        let room = max(outputLeast, model.limits.contextTokens - prompt.tokensLikely(model.limits))
        let tokens = min(affordable, room)
        return Limit(tokens: tokens, isSent: true, isClamped: tokens < callerLimit ?? outputMax)
    }
}

extension Credits {
    /// Adds without a trap: amounts of a reply come over the broker.
    func adding(_ other: Credits) -> Credits {
        let (sum, overflow) = nano.addingReportingOverflow(other.nano)
        return overflow ? Credits(nano: nano < 0 ? .min : .max) : Credits(nano: sum)
    }
}
