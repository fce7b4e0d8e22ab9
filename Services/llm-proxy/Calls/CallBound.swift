import Contracts
import Values

/// The bounds of one call's price. They decide the hold and the provider's limit. The tasks of a call
/// share one object, because a model is large.
final class CallBound: Sendable {
    let model: Catalogue.Model
    let prompt: PromptSize
    /// The number of answers that the provider generates (`n`). Each answer has the same limit.
    let choices: Int64
    /// The client's limit for one answer; nil if the client set none.
    let callerLimit: Int64?
    let isStreaming: Bool
    /// The number of probabilities that the answer lists for each token.
    let logprobs: Int64
    /// True if the provider's wire format requires a limit in each request.
    let requiresLimit: Bool
    /// The least limit that the surface allows, and with which an answer to the request is of use.
    let limitLeast: Int64
    /// The dearest unit that a token of the prompt can be charged as.
    let promptUnit: UsageUnit
    /// The dearest unit that a token of the answer can be charged as.
    let answerUnit: UsageUnit
    /// False if no limit ends the answer, or its tokens cannot be counted while it comes. It is then as
    /// long as the model's longest one.
    let takesLimit: Bool
    /// The most units of a call whose model is not sold by tokens.
    let units: Usage?

    init(
        model: Catalogue.Model, prompt: PromptSize, choices: Int64, callerLimit: Int64?, isStreaming: Bool, logprobs: Int64,
        requiresLimit: Bool = false, limitLeast: Int64 = 1, promptUnit: UsageUnit = .input, answerUnit: UsageUnit = .output,
        takesLimit: Bool = true, units: Usage? = nil
    ) {
        (self.model, self.prompt, self.choices) = (model, prompt, choices)
        (self.callerLimit, self.isStreaming, self.logprobs, self.requiresLimit) = (callerLimit, isStreaming, logprobs, requiresLimit)
        (self.limitLeast, self.promptUnit, self.answerUnit) = (limitLeast, promptUnit, answerUnit)
        (self.takesLimit, self.units) = (takesLimit, units)
    }

    /// The most credits that the ledger takes in one charge.
    static let amountMax = Credits(whole: 1_000_000_000)

    /// The longest answer in one piece that the gateway collects, in bytes. A longer one would
    /// reach no client, and would cost nothing.
    static let answerBytesMax = 64 << 20
    /// The most bytes of a token in JSON. The longest tokens of common tokenizers have 128 bytes,
    /// and an escape doubles them.
    private static let tokenBytesMax: Int64 = 256
    /// The most bytes of a listed probability: the token, each of its bytes as a number, and the
    /// names of the members.
    private static let logprobBytesMax: Int64 = 832

    /// True if the gateway cannot count the tokens on the way. The hold must then pay for the whole
    /// answer.
    var isHeldWhole: Bool { !isStreaming || model.limits.reasoning == .hidden || !takesLimit || units != nil }

    /// The longest answer that may come, in tokens.
    var outputMax: Int64 { min(callerLimit ?? .max, model.limits.maxOutputTokens, outputCollected) }
    /// The longest answer that the gateway can collect, in tokens.
    private var outputCollected: Int64 {
        guard !isStreaming else { return .max }
        return max(1, Int64(Self.answerBytesMax) / (choices * (Self.tokenBytesMax + logprobs * Self.logprobBytesMax)))
    }
    /// The shortest limit with which an answer is of use, in tokens.
    var outputLeast: Int64 { takesLimit ? min(max(model.limits.outputTokensLeast, limitLeast), outputMax) : outputMax }
    var outputUsual: Int64 { min(max(model.limits.defaultOutputTokens, outputLeast), outputMax) }

    /// The amounts of the hold. Nil if even the least answer costs more than one charge can hold.
    var amounts: HoldAmounts? {
        if let units {
            guard let price = price(of: units) else { return nil }
            let held = max(price, Credits(nano: 1))
            return HoldAmounts(most: held, usual: held, least: held)
        }
        guard let least = model.price.credits(for: usage(prompt: prompt.tokensLeast(model.limits), answer: outputLeast)),
            least <= Self.amountMax
        else { return nil }
        // A free call holds one nano-credit, because the ledger refuses a hold of zero.
        return HoldAmounts(
            most: max(credits(for: isHeldWhole ? outputMax : outputUsual), Credits(nano: 1)),
            usual: max(credits(for: outputUsual), Credits(nano: 1)), least: max(least, Credits(nano: 1)))
    }

