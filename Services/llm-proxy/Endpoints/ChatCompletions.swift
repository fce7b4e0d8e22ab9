import Contracts
import EventLoop
import HTTP
import HTTPWire
import Identity
import JSON
import SSE
import Telemetry
import Values

/// `POST /v1/chat/completions`: reads the request in OpenAI's shape, and encodes the answer, the end
/// of its stream and its errors.
struct ChatCompletions: Sendable {
    let services: CallServices
    let catalogue: CurrentCatalogue
    let topUpURL: String

    func complete(_ exchange: Exchange, _ context: RequestContext, caller: Principal) async {
        do throws(Problem) {
            let call = try call(exchange, context, caller)
            try answer(exchange, await call.run(), of: call)
        } catch {
            exchange.respond(error)
        }
    }

    // MARK: The request

    // Not inlined, like `answer`: the frame of a task keeps the temporaries of inlined code while its
    // stream lives.
    /// - Throws: ``Problem`` for a request that cannot be served as it is. Nothing is held yet.
    @inline(never)
    private func call(_ exchange: Exchange, _ context: RequestContext, _ principal: Principal) throws(Problem) -> MeteredCall {
        let request: ChatRequest
        let operation: String?
        do throws(ChatRequest.Refusal) {
            request = try ChatRequest(body: exchange.body)
            operation = try ChatRequest.operation(exchange.headers.string(for: "x-operation"))
        } catch {
            throw Problem(error)
        }
        let modelRequest = request.modelRequest
        let (model, adapter) = try route(of: request, modelRequest)
        let bound = CallBound(
            model: model, prompt: request.prompt, choices: request.choices,
            callerLimit: request.outputTokensMax, isStreaming: request.isStreaming, logprobs: request.logprobs,
            requiresLimit: adapter.requiresLimit, promptUnit: adapter.promptUnit)
        guard let amounts = bound.amounts else {
            throw Problem.invalidRequest("The call costs more than one charge can hold; send less or set a lower limit.", param: "messages")
        }
        let plan = MeteredCall.Plan(request: modelRequest, bound: bound, amounts: amounts, operation: operation)
        return MeteredCall(plan, to: ClientSink(exchange), for: principal, services) { charge in
            MessageContext(
                conversationID: ConversationID(context.requestID) ?? ConversationID(rawValue: charge.rawValue), trace: context.trace)
        }
    }

    /// Draws the route of a call. A route that cannot serve the request is passed over, because the
    /// providers of a model may have different wire formats.
    /// - Throws: the problem of a route, if no route can serve the request.
    private func route(
        of request: ChatRequest, _ modelRequest: ModelRequest
    ) throws(Problem) -> (Catalogue.Model, any ProviderAdapter) {
        let catalogue = catalogue.current
        var generator = SystemRandomNumberGenerator()
        var refusal: Problem?
        for model in catalogue.routes(to: request.model, using: &generator) {
            do throws(Problem) {
                return (model, try adapter(of: model, for: request, modelRequest))
            } catch {
                // A flaw of the request says more than a provider that is switched off.
                if refusal == nil || error.status == 400 { refusal = error }
            }
        }
        throw refusal ?? (catalogue.unpriced.contains(request.model) ? .modelNotPriced(request.model) : .modelNotFound(request.model))
    }

    /// - Throws: the problem of a model, or a provider, that cannot serve the request.
    private func adapter(
        of model: Catalogue.Model, for request: ChatRequest, _ modelRequest: ModelRequest
    ) throws(Problem) -> any ProviderAdapter {
        guard request.prompt.pictures == 0 || model.limits.imageTokensMax != nil else {
            throw Problem.invalidRequest("The model '\(model.id)' takes no pictures; send text only.", param: "messages")
        }
        let adapter = try adapter(of: model)
        if let flaw = adapter.flaw(in: modelRequest) { throw Problem(.init(flaw)) }
        return adapter
    }

    private func adapter(of model: Catalogue.Model) throws(Problem) -> any ProviderAdapter {
        do throws(ProviderFailure) {
            return try services.providers.requireProvider(model.provider)
        } catch {
            services.log.error("provider refused", ["provider": .string(model.provider.name), "reason": .string(error.description)])
            throw error.problem(of: model.provider.name)
        }
    }

    // MARK: The answer

    @inline(never)
    private func answer(_ exchange: Exchange, _ outcome: CallOutcome, of call: MeteredCall) throws(Problem) {
        let provider = call.model.provider.name
        switch outcome {
        case .clientLeft: break
        case .refused(let refusal): throw refusal.problem(topUpURL: topUpURL)
        case .failed(let failure): throw failure.problem(of: provider)
        case .whole(let answer, let receipt): respond(exchange, answer, receipt, provider)
        case .streamed(let usageChunk, let receipt): completeStream(exchange, usageChunk, receipt, of: call)
        case .brokeOff(let failure): abortStream(exchange, with: failure.problem(of: provider))
        case .cut(let refusal): finishStream(exchange, with: refusal.problem(topUpURL: topUpURL))
        case .beyondLimit: finishStream(exchange, with: .providerBeyondLimit(provider))
        case .unconfirmed(let charge, let isStreaming):
            guard isStreaming else { throw .chargeUnconfirmed(charge.description) }
            abortStream(exchange, with: .chargeUnconfirmed(charge.description))
        }
    }

    private func respond(_ exchange: Exchange, _ answer: WholeAnswer, _ receipt: CallReceipt, _ provider: String) {
        var headers: HeaderBlock = ["content-type": "application/json"]
        headers.add("x-provider", provider)
        headers.add("x-credits-used", receipt.used.description)
        if let remaining = receipt.remaining { headers.add("x-credits-remaining", remaining.description) }
        exchange.respond(200, headers: headers, body: ResponseUsage.adding(receipt, to: answer.json))
    }

    private func completeStream(_ exchange: Exchange, _ usageChunk: [UInt8]?, _ receipt: CallReceipt, of call: MeteredCall) {
        if call.includeUsage {
            let chunk = usageChunk.flatMap { try? JSONObject($0) }
            write(chunk.map { ResponseUsage.adding(receipt, to: $0) } ?? ResponseUsage.chunk(receipt, model: call.model.id), to: exchange)
        }
        write(Array("[DONE]".utf8), to: exchange)
        exchange.end()
    }

    /// Ends a stream properly, but without an end marker.
    private func finishStream(_ exchange: Exchange, with problem: Problem) {
        write(problem.body, to: exchange)
        exchange.end()
    }

    /// Ends a stream so that no reader takes it for the whole answer.
    private func abortStream(_ exchange: Exchange, with problem: Problem) {
        write(problem.body, to: exchange)
        exchange.abort()
    }

    private func write(_ data: [UInt8], to exchange: Exchange) {
        exchange.write(SSEEvent.encode(data))
    }
}
