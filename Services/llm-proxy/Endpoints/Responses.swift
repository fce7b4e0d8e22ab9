import HTTP
import JSON
import SSE

/// `POST /v1/responses`: OpenAI's shape.
struct Responses: CallShape {
    private static let ours: [StaticString] =
        OpenAIResponses.priced.names + [
            "model", "input", "instructions", "reasoning", "stream", "max_output_tokens", "top_logprobs", "include",
        ]

    // MARK: The request

    func read(_ body: [UInt8]) throws(RequestRefusal) -> CallRequest {
        let json = try CallRequest.parse(body, ours: Self.ours)
        let model = try CallRequest.modelName(of: json)
        let isStreaming: Bool
        let limit: Int64?
        let logprobs: Int64
        do throws(JSONError) {
            // Items in their place could be pictures.
            _ = try json.optionalString("instructions")
            isStreaming = try json.optionalBool("stream") ?? false
            limit = try json.optionalInteger("max_output_tokens", in: OpenAIResponses.limitLeast...10_000_000)
            let topLogprobs = try json.optionalInteger("top_logprobs", in: 0...ChatCompletions.topLogprobsMax)
            let includes = try json.optionalArray("include")?.map(\.string) ?? []
            logprobs = topLogprobs != nil || includes.contains("message.output_text.logprobs") ? 1 + (topLogprobs ?? 0) : 0
        } catch {
            throw .json(error)
        }
        let prompt = try PromptSize(ofInput: json)
        return CallRequest(
            modelRequest: ModelRequest(
                surface: .responses, json: json, model: model, isStreaming: isStreaming, includeUsage: true, choices: 1,
                pictures: prompt.pictures),
            prompt: prompt, outputTokensMax: limit, limitLeast: OpenAIResponses.limitLeast, logprobs: logprobs)
    }

    // MARK: The answer

    func body(of answer: WholeAnswer, _ receipt: CallReceipt) -> [UInt8] { ResponseUsage.adding(receipt, to: answer.json, .responses) }

    /// Returns the provider's last event, with the credits in the usage of its response.
    func end(_ usageChunk: [UInt8]?, _ receipt: CallReceipt, includeUsage: Bool, model: String) -> [UInt8] {
        guard let data = usageChunk, let event = try? JSONObject(data), let response = try? event.object("response") else { return [] }
        var splice = JSONSplice(event)
        splice.set("response", raw: ResponseUsage.adding(receipt, to: response, .responses))
        return SSEEvent.encode(
            splice.apply(), name: (try? event.string("type")) == "response.incomplete" ? "response.incomplete" : "response.completed")
    }

    func event(of problem: Problem) -> [UInt8] { event(of: problem, after: nil) }

    /// OpenAI documents the members of the error at the top. It sends them in `error`, and its packages
    /// raise an error for those only. So the event has both.
    func event(of problem: Problem, after last: Int64?) -> [UInt8] {
        let event = JSONWriter.object { json in
            json.field("type", "error")
            json.field("code", problem.code.rawValue)
            json.field("message", problem.message)
            json.field("param", problem.param)
            json.field("sequence_number", last.map { $0 &+ 1 } ?? 0)
            if let error = try? JSONObject(problem.body).raw("error") { json.field("error", raw: error) }
        }
        return SSEEvent.encode(event, name: "error")
    }
}
