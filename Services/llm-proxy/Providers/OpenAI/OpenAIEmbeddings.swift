import Contracts
import JSON

/// OpenAI's Embeddings. Requests and answers pass through with the bytes that they had, but for the
/// name of the model.
struct OpenAIEmbeddings: WireFormat {
    let path = "/embeddings"

    let requiresLimit = false

    func promptUnit(of request: ModelRequest) -> UsageUnit { .input }

    /// Some servers take `messages` with pictures in the place of `input`.
    static let priced = PricedMembers([("stream", .onlyFalse), ("messages", .absent)])

    func flaw(in request: ModelRequest) -> RequestFlaw? { Self.priced.flaw(in: request.json) }

    func body(of request: ModelRequest, for model: Catalogue.Model, limit: OutputLimit) -> [UInt8] { request.splice(for: model).apply() }

    func answer(_ body: [UInt8], _ context: AnswerContext) throws(ProviderFailure) -> WholeAnswer {
        guard let json = try? JSONObject(body), !json.has("error"), let data = json.raw("data"), data.first == UInt8(ascii: "[") else {
            throw ProviderFailure(.wrongAnswer("with something else than embeddings"))
        }
        let reported = json.raw("usage").flatMap { $0.withUnsafeBytes { Usage(embeddings: JSONScan($0)) } }
        let hasVectors = data.withUnsafeBytes { OpenAIContent.bytes(ofValue: $0) > 0 }
        return WholeAnswer(json: json, reported: reported, contentBytes: 0, hasUncountedResult: hasVectors)
    }

    /// No request asks for a stream.
    func reader(_ context: AnswerContext) -> any EventReader { OpenAIEvents(context) }
}

extension Usage {
    /// Reads the `usage` member of embeddings. Nil without a token, or beyond ``reportedMax``.
    ///
    /// Some servers report `total_tokens` only.
    init?(embeddings usage: JSONScan) {
        guard let tokens = usage["prompt_tokens"]?.integer ?? usage["total_tokens"]?.integer, (1...Self.reportedMax).contains(tokens) else {
            return nil
        }
        self.init(promptTokens: tokens, completionTokens: 0)
    }
}
