import JSON

/// Answers of `/v1/embeddings`, as OpenAI writes them. Each number of a vector is 1.
struct EmbeddingList: SimulatedAnswer {
    private let request: SimulatedRequest
    let scenario: Scenario
    let pieces = 0

    static func request(_ body: [UInt8]) throws(JSONError) -> SimulatedRequest {
        let json = try JSONObject(body)
        let prompt = try SimulatedPrompt("input", of: json)
        return SimulatedRequest(
            model: try json.string("model"), streams: false, includesUsage: false, maxTokens: nil, promptTokens: prompt.tokens,
            texts: prompt.texts, dimensions: Int(clamping: try json.optionalInteger("dimensions") ?? 6),
            wantsBase64: try json.optionalString("encoding_format") == "base64")
    }

    init(_ request: SimulatedRequest, _ scenario: Scenario) { (self.request, self.scenario) = (request, scenario) }

    var body: [UInt8] {
        let vector = vector
        return JSONWriter.object(reserving: 256 + request.texts * (vector.count + 64)) { json in
            json.field("object", "list")
            json.array("data") { list in
                for index in 0..<request.texts {
                    list.object { entry in
                        entry.field("object", "embedding")
                        entry.field("index", index)
                        entry.field("embedding", raw: vector)
                    }
                }
            }
            json.field("model", request.model)
            guard scenario.sendsUsage else { return }
            json.object("usage") { usage in
                usage.field("prompt_tokens", request.promptTokens)
                usage.field("total_tokens", request.promptTokens)
            }
        }
    }

    private var vector: [UInt8] {
        guard request.wantsBase64 else {
            return Array("[\([String](repeating: "1", count: request.dimensions).joined(separator: ","))]".utf8)
        }
        // Three numbers of four bytes are 16 letters.
        let rest = ["", "AACAPw==", "AACAPwAAgD8="][request.dimensions % 3]
        return Array("\"\(String(repeating: "AACAPwAAgD8AAIA/", count: request.dimensions / 3))\(rest)\"".utf8)
    }

    // It has no events.
    var firstEvents: [UInt8] { [] }
    func event(_ index: Int, into bytes: inout [UInt8]) {}
    var lastEvents: [UInt8] { [] }
}

/// The texts of a request: a string, strings, tokens as numbers, or several such texts.
struct SimulatedPrompt {
    private(set) var texts = 0
    private(set) var tokens = 0

    init(_ name: String, of request: JSONObject) throws(JSONError) {
        if request.member(name)?.kind == .string {
            add(.string(try request.string(name)))
        } else {
            let values = try request.array(name)
            if case .number = values.first { add(.array(values)) } else { values.forEach { add($0) } }
        }
    }

    private mutating func add(_ text: JSONValue) {
        texts += 1
        tokens += text.string.map { SimulatedText.tokens(ofBytes: $0.utf8.count) } ?? text.array?.count ?? 0
    }
}
