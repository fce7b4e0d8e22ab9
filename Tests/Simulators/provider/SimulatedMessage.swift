import HTTPWire
import JSON
import Synchronization

/// Answers of `/v1/messages`, as Anthropic writes them: thoughts if the request asks for them, text, and
/// a call of the first tool.
struct SimulatedMessage: SimulatedAnswer {
    private enum Kind { case thinking, text, tool }

    private let request: SimulatedRequest
    let scenario: Scenario
    let pieces: Int
    private let number: Int
    /// The blocks of content with their pieces. A block without pieces is left out.
    private let blocks: [(kind: Kind, pieces: Range<Int>)]

    private static let count = Atomic(0)
    private static let toolPieces = 8

    static func request(_ body: [UInt8]) throws(JSONError) -> SimulatedRequest {
        let json = try JSONObject(body)
        var bytes = 0
        func count(_ object: JSONObject, _ name: String) throws(JSONError) {
            guard let kind = object.member(name)?.kind else { return }
            if kind == .string { bytes += try object.string(name).utf8.count }
            if kind == .array {
                for part in try object.array(name) { bytes += try part.object?.optionalString("text")?.utf8.count ?? 0 }
            }
        }
        try count(json, "system")
        for message in try json.array("messages") {
            if let message = message.object { try count(message, "content") }
        }
        return SimulatedRequest(
            model: try json.string("model"), streams: try json.optionalBool("stream") ?? false, includesUsage: true,
            maxTokens: Int(clamping: try json.integer("max_tokens")), promptTokens: SimulatedText.tokens(ofBytes: bytes),
            tool: try json.optionalArray("tools")?.first?.object?.optionalString("name"),
            thinks: try ["enabled", "adaptive"].contains(json.optionalObject("thinking")?.string("type")),
            writesCache: body.contains(Array("\"cache_control\"".utf8)))
    }

    static func isAuthorised(_ headers: HeaderBlock) -> Bool {
        headers.string(for: "x-api-key")?.isEmpty == false && headers.string(for: "anthropic-version") == "2023-06-01"
    }

    static func refusal(type: String, code: String, message: String) -> [UInt8] {
        JSONWriter.object { json in
            json.field("type", "error")
            json.object("error") { error in
                error.field("type", type)
                error.field("message", message)
            }
        }
    }

    init(_ request: SimulatedRequest, _ scenario: Scenario) {
        self.request = request
        self.scenario = scenario
        pieces = min(request.tool == nil ? scenario.pieces : 2 * Self.toolPieces, request.maxTokens ?? .max)
        number = Self.count.add(1, ordering: .relaxed).newValue
        let thoughts = request.thinks ? pieces / 4 : 0
        let ofTool = request.tool == nil ? 0 : min(Self.toolPieces, pieces - thoughts)
        blocks = [
            (kind: Kind.thinking, pieces: 0..<thoughts), (kind: .text, pieces: thoughts..<pieces - ofTool),
            (kind: .tool, pieces: pieces - ofTool..<pieces),
        ].filter { !$0.pieces.isEmpty }
    }

    private var stopReason: String {
        if request.tool != nil { return pieces < 2 * Self.toolPieces ? "max_tokens" : "tool_use" }
        return pieces < scenario.pieces ? "max_tokens" : "end_turn"
    }

    /// - Parameter output: the first event of a stream has a count of 1.
    private func usage(output: Int) -> String {
        let (input, written) = request.writesCache ? (0, request.promptTokens) : (request.promptTokens, 0)
        return #""usage":{"input_tokens":\#(input),"cache_creation_input_tokens":\#(written),"cache_read_input_tokens":0,"#
            + #""output_tokens":\#(output),"service_tier":"standard"}"#
    }

    private var toolID: String { "toolu_simulated\(number)" }

    private func text(of pieces: Range<Int>) -> String {
        var bytes: [UInt8] = []
        for index in pieces { SimulatedText.append(piece: index, of: scenario, to: &bytes) }
        return String(decoding: bytes, as: UTF8.self)
    }

    // MARK: In one piece

