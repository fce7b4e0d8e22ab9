import HTTP
import JSON

/// `POST /v1/embeddings`: OpenAI's shape.
struct Embeddings: CallShape {
    private static let ours: [StaticString] = OpenAIEmbeddings.priced.names + ["model", "input"]
    /// The most texts of a call.
    static let inputsMax: Int64 = 2_048
    /// The JSON values of a request. OpenAI embeds at most 300,000 tokens at once, and each may come
    /// as a number.
    static let valuesMax = 303_104

    func read(_ body: [UInt8]) throws(RequestRefusal) -> CallRequest {
        let json = try CallRequest.parse(body, ours: Self.ours, valuesMax: Self.valuesMax)
        let model = try CallRequest.modelName(of: json)
        let inputs = try TextInputs("input", of: json, countMax: Self.inputsMax)
        return CallRequest(
            modelRequest: ModelRequest(
                surface: .embeddings, json: json, model: model, isStreaming: false, includeUsage: false, choices: 1, pictures: 0),
            prompt: inputs.prompt(of: json), outputTokensMax: 0)
    }

    func body(of answer: WholeAnswer, _ receipt: CallReceipt) -> [UInt8] { ResponseUsage.adding(receipt, to: answer.json) }

    // No call is a stream.
    func end(_ usageChunk: [UInt8]?, _ receipt: CallReceipt, includeUsage: Bool, model: String) -> [UInt8] { [] }

    func event(of problem: Problem) -> [UInt8] { [] }
}
