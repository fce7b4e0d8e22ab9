import Contracts
import EventLoop
import HTTP
import HTTPWire
import Identity
import Multipart
import Telemetry
import Values

/// The calls of models, in the shape of each surface.
struct ModelCalls: Sendable {
    let services: CallServices
    let catalogue: CurrentCatalogue
    let repeated: RepeatedCalls
    let topUpURL: String
    /// The model of a simple chat that names none; nil for the cheapest one.
    var simpleModel: String?

    /// Returns the model of a request that names none.
    var defaultModel: @Sendable () -> String? { { [simpleModel, catalogue] in simpleModel ?? catalogue.current.cheapest(for: .chat)?.id } }

    /// Returns the handler of a surface.
    func handler(_ shape: some CallShape) -> @Sendable (Exchange, RequestContext, Principal) async throws -> Void {
        { exchange, context, caller in try await run(shape, exchange, context, caller) }
    }

    /// - Throws: ``Problem`` before the answer has begun.
    private func run(_ shape: any CallShape, _ exchange: Exchange, _ context: RequestContext, _ caller: Principal) async throws(Problem) {
        let isAnswered = try await repeated.answer(exchange, by: caller, shape) { sink, charge throws(Problem) in
            let call = try self.call(shape, exchange, context, caller, to: sink, charge)
            return reply(in: shape, await call.run(), of: call)
        }
        guard !isAnswered else { return }
        let call = try call(shape, exchange, context, caller, to: ClientSink(exchange, shape.translator()), .make())
        try reply(in: shape, await call.run(), of: call).send(to: exchange)
    }

    // MARK: The request

    // Not inlined, like `answer`: the frame of a task keeps the temporaries of inlined code while its
    // stream lives.
    /// - Throws: ``Problem`` for a request that cannot be served as it is. Nothing is held yet.
    @inline(never)
    private func call(
        _ shape: any CallShape, _ exchange: Exchange, _ context: RequestContext, _ principal: Principal, to sink: any AnswerSink,
        _ charge: ChargeID
    ) throws(Problem) -> MeteredCall {
        var request: CallRequest
        let operation: String?
        do throws(RequestRefusal) {
            request = try Self.request(in: exchange, shape)
            request.modelRequest.headers = shape.providerHeaders(exchange.headers)
            operation = try CallRequest.operation(exchange.headers.string(for: "x-operation"))
        } catch {
            throw Problem(error)
        }
        let asked = request.modelRequest
        let routes = try routes(of: request)
        guard var amounts = routes[0].amounts else {
            throw Problem.invalidRequest("The call costs more than one charge can hold; send less or set a lower limit.")
        }
        // A dearer provider may have to answer instead of the first one.
        for route in routes.dropFirst() { amounts.most = max(amounts.most, route.amounts?.most ?? .zero) }
        let plan = MeteredCall.Plan(request: asked, routes: routes, amounts: amounts, operation: operation, charge: charge)
        return MeteredCall(plan, to: sink, for: principal, services) { charge in
            MessageContext(
                conversationID: ConversationID(context.requestID) ?? ConversationID(rawValue: charge.rawValue), trace: context.trace)
        }
    }

    private static func request(in exchange: Exchange, _ shape: any CallShape) throws(RequestRefusal) -> CallRequest {
        guard shape.takesForms else { return try shape.read(exchange.body) }
        guard let upload = exchange.upload else { throw .invalid(param: "body", message: "The body is empty; send a form with a file.") }
        let form: CallForm
        do throws(MultipartError) {
            form = try CallForm(upload, contentType: exchange.headers.string(for: "content-type") ?? "")
        } catch {
            throw .invalid(param: error == .notFormData || error == .boundary ? "content-type" : "body", message: error.message)
        }
        return try shape.read(form)
    }

    /// Returns the bounds of a call on the routes that can serve it, in the order of their trial. A route
    /// that cannot serve the request is passed over, because the providers of a model may have different
    /// wire formats. A provider that fails at present is passed over too.
    /// - Throws: the problem of a route, if no route can serve the request.
    private func routes(of request: CallRequest) throws(Problem) -> [CallBound] {
        let (catalogue, name) = (catalogue.current, request.modelRequest.model)
        var generator = SystemRandomNumberGenerator()
        var (routes, failing): ([CallBound], [(bound: CallBound, wait: Duration)]) = ([], [])
        var refusal: Problem?
        for model in catalogue.routes(to: name, using: &generator) where routes.count < Attempts.countMax {
            do throws(Problem) {
                let bound = try bound(of: request, on: model, in: try format(of: model, for: request))
                if let wait = services.shared.breakers.wait(for: model.provider.name, at: services.loop.now) {
                    failing.append((bound, wait))
                } else {
                    routes.append(bound)
                }
            } catch {
                // A flaw of the request says more than a provider that is switched off.
                if refusal == nil || error.status == 400 { refusal = error }
            }
        }
        if !routes.isEmpty { return routes }
        if let first = failing.min(by: { $0.wait < $1.wait }) {
            throw ProviderFailure(.failing(wait: first.wait)).problem(of: first.bound.model.provider.name, on: request.modelRequest.surface)
        }
        throw refusal ?? catalogue.problem(of: name)
    }

