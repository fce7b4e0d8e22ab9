import JSON
import SSE
import Text

/// The reader of Anthropic's stream. Events pass through unchanged. The last `message_delta` and the
/// end marker are held back, because the client sees them only when the charge is safe.
struct AnthropicEvents: EventReader {
    private var usage = AnthropicUsage()
    private var hasBlocks = false
    private var isDone = false
    /// A `message_delta` that was held back. It goes on before another event that is not the end.
    private var held: [UInt8] = []

    mutating func read(_ event: SSEEvent) -> StreamEvent {
        guard !isDone, let data = event.data, !data.isEmpty else { return StreamEvent(output: .nothing) }
        if "error" ~= event.name { return .failed(.failedMidStream) }
        let json = JSONScan(data)
        guard let type = json["type"]?.bytes else { return .failed(.wrongAnswer("with an event that has no type")) }
        var read: StreamEvent
        switch type {
        case #""message_start""#: read = start(json)
        case #""content_block_start""#:
            hasBlocks = true
            read = content(json["content_block"])
        case #""content_block_delta""#:
            hasBlocks = true
            read = content(json["delta"])
        case #""content_block_stop""#: read = StreamEvent()
        // A ping does not end the wait for the last event.
        case #""ping""#: return StreamEvent(output: held.isEmpty ? .asSent : .nothing)
        case #""message_delta""#: return change(json, event)
        case #""message_stop""#:
            isDone = true
            return StreamEvent(output: .nothing, isEnd: true)
        case #""error""#: return .failed(.failedMidStream)
        // No request asks for other events.
        default: return StreamEvent(output: .nothing)
        }
        if !held.isEmpty {
            read.output = .instead(held + event.raw)
            // The endpoint must not send it a second time.
            read.usageChunk = []
            held = []
        }
        return read
    }

    private mutating func start(_ json: JSONScan) -> StreamEvent {
        guard let message = json["message"] else { return .failed(.wrongAnswer("with something else than a message")) }
        if let reported = message["usage"] { usage.update(reported) }
        // The first count of output tokens speaks of no content yet.
        usage.output = 0
        return StreamEvent(usage: usage.tokens)
    }

    private func content(_ block: JSONScan?) -> StreamEvent {
        guard let block else { return StreamEvent() }
        let bytes = AnthropicContent.bytes(of: block)
        guard bytes > 0 || AnthropicContent.isHidden(block) else { return StreamEvent() }
        return StreamEvent(choicesWithContent: 1, contentBytes: Int64(bytes))
    }

    /// Takes usage, a reason for the end, or both. The answer may go on, and more changes may come.
    private mutating func change(_ json: JSONScan, _ event: SSEEvent) -> StreamEvent {
        var read = StreamEvent(output: held.isEmpty ? .nothing : .instead(held))
        held = Array(event.raw)
        if let reported = json["usage"], usage.update(reported) {
            if !hasBlocks { usage.output = 0 }
            read.usage = usage.tokens
        }
        read.usageChunk = event.data.map { Array($0) }
        return read
    }
}