    /// True if the client set no limit. Its call gets a share of what is available, so that many
    /// such calls share the credits.
    var takesShare: Bool { isHeldWhole && callerLimit == nil && takesLimit && units == nil }

    /// Returns the price of the prompt's bound and `outputTokens` in each answer, at most
    /// ``amountMax``.
    func credits(for outputTokens: Int64) -> Credits { price(of: outputTokens) ?? Self.amountMax }

    /// Returns the longest answer that `credits` pay for, in tokens: at least ``outputLeast``, at
    /// most `longest`.
    func outputTokens(paidBy credits: Credits, upTo longest: Int64) -> Int64 {
        if let price = price(of: longest), price <= credits { return longest }
        // The price grows with the tokens, so the largest number that fits is found by bisection.
        var fits = min(outputLeast, longest)
        var tooMany = longest
        while tooMany - fits > 1 {
            let middle = fits + (tooMany - fits) / 2
            if let price = price(of: middle), price <= credits { fits = middle } else { tooMany = middle }
        }
        return fits
    }

    /// - Returns: nil if the price is above the largest amount of one charge.
    func price(of usage: Usage) -> Credits? {
        model.price.credits(for: usage).flatMap { $0 <= Self.amountMax ? $0 : nil }
    }

    private func price(of outputTokens: Int64) -> Credits? {
        price(of: usage(prompt: prompt.tokensMax(model.limits), answer: outputTokens))
    }

    /// - Parameter answer: the tokens of each answer.
    private func usage(prompt: Int64, answer: Int64) -> Usage {
        var usage = Usage()
        usage[answerUnit] = answer * choices
        usage[promptUnit] = prompt
        return usage
    }

    /// - Parameter credits: the hold. For a visible stream also the credits that the account can
    ///   still spend.
    func limit(paidBy credits: Credits) -> OutputLimit {
        guard takesLimit, units == nil else { return OutputLimit(tokens: outputMax, isSent: false, isClamped: false) }
        let affordable = outputTokens(paidBy: credits, upTo: outputMax)
        let wanted = callerLimit ?? model.limits.maxOutputTokens
        if callerLimit == nil, affordable == wanted, !requiresLimit { return OutputLimit(tokens: wanted, isSent: false, isClamped: false) }
        let room = max(outputLeast, model.limits.contextTokens - prompt.estimatedTokens(model.limits))
        let tokens = min(affordable, room)
        return OutputLimit(tokens: tokens, isSent: true, isClamped: tokens < wanted)
    }
}

extension CallBound {
    /// Returns whether the call can have used this much with `limit` for each answer.
    func allows(_ usage: Usage, limit: OutputLimit) -> Bool {
        if let units { return usage.tier == units.tier && usage.forEachUnit { unit, quantity in quantity <= units[unit] } }
        return usage.promptTokens <= prompt.tokensMax(model.limits) && usage.completionTokens <= limit.tokens * choices
    }
}

extension CallBound {
    /// Returns the usage that an answer in one piece is charged for.
    func usage(of answer: WholeAnswer) -> (usage: Usage, isEstimated: Bool) {
        let promptTokens = prompt.estimatedTokens(model.limits)
        if var usage = units {
            guard answer.hasUncountedResult else { return (.none, false) }
            // A server may make fewer pictures than it was asked for.
            if usage[.audio30s] > 0 {
                guard let seconds = answer.seconds else { return (usage, true) }
                usage[.audio30s] = OpenAITranscriptions.started30s(seconds: seconds)
            }
            if usage[.image] > 0 { usage[.image] = min(usage[.image], answer.pictures) }
            return (usage, false)
        }
        guard answer.pictures > 0 else { return answer.delivered(promptTokens: promptTokens, of: answerUnit) }
        if let reported = answer.reported, reported.completionTokens > 0 { return reported.withPrompt(promptTokens) }
        var usage = answer.reported ?? .none
        usage[answerUnit] = model.limits.maxOutputTokens * min(answer.pictures, choices)
        return (usage.withPrompt(promptTokens).usage, true)
    }
}

extension Credits {
    /// Adds without a trap on overflow, because the amounts of a reply come from the broker.
    func adding(_ other: Credits) -> Credits {
        let (sum, overflow) = nano.addingReportingOverflow(other.nano)
        return overflow ? Credits(nano: nano < 0 ? .min : .max) : Credits(nano: sum)
    }
}
