import Contracts

/// The hold of a running stream: how many output tokens it pays for, and when more must be asked for.
///
/// More is asked for while something is left, so that the answer goes on meanwhile; refused once, no more is asked for.
struct RunningHold: Sendable {
    /// How the answer's length is bound, which says when the hold may run out.
    enum Bound: Sendable {
        /// By nobody: the hold is what an answer usually takes.
        case none
        /// By the caller, and the hold pays for all of it: only a provider that ignores the bound gets beyond.
        case callers
        /// By us, to what there was. The account had no more.
        case ours
    }

    /// On top of what is held.
    struct Extension: Hashable, Sendable {
        var step: Int64
        var amount: Credits
        var amountLeast: Credits
    }

    /// Tokens of each answer that must be left while more is asked for: two seconds and a half at a hundred tokens a second. Of an
    /// answer that is usually short a quarter, if that is less.
    static let marginTokens: Int64 = 256

    let bound: Bound
    /// What all of the answers may take, with what was granted so far.
    private(set) var outputTokens: Int64
    /// The hold grows no more.
    private(set) var isFinal: Bool

    private let promptTokens: Int64
    private let answers: Int64
    private let usualOutputTokens: Int64
    private let tariff: Tariff
    private let price: TokenPrice
    private var granted: Credits
    private var steps: Int64 = 0
    private var isAsking = false

    /// - Parameter promptTokens: the bound that was held for.
    init(
        granted: Credits, bound: Bound, promptTokens: Int64, answers: Int64, usualOutputTokens: Int64, tariff: Tariff, price: TokenPrice
    ) {
        self.granted = granted
        self.bound = bound
        self.promptTokens = promptTokens
        self.answers = answers
        self.usualOutputTokens = usualOutputTokens
        self.tariff = tariff
        self.price = price
        isFinal = bound == .ours
        outputTokens = 0
        outputTokens = tokensPaidFor()
    }

    /// What to ask the ledger for now, if anything: answered by ``extended(by:)`` or ``refused()``, whichever comes, before it says more.
    /// - Parameters:
    ///   - delivered: output tokens of all answers, as far as they went to the caller.
    ///   - isUsedUp: the next tokens are here, and beyond the hold.
    mutating func next(delivered: Int64, isUsedUp: Bool) -> Extension? {
        let margin = bound == .none ? min(Self.marginTokens, usualOutputTokens / 4) * answers : 0
        guard !isAsking, !isFinal, isUsedUp || bound == .none && outputTokens - delivered < margin else { return nil }
        let each = outputTokens / answers
        // Half as much again as there is, so that a long answer takes few steps.
        let slice = max(usualOutputTokens, each / 2)
        let amount = min(credits(for: each + slice) ?? HoldEstimate.amountMax, HoldEstimate.amountMax) - granted
        guard amount > .zero else {
            isFinal = true
            return nil
        }
        let least = (credits(for: each + min(slice, HoldEstimate.usefulOutputTokens)) ?? granted + amount) - granted
        isAsking = true
        steps += 1
        return Extension(step: steps, amount: amount, amountLeast: min(max(least, Credits(nano: 1)), amount))
    }

    mutating func extended(by more: Credits) {
        isAsking = false
        granted += more
        outputTokens = tokensPaidFor()
    }

    mutating func refused() {
        isAsking = false
        isFinal = true
    }

    var coverage: StreamMeter.Coverage { .init(outputTokens: outputTokens, countsEventsOnly: bound != .none) }

    private func tokensPaidFor() -> Int64 {
        answers
            * HoldEstimate.outputTokens(
                affordableWith: granted, promptTokens: promptTokens, upTo: TokenUsage.reportedMax / ChatRequest.answersMax,
                answers: answers,
                tariff: tariff, price: price)
    }

    private func credits(for outputTokens: Int64) -> Credits? {
        tariff.credits(for: TokenUsage(promptTokens: promptTokens, completionTokens: outputTokens * answers), at: price)
    }
}
