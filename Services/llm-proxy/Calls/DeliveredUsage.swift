import Contracts

extension Usage {
    /// Returns the usage with an estimate of the prompt, if the provider counts output but no
    /// prompt. No output comes without a prompt.
    func withPrompt(_ likely: @autoclosure () -> Int64) -> (usage: Usage, isEstimated: Bool) {
        guard promptTokens == 0, completionTokens > 0 else { return (self, false) }
        var usage = self
        usage[.input] = likely()
        return (usage, true)
    }

    /// Returns the usage with at least `tokens` of output.
    /// - Parameter unit: the unit of the output that the provider did not report.
    func withOutput(atLeast tokens: Int64, of unit: UsageUnit) -> Usage {
        var usage = self
        usage[unit] += max(0, tokens - completionTokens)
        return usage
    }
}

extension WholeAnswer {
    /// Returns the usage that the answer is charged for. It is the provider's figure. If the provider
    /// reports no usage of what it delivered, it is our count of four bytes a token. Zero completion
    /// tokens mean that there was no answer, unless it has a result without output tokens.
    func delivered(promptTokens: @autoclosure () -> Int64, of unit: UsageUnit = .output) -> (usage: Usage, isEstimated: Bool) {
        if hasUncountedResult {
            if let reported, reported.promptTokens > 0 { return (reported, false) }
            return (Usage(promptTokens: promptTokens(), completionTokens: 0), true)
        }
        if let reported, reported.completionTokens > 0 { return reported.withPrompt(promptTokens()) }
        let counted = (contentBytes + 3) / 4
        guard counted > 0 else { return (reported ?? .none, reported == nil) }
        return ((reported ?? .none).withOutput(atLeast: counted, of: unit).withPrompt(promptTokens()).usage, true)
    }
}
