/// The size of a request's prompt, with bounds of its tokens before the provider counts them.
struct PromptSize: Hashable, Sendable {
    /// The bytes of the body outside pictures, with escapes decoded: `\u0e01` counts three. Roles,
    /// tools and schemas are counted as they are.
    var textBytes: Int64
    var messages: Int64
    var pictures: Int64
    /// The tokens that the client sent as numbers. They are not in ``textBytes``.
    var tokens: Int64 = 0
    /// The bytes of sound. It has at most as many tokens as the context takes.
    var soundBytes: Int64 = 0
    /// The tokens that the provider adds, such as its own text about tools.
    var addedTokens: Int64 = 0

    /// The most tokens that a chat template adds to one message.
    static let tokensPerMessage: Int64 = 16
    /// A second of 128 kbit has ten tokens.
    private static let bytesOfSoundToken: Int64 = 1_600

    /// Returns an upper bound of the provider's count: a byte-level tokenizer makes at most one
    /// token of a byte.
    func tokensMax(_ limits: ModelLimits) -> Int64 {
        guard soundBytes == 0 else { return limits.contextTokens }
        return min(tokens + textBytes + messages * Self.tokensPerMessage + addedTokens, limits.contextTokens) + pictureTokens(limits)
    }

    /// Returns one token for two bytes. No common language needs more tokens, but a hostile text
    /// can.
    func tokensLeast(_ limits: ModelLimits) -> Int64 {
        guard soundBytes == 0 else { return limits.contextTokens }
        return min(tokens + (textBytes + messages * Self.tokensPerMessage + 1) / 2 + addedTokens, limits.contextTokens)
            + pictureTokens(limits)
    }

    /// Returns one token for four bytes of text, as in English, and ten for a second of sound in the
    /// usual quality. It is the charge if the provider does not report the prompt.
    func estimatedTokens(_ limits: ModelLimits) -> Int64 {
        let sound = soundBytes / Self.bytesOfSoundToken
        return min(max(1, tokens + textBytes / 4 + sound) + addedTokens / 2, limits.contextTokens) + pictureTokens(limits)
    }

    private func pictureTokens(_ limits: ModelLimits) -> Int64 { pictures * (limits.imageTokensMax ?? 0) }
}
