import HTTPWire

/// Anthropic's Messages API.
struct Anthropic: ProviderAdapter {
    func format(for surface: Surface) -> (any WireFormat)? {
        switch surface {
        case .chat: ChatOverMessages()
        case .messages: AnthropicMessages()
        case .responses, .embeddings, .completions, .images, .imageEdits, .speech, .transcriptions, .videos: nil
        }
    }

    func credentials(_ key: String) -> HeaderBlock {
        var headers: HeaderBlock = ["anthropic-version": "2023-06-01"]
        headers.add("x-api-key", key)
        return headers
    }
}
