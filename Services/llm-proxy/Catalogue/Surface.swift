/// A shape in which clients call models. The raw value is its name in the providers file and in the
/// table `route`.
enum Surface: String, CaseIterable, Sendable {
    case chat, messages, responses, embeddings, completions

    /// The surfaces of a model whose row names none.
    static let usual: Set<Surface> = [.chat, .messages]

    /// The path of its calls.
    var path: String {
        switch self {
        case .chat: "/v1/chat/completions"
        case .messages: "/v1/messages"
        case .responses: "/v1/responses"
        case .embeddings: "/v1/embeddings"
        case .completions: "/v1/completions"
        }
    }

    /// The member of a request that has the prompt.
    var promptMember: String {
        switch self {
        case .chat, .messages: "messages"
        case .responses, .embeddings: "input"
        case .completions: "prompt"
        }
    }
}
