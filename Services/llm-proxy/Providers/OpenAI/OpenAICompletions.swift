import Contracts
import JSON

/// OpenAI's legacy Completions. Requests and answers pass through with the bytes that they had, but for
/// the members that the gateway writes.
struct OpenAICompletions: WireFormat {
    let path = "/completions"

    let requiresLimit = false

    /// OpenAI writes prompts to its cache unasked.
    func promptUnit(of request: ModelRequest) -> UsageUnit { .cacheWrite }

    /// An echo repeats the prompt in the answer, and embedded prompts have tokens that the gateway cannot
    /// count.
    static let priced = PricedMembers([
        ("echo", .onlyFalse), ("prompt_embeds", .absent), ("max_completion_tokens", .renamed("max_tokens")),
    ])

    func flaw(in request: ModelRequest) -> RequestFlaw? { Self.priced.flaw(in: request.json) }

    func body(of request: ModelRequest, for model: Catalogue.Model, limit: OutputLimit) -> [UInt8] {
        var splice = request.splice(for: model)
        if request.isStreaming, !request.includeUsage { splice.set("stream_options", raw: request.streamOptionsWithUsage) }
        if limit.isSent, (try? request.json.optionalInteger("max_tokens")) != limit.tokens {
            splice.set("max_tokens", raw: Array(String(limit.tokens).utf8))
        }
        return splice.apply()
    }

    func answer(_ body: [UInt8], _ context: AnswerContext) throws(ProviderFailure) -> WholeAnswer {
        try OpenAIContent.answer(body, named: "a text completion")
    }

    func reader(_ context: AnswerContext) -> any EventReader { OpenAIEvents(context) }
}
