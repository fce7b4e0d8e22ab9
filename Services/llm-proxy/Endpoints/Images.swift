import HTTP
import JSON

/// `POST /v1/images/generations`: OpenAI's shape.
struct Images: CallShape {
    private static let ours: [StaticString] = OpenAIImages.priced.names + ["model", "prompt", "n", "size", "quality"]
    /// The most pictures of a call.
    static let picturesMax: Int64 = 10

    func read(_ body: [UInt8]) throws(RequestRefusal) -> CallRequest {
        let json = try CallRequest.parse(body, ours: Self.ours)
        let model = try CallRequest.modelName(of: json)
        let count: Int64
        do throws(JSONError) {
            _ = try json.string("prompt")
            count = try json.optionalInteger("n", in: 1...Self.picturesMax) ?? 1
        } catch {
            throw .json(error)
        }
        return CallRequest(
            modelRequest: ModelRequest(
                surface: .images, json: json, model: model, isStreaming: false, includeUsage: false, choices: count, pictures: 0),
            prompt: PromptSize(textBytes: Int64(json.decodedCount), messages: 1, pictures: 0))
    }

    func body(of answer: WholeAnswer, _ receipt: CallReceipt) -> [UInt8] { ResponseUsage.adding(receipt, to: answer.json, .responses) }

    // No call is a stream.
    func end(_ usageChunk: [UInt8]?, _ receipt: CallReceipt, includeUsage: Bool, model: String) -> [UInt8] { [] }

    func event(of problem: Problem) -> [UInt8] { [] }
}
