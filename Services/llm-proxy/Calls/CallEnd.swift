import Contracts

/// The end of one call as the proxy saw it. It decides the charge for every way in which a call can
/// end.
struct CallEnd: Sendable {
    /// The part of the provider's answer that came.
    enum Answer: Hashable, Sendable {
        /// The answer has no head, or is a success without a first token.
        case none
        case refused(status: Int)
        /// Some output went to the client.
        case partial
        case whole
    }

    enum Charge: Hashable, Sendable {
        case nothing(because: String)
        case usage(Usage, isEstimated: Bool, end: CallFacts.End)
    }

    var answer: Answer
    /// The reason why an answer is not whole.
    var stoppedBy = CallFacts.End.completed
    /// The usage of what was delivered, or of the whole answer.
    var delivered = Usage.none
    var isEstimated = false
    /// True if the answer has a result without output tokens.
    var hasUncountedResult = false
    /// True if the prompt has no price of its own.
    var isPromptFree = false
    /// The usage that the provider reported last.
    var reported: Usage?
    var estimatedPromptTokens: Int64 = 0
    var isClientGone = false
    /// True if the provider's kernel acknowledged the whole request, or the provider answered it.
    var isAcknowledged = false
    /// True if the provider has answered no call for ``ProviderWatch/silence``.
    var isProviderSilent = false

    /// The charge by the table of docs/billing-policy.md.
    var charge: Charge {
        switch answer {
        case .refused(let status): return .nothing(because: "the provider answered \(status)")
        // A written cache makes later calls cheaper.
        case .whole where delivered.completionTokens == 0 && !hasUncountedResult && !delivered.hasWrittenCache:
            return .nothing(because: "the answer is empty")
        case .whole: return .usage(delivered, isEstimated: isEstimated, end: isClientGone ? .clientDisconnected : .completed)
        // Sound is sold by its text. The client has the sound that it wanted, or left it.
        case .partial where hasUncountedResult && stoppedBy == .clientDisconnected:
            return .usage(delivered, isEstimated: isEstimated, end: stoppedBy)
        case .partial where delivered.completionTokens > 0: return .usage(delivered, isEstimated: isEstimated, end: stoppedBy)
        case .partial, .none: break
        }
        guard stoppedBy == .clientDisconnected else { return .nothing(because: "\(stoppedBy.rawValue) before the first token") }
        guard isAcknowledged else { return .nothing(because: "the client left before the provider had the request") }
        guard !isProviderSilent else { return .nothing(because: "the client left a provider that is silent") }
        guard !isPromptFree else { return .nothing(because: "the client left before the answer") }
        var usage = reported ?? .none
        let isEstimated = usage.promptTokens == 0
        if isEstimated { usage[.input] = estimatedPromptTokens }
        return .usage(usage, isEstimated: isEstimated, end: .clientDisconnected)
    }
}
