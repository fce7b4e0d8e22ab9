import HTTP
import JSON
import SSE

/// `POST /v1/completions`: OpenAI's legacy shape, a text that goes on.
struct TextCompletions: CallShape {
    private static let ours: [StaticString] =
        OpenAICompletions.priced.names + ["model", "prompt", "stream", "stream_options", "n", "logprobs", "max_tokens"]
    static let logprobsMax: Int64 = 5

    // MARK: The request

    func read(_ body: [UInt8]) throws(RequestRefusal) -> CallRequest {
        let json = try CallRequest.parse(body, ours: Self.ours)
        let model = try CallRequest.modelName(of: json)
        let isStreaming, includeUsage: Bool
        let answers, logprobs: Int64
        let limit: Int64?
        do throws(JSONError) {
            isStreaming = try json.optionalBool("stream") ?? false
            limit = try json.optionalInteger("max_tokens", in: 1...10_000_000)
            answers = try json.optionalInteger("n", in: 1...ModelRequest.choicesMax) ?? 1
            // The token's own probability, and those of the others that the client asked for.
            logprobs = try json.optionalInteger("logprobs", in: 0...Self.logprobsMax).map { $0 + 1 } ?? 0
            includeUsage = try StreamOptions.includeUsage(json)
        } catch {
            throw .json(error)
        }
        do throws(RequestFlaw) { try StreamOptions.checkNames(json) } catch { throw RequestRefusal(error) }
        // Each text gets so many answers.
        let inputs = try TextInputs("prompt", of: json, countMax: ModelRequest.choicesMax / answers)
        return CallRequest(
            modelRequest: ModelRequest(
                surface: .completions, json: json, model: model, isStreaming: isStreaming, includeUsage: includeUsage,
                choices: answers * inputs.count, pictures: 0),
            prompt: inputs.prompt(of: json), outputTokensMax: limit, logprobs: logprobs)
    }

    // MARK: The answer

    func body(of answer: WholeAnswer, _ receipt: CallReceipt) -> [UInt8] { ResponseUsage.adding(receipt, to: answer.json) }

    func end(_ usageChunk: [UInt8]?, _ receipt: CallReceipt, includeUsage: Bool, model: String) -> [UInt8] {
        ChatCompletions.end(usageChunk, receipt, includeUsage: includeUsage, object: "text_completion", model: model)
    }

    func event(of problem: Problem) -> [UInt8] { SSEEvent.encode(problem.body) }
}
