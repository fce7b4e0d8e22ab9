import JSON
import Synchronization

/// Answers of `/v1/chat/completions`, as OpenAI writes them.
struct ChatCompletion: SimulatedAnswer {
    private let request: SimulatedRequest
    let scenario: Scenario
    let pieces: Int
    private let opening: [UInt8]
    private let closing: [UInt8]

    private static let count = Atomic(0)

    static func request(_ body: [UInt8]) throws(JSONError) -> SimulatedRequest {
        let json = try JSONObject(body)
        var limit = try json.optionalInteger("max_completion_tokens")
        if limit == nil { limit = try json.optionalInteger("max_tokens") }
        var bytes = 0
        for message in try json.array("messages") {
            guard let message = message.object, let kind = message.member("content")?.kind else { continue }
            if kind == .string { bytes += try message.string("content").utf8.count }
            if kind == .array {
                for part in try message.array("content") { bytes += try part.object?.optionalString("text")?.utf8.count ?? 0 }
            }
        }
        return SimulatedRequest(
            model: try json.string("model"), streams: try json.optionalBool("stream") ?? false,
            includesUsage: try json.optionalObject("stream_options")?.optionalBool("include_usage") ?? false,
            maxTokens: limit.map { Int(clamping: max(0, $0)) }, promptTokens: SimulatedText.tokens(ofBytes: bytes),
            tool: try json.optionalArray("tools")?.first?.object?.optionalObject("function")?.optionalString("name"))
    }

    init(_ request: SimulatedRequest, _ scenario: Scenario) {
        self.request = request
        self.scenario = scenario
        pieces = min(request.tool == nil ? scenario.pieces : Self.toolPieces, request.maxTokens ?? .max)
        let number = Self.count.add(1, ordering: .relaxed).newValue
        let object = request.streams ? "chat.completion.chunk" : "chat.completion"
        // Events of about 250 bytes, as OpenAI's are.
        let head =
            #"{"id":"chatcmpl-simulated\#(number)","object":"\#(object)","created":1750000000,"model":"\#(request.model)","#
            + #""service_tier":"default","system_fingerprint":"fp_simulated00","choices":["#
        opening = Array(((request.streams ? "data: " : "") + head).utf8)
        // With usage asked for, every event but the last says that it has none.
        closing = Array((request.includesUsage && scenario.sendsUsage ? #"],"usage":null}"# : "]}").utf8) + Array("\n\n".utf8)
    }

    private var finishReason: String {
        if request.tool != nil { return pieces < Self.toolPieces ? "length" : "tool_calls" }
        return pieces < scenario.pieces ? "length" : "stop"
    }

    /// The call of a tool, up to the text of its arguments.
    private var callStart: String {
        #"{"index":0,"id":"call_simulated","type":"function","function":{"name":"\#(request.tool ?? "")","arguments":""#
    }

    private var usage: String {
        #""usage":{"prompt_tokens":\#(request.promptTokens),"completion_tokens":\#(pieces),"total_tokens":\#(request.promptTokens + pieces)}"#
    }

    // MARK: In one piece

    var body: [UInt8] {
        var bytes = opening
        bytes.reserveCapacity(512 + pieces * scenario.pieceBytes)
        bytes.append(contentsOf: #"{"index":0,"message":{"role":"assistant","content":"#.utf8)
        bytes.append(contentsOf: request.tool == nil ? "\"".utf8 : (#"null,"tool_calls":["# + callStart + #"{\"text\":\""#).utf8)
        for index in 0..<pieces { SimulatedText.append(piece: index, of: scenario, to: &bytes) }
        bytes.append(contentsOf: request.tool == nil ? "\"".utf8 : #"\"}"}}]"#.utf8)
        bytes.append(contentsOf: #","refusal":null},"logprobs":null,"finish_reason":"\#(finishReason)"}]"#.utf8)
        if scenario.sendsUsage { bytes.append(contentsOf: ",\(usage)".utf8) }
        bytes.append(UInt8(ascii: "}"))
        return bytes
    }

    // MARK: As events

    var firstEvents: [UInt8] {
        opening + Array(#"{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}"#.utf8) + closing
    }

    func event(_ index: Int, into bytes: inout [UInt8]) {
        bytes.removeAll(keepingCapacity: true)
        if request.tool != nil, index == 0 {
            bytes += opening + Array(#"{"index":0,"delta":{"tool_calls":[\#(callStart)"}}]}}"#.utf8) + closing
        }
        bytes.append(contentsOf: opening)
        bytes.append(contentsOf: request.tool == nil ? Self.beforePiece : Self.beforeArguments)
        if request.tool != nil, index == 0 { bytes.append(contentsOf: #"{\"text\":\""#.utf8) }
        SimulatedText.append(piece: index, of: scenario, to: &bytes)
        if request.tool != nil, index == pieces - 1 { bytes.append(contentsOf: #"\"}"#.utf8) }
        bytes.append(contentsOf: request.tool == nil ? Self.afterPiece : Self.afterArguments)
        bytes.append(contentsOf: closing)
    }

    /// The reason, the usage if asked for, and `[DONE]`.
    var lastEvents: [UInt8] {
        var bytes = opening + Array(#"{"index":0,"delta":{},"finish_reason":"\#(finishReason)"}"#.utf8) + closing
        if request.includesUsage, scenario.sendsUsage { bytes += opening + Array("],\(usage)}\n\n".utf8) }
        return bytes + Array("data: [DONE]\n\n".utf8)
    }

    private static let toolPieces = 8
    private static let beforeArguments = Array(#"{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":""#.utf8)
    private static let afterArguments = Array(#""}}]},"finish_reason":null}"#.utf8)
    private static let beforePiece = Array(#"{"index":0,"delta":{"content":""#.utf8)
    private static let afterPiece = Array(#""},"finish_reason":null}"#.utf8)
}
