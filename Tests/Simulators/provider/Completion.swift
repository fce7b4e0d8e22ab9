import Synchronization

/// The bytes of one answer, as OpenAI writes them.
struct Completion {
    let request: ChatRequest
    let scenario: Scenario
    /// Completion tokens: pieces that are sent, clamped by the request.
    let pieces: Int
    private let opening: [UInt8]
    private let closing: [UInt8]

    private static let count = Atomic(0)

    init(_ request: ChatRequest, _ scenario: Scenario) {
        self.request = request
        self.scenario = scenario
        pieces = min(scenario.pieces, request.maxTokens ?? .max)
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

    private var finishReason: String { pieces < scenario.pieces ? "length" : "stop" }

    private var usage: String {
        #""usage":{"prompt_tokens":\#(request.promptTokens),"completion_tokens":\#(pieces),"total_tokens":\#(request.promptTokens + pieces)}"#
    }

    // MARK: In one piece

    var body: [UInt8] {
        var bytes = opening
        bytes.reserveCapacity(512 + pieces * scenario.pieceBytes)
        bytes.append(contentsOf: #"{"index":0,"message":{"role":"assistant","content":""#.utf8)
        for index in 0..<pieces { appendPiece(index, to: &bytes) }
        bytes.append(contentsOf: #"","refusal":null},"logprobs":null,"finish_reason":"\#(finishReason)"}]"#.utf8)
        if scenario.sendsUsage { bytes.append(contentsOf: ",\(usage)".utf8) }
        bytes.append(UInt8(ascii: "}"))
        return bytes
    }

    // MARK: As events

    var firstEvent: [UInt8] {
        opening + Array(#"{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}"#.utf8) + closing
    }

    func event(_ index: Int, into bytes: inout [UInt8]) {
        bytes.removeAll(keepingCapacity: true)
        bytes.append(contentsOf: opening)
        bytes.append(contentsOf: Self.beforePiece)
        appendPiece(index, to: &bytes)
        bytes.append(contentsOf: Self.afterPiece)
        bytes.append(contentsOf: closing)
    }

    /// The reason, the usage if asked for, and `[DONE]`.
    var lastEvents: [UInt8] {
        var bytes = opening + Array(#"{"index":0,"delta":{},"finish_reason":"\#(finishReason)"}"#.utf8) + closing
        if request.includesUsage, scenario.sendsUsage { bytes += opening + Array("],\(usage)}\n\n".utf8) }
        return bytes + Array("data: [DONE]\n\n".utf8)
    }

    private static let beforePiece = Array(#"{"index":0,"delta":{"content":""#.utf8)
    private static let afterPiece = Array(#""},"finish_reason":null}"#.utf8)
    private static let text = Array(String(repeating: "the quick brown fox jumps over the lazy dog and ", count: 2_100).utf8)

    private func appendPiece(_ index: Int, to bytes: inout [UInt8]) {
        let start = index * scenario.pieceBytes % 48
        bytes.append(contentsOf: Self.text[start..<(start + scenario.pieceBytes)])
    }
}