    var body: [UInt8] {
        let content = blocks.map { kind, pieces in
            switch kind {
            case .thinking: #"{"type":"thinking","thinking":"\#(text(of: pieces))","signature":"c2lnbmVk"}"#
            case .text: #"{"type":"text","text":"\#(text(of: pieces))"}"#
            case .tool:
                #"{"type":"tool_use","id":"\#(toolID)","name":"\#(request.tool ?? "")","input":{"text":"\#(text(of: pieces))"}}"#
            }
        }
        return Array(
            (#"{"id":"msg_simulated\#(number)","type":"message","role":"assistant","model":"\#(request.model)","content":["#
                + content.joined(separator: ",") + #"],"stop_reason":"\#(stopReason)","stop_sequence":null"#
                + (scenario.sendsUsage ? "," + usage(output: pieces) : "") + "}").utf8)
    }

    // MARK: As events

    private static func event(_ name: String, _ members: String) -> String {
        "event: \(name)\ndata: {\"type\":\"\(name)\"\(members.isEmpty ? "" : ",")\(members)}\n\n"
    }

    private static func delta(_ index: Int, _ delta: String) -> String {
        event("content_block_delta", #""index":\#(index),"delta":{\#(delta)}"#)
    }

    var firstEvents: [UInt8] {
        let message =
            #""message":{"id":"msg_simulated\#(number)","type":"message","role":"assistant","model":"\#(request.model)","content":[],"#
            + #""stop_reason":null,"stop_sequence":null"# + (scenario.sendsUsage ? "," + usage(output: 1) : "") + "}"
        return Array((Self.event("message_start", message) + Self.event("ping", "")).utf8)
    }

    func event(_ index: Int, into bytes: inout [UInt8]) {
        bytes.removeAll(keepingCapacity: true)
        guard let block = blocks.firstIndex(where: { $0.pieces.contains(index) }) else { return }
        let (kind, pieces) = blocks[block]
        var events = ""
        if index == pieces.lowerBound {
            if block > 0 { events += end(of: block - 1) }
            events += begin(block)
        }
        let part = text(of: index..<index + 1)
        switch kind {
        case .thinking: events += Self.delta(block, #""type":"thinking_delta","thinking":"\#(part)""#)
        case .text: events += Self.delta(block, #""type":"text_delta","text":"\#(part)""#)
        case .tool: events += Self.delta(block, #""type":"input_json_delta","partial_json":"\#(part)""#)
        }
        bytes.append(contentsOf: events.utf8)
    }

    private func begin(_ block: Int) -> String {
        switch blocks[block].kind {
        case .thinking:
            Self.event("content_block_start", #""index":\#(block),"content_block":{"type":"thinking","thinking":"","signature":""}"#)
        case .text: Self.event("content_block_start", #""index":\#(block),"content_block":{"type":"text","text":""}"#)
        case .tool:
            Self.event(
                "content_block_start",
                #""index":\#(block),"content_block":{"type":"tool_use","id":"\#(toolID)","name":"\#(request.tool ?? "")","input":{}}"#)
                + Self.delta(block, #""type":"input_json_delta","partial_json":"{\"text\":\"""#)
        }
    }

    private func end(of block: Int) -> String {
        let last =
            switch blocks[block].kind {
            case .thinking: Self.delta(block, #""type":"signature_delta","signature":"c2lnbmVk""#)
            case .text: ""
            case .tool: Self.delta(block, #""type":"input_json_delta","partial_json":"\"}""#)
            }
        return last + Self.event("content_block_stop", #""index":\#(block)"#)
    }

    /// The end of the last block, the reason with the usage, and the end marker.
    var lastEvents: [UInt8] {
        let change =
            #""delta":{"stop_reason":"\#(stopReason)","stop_sequence":null}"# + (scenario.sendsUsage ? "," + usage(output: pieces) : "")
        return Array(
            ((blocks.isEmpty ? "" : end(of: blocks.count - 1)) + Self.event("message_delta", change) + Self.event("message_stop", "")).utf8)
    }
}
