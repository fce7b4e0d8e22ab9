import Contracts
import EventLoop
import HTTP
import HTTPWire
import Identity
import Telemetry
import Values

/// The calls of models, in the shape of each surface.
struct ModelCalls: Sendable {
    let services: CallServices
    let catalogue: CurrentCatalogue
    let topUpURL: String

    /// Returns the handler of a surface.
    func handler(_ shape: some CallShape) -> @Sendable (Exchange, RequestContext, Principal) async throws -> Void {
        { exchange, context, caller in try await run(shape, exchange, context, caller) }
    }

    /// - Throws: ``Problem`` before the answer has begun.
    private func run(_ shape: any CallShape, _ exchange: Exchange, _ context: RequestContext, _ caller: Principal) async throws(Problem) {
        let call = try call(shape, exchange, context, caller)
        try answer(exchange, in: shape, await call.run(), of: call)
    }

    // MARK: The request

    // Not inlined, like `answer`: the frame of a task keeps the temporaries of inlined code while its
    // stream lives.
    /// - Throws: ``Problem`` for a request that cannot be served as it is. Nothing is held yet.
    @inline(never)
    private func call(
        _ shape: any CallShape, _ exchange: Exchange, _ context: RequestContext, _ principal: Principal
    ) throws(Problem) -> MeteredCall {
        var request: CallRequest
        let operation: String?
        do throws(RequestRefusal) {
            request = try shape.read(exchange.body)
            request.modelRequest.headers = shape.providerHeaders(exchange.headers)
            operation = try CallRequest.operation(exchange.headers.string(for: "x-operation"))
        } catch {
            throw Problem(error)
        }
        let (model, format) = try route(of: request)
        let asked = request.modelRequest
        request.prompt.addedTokens = format.addedPromptTokens(to: asked)
        let bound = CallBound(
            model: model, prompt: request.prompt, choices: asked.choices,
            callerLimit: request.outputTokensMax, isStreaming: asked.isStreaming, logprobs: request.logprobs,
            requiresLimit: format.requiresLimit, promptUnit: format.promptUnit(of: asked),
            outputLeast: format.outputTokensLeast(of: asked))
        guard let amounts = bound.amounts else {
            throw Problem.invalidRequest("The call costs more than one charge can hold; send less or set a lower limit.")
        }
        let plan = MeteredCall.Plan(request: asked, bound: bound, amounts: amounts, operation: operation)
        return MeteredCall(plan, to: ClientSink(exchange), for: principal, services) { charge in
            MessageContext(
                conversationID: ConversationID(context.requestID) ?? ConversationID(rawValue: charge.rawValue), trace: context.trace)
        }
    }

    /// Draws the route of a call. A route that cannot serve the request is passed over, because the
    /// providers of a model may have different wire formats.
    /// - Throws: the problem of a route, if no route can serve the request.
    private func route(of request: CallRequest) throws(Problem) -> (Catalogue.Model, any WireFormat) {
        let (catalogue, name) = (catalogue.current, request.modelRequest.model)
        var generator = SystemRandomNumberGenerator()
        var refusal: Problem?
        for model in catalogue.routes(to: name, using: &generator) {
            do throws(Problem) {
                return (model, try format(of: model, for: request))
            } catch {
                // A flaw of the request says more than a provider that is switched off.
                if refusal == nil || error.status == 400 { refusal = error }
            }
        }
        throw refusal ?? (catalogue.unpriced.contains(name) ? .modelNotPriced(name) : .modelNotFound(name))
    }

    /// - Throws: the problem of a model, or a provider, that cannot serve the request.
    private func format(of model: Catalogue.Model, for request: CallRequest) throws(Problem) -> any WireFormat {
        let asked = request.modelRequest
        guard model.surfaces.contains(asked.surface), let format = try format(of: model.provider, for: asked.surface) else {
            throw Problem.wrongSurface(asked.surface, of: model)
        }
        guard asked.pictures == 0 || model.limits.imageTokensMax != nil else {
            throw Problem.invalidRequest("The model '\(model.id)' takes no pictures; send text only.", param: "messages")
        }
        if let flaw = format.flaw(in: asked) ?? format.flaw(in: asked, for: model) { throw Problem(.init(flaw)) }
        return format
    }

    private func format(of provider: Catalogue.Provider, for surface: Surface) throws(Problem) -> (any WireFormat)? {
        do throws(ProviderFailure) {
            return try services.providers.format(of: provider, for: surface)
        } catch {
            services.log.error("provider refused", ["provider": .string(provider.name), "reason": .string(error.description)])
            throw error.problem(of: provider.name)
        }
    }

    // MARK: The answer

    @inline(never)
    private func answer(
        _ exchange: Exchange, in shape: any CallShape, _ outcome: CallOutcome, of call: MeteredCall
    ) throws(Problem) {
        let provider = call.model.provider.name
        func abort(_ problem: Problem) {
            exchange.write(shape.event(of: problem))
            exchange.abort()
        }
        // Without an end marker.
        func finish(_ problem: Problem) {
            exchange.write(shape.event(of: problem))
            exchange.end()
        }
        switch outcome {
        case .clientLeft: break
        case .refused(let refusal): throw refusal.problem(topUpURL: topUpURL)
        case .failed(let failure): throw failure.problem(of: provider)
        case .whole(let answer, let receipt): respond(exchange, shape.body(of: answer, receipt), receipt, provider)
        case .streamed(let usageChunk, let receipt):
            exchange.write(shape.end(usageChunk, receipt, includeUsage: call.includeUsage, model: call.model.id))
            exchange.end()
        // No reader may take the stream for the whole answer.
        case .brokeOff(let failure): abort(failure.problem(of: provider))
        case .cut(let refusal): finish(refusal.problem(topUpURL: topUpURL))
        case .beyondLimit: finish(.providerBeyondLimit(provider))
        case .unconfirmed(let charge, let isStreaming):
            guard isStreaming else { throw .chargeUnconfirmed(charge.description) }
            abort(.chargeUnconfirmed(charge.description))
        }
    }

    private func respond(_ exchange: Exchange, _ body: [UInt8], _ receipt: CallReceipt, _ provider: String) {
        var headers: HeaderBlock = ["content-type": "application/json"]
        headers.add("x-provider", provider)
        headers.add("x-credits-used", receipt.used.description)
        if let remaining = receipt.remaining { headers.add("x-credits-remaining", remaining.description) }
        exchange.respond(200, headers: headers, body: body)
    }
}