    private func bound(of request: CallRequest, on model: Catalogue.Model, in format: any WireFormat) throws(Problem) -> CallBound {
        let asked = request.modelRequest
        let units: Usage?
        do throws(RequestFlaw) { units = try format.units(of: asked, for: model) } catch { throw Problem(.init(error)) }
        var prompt = request.prompt
        prompt.addedTokens = format.addedPromptTokens(to: asked)
        return CallBound(
            model: model, prompt: prompt, choices: asked.choices, callerLimit: request.outputTokensMax,
            isStreaming: asked.isStreaming, logprobs: request.logprobs, requiresLimit: format.requiresLimit,
            limitLeast: max(request.limitLeast, format.outputTokensLeast(of: asked)), promptUnit: format.promptUnit(of: asked),
            answerUnit: model.price.units.dearest(of: format.answerUnits(of: asked)), takesLimit: format.takesLimit, units: units)
    }

    /// - Throws: the problem of a model, or a provider, that cannot serve the request.
    private func format(of model: Catalogue.Model, for request: CallRequest) throws(Problem) -> any WireFormat {
        let asked = request.modelRequest
        guard model.surfaces.contains(asked.surface), let format = try format(of: model.provider, for: asked.surface) else {
            throw Problem.wrongSurface(asked.surface, of: model)
        }
        guard asked.pictures == 0 || model.limits.imageTokensMax != nil || asked.surface == .imageEdits else {
            throw Problem.invalidRequest("The model '\(model.id)' takes no pictures; send text only.", param: asked.surface.promptMember)
        }
        if let flaw = format.flaw(in: asked) ?? format.flaw(in: asked, for: model) { throw Problem(.init(flaw)) }
        return format
    }

    private func format(of provider: Catalogue.Provider, for surface: Surface) throws(Problem) -> (any WireFormat)? {
        do throws(ProviderFailure) {
            return try services.providers.format(of: provider, for: surface)
        } catch {
            services.log.error("provider refused", ["provider": .string(provider.name), "reason": .string(error.description)])
            throw error.problem(of: provider.name, on: surface)
        }
    }

    // MARK: The answer

    @inline(never)
    private func reply(in shape: any CallShape, _ outcome: CallOutcome, of call: MeteredCall) -> CallReply {
        let provider = call.model.provider.name
        func event(_ problem: Problem) -> [UInt8] { call.isBinary ? [] : shape.event(of: problem, after: call.lastEventNumber) }
        switch outcome {
        case .clientLeft: return .nothing
        case .refused(let refusal): return .refused(refusal.problem(topUpURL: topUpURL))
        case .failed(let failure): return .refused(failure.problem(of: provider, on: call.surface))
        case .whole(let answer, let receipt):
            return .whole(
                headers(receipt, provider, answer.text == nil ? "application/json" : "text/plain; charset=utf-8"),
                answer.text ?? shape.body(of: answer, receipt))
        case .streamed(let usageChunk, let receipt):
            return .endOfStream(shape.end(usageChunk, receipt, includeUsage: call.includeUsage, model: call.model.id))
        case .brokeOff(let failure): return .brokenStream(event(failure.problem(of: provider, on: call.surface)))
        // A stream that ends properly, without an end marker.
        case .cut(let refusal): return .endOfStream(event(refusal.problem(topUpURL: topUpURL)))
        case .beyondLimit: return .endOfStream(event(.providerBeyondLimit(provider)))
        case .unconfirmed(let charge, let isStreaming):
            let problem = Problem.chargeUnconfirmed(charge.description)
            return .unconfirmed(problem, event: isStreaming ? event(problem) : nil)
        }
    }

    private func headers(_ receipt: CallReceipt, _ provider: String, _ mediaType: String) -> HeaderBlock {
        var headers = HeaderBlock()
        headers.add("content-type", mediaType)
        headers.add("x-provider", provider)
        headers.add(receipt)
        if let limit = receipt.maxTokensClamped { headers.add("x-max-tokens-clamped", Int(limit)) }
        return headers
    }
}
