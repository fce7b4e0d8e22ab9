import Contracts

/// A shape in which clients call models. The raw value is its name in the providers file and in the
/// table `route`.
enum Surface: String, CaseIterable, Sendable {
    case chat, messages, responses, embeddings, completions, images, speech, transcriptions, videos
    case imageEdits = "image_edits"

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
        case .images: "/v1/images/generations"
        case .imageEdits: "/v1/images/edits"
        case .speech: "/v1/audio/speech"
        case .transcriptions: "/v1/audio/transcriptions"
        case .videos: "/v1/videos"
        }
    }

    /// The member of a request that has the prompt.
    var promptMember: String {
        switch self {
        case .chat, .messages: "messages"
        case .responses, .embeddings, .speech: "input"
        case .completions, .images, .imageEdits, .videos: "prompt"
        case .transcriptions: "file"
        }
    }

    /// Returns true if calls of the surface can be charged by these prices.
    func isSold(by price: PriceVersion) -> Bool {
        let units = price.units.units
        return switch self {
        case .chat, .messages, .responses, .embeddings, .completions: units.isSuperset(of: [.input, .output])
        case .images, .imageEdits: units.contains(.image) || units.contains(.input) && !units.isDisjoint(with: [.output, .imageOutput])
        case .videos: price.sells(.videoSecond) || price.sells(.request)
        case .transcriptions: units.contains(.audio30s) || units.isSuperset(of: [.input, .audioInput, .output])
        case .speech:
            units.contains(.character) || units.contains(.request) || units.isSuperset(of: [.input, .audioOutput])
        }
    }
}
