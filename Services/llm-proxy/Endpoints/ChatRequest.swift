import JSON

/// The members of a chat completion request that the gateway reads. All others pass through unread.
struct ChatRequest: Sendable {
    let json: JSONObject
    let model: String
    let isStreaming: Bool
    /// The limit of the answer: `max_completion_tokens` or the older `max_tokens`, the larger if
    /// both are set, because providers differ in which one they read. Nil if the client set none.
    let outputTokensMax: Int64?
    /// `n`: how many answers are generated, each paid for.
    let choices: Int64
    /// The number of probabilities that the answer lists for each token: `top_logprobs`, and the
    /// token's own.
    let logprobs: Int64
    let includeUsage: Bool
    let prompt: PromptSize

    enum Refusal: Error, Equatable {
        case malformed(String)
        case invalid(param: String, message: String)

        init(_ flaw: RequestFlaw) { self = .invalid(param: flaw.param, message: flaw.message) }
    }

    /// The parts of the request that adapters read.
    var modelRequest: ModelRequest {
        ModelRequest(
            json: json, model: model, isStreaming: isStreaming, includeUsage: includeUsage, choices: choices, pictures: prompt.pictures)
    }

    /// The JSON values of a request. No useful prompt has as many: 80,000 messages fit. Without the
    /// bound, a body of tiny values would take a loop's time for much longer than a text of its
    /// size.
    static let valuesMax = 262_144
    static let topLogprobsMax: Int64 = 20

    init(body: [UInt8]) throws(Refusal) {
        do {
            json = try JSONObject(body, valuesMax: Self.valuesMax)
        } catch {
            throw .malformed("\(error)")
        }
        do {
            try MemberNames.check(json)
        } catch {
            throw Refusal(error)
        }
        model = try Self.member("model", "must be a string") { [json] () throws(JSONError) in try json.string("model") }
        guard !model.isEmpty else { throw .invalid(param: "model", message: "model must not be empty.") }
        guard let messages = json.member("messages"), messages.kind == .array else {
            throw .invalid(param: "messages", message: "messages must be an array.")
        }
        isStreaming =
            try Self.member("stream", "must be true or false") { [json] () throws(JSONError) in try json.optionalBool("stream") } ?? false
        var limits: [Int64] = []
        for name in ModelLimits.OutputLimitMember.allCases.map(\.rawValue) {
            let limit = try Self.member(name, "must be an integer") { [json] () throws(JSONError) in try json.optionalInteger(name) }
            guard let limit else { continue }
            guard (1...10_000_000).contains(limit) else {
                throw .invalid(param: name, message: "\(name) must be between 1 and 10000000.")
            }
            limits.append(limit)
        }
        outputTokensMax = limits.max()
        choices = try Self.member("n", "must be an integer") { [json] () throws(JSONError) in try json.optionalInteger("n") } ?? 1
        guard (1...ModelRequest.choicesMax).contains(choices) else {
            throw .invalid(param: "n", message: "n must be between 1 and \(ModelRequest.choicesMax).")
        }
        let topLogprobs = try Self.member("top_logprobs", "must be an integer") { [json] () throws(JSONError) in
            try json.optionalInteger("top_logprobs")
        }
        guard (0...Self.topLogprobsMax).contains(topLogprobs ?? 0) else {
            throw .invalid(param: "top_logprobs", message: "top_logprobs must be between 0 and \(Self.topLogprobsMax).")
        }
        let hasLogprobs = try Self.member("logprobs", "must be true or false") { [json] () throws(JSONError) in
            try json.optionalBool("logprobs")
        }
        logprobs = hasLogprobs ?? false || topLogprobs != nil ? 1 + (topLogprobs ?? 0) : 0
        includeUsage = try Self.member("stream_options", "must be an object") { [json] () throws(JSONError) in
            try json.optionalObject("stream_options")?.optionalBool("include_usage") ?? false
        }
        prompt = try PromptSize(of: json)
    }

    private static func member<Value>(_ name: String, _ rule: String, _ read: () throws(JSONError) -> Value) throws(Refusal) -> Value {
        do {
            return try read()
        } catch {
            throw .invalid(param: name, message: "\(name) \(rule).")
        }
    }

    /// Reads the purpose of the call, as the client names it in `x-operation`. It travels with the charge, so its length is
    /// bounded.
    static func operation(_ header: String?) throws(Refusal) -> String? {
        guard let header, !header.isEmpty else { return nil }
        guard header.utf8.count <= 100, header.utf8.allSatisfy({ (0x20...0x7E).contains($0) }) else {
            throw .invalid(param: "x-operation", message: "x-operation must be at most 100 printable ASCII characters.")
        }
        return header
    }
}
