import Contracts
import Values

/// The price of a model as clients read it: in credits, markup included, without the minimum.
///
/// An amount is nil for a unit without a price, and beyond the largest amount of credits.
struct ListedPrice: Sendable {
    /// The prices of 1,000 tokens.
    struct Tokens: Hashable, Sendable {
        let prompt: Credits?
        let completion: Credits?
        /// Nil if a cached prompt has no price of its own.
        let cachedPrompt: Credits?

        var isEmpty: Bool { prompt == nil && completion == nil }

        /// True if every call costs the same by both.
        fileprivate func costsAsMuch(as other: Tokens) -> Bool {
            prompt == other.prompt && completion == other.completion
                && (cachedPrompt ?? prompt) == (other.cachedPrompt ?? other.prompt)
        }
    }

    /// The price of one unit that is no token.
    struct Unit: Hashable, Sendable {
        let unit: UsageUnit
        let tier: ServiceTier
        let credits: Credits?
    }

    let version: Int64
    /// The least that a call costs.
    let minimum: Credits
    let tokens: Tokens
    /// The prices of calls with longer prompts, where they differ.
    let longPrompts: [(aboveInputTokens: Int64, tokens: Tokens)]
    /// The prices of tokens of sound and of pictures, where they have prices of their own.
    let sound: Tokens
    let pictures: Tokens
    /// The prices of a prompt that the provider writes to its cache, for some minutes and for an hour, where they have prices
    /// of their own.
    let cacheWrite: Tokens
    let cacheWriteHour: Tokens
    let units: [Unit]

    init(_ version: PriceVersion) {
        var price = version
        price.rule.minimumCharge = .zero
        self.version = version.version
        minimum = version.rule.minimumCharge
        // Without its conditions: 1,000 tokens may be a long prompt.
        let usual = PriceVersion(version: price.version, rule: price.rule, units: price.units)
        let tokens = Tokens(usual)
        self.tokens = tokens
        longPrompts = price.conditional.filter { $0.tier == .standard && $0.aboveInputTokens > 0 }.compactMap { [price] step in
            let above = Tokens(PriceVersion(version: price.version, rule: price.rule, units: step.units))
            return above.costsAsMuch(as: tokens) ? nil : (step.aboveInputTokens, above)
        }
        sound = Tokens(usual, .audioInput, .audioOutput)
        pictures = Tokens(usual, .imageInput, .imageOutput)
        cacheWrite = Tokens(usual, .cacheWrite)
        cacheWriteHour = Tokens(usual, .cacheWrite1h)
        units = price.rows.filter { !$0.unit.isPromptToken && !$0.unit.isCompletionToken && $0.aboveInputTokens == 0 }.map { [price] row in
            var one = Usage()
            one[row.unit] = 1
            one.tier = row.tier
            return Unit(unit: row.unit, tier: row.tier, credits: price.credits(for: one))
        }
    }
}

extension ListedPrice.Tokens {
    fileprivate init(_ price: PriceVersion) {
        prompt = price.thousand(.input)
        completion = price.thousand(.output)
        cachedPrompt = price.listedThousand(.cachedInput)
    }

    fileprivate init(_ price: PriceVersion, _ input: UsageUnit, _ output: UsageUnit? = nil) {
        prompt = price.listedThousand(input)
        completion = output.flatMap { price.listedThousand($0) }
        cachedPrompt = nil
    }
}

extension PriceVersion {
    /// Returns the price of 1,000 units.
    fileprivate func thousand(_ unit: UsageUnit) -> Credits? {
        var usage = Usage()
        usage[unit] = 1_000
        return credits(for: usage)
    }

    /// Returns the price of 1,000 units that have a price of their own.
    fileprivate func listedThousand(_ unit: UsageUnit) -> Credits? { units.units.contains(unit) ? thousand(unit) : nil }
}
