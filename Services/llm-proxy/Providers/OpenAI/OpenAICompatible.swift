import HTTPWire

/// OpenAI, and every server that has its interface.
struct OpenAICompatible: ProviderAdapter {
    func format(for surface: Surface) -> (any WireFormat)? {
        switch surface {
        case .chat: OpenAIChat()
        case .messages: MessagesOverChat()
        case .responses: OpenAIResponses()
        case .embeddings: OpenAIEmbeddings()
        case .completions: OpenAICompletions()
        case .images: OpenAIImages()
        case .imageEdits: OpenAIImages(path: "/images/edits")
        case .transcriptions: OpenAITranscriptions()
        // A video is a job, and no call.
        case .videos: nil
        case .speech: OpenAISpeech()
        }
    }

    func credentials(_ key: String) -> HeaderBlock {
        var headers = HeaderBlock()
        headers.add("authorization", "Bearer " + key)
        return headers
    }
}
