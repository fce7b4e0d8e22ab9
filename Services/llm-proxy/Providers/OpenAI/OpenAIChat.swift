import Contracts
import JSON

/// OpenAI's Chat Completions. Requests and answers pass through with the bytes that they had, but for
/// the members that the gateway writes.
struct OpenAIChat: WireFormat {
    let path = "/chat/completions"

    let requiresLimit = false

    /// OpenAI writes prompts to its cache unasked.
    func promptUnit(of request: ModelRequest) -> UsageUnit { .cacheWrite }

    func flaw(in request: ModelRequest) -> RequestFlaw? { PricedMembers.chat.flaw(in: request.json) }

    /// The request has the provider's name of the model, asks for usage, and has the limit of the
    /// answer in the member that the model reads.
    func body(of request: ModelRequest, for model: Catalogue.Model, limit: OutputLimit) -> [UInt8] {
        let json = request.json
        var splice = request.splice(for: model)
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
            throw Self.noCompletion
        }
        let content = OpenAIContent.read(json)
        guard !content.hasFailed else { throw Self.noCompletion }
        var reported = json.raw("usage").flatMap { $0.withUnsafeBytes { Usage(openAI: JSONScan($0)) } }
        json.raw("service_tier")?.withUnsafeBytes { reported?.take(tier: JSONScan($0)) }
        return WholeAnswer(json: json, reported: reported, contentBytes: content.bytes)
    }

    private static let noCompletion = ProviderFailure(.wrongAnswer("with something else than a chat completion"))

    func reader(_ context: AnswerContext) -> any EventReader { OpenAIEvents(context) }
}
