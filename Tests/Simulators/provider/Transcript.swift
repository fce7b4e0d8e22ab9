import JSON

/// Answers of `/v1/audio/transcriptions`, as OpenAI writes them. 16,000 bytes of sound are a second.
struct Transcript: SimulatedAnswer {
    private let request: SimulatedRequest
    let scenario: Scenario
    let pieces = 10

    private static let bytesPerSecond = 16_000
    /// The tokens of a second of sound.
    private static let tokensPerSecond = 10
    private static let text = "Simulated words."

    // Each request is a form.
    static func request(_ body: [UInt8]) throws(JSONError) -> SimulatedRequest { throw .missing("file") }

    static func request(_ body: [UInt8], contentType: String) throws -> SimulatedRequest {
        let form = try SimulatedForm(body, contentType)
        var request = SimulatedRequest(
            model: try form.text("model"), streams: (try? form.text("stream")) == "true", includesUsage: true, maxTokens: nil,
            promptTokens: 0)
        request.soundBytes = try form.bytes("file").count
        request.promptTokens = request.soundBytes / bytesPerSecond * tokensPerSecond
        request.format = (try? form.text("response_format")) ?? "json"
        return request
    }

    init(_ request: SimulatedRequest, _ scenario: Scenario) { (self.request, self.scenario) = (request, scenario) }

    private var isByTokens: Bool { request.model == "sim-scribe-tokens" }
    private var seconds: Int { (request.soundBytes + Self.bytesPerSecond - 1) / Self.bytesPerSecond }

    private var usage: String {
        guard isByTokens else { return #"{"type":"duration","seconds":\#(seconds)}"# }
        let details = #"{"text_tokens":0,"audio_tokens":\#(request.promptTokens)}"#
        return
            #"{"type":"tokens","input_tokens":\#(request.promptTokens),"input_token_details":\#(details),"output_tokens":\#(pieces),"total_tokens":\#(request.promptTokens + pieces)}"#
    }

    private func time(_ mark: String) -> String {
        func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return "\(two(seconds / 3_600)):\(two(seconds / 60 % 60)):\(two(seconds % 60))\(mark)000"
    }

    var mediaType: String { ["srt", "vtt", "text"].contains(request.format) ? "text/plain; charset=utf-8" : "application/json" }

    var body: [UInt8] {
        switch request.format {
        case "text": Array((Self.text + "\n").utf8)
        case "srt": Array("1\n00:00:00,000 --> \(time(","))\n\(Self.text)\n\n".utf8)
        case "vtt": Array("WEBVTT\n\n00:00:00.000 --> \(time("."))\n\(Self.text)\n\n".utf8)
        case "verbose_json":
            Array(#"{"task":"transcribe","language":"english","duration":\#(seconds).0,"text":"\#(Self.text)","segments":[]}"#.utf8)
        default: Array(#"{"text":"\#(Self.text)"\#(scenario.sendsUsage ? #","usage":\#(usage)"# : "")}"#.utf8)
        }
    }

    var firstEvents: [UInt8] { [] }

    func event(_ index: Int, into bytes: inout [UInt8]) {
        bytes = Array(#"data: {"type":"transcript.text.delta","delta":"word"}"#.utf8) + Array("\n\n".utf8)
    }

    var lastEvents: [UInt8] {
        Array(#"data: {"type":"transcript.text.done","text":"\#(Self.text)","usage":\#(usage)}"#.utf8) + Array("\n\n".utf8)
    }
}
