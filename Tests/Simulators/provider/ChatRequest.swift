import HTTP
import JSON

/// The members that the simulator reads of a chat completion request.
struct ChatRequest: Sendable {
    let model: String
    let streams: Bool
    let includesUsage: Bool
    let maxTokens: Int?
    /// One for every four bytes of message text, rounded up, at least one.
    let promptTokens: Int

    init(_ body: [UInt8]) throws(JSONError) {
        let json = try JSONObject(body)
        model = try json.string("model")
        streams = try json.optionalBool("stream") ?? false
        includesUsage = try json.optionalObject("stream_options")?.optionalBool("include_usage") ?? false
        var limit = try json.optionalInteger("max_completion_tokens")
        if limit == nil { limit = try json.optionalInteger("max_tokens") }
        maxTokens = limit.map { Int(clamping: max(0, $0)) }
        var bytes = 0
        for message in try json.array("messages") {
            guard let message = message.object, let kind = message.member("content")?.kind else { continue }
            if kind == .string { bytes += try message.string("content").utf8.count }
            if kind == .array {
                for part in try message.array("content") { bytes += try part.object?.optionalString("text")?.utf8.count ?? 0 }
            }
        }
        promptTokens = max(1, (bytes + 3) / 4)
    }
}
