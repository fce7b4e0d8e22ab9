import Contracts
import JSON
import SSE
import Values

/// The encoder of Anthropic's stream as chunks in OpenAI's shape. It knows text only.
struct ChatOverMessagesEvents: EventReader {
    private let context: AnswerContext
    private var id = ""
    private var usage = AnthropicUsage()
    /// True once the client got the reason why the answer ended.
    private var hasFinished = false
    private var isDone = false

    init(_ context: AnswerContext) { self.context = context }

    mutating func read(_ event: SSEEvent) -> StreamEvent {
        guard !isDone, let data = event.data else { return StreamEvent(output: .nothing) }
        let json = JSONScan(data)
        switch json["type"]?.string {
        case "message_start": return start(json)
        case "content_block_start":
            // Other blocks come only after a request for them, and no request asks for one.
            guard let block = json["content_block"], block["type"]?.string == "text" else {
                return .failed(.wrongAnswer("with content that is not text"))
            }
            return content(block["text"])
        case "content_block_delta":
            guard let delta = json["delta"], delta["type"]?.string == "text_delta" else { return StreamEvent(output: .nothing) }
            return content(delta["text"])
        case "message_delta": return change(json)
        case "message_stop":
            isDone = true
            return StreamEvent(output: hasFinished ? .nothing : .instead(finish("stop")), isEnd: true)
        case "error": return .failed(.failedMidStream)
        default: return StreamEvent(output: .nothing)
        }
    }

    private mutating func start(_ json: JSONScan) -> StreamEvent {
        guard let message = json["message"] else { return .failed(.wrongAnswer("with something else than a message")) }
        id = message["id"]?.string ?? ""
        if let reported = message["usage"] { usage.update(reported) }
        // The first count of output tokens speaks of no content yet.
        usage.output = 0
        let chunk = chunk { choice in
            choice.object("delta") { delta in
                delta.field("role", "assistant")
                delta.field("content", "")
            }
            choice.field("finish_reason", nil as String?)
        }
        return StreamEvent(output: .instead(SSEEvent.encode(chunk)), usage: usage.tokens)
    }

    /// Passes a text on. A block may begin with one, before its deltas.
    private func content(_ text: JSONScan?) -> StreamEvent {
        guard let text, !text.isNull else { return StreamEvent(output: .nothing) }
        guard let decoded = text.string else { return .failed(.wrongAnswer("with a text that cannot be read")) }
        guard !decoded.isEmpty else { return StreamEvent(output: .nothing) }
        let chunk = chunk { choice in
            choice.object("delta") { $0.field("content", raw: text.bytes) }
            choice.field("finish_reason", nil as String?)
        }
        return StreamEvent(
            output: .instead(SSEEvent.encode(chunk)), choicesWithContent: 1,
            contentBytes: Int64(OpenAIContent.bytes(ofValue: text.bytes)))
    }

    /// Takes usage, a reason for the end, or both. The answer may go on, and more changes may come.
    private mutating func change(_ json: JSONScan) -> StreamEvent {
        var event = StreamEvent(output: .nothing)
        if let reported = json["usage"], usage.update(reported) {
            event.usage = usage.tokens
            event.usageChunk = JSONWriter.object { chunk in
                writeHead(of: &chunk)
                chunk.array("choices") { _ in }
                chunk.object("usage") { usage.write(to: &$0) }
            }
        }
        if !hasFinished, let reason = json["delta"]?["stop_reason"]?.string {
            hasFinished = true
            event.output = .instead(finish(Self.finishReason(reason)))
        }
        return event
    }

    private func finish(_ reason: String) -> [UInt8] {
        SSEEvent.encode(
            chunk { choice in
                choice.object("delta") { _ in }
                choice.field("finish_reason", reason)
            })
    }

    private func chunk(_ write: (inout JSONWriter) -> Void) -> [UInt8] {
        JSONWriter.object { chunk in
            writeHead(of: &chunk)
            chunk.array("choices") { choices in
                choices.object { choice in
                    choice.field("index", 0)
                    write(&choice)
                }
            }
        }
    }

    private func writeHead(of chunk: inout JSONWriter) {
        chunk.field("id", id)
        chunk.field("object", "chat.completion.chunk")
        chunk.field("created", context.createdAt)
        chunk.field("model", context.model)
    }

    static func finishReason(_ stopReason: String?) -> String {
        switch stopReason {
        case "max_tokens", "model_context_window_exceeded": "length"
        case "refusal": "content_filter"
        default: "stop"
        }
    }
}
