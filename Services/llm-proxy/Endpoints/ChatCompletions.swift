import HTTP
import JSON
import SSE

/// `POST /v1/chat/completions`: OpenAI's shape.
struct ChatCompletions: CallShape {
    private static let ours: [StaticString] =
        PricedMembers.chat.names + [
            "model", "messages", "stream", "stream_options", "n", "logprobs", "top_logprobs", "max_tokens", "max_completion_tokens",
        ]
    static let topLogprobsMax: Int64 = 20

    // MARK: The request

    func read(_ body: [UInt8]) throws(RequestRefusal) -> CallRequest {
        let json = try CallRequest.parse(body, ours: Self.ours)
        let model = try CallRequest.modelName(of: json)
        let isStreaming, includeUsage: Bool
        let (choices, logprobs): (Int64, Int64)
        var limits: [Int64] = []
        do throws(JSONError) {
            guard let messages = json.member("messages"), messages.kind != .null else { throw .missing("messages") }
            guard messages.kind == .array else { throw .wrongType("messages", expected: "an array") }
            isStreaming = try json.optionalBool("stream") ?? false
            for member in ModelLimits.OutputLimitMember.allCases {
                if let limit = try json.optionalInteger(member.rawValue, in: 1...10_000_000) { limits.append(limit) }
            }
            choices = try json.optionalInteger("n", in: 1...ModelRequest.choicesMax) ?? 1
            let topLogprobs = try json.optionalInteger("top_logprobs", in: 0...Self.topLogprobsMax)
            let hasLogprobs = try json.optionalBool("logprobs") ?? false
            // The token's own probability, and those of the others that the client asked for.
            logprobs = hasLogprobs || topLogprobs != nil ? 1 + (topLogprobs ?? 0) : 0
            includeUsage = try StreamOptions.includeUsage(json)
        } catch {
            throw .json(error)
        }
        do throws(RequestFlaw) { try StreamOptions.checkNames(json) } catch { throw RequestRefusal(error) }
        let prompt = try PromptSize(of: json)
        return CallRequest(
            modelRequest: ModelRequest(
                surface: .chat, json: json, model: model, isStreaming: isStreaming, includeUsage: includeUsage, choices: choices,
                pictures: prompt.pictures),
            // The larger one of both limits, because providers differ in which one they read.
            prompt: prompt, outputTokensMax: limits.max(), logprobs: logprobs)
    }

    // MARK: The answer

    func body(of answer: WholeAnswer, _ receipt: CallReceipt) -> [UInt8] { ResponseUsage.adding(receipt, to: answer.json) }

    func end(_ usageChunk: [UInt8]?, _ receipt: CallReceipt, includeUsage: Bool, model: String) -> [UInt8] {
        Self.end(usageChunk, receipt, includeUsage: includeUsage, object: "chat.completion.chunk", model: model)
    }

    /// - Parameter object: the name of chunks.
    static func end(_ usageChunk: [UInt8]?, _ receipt: CallReceipt, includeUsage: Bool, object: String, model: String) -> [UInt8] {
        let done = SSEEvent.encode(Array("[DONE]".utf8))
        guard includeUsage else { return done }
        let chunk = usageChunk.flatMap { try? JSONObject($0) }
        let usage = chunk.map { ResponseUsage.adding(receipt, to: $0) } ?? ResponseUsage.chunk(receipt, object: object, model: model)
        return SSEEvent.encode(usage) + done
    }

    func event(of problem: Problem) -> [UInt8] { SSEEvent.encode(problem.body) }
}

/// The member `stream_options` of OpenAI's requests.
enum StreamOptions {
    private static let ours: [StaticString] = ["include_usage"]

    static func includeUsage(_ json: JSONObject) throws(JSONError) -> Bool {
        guard let options = try json.optionalObject("stream_options") else { return false }
        do throws(JSONError) {
            return try options.optionalBool("include_usage") ?? false
        } catch {
            throw .wrongType("stream_options.include_usage", expected: "true or false")
        }
    }

    static func checkNames(_ json: JSONObject) throws(RequestFlaw) {
        guard let options = (try? json.optionalObject("stream_options")) ?? nil else { return }
        try MemberNames.check(options, ours, at: "stream_options.")
    }
}
