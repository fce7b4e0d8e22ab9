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
        if request.isStreaming, !request.includeUsage { splice.set("stream_options", raw: request.streamOptionsWithUsage) }
        if limit.isSent {
            let member = model.limits.outputLimitMember.rawValue
            if (try? json.optionalInteger(member)) != limit.tokens { splice.set(member, raw: Array(String(limit.tokens).utf8)) }
            for other in ModelLimits.OutputLimitMember.allCases where other.rawValue != member && json.member(other.rawValue) != nil {
                splice.remove(other.rawValue)
            }
        }
        return splice.apply()
    }

    func answer(_ body: [UInt8], _ context: AnswerContext) throws(ProviderFailure) -> WholeAnswer {
        try OpenAIContent.answer(body, named: "a chat completion")
    }

    func reader(_ context: AnswerContext) -> any EventReader { OpenAIEvents(context) }
}
