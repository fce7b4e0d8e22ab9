import JSON

/// Answers of `/v1/audio/speech`, as OpenAI writes them: bytes, which are no sound, or events.
struct SpokenText: SimulatedAnswer {
    private let request: SimulatedRequest
    let scenario: Scenario
    var pieces: Int { scenario.pieces }

    static func request(_ body: [UInt8]) throws(JSONError) -> SimulatedRequest {
        let json = try JSONObject(body)
        let input = try json.string("input")
        var request = SimulatedRequest(
            model: try json.string("model"), streams: true, includesUsage: true, maxTokens: nil,
            promptTokens: SimulatedText.tokens(ofBytes: input.utf8.count))
        request.wantsEvents = try json.optionalString("stream_format") == "sse"
        return request
    }

    init(_ request: SimulatedRequest, _ scenario: Scenario) { (self.request, self.scenario) = (request, scenario) }

    var streamType: String { request.wantsEvents ? "text/event-stream" : "audio/mpeg" }

    var body: [UInt8] { [] }
    var firstEvents: [UInt8] { [] }

    func event(_ index: Int, into bytes: inout [UInt8]) {
        bytes = request.wantsEvents ? Array(#"data: {"type":"speech.audio.delta","audio":""#.utf8) : []
        SimulatedText.append(piece: index, of: scenario, to: &bytes)
        if request.wantsEvents { bytes += Array("\"}\n\n".utf8) }
    }

    var lastEvents: [UInt8] {
        guard request.wantsEvents else { return [] }
        let total = request.promptTokens + pieces
        let usage = #"{"input_tokens":\#(request.promptTokens),"output_tokens":\#(pieces),"total_tokens":\#(total)}"#
        return Array(#"data: {"type":"speech.audio.done","usage":\#(usage)}"#.utf8) + Array("\n\n".utf8)
    }
}
