/// The numbers of one model that bound the price of a call, in tokens. They are in the providers
/// file and in the table `model`.
struct ModelLimits: Hashable, Sendable {
    enum Reasoning: String, CaseIterable, Sendable {
        case none
        /// The model's thoughts arrive as content of the stream.
        case visible
        /// The provider bills thoughts that it does not send.
        case hidden
    }

    /// The request member in which the provider reads the limit of an answer.
    enum OutputLimitMember: String, CaseIterable, Sendable {
        case maxTokens = "max_tokens"
        case maxCompletionTokens = "max_completion_tokens"
    }

    /// The tokens of prompt and answer together.
    var contextTokens: Int64
    /// The longest answer that the model can give. It bounds the output of a call without a limit.
    var maxOutputTokens: Int64
    /// The length of a usual answer.
    var defaultOutputTokens: Int64
    /// The shortest limit with which an answer is of use.
    var outputTokensLeast: Int64
    /// The most tokens that one picture takes. A model without it takes no pictures.
    var imageTokensMax: Int64?
    var reasoning: Reasoning
    var outputLimitMember: OutputLimitMember

    /// The limits of a model whose calls have no tokens.
    static let none = ModelLimits(
        contextTokens: 1, maxOutputTokens: 1, defaultOutputTokens: 1, outputTokensLeast: 1, reasoning: .none, outputLimitMember: .maxTokens)

    static let contextRange: ClosedRange<Int64> = 1...100_000_000
    static let outputRange: ClosedRange<Int64> = 1...10_000_000
    static let imageRange: ClosedRange<Int64> = 1...1_000_000

    /// Returns the default of `output_tokens_least`. Hidden thoughts would use up 64 tokens and
    /// leave an empty answer.
    static func usualLeast(_ reasoning: Reasoning, maxOutputTokens: Int64) -> Int64 {
        min(reasoning == .hidden ? 2_048 : 64, maxOutputTokens)
    }
}
