import Contracts
import JSON
import SSE
import Text
import Values

/// The encoder of Anthropic's stream as chunks in OpenAI's shape.
struct ChatOverMessagesEvents: EventReader {
    /// A call of a tool whose block is open.
    private struct OpenCall {
        var index: Int
        /// The arguments that stood at the start of the block. They count if no part of them follows.
        var arguments: [UInt8]
        var hasParts = false
    }

    private let context: AnswerContext
    private var id = ""
    private var usage = AnthropicUsage()
    private var hasBlocks = false
    private var calls = 0
    private var openCall: OpenCall?
    /// True once the client got the reason why the answer ended.
    private var hasFinished = false
    private var isDone = false

    init(_ context: AnswerContext) { self.context = context }

    mutating func read(_ event: SSEEvent) -> StreamEvent {
        guard !isDone, let data = event.data else { return StreamEvent(output: .nothing) }
        let json = JSONScan(data)
        switch json["type"]?.bytes ?? UnsafeRawBufferPointer(start: nil, count: 0) {
        case #""message_start""#: return start(json)
        case #""content_block_start""#: return begin(json["content_block"])
        case #""content_block_delta""#: return change(json["delta"])
        case #""content_block_stop""#: return endBlock()
        case #""message_delta""#: return change(json)
        case #""message_stop""#:
            isDone = true
            return StreamEvent(output: hasFinished ? .nothing : .instead(finish("stop")), isEnd: true)
        case #""error""#: return .failed(.failedMidStream)
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

    // MARK: Blocks

    /// A block may begin with content, before its deltas.
    private mutating func begin(_ block: JSONScan?) -> StreamEvent {
        guard let block, let type = block["type"]?.bytes else { return .failed(.wrongAnswer("with a block that has no type")) }
        hasBlocks = true
        switch type {
        case #""text""#: return content(block["text"], as: "content")
        case #""thinking""#: return content(block["thinking"], as: "reasoning_content")
        // A hidden thought is output that the client does not see.
        case #""redacted_thinking""#: return StreamEvent(output: .nothing, choicesWithContent: 1)
        case #""tool_use""#: return call(block)
        default: return .failed(.wrongAnswer("with content that no request asks for"))
        }
    }

    private mutating func change(_ delta: JSONScan?) -> StreamEvent {
        guard let delta, let type = delta["type"]?.bytes else { return StreamEvent(output: .nothing) }
        hasBlocks = true
        switch type {
        case #""text_delta""#: return content(delta["text"], as: "content")
        case #""thinking_delta""#: return content(delta["thinking"], as: "reasoning_content")
        case #""input_json_delta""#:
            guard let part = delta["partial_json"], let decoded = part.string else {
                return .failed(.wrongAnswer("with arguments that cannot be read"))
            }
            guard !decoded.isEmpty, let call = openCall else { return StreamEvent(output: .nothing) }
            openCall?.hasParts = true
            return arguments(part.bytes, of: call)
        default: return StreamEvent(output: .nothing)
        }
    }

    /// Passes a text or a thought on.
    private func content(_ text: JSONScan?, as member: String) -> StreamEvent {
        guard let text, !text.isNull else { return StreamEvent(output: .nothing) }
        guard let decoded = text.string else { return .failed(.wrongAnswer("with a text that cannot be read")) }
        guard !decoded.isEmpty else { return StreamEvent(output: .nothing) }
        return delta(bytes: OpenAIContent.bytes(ofValue: text.bytes)) { $0.field(member, raw: text.bytes) }
    }

    private mutating func call(_ block: JSONScan) -> StreamEvent {
        guard let id = block["id"], id.string != nil, let name = block["name"], name.string != nil else {
            return .failed(.wrongAnswer("with a call of a tool that cannot be read"))
        }
        let index = calls
        calls += 1
        openCall = OpenCall(index: index, arguments: block["input"].map { Array($0.bytes) } ?? Array("{}".utf8))
        return delta(bytes: AnthropicContent.bytes(of: block)) { delta in
            delta.array("tool_calls") { list in
                list.object { call in
                    call.field("index", index)
                    call.field("id", raw: id.bytes)
                    call.field("type", "function")
                    call.object("function") { function in
                        function.field("name", raw: name.bytes)
                        function.field("arguments", "")
                    }
                }
            }
        }
    }

    /// - Parameter text: a JSON string with a part of the arguments.
    private func arguments(_ text: UnsafeRawBufferPointer, of call: OpenCall) -> StreamEvent {
        delta(bytes: OpenAIContent.bytes(ofValue: text)) { delta in
            delta.array("tool_calls") { list in
                list.object { json in
                    json.field("index", call.index)
                    json.object("function") { $0.field("arguments", raw: text) }
                }
            }
        }
    }

    /// The arguments of a call without any are an empty object.
    private mutating func endBlock() -> StreamEvent {
        defer { openCall = nil }
        guard let call = openCall, !call.hasParts else { return StreamEvent(output: .nothing) }
        var text = JSONWriter()
        text.string(String(decoding: call.arguments, as: UTF8.self))
        // Its bytes were counted at the start of the block.
        var event = text.bytes.withUnsafeBytes { arguments($0, of: call) }
        (event.choicesWithContent, event.contentBytes) = (0, 0)
        return event
    }

    private func delta(bytes: Int, _ write: (inout JSONWriter) -> Void) -> StreamEvent {
        let chunk = chunk { choice in
            choice.object("delta", write)
            choice.field("finish_reason", nil as String?)
        }
        return StreamEvent(output: .instead(SSEEvent.encode(chunk)), choicesWithContent: 1, contentBytes: Int64(bytes))
    }

    // MARK: The end

    /// Takes usage, a reason for the end, or both. The answer may go on, and more changes may come.
    private mutating func change(_ json: JSONScan) -> StreamEvent {
        var event = StreamEvent(output: .nothing)
        if let reported = json["usage"], usage.update(reported) {
            if !hasBlocks { usage.output = 0 }
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
        case "tool_use": "tool_calls"
        // A paused turn is not finished either.
        case "max_tokens", "model_context_window_exceeded", "pause_turn": "length"
        case "refusal": "content_filter"
        default: "stop"
        }
    }
}
