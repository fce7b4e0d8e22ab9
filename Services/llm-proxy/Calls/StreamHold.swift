import Values

/// The hold of a running stream: how many output tokens it pays for, and when more must be asked for.
///
/// It asks early, so that the answer continues meanwhile. It asks for no more than the provider's
/// limit can use.
struct StreamHold: Sendable {
    /// On top of what is held.
    struct Extension: Hashable, Sendable {
        var step: Int64
        var most: Credits
        var usual: Credits
        var least: Credits
    }

    /// The number of tokens left in each answer at which the proxy asks for more: two and a half
    /// seconds at 100 tokens a second. If a quarter of the usual answer is less, that is the
    /// number.
    static let marginTokens: Int64 = 256

    /// The output tokens of all answers that the granted credits pay for.
    private(set) var outputTokens: Int64
    /// True if the hold is not extended any more: the ledger refused, or the hold pays for the
    /// provider's limit.
    private(set) var isFinal: Bool

    private let bound: CallBound
    /// The provider's limit for each answer.
    private let limit: Int64
    private var granted: Credits
    private var steps: Int64 = 0
    private var isAsking = false

    init(granted: Credits, bound: CallBound, limit: Int64) {
        (self.granted, self.bound, self.limit) = (granted, bound, limit)
        (outputTokens, isFinal) = (0, bound.isHeldWhole)
        count()
    }

    /// Returns the next question for the ledger, if one is due. Answer with ``extended(by:)`` or
    /// ``refused()`` before the next question.
    /// - Parameters:
    ///   - delivered: the output tokens of all answers that went to the caller.
    ///   - isUsedUp: true if the next tokens are here and the hold does not pay for them.
    mutating func next(delivered: Int64, isUsedUp: Bool) -> Extension? {
        let usual = bound.model.limits.defaultOutputTokens
        let margin = min(Self.marginTokens, usual / 4) * bound.choices
        guard !isAsking, !isFinal, isUsedUp || outputTokens - delivered < margin else { return nil }
        let each = outputTokens / bound.choices
        // Half as much again as there is, so that a long answer takes few steps.
        let most = price(of: each + max(usual, each / 2))
        guard most > .zero, steps < Self.stepsMax else {
            isFinal = true
            return nil
        }
        isAsking = true
        steps += 1
        let least = max(Credits(nano: 1), min(price(of: each + bound.outputLeast), most))
        return Extension(step: steps, most: most, usual: max(least, min(price(of: each + usual), most)), least: least)
    }

    /// The highest number of a step of a charge at the ledger.
    private static let stepsMax: Int64 = 9_999

    mutating func extended(by more: Credits) {
        isAsking = false
        granted = granted.adding(more)
        count()
    }

    mutating func refused() {
        isAsking = false
        isFinal = true
    }

    /// Counts events alone if the hold pays for the provider's limit. Then only output that is
    /// certainly beyond the limit is stopped.
    var budget: TokenBudget { .init(outputTokens: outputTokens, countsEventsOnly: outputTokens >= limit * bound.choices) }

    private mutating func count() {
        let each = bound.outputTokens(paidBy: granted, upTo: limit)
        outputTokens = each * bound.choices
        if each >= limit { isFinal = true }
    }

    /// Returns the credits to add to the hold so that it pays for `outputTokens`, or for the limit
    /// if that is less.
    private func price(of outputTokens: Int64) -> Credits { bound.credits(for: min(outputTokens, limit)) - granted }
}
