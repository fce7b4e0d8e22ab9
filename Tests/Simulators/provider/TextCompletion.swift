import JSON
import Synchronization

/// Answers of `/v1/completions`, as OpenAI writes them: each text of the prompt has one.
struct TextCompletion: SimulatedAnswer {
    private let request: SimulatedRequest
    let scenario: Scenario
    let pieces: Int
    /// The pieces of the answer to one text.
    private let each: Int
    private let opening: [UInt8]
    private let closing: [UInt8]

    private static let count = Atomic(0)

    static func request(_ body: [UInt8]) throws(JSONError) -> SimulatedRequest {
        let json = try JSONObject(body)
        let prompt = try SimulatedPrompt("prompt", of: json)
        return SimulatedRequest(
            model: try json.string("model"), streams: try json.optionalBool("stream") ?? false,
            includesUsage: try json.optionalObject("stream_options")?.optionalBool("include_usage") ?? false,
            maxTokens: try json.optionalInteger("max_tokens").map { Int(clamping: max(0, $0)) }, promptTokens: prompt.tokens,
            texts: prompt.texts * Int(clamping: try json.optionalInteger("n") ?? 1))
    }

    init(_ request: SimulatedRequest, _ scenario: Scenario) {
        (self.request, self.scenario) = (request, scenario)
        each = min(scenario.pieces, request.maxTokens ?? .max)
        pieces = each * request.texts
        let number = Self.count.add(1, ordering: .relaxed).newValue
        let head =
            #"{"id":"cmpl-simulated\#(number)","object":"text_completion","created":1750000000,"model":"\#(request.model)","choices":["#
        opening = Array(((request.streams ? "data: " : "") + head).utf8)
        closing = Array((request.includesUsage && scenario.sendsUsage ? #"],"usage":null}"# : "]}").utf8) + Array("\n\n".utf8)
    }

    private var usage: String {
        #""usage":{"prompt_tokens":\#(request.promptTokens),"completion_tokens":\#(pieces),"total_tokens":\#(request.promptTokens + pieces)}"#
    }

    /// - Parameter reason: true for the choice that ends an answer.
    private func append(_ pieces: Range<Int>, ofText index: Int, reason: Bool, to bytes: inout [UInt8]) {
        bytes += Array(#"{"text":""#.utf8)
        for piece in pieces { SimulatedText.append(piece: piece, of: scenario, to: &bytes) }
        let reason = reason ? each < scenario.pieces ? #""length""# : #""stop""# : "null"
        bytes += Array(#"","index":\#(index),"logprobs":null,"finish_reason":\#(reason)}"#.utf8)
    }

    // MARK: In one piece

    var body: [UInt8] {
        var bytes = opening
        for index in 0..<request.texts {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            append(0..<each, ofText: index, reason: true, to: &bytes)
        }
        return bytes + Array((scenario.sendsUsage ? "],\(usage)}" : "]}").utf8)
    }

    // MARK: As events

    var firstEvents: [UInt8] { [] }

    /// The texts get their pieces in turn.
    func event(_ index: Int, into bytes: inout [UInt8]) {
        bytes = opening
        append(index / request.texts..<index / request.texts + 1, ofText: index % request.texts, reason: false, to: &bytes)
        bytes += closing
    }

    /// The reasons, the usage if asked for, and `[DONE]`.
    var lastEvents: [UInt8] {
        var bytes: [UInt8] = []
        for index in 0..<request.texts {
            bytes += opening
            append(0..<0, ofText: index, reason: true, to: &bytes)
            bytes += closing
        }
        if request.includesUsage, scenario.sendsUsage { bytes += opening + Array("],\(usage)}\n\n".utf8) }
        return bytes + Array("data: [DONE]\n\n".utf8)
    }
}
