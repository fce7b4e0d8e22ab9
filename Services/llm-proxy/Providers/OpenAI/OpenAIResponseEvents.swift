import Contracts
import JSON
import SSE
import Text

/// The reader of a stream of OpenAI's Responses. Events pass through unchanged; the last one is held
/// back, because the client sees it only when the charge is safe.
struct OpenAIResponseEvents: EventReader {
    /// The last event has the whole answer, and the instructions and tools of the request.
    let eventBytesMax = 16 << 20

    private var hasContent = false
    private var isDone = false

    mutating func read(_ event: SSEEvent) -> StreamEvent {
        guard !isDone, let data = event.data, !data.isEmpty else { return StreamEvent(output: .nothing) }
        // Some servers end every stream with this marker.
        if data.starts(with: "[DONE]".utf8) { return StreamEvent(output: .nothing) }
        let json = JSONScan(data)
        guard json.isObject else { return .failed(.wrongAnswer("with an event that is no JSON object")) }
        var (read, type, response, hasFailed) = (StreamEvent(), JSONScan?.none, JSONScan?.none, false)
        json.forEachMember { name, value in
            switch name {
            case "type": type = value
            case "response": response = value
            case "delta": read.contentBytes = Int64(OpenAIContent.bytes(ofValue: value.bytes))
            case "sequence_number": read.number = value.integer
            case "error": hasFailed = hasFailed || !value.isNull
            default: break
            }
            return true
        }
        switch type?.string {
        case "error", "response.failed": return .failed(.failedMidStream)
        case "response.completed", "response.incomplete":
            guard let response, response.isObject, response["error"]?.isNull ?? true else { return .failed(.failedMidStream) }
            isDone = true
            let usage = OpenAIResponses.usage(of: response)
            // Some servers send no deltas.
            let bytes = usage == nil && !hasContent ? OpenAIResponses.content(response) : 0
            return StreamEvent(
                output: .nothing, choicesWithContent: bytes > 0 ? 1 : 0, contentBytes: bytes, usage: usage, usageChunk: Array(data),
                number: read.number, isEnd: true)
        case let type? where type.hasSuffix(".delta") && read.contentBytes > 0:
            hasContent = true
            read.choicesWithContent = 1
        // Events such as `response.output_text.done` repeat the content.
        default: read.contentBytes = 0
        }
        return hasFailed || "error" ~= event.name ? .failed(.failedMidStream) : read
    }
}
