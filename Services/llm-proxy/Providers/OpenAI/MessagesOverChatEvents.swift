import JSON
import SSE
import Text

/// The encoder of an OpenAI-compatible stream as events of Anthropic's Messages API.
struct MessagesOverChatEvents: EventReader {
    private enum Block: Equatable {
        case thinking, text
        /// - id: the id of the call as it is written.
        case call(index: Int64, id: [UInt8])
    }

    private let context: AnswerContext
    /// Counts the content, and finds failures and the end.
    private var chat: OpenAIEvents
    private var hasStarted = false
    /// The block that is open, and the number of blocks that were.
    private var open: Block?
    private var blocks = 0
    private var hasCalls = false
    private var reason: String?
    private var usage: Usage?

    init(_ context: AnswerContext) {
        self.context = context
        var asking = context
        asking.includeUsage = true
        chat = OpenAIEvents(asking)
    }

    mutating func read(_ event: SSEEvent) -> StreamEvent {
        var read = chat.read(event)
        guard read.failure == nil, let data = event.data, !data.isEmpty else {
            read.output = .nothing
            return read
        }
        var output: [UInt8] = []
        let chunk = JSONScan(data)
        if chunk.isObject {
            start(chunk, &output)
            chunk["choices"]?.forEachElement { choice in
                if let flaw = take(choice, &output) { read.failure = flaw }
                return false
            }
        }
        if let reported = read.usage { usage = reported }
        if read.isEnd { close(&output) }
        read.usageChunk = read.usage != nil || read.isEnd ? change : nil
        read.output = output.isEmpty ? .nothing : .instead(output)
        return read.failure.map { StreamEvent(output: .nothing, failure: $0) } ?? read
    }

    private mutating func start(_ chunk: JSONScan, _ output: inout [UInt8]) {
        guard !hasStarted else { return }
        hasStarted = true
        output += Self.event("message_start") { json in
            json.object("message") { message in
                message.field("id", chunk["id"]?.string ?? "")
                message.field("type", "message")
                message.field("role", "assistant")
                message.field("model", context.model)
                message.array("content") { _ in }
                message.field("stop_reason", nil as String?)
                message.field("stop_sequence", nil as String?)
                // The counts follow at the end of the stream.
                message.object("usage") { Usage.none.writeMessageUsage(to: &$0) }
            }
        }
    }

    // MARK: Content

    private mutating func take(_ choice: JSONScan, _ output: inout [UInt8]) -> ProviderFailure? {
        let delta = choice["delta"] ?? choice["message"]
        // Some servers send one thought under two names.
        let thought = delta?["reasoning_content"].flatMap(Self.text) ?? delta?["reasoning"].flatMap(Self.text)
        let texts = [
            (thought, Block.thinking), (delta?["content"].flatMap(Self.text), .text), (delta?["refusal"].flatMap(Self.text), .text),
        ]
        for case (let text?, let block) in texts {
            guard text.string != nil else { return ProviderFailure(.wrongAnswer("with a text that cannot be read")) }
            write(text, to: block, &output)
        }
        var flaw: ProviderFailure?
        delta?["tool_calls"]?.forEachElement { call in
            flaw = take(call: call, &output)
            return flaw == nil
        }
        if let word = choice["finish_reason"]?.string {
            reason = word
            close(&output)
        }
        return flaw
    }

    /// Returns nil for an empty text, and for another value.
    private static func text(_ value: JSONScan) -> JSONScan? {
        value.bytes.count > 2 && value.bytes.first == UInt8(ascii: "\"") ? value : nil
    }

    private mutating func write(_ text: JSONScan, to block: Block, _ output: inout [UInt8]) {
        let isThought = block == .thinking
        if open != block {
            begin(block, &output) { json in
                json.field("type", isThought ? "thinking" : "text")
                json.field(isThought ? "thinking" : "text", "")
                if isThought { json.field("signature", "") }
            }
        }
        self.delta(&output) { json in
            json.field("type", isThought ? "thinking_delta" : "text_delta")
            json.field(isThought ? "thinking" : "text", raw: text.bytes)
        }
    }

    /// Takes a part of a call. A part with another index, or another id, begins the next call.
    private mutating func take(call: JSONScan, _ output: inout [UInt8]) -> ProviderFailure? {
        let function = call["function"]
        let id = call["id"].flatMap { $0.string?.isEmpty == false ? Array($0.bytes) : nil }
        var index = call["index"]?.integer
        if case .call(let current, let currentID)? = open, index ?? current == current, id ?? currentID == currentID {
            index = current
        } else {
            guard let id, let name = function?["name"], name.string?.isEmpty == false else {
                return ProviderFailure(.wrongAnswer("with parts of calls that are mixed"))
            }
            hasCalls = true
            begin(.call(index: index ?? Int64(blocks), id: id), &output) { json in
                json.field("type", "tool_use")
                json.field("id", raw: id)
                json.field("name", raw: name.bytes)
                json.object("input") { _ in }
            }
        }
        guard let arguments = function?["arguments"], !arguments.isNull else { return nil }
        var text = Array(arguments.bytes)
        if arguments.isObject {
            // Some servers send the object instead of its text.
            var json = JSONWriter()
            json.string(String(decoding: arguments.bytes, as: UTF8.self))
            text = json.bytes
        } else if arguments.string == nil {
            return ProviderFailure(.wrongAnswer("with arguments that cannot be read"))
        }
        guard text.count > 2 else { return nil }
        self.delta(&output) { json in
            json.field("type", "input_json_delta")
            json.field("partial_json", raw: text)
        }
        return nil
    }

    // MARK: Blocks

    private mutating func begin(_ block: Block, _ output: inout [UInt8], _ content: (inout JSONWriter) -> Void) {
        close(&output)
        open = block
        output += Self.event("content_block_start") { json in
            json.field("index", blocks)
            json.object("content_block", content)
        }
    }

    private func delta(_ output: inout [UInt8], _ delta: (inout JSONWriter) -> Void) {
        output += Self.event("content_block_delta") { json in
            json.field("index", blocks)
            json.object("delta", delta)
        }
    }

    private mutating func close(_ output: inout [UInt8]) {
        guard open != nil else { return }
        open = nil
        output += Self.event("content_block_stop") { $0.field("index", blocks) }
        blocks += 1
    }

    /// The data of the last `message_delta`.
    private var change: [UInt8] {
        JSONWriter.object { json in
            json.field("type", "message_delta")
            json.object("delta") { delta in
                delta.field("stop_reason", MessagesOverChat.stopReason(reason, hasCalls: hasCalls))
                delta.field("stop_sequence", nil as String?)
            }
            if let usage { json.object("usage") { usage.writeMessageUsage(to: &$0) } }
        }
    }

    private static func event(_ name: StaticString, _ write: (inout JSONWriter) -> Void) -> [UInt8] {
        let data = JSONWriter.object { json in
            json.field("type", name.description)
            write(&json)
        }
        return SSEEvent.encode(data, name: name)
    }
}
