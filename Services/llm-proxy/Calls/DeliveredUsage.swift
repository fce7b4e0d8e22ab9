extension Usage {
    /// Returns the usage with an estimate of the prompt, if the provider counts output but no
    /// prompt. No output comes without a prompt.
    func withPrompt(_ likely: @autoclosure () -> Int64) -> (usage: Usage, isEstimated: Bool) {
        guard promptTokens == 0, completionTokens > 0 else { return (self, false) }
        return (Usage(promptTokens: likely(), completionTokens: completionTokens), true)
    }
}

extension WholeAnswer {
    /// Returns the usage that the answer is charged for. It is the provider's figure. If the provider
    /// reports no usage of what it delivered, it is our count of four bytes a token. Zero completion
    /// tokens mean that there was no answer.
    func delivered(promptTokens: @autoclosure () -> Int64) -> (usage: Usage, isEstimated: Bool) {
        if let reported, reported.completionTokens > 0 { return reported.withPrompt(promptTokens()) }
        let counted = (contentBytes + 3) / 4
        guard counted > 0 else { return (reported ?? Usage(promptTokens: 0, completionTokens: 0), reported == nil) }
        let prompt = reported.map(\.promptTokens) ?? 0
        return (Usage(promptTokens: prompt > 0 ? prompt : promptTokens(), completionTokens: counted), true)
    }
}
