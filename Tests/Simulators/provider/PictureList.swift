import JSON

/// Answers of `/v1/images/generations`, as OpenAI writes them. Each picture is one grey point.
struct PictureList: SimulatedAnswer {
    private let request: SimulatedRequest
    let scenario: Scenario
    var pieces: Int { request.pictures * Self.tokensOfPicture }

    /// The tokens of a picture of 1024 by 1024 in the middle quality of gpt-image-1.
    private static let tokensOfPicture = 1_056
    /// A PNG file.
    private static let picture =
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGOYCQAAvACbf/i8KAAAAABJRU5ErkJggg=="

    static func request(_ body: [UInt8]) throws(JSONError) -> SimulatedRequest {
        let json = try JSONObject(body)
        let prompt = try json.string("prompt")
        var request = SimulatedRequest(
            model: try json.string("model"), streams: false, includesUsage: false, maxTokens: nil,
            promptTokens: SimulatedText.tokens(ofBytes: prompt.utf8.count))
        request.pictures = Int(clamping: try json.optionalInteger("n") ?? 1)
        return request
    }

    /// Reads a form of edits.
    static func request(_ body: [UInt8], contentType: String) throws -> SimulatedRequest {
        guard contentType.hasPrefix("multipart/") else { return try request(body) }
        let form = try SimulatedForm(body, contentType)
        var request = SimulatedRequest(
            model: try form.text("model"), streams: false, includesUsage: false, maxTokens: nil,
            promptTokens: SimulatedText.tokens(ofBytes: try form.text("prompt").utf8.count))
        request.pictures = Int((try? form.text("n")) ?? "1") ?? 1
        return request
    }

    init(_ request: SimulatedRequest, _ scenario: Scenario) { (self.request, self.scenario) = (request, scenario) }

    var body: [UInt8] {
        JSONWriter.object { json in
            json.field("created", 1_750_000_000)
            json.array("data") { list in
                for _ in 0..<request.pictures { list.object { $0.field("b64_json", Self.picture) } }
            }
            guard scenario.sendsUsage, request.model == "sim-picture-tokens" else { return }
            json.object("usage") { usage in
                usage.field("input_tokens", request.promptTokens)
                usage.field("output_tokens", pieces)
                usage.field("total_tokens", request.promptTokens + pieces)
                usage.object("input_tokens_details") { details in
                    details.field("text_tokens", request.promptTokens)
                    details.field("image_tokens", 0)
                }
            }
        }
    }

    // It has no events.
    var firstEvents: [UInt8] { [] }
    func event(_ index: Int, into bytes: inout [UInt8]) {}
    var lastEvents: [UInt8] { [] }
}
