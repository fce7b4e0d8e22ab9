import HTTPWire
import JSON

/// OpenAI's Chat Completions, and every server that speaks it. Requests and answers pass through
/// with the bytes that they had, but for the members that the gateway writes.
struct OpenAICompatible: ProviderAdapter {
    let capabilities: Set<Capability> = [.pictures, .tools, .severalChoices, .logprobs, .responseFormat]

    let path = "/chat/completions"

    func credentials(_ key: String) -> HeaderBlock {
        var headers = HeaderBlock()
        headers.add("authorization", "Bearer " + key)
        return headers
    }

    func flaw(in request: ModelRequest) -> RequestFlaw? { PricedMembers.flaw(in: request.json) }

    /// The request has the provider's name of the model, asks for usage, and has the limit of the
    /// answer in the member that the model reads.
    func body(of request: ModelRequest, for model: Catalogue.Model, limit: OutputLimit) -> [UInt8] {
        let json = request.json
        var splice = JSONSplice(json)
        if model.providerModel != request.model {
            var name = JSONWriter()
            name.string(model.providerModel)
            splice.set("model", raw: name.bytes)
        }
        if request.isStreaming, !request.includeUsage { splice.set("stream_options", raw: streamOptionsWithUsage(json)) }
        if limit.isSent {
            let member = model.limits.outputLimitMember.rawValue
            if (try? json.optionalInteger(member)) != limit.tokens { splice.set(member, raw: Array(String(limit.tokens).utf8)) }
            for other in ModelLimits.OutputLimitMember.allCases where other.rawValue != member && json.member(other.rawValue) != nil {
                splice.remove(other.rawValue)
            }
        }
        return splice.apply()
    }

    private func streamOptionsWithUsage(_ json: JSONObject) -> [UInt8] {
        guard let options = try? json.optionalObject("stream_options") else { return Array(#"{"include_usage":true}"#.utf8) }
        var splice = JSONSplice(options)
        splice.set("include_usage", raw: Array("true".utf8))
        return splice.apply()
    }

    func answer(_ body: [UInt8], _ context: AnswerContext) throws(ProviderFailure) -> WholeAnswer {
        guard let json = try? JSONObject(body), !json.has("error"), json.member("choices")?.kind == .array else {
            throw ProviderFailure(.wrongAnswer("with something else than a chat completion"))
        }
        let reported = body.withUnsafeBytes { JSONScan($0)["usage"].flatMap(TokenUsage.init(openAI:)) }
        return WholeAnswer(json: json, reported: reported, contentBytes: OpenAIContent.bytes(of: json))
    }

    func reader(_ context: AnswerContext) -> any EventReader { OpenAIEvents(context) }
}

/// The size of the content in answers of OpenAI's shape: text, tool calls and reasoning.
enum OpenAIContent {
    static func bytes(of answer: JSONObject) -> Int64 {
        guard let choices = answer.raw("choices") else { return 0 }
        var bytes = 0
        choices.withUnsafeBytes { text in
            JSONScan(text).forEachElement { choice in
                if let message = choice["message"] { bytes += Self.bytes(ofMessage: message) }
                return true
            }
        }
        return Int64(bytes)
    }

    /// Counts a message, or the delta of one.
    static func bytes(ofMessage message: JSONScan) -> Int {
        var bytes = 0
        message.forEachMember { name, value in
            if !name.elementsEqual("role".utf8) { bytes += Self.bytes(ofValue: value.bytes) }
            return true
        }
        return bytes
    }

    /// Returns the bytes of a string, array or object that count as content. An empty value, a
    /// number and null count as zero.
    static func bytes(ofValue value: UnsafeRawBufferPointer) -> Int {
        guard value.count > 2, let first = value.first else { return 0 }
        switch first {
        case UInt8(ascii: "\""): return value.count - 2
        case UInt8(ascii: "["), UInt8(ascii: "{"):
            let isEmpty = value.dropFirst().dropLast().allSatisfy { [0x20, 0x09, 0x0A, 0x0D].contains($0) }
            return isEmpty ? 0 : value.count - 2
        default: return 0
        }
    }
}

extension TokenUsage {
    /// More than the longest answers a request may ask for. A provider that reports more is not
    /// believed.
    static let reportedMax: Int64 = 10_000_000 * ModelRequest.choicesMax

    /// Reads the `usage` member of an answer. Nil if it is null, empty, or beyond ``reportedMax``.
    init?(openAI usage: JSONScan) {
        guard usage.isObject else { return nil }
        let prompt = usage["prompt_tokens"]?.integer
        let completion = usage["completion_tokens"]?.integer
        let possible = 0...Self.reportedMax
        guard prompt != nil || completion != nil, possible.contains(prompt ?? 0), possible.contains(completion ?? 0) else { return nil }
        self.init(promptTokens: prompt ?? 0, completionTokens: completion ?? 0)
    }
}
