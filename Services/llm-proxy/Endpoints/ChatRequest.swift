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
        /// The body or a member is not the JSON that it must be.
        case json(JSONError)
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
        let json: JSONObject
        do { json = try JSONObject(body, valuesMax: Self.valuesMax) } catch { throw .json(error) }
        self.json = json
        do { try MemberNames.check(json) } catch { throw Refusal(error) }
        do throws(JSONError) {
            model = try json.string("model")
            guard let messages = json.member("messages"), messages.kind != .null else { throw .missing("messages") }
            guard messages.kind == .array else { throw .wrongType("messages", expected: "an array") }
            isStreaming = try json.optionalBool("stream") ?? false
            var limits: [Int64] = []
            for member in ModelLimits.OutputLimitMember.allCases {
                if let limit = try Self.integer(member.rawValue, of: json, in: 1...10_000_000) { limits.append(limit) }
            }
            outputTokensMax = limits.max()
            choices = try Self.integer("n", of: json, in: 1...ModelRequest.choicesMax) ?? 1
            let topLogprobs = try Self.integer("top_logprobs", of: json, in: 0...Self.topLogprobsMax)
            let hasLogprobs = try json.optionalBool("logprobs") ?? false
            logprobs = hasLogprobs || topLogprobs != nil ? 1 + (topLogprobs ?? 0) : 0
            includeUsage = try Self.includeUsage(json)
        } catch {
            throw .json(error)
        }
        guard !model.isEmpty else { throw .invalid(param: "model", message: "model must not be empty.") }
        prompt = try PromptSize(of: json)
    }

    private static func integer(_ name: String, of json: JSONObject, in range: ClosedRange<Int64>) throws(JSONError) -> Int64? {
        guard let value = try json.optionalInteger(name) else { return nil }
        guard range.contains(value) else {
            throw .wrongType(name, expected: "an integer from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    private static func includeUsage(_ json: JSONObject) throws(JSONError) -> Bool {
        guard let options = try json.optionalObject("stream_options") else { return false }
        do throws(JSONError) {
            return try options.optionalBool("include_usage") ?? false
        } catch {
            throw .wrongType("stream_options.include_usage", expected: "true or false")
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
