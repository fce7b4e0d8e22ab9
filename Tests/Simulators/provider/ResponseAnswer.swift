import JSON
import Synchronization

/// Answers of `/v1/responses`, as OpenAI writes them: a message, or a call of the first function of the
/// request.
struct ResponseAnswer: SimulatedAnswer {
    private let request: SimulatedRequest
    let scenario: Scenario
    let pieces: Int
    private let id: String

    private static let count = Atomic(0)

    static func request(_ body: [UInt8]) throws(JSONError) -> SimulatedRequest {
        let json = try JSONObject(body)
        let limit = try json.optionalInteger("max_output_tokens")
        let tools = try json.optionalArray("tools") ?? []
        return SimulatedRequest(
            model: try json.string("model"), streams: try json.optionalBool("stream") ?? false, includesUsage: true,
            maxTokens: limit.map { Int(clamping: max(0, $0)) }, promptTokens: SimulatedText.tokens(ofBytes: try textBytes(json)),
            function: try tools.first?.object?.optionalString("name"))
    }

    private static func textBytes(_ json: JSONObject) throws(JSONError) -> Int {
        guard json.member("input")?.kind == .array else { return try json.string("input").utf8.count }
        var bytes = 0
        for item in try json.array("input") {
            guard let item = item.object, let kind = item.member("content")?.kind else { continue }
            if kind == .string { bytes += try item.string("content").utf8.count }
            if kind == .array {
                for part in try item.array("content") { bytes += try part.object?.optionalString("text")?.utf8.count ?? 0 }
            }
        }
        return bytes
    }

    init(_ request: SimulatedRequest, _ scenario: Scenario) {
        (self.request, self.scenario) = (request, scenario)
        pieces = min(scenario.pieces, request.maxTokens ?? .max)
        id = "simulated\(Self.count.add(1, ordering: .relaxed).newValue)"
    }

    private var isWhole: Bool { pieces == scenario.pieces }
    private var status: String { isWhole ? "completed" : "incomplete" }

    /// Appends a part of the text, or of the arguments, which are an object with the text.
    private func append(piece index: Int, to bytes: inout [UInt8]) {
        if request.function != nil, index == 0 { bytes += Array(#"{\"text\":\""#.utf8) }
        SimulatedText.append(piece: index, of: scenario, to: &bytes)
        if request.function != nil, index == scenario.pieces - 1 { bytes += Array(#"\"}"#.utf8) }
    }

    private var content: [UInt8] {
        var bytes = [UInt8(ascii: "\"")]
        for index in 0..<pieces { append(piece: index, to: &bytes) }
        return bytes + [UInt8(ascii: "\"")]
    }

    // MARK: In one piece

    var body: [UInt8] { response(status, item: item(status, content)) }

    private func item(_ status: String, _ content: [UInt8]) -> [UInt8] {
        JSONWriter.object(reserving: content.count + 512) { item in
            item.field("status", status)
            if let function = request.function {
                item.field("id", "fc_\(id)")
                item.field("type", "function_call")
                item.field("call_id", "call_\(id)")
                item.field("name", function)
                item.field("arguments", raw: content)
            } else {
                item.field("id", "msg_\(id)")
                item.field("type", "message")
                item.field("role", "assistant")
                item.array("content") { $0.raw(part(content)) }
            }
        }
    }

    private func part(_ text: [UInt8]) -> [UInt8] {
        JSONWriter.object(reserving: text.count + 128) { part in
            part.field("type", "output_text")
            part.array("annotations") { _ in }
            part.array("logprobs") { _ in }
            part.field("text", raw: text)
        }
    }

    private func response(_ status: String, item: [UInt8]?) -> [UInt8] {
        JSONWriter.object(reserving: 1_024 + (item?.count ?? 0)) { json in
            json.field("id", "resp_\(id)")
            json.field("object", "response")
            json.field("created_at", 1_750_000_000)
            json.field("status", status)
            json.field("error", nil as String?)
            if status == "incomplete" {
                json.object("incomplete_details") { $0.field("reason", "max_output_tokens") }
            } else {
                json.field("incomplete_details", nil as String?)
            }
            json.field("instructions", nil as String?)
            json.field("model", request.model)
            json.array("output") { list in if let item { list.raw(item) } }
            json.field("parallel_tool_calls", true)
            json.field("service_tier", "default")
            json.field("store", false)
            json.field("tool_choice", "auto")
            json.array("tools") { _ in }
            guard status != "in_progress", scenario.sendsUsage else { return json.field("usage", nil as String?) }
            json.object("usage") { usage in
                usage.field("input_tokens", request.promptTokens)
                usage.object("input_tokens_details") { $0.field("cached_tokens", 0) }
                usage.field("output_tokens", pieces)
                usage.object("output_tokens_details") { $0.field("reasoning_tokens", 0) }
                usage.field("total_tokens", request.promptTokens + pieces)
            }
        }
    }

    // MARK: As events

    /// The number of events before the first piece.
    private var opening: Int { request.function == nil ? 4 : 3 }
    private var kind: String { request.function == nil ? "output_text" : "function_call_arguments" }

    private func event(_ type: String, _ number: Int, _ write: (inout JSONWriter) -> Void) -> [UInt8] {
        let data = JSONWriter.object { json in
            json.field("type", type)
            json.field("sequence_number", number)
            write(&json)
        }
        return Array("event: \(type)\ndata: ".utf8) + data + Array("\n\n".utf8)
    }

    private func writePlace(_ json: inout JSONWriter) {
        json.field("item_id", request.function == nil ? "msg_\(id)" : "fc_\(id)")
        json.field("output_index", 0)
        if request.function == nil { json.field("content_index", 0) }
    }

    var firstEvents: [UInt8] {
        let started = response("in_progress", item: nil)
        var bytes = event("response.created", 0) { $0.field("response", raw: started) }
        bytes += event("response.in_progress", 1) { $0.field("response", raw: started) }
        bytes += event("response.output_item.added", 2) { json in
            json.field("output_index", 0)
            json.field("item", raw: item("in_progress", Array(#""""#.utf8)))
        }
        guard request.function == nil else { return bytes }
        return bytes
            + event("response.content_part.added", 3) { json in
                writePlace(&json)
                json.field("part", raw: part(Array(#""""#.utf8)))
            }
    }

    func event(_ index: Int, into bytes: inout [UInt8]) {
        var delta = [UInt8(ascii: "\"")]
        append(piece: index, to: &delta)
        delta.append(UInt8(ascii: "\""))
        bytes = event("response.\(kind).delta", opening + index) { json in
            writePlace(&json)
            json.field("delta", raw: delta)
            if request.function == nil { json.array("logprobs") { _ in } }
        }
    }

    /// The events that repeat the content, and the whole response.
    var lastEvents: [UInt8] {
        let (content, number) = (content, opening + pieces)
        let item = item(status, content)
        var bytes = event("response.\(kind).done", number) { json in
            writePlace(&json)
            json.field(request.function == nil ? "text" : "arguments", raw: content)
            if request.function == nil { json.array("logprobs") { _ in } }
        }
        if request.function == nil {
            bytes += event("response.content_part.done", number + 1) { json in
                writePlace(&json)
                json.field("part", raw: part(content))
            }
        }
        bytes += event("response.output_item.done", number + 2) { json in
            json.field("output_index", 0)
            json.field("item", raw: item)
        }
        return bytes + event("response.\(status)", number + 3) { $0.field("response", raw: response(status, item: item)) }
    }
}
