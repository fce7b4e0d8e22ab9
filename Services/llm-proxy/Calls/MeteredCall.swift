import Contracts
import EventLoop
import HTTP
import HTTPWire
import Identity
import JSON
import Telemetry
import UpstreamClient
import Values

/// One chat completion, from the caller's credentials to a durable charge.
///
/// A granted hold has one end: ``run()`` carries the call out, decides its charge (``CallEnd``) and
/// performs it once. If the process dies first, the ledger lets the hold expire at the largest
/// report.
final class MeteredCall: @unchecked Sendable {
    // @unchecked Sendable: confined to the caller's loop, where its tasks run too.

    private let exchange: Exchange
    private let service: ChatService
    private let principal: Principal
    /// Nil once the provider has begun to answer.
    private var request: ChatRequest?
    private let isStreaming: Bool
    private let includeUsage: Bool
    private let model: Catalogue.Model
    private let bound: CallBound
    private let context: MessageContext
    private let asker: FundsLines.Asker
    private let operation: String?

    private var granted = Credits.zero
    private var availableAfterHold = Credits.zero
    private var limit: OutputLimit?
    private var answer: UpstreamResponse?
    private var stream: AnswerStream?
    /// True while the gateway waits for a provider whose client left before the answer began.
    private var isListening = false

    private var charge: ChargeID { asker.charge }

    /// - Throws: ``Problem`` for a request that cannot be served as it is.
    init(_ exchange: Exchange, _ context: RequestContext, principal: Principal, service: ChatService) throws {
        self.exchange = exchange
        self.service = service
        self.principal = principal
        let request: ChatRequest
        do throws(ChatRequest.Refusal) {
            request = try ChatRequest(body: exchange.body)
            operation = try ChatRequest.operation(exchange.headers.string(for: "x-operation"))
        } catch .malformed(let reason) {
            throw Problem.invalidJSON("The body is not a JSON object: \(reason).")
        } catch .invalid(let param, let message) {
            throw Problem.invalidRequest(message, param: param)
        }
        (self.request, isStreaming, includeUsage) = (request, request.isStreaming, request.includeUsage)
        let catalogue = service.catalogue.current
        guard let model = catalogue.models[request.model] else { throw Problem.modelNotFound(request.model) }
        guard request.prompt.pictures == 0 || model.limits.imageTokensMax != nil else {
            throw Problem.invalidRequest("The model '\(model.id)' takes no pictures; send text only.", param: "messages")
        }
        try service.requireProvider(to: model.provider)
        self.model = model
        bound = CallBound(
            model: model, pricing: catalogue.pricing, prompt: request.prompt, choices: request.choices,
            callerLimit: request.outputTokensMax,
            isStreaming: request.isStreaming, logprobs: request.logprobs)
        asker = FundsLines.Asker(
            key: .init(account: principal.accountID, limitedKey: principal.keyLimits == nil ? nil : principal.apiKeyID), charge: .make())
        self.context = MessageContext(
            conversationID: ConversationID(context.requestID) ?? ConversationID(rawValue: asker.charge.rawValue), trace: context.trace)
    }

    func run() async throws {
        // A task keeps the memory of its frames until it ends. Those of the question are large, and
        // a stream lives long, so the question has a task of its own.
        guard try await Task(executorPreference: service.loop, operation: { try await self.hold() }).value else { return }
        let reports = Reports(on: service.loop, every: service.ledger.timing.reportEvery) { [self] in
            service.ledger.report(charge, of: principal.accountID, usedSoFar: usedSoFar, in: context)
        }
        let (end, reply) = await carryOut()
        reports.stop()
        try answer(reply, after: await conclude(end))
    }

    /// A provider that trickles for ever meets no deadline between two reads.
    private static let longest = Duration.seconds(3_600)

    // MARK: Before

    /// - Returns: false if the client left before anything was held.
    private func hold() async throws -> Bool {
        guard let amounts = bound.amounts else {
            throw Problem.invalidRequest("The call costs more than one charge can hold; send less or set a lower limit.", param: "messages")
        }
        exchange.onClose = { [service, asker] in service.shared.funds.leave(asker) }
        defer { exchange.onClose = nil }
        let reply: HoldReply?
        do {
            reply = try await service.shared.funds.reply(
                asker, amounts: amounts, isNewCall: true, patience: service.ledger.timing.fundsWithin, on: service.loop,
                hasLeft: { exchange.isClosed }
            ) { isLast in
                var amounts = amounts
                amounts.isLastQuestion = isLast
                return try await service.ledger.place(
                    charge, for: principal, amounts, takesShare: bound.takesShare, on: service.loop, in: context)
            }
        } catch {
            service.log.warning("hold request failed", error: error, trace: context.trace)
            throw Problem.ledgerUnavailable
        }
        guard let reply else { return false }
        if let refusal = HoldRefusal(reply, least: amounts.least) {
            note(refusal, reply)
            // A new charge has no hold that could have expired. The ledger knows this id for
            // another reason.
            throw (refusal == .holdGone ? .rejected : refusal).problem(topUpURL: service.topUpURL)
        }
        (granted, availableAfterHold) = (reply.granted, reply.available)
        let limit = bound.limit(paidBy: bound.isHeldWhole ? granted : granted.adding(max(.zero, reply.spendable)))
        self.limit = limit
        if limit.isClamped { exchange.standingHeaders.add("x-max-tokens-clamped", Int(limit.tokens)) }
        return true
    }

    private func note(_ refusal: HoldRefusal, _ reply: HoldReply) {
        guard refusal == .rejected || refusal == .holdGone else { return }
        service.log.error(
            "hold refused",
            ["charge.id": .describing(charge), "status": .string(reply.status.rawValue), "reason": .string(reply.message ?? "")],
            trace: context.trace)
    }

    // MARK: The provider's call

    /// The answer that the client gets once the charge is safe.
    private enum Reply {
        case problem(Problem)
        case body([UInt8], TokenUsage)
        case streamEnd(TokenUsage)
        /// An error event. The stream ends without a proper end, so that no reader takes it for the
        /// whole answer. If the hold ended the stream, it ends properly.
        case streamError(Problem, isCut: Bool)
    }

    private func carryOut() async -> (CallEnd, Reply) {
        guard !exchange.isClosed, let limit, let request else { return (stopped(by: .clientGone), .problem(.internalError)) }
        let answer: UpstreamResponse
        do {
            answer = try service.send(request.providerBody(for: model, limit: limit), to: model.provider)
        } catch {
            return (stopped(by: .providerDied), .problem(error as? Problem ?? .internalError))
        }
        self.answer = answer
        exchange.onClose = { [self] in clientLeft(answer) }
        let longest = service.loop.schedule(after: Self.longest) { answer.cancel() }
        defer { service.loop.cancel(longest) }
        let (watch, provider) = (service.shared.watch, model.provider.name)
        watch.sent(to: provider, isStream: isStreaming, at: service.loop.now)
        do throws(UpstreamError) {
            try await answer.head()
        } catch {
            let isSilent = watch.isSilent(provider, at: service.loop.now)
            watch.ended(at: provider, isStream: isStreaming, hasAnswered: false, at: service.loop.now)
            var end = stopped(by: error)
            end.isProviderSilent = isSilent
            return (end, .problem(service.problem(for: error, of: model.provider)))
        }
        watch.ended(at: provider, isStream: isStreaming, hasAnswered: true, at: service.loop.now)
        dropRequest()
        guard (200..<300).contains(answer.status) else { return await refused(answer) }
        switch Self.mediaType(of: answer) {
        case "text/event-stream" where isStreaming: return await passThrough(answer, limit)
        // A provider may send JSON instead of the stream that it was asked for.
        case "application/json": return await collect(answer)
        case let type: return unreadable(answer, type)
        }
    }

    /// Frees the request, of which a long answer needs nothing more.
    private func dropRequest() {
        request = nil
        exchange.dropBody()
    }

    /// Returns the media type in small letters, without its parameters (RFC 9110 §8.3.1).
    private static func mediaType(of answer: UpstreamResponse) -> String {
        let field = answer.headers.string(for: "content-type") ?? ""
        return field.prefix { $0 != ";" }.filter { $0 != " " && $0 != "\t" }.lowercased()
    }

    /// Gives up an answer whose media type cannot be metered.
    private func unreadable(_ answer: UpstreamResponse, _ mediaType: String) -> (CallEnd, Reply) {
        let provider = model.provider.name
        service.log.warning(
            "provider failed", ["provider": .string(provider), "media_type": .string(String(mediaType.prefix(100)))], trace: context.trace)
        answer.cancel()
        let problem = Problem.providerError(provider, "The provider '\(provider)' answered with another media type than it was asked for.")
        return (stopped(by: CallFacts.End.providerDied), .problem(problem))
    }

    /// Cancels an answer that has begun, and a request that has not been sent. In between, the
    /// gateway waits, because the reaction of the provider decides the charge.
    private func clientLeft(_ answer: UpstreamResponse) {
        guard stream?.meter.contentEvents ?? 0 == 0, !answer.isUnsent else {
            service.shared.funds.leave(asker)
            return answer.cancel()
        }
        isListening = true
        stream?.listen()
        service.loop.schedule(after: service.shared.listensFor) { answer.cancel() }
        exchange.whenServerStops { answer.cancel() }
    }

    /// Handles an answer by which the provider refused the request before it generated anything.
    private func refused(_ answer: UpstreamResponse) async -> (CallEnd, Reply) {
        let patience = service.loop.schedule(after: .seconds(10)) { answer.cancel() }
        defer { service.loop.cancel(patience) }
        let body = (try? await answer.collect(upTo: 65_536)) ?? []
        let problem = service.problem(
            forStatus: answer.status, body: body, retryAfter: answer.headers.string(for: "retry-after"), of: model.provider)
        return (end(.refused(status: answer.status)), .problem(problem))
    }

    private func collect(_ answer: UpstreamResponse) async -> (CallEnd, Reply) {
        let body: [UInt8]
        do throws(UpstreamError) {
            body = try await answer.collect(upTo: CallBound.answerBytesMax)
        } catch {
            return (stopped(by: error), .problem(service.problem(for: error, of: model.provider)))
        }
        let reported = body.withUnsafeBytes { JSONScan($0)["usage"].flatMap(TokenUsage.init) }
        var end = end(.whole)
        (end.delivered, end.isEstimated) = ResponseUsage.delivered(
            in: body, reported: reported, promptTokens: bound.prompt.estimatedTokens(model.limits))
        return (end, .body(body, end.delivered))
    }

    private func passThrough(_ answer: UpstreamResponse, _ limit: OutputLimit) async -> (CallEnd, Reply) {
        var headers: HeaderBlock = ["content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"]
        headers.add("x-accel-buffering", "no")
        headers.add("x-provider", model.provider.name)
        exchange.begin(200, headers: headers)
        let hold = StreamHold(granted: granted, bound: bound, limit: limit.tokens)
        let stream = AnswerStream(exchange, answer, hold: hold, isListening: isListening, on: service.loop) { [weak self] in
            await self?.extend(by: $0) ?? .failure(.ledgerUnavailable)
        }
        self.stream = stream
        let end = await stream.run()
        // An extension that waits for credits is of no use any more.
        service.shared.funds.leave(asker)
        switch end {
        case .whole:
            return (self.end(.whole), .streamEnd(delivered.usage))
        case .cut(let refusal):
            service.log.info(
                "stream cut at the end of its hold",
                ["charge.id": .describing(charge), "code": .string(refusal.problem(topUpURL: "").code.rawValue)], trace: context.trace)
            return (stopped(by: .holdExhausted), .streamError(refusal.problem(topUpURL: service.topUpURL), isCut: true))
        case .beyondLimit:
            return (
                stopped(by: .holdExhausted),
                .streamError(
                    .providerError(model.provider.name, "The provider '\(model.provider.name)' went on beyond the limit of the answer."),
                    isCut: true)
            )
        case .unreadable:
            let error = UpstreamError(.malformed, "a line of more than \(StreamMeter.lineBytesMax) bytes")
            return (stopped(by: error), .streamError(service.problem(for: error, of: model.provider), isCut: false))
        case .failed(let error):
            return (stopped(by: error), .streamError(service.problem(for: error, of: model.provider), isCut: false))
        }
    }

    /// Asks the ledger for more credits while the stream runs. An outage does not end the stream:
    /// the proxy repeats the question as long as the hold can live.
    private func extend(by more: StreamHold.Extension) async -> Result<Credits, HoldRefusal> {
        let outageEnds = MonotonicInstant.current() + service.ledger.timing.outagePatience
        let amounts = HoldAmounts(most: more.most, usual: more.usual, least: more.least)
        let used = usedSoFar
        var hasFailed = false
        while let stream, stream.needsCredits {
            do {
                let reply = try await service.shared.funds.reply(
                    asker, amounts: amounts, isNewCall: false, patience: service.ledger.timing.fundsWithin, on: service.loop,
                    hasLeft: { !stream.needsCredits }
                ) { isLast in
                    var amounts = amounts
                    amounts.isLastQuestion = isLast
                    return try await service.ledger.extend(
                        ExtendHold(
                            chargeID: charge, accountID: principal.accountID, step: more.step, amounts: amounts, usedSoFar: used,
                            timeToLiveMilliseconds: Int64(service.ledger.timing.holdTimeToLive.milliseconds)),
                        on: service.loop, in: context)
                }
                guard let reply, stream.needsCredits else { break }
                if reply.status != .busy { return granted(reply, more) }
            } catch {
                // Logs once for a stream: an outage may last for a minute, and every stream repeats
                // its question until the end of it.
                if !hasFailed {
                    service.log.warning("extend request failed", ["step": .integer(more.step)], error: error, trace: context.trace)
                }
                hasFailed = true
            }
            guard MonotonicInstant.current() + LedgerClient.outagePause < outageEnds else { break }
            try? await service.loop.sleep(for: LedgerClient.outagePause)
        }
        return .failure(.ledgerUnavailable)
    }

    private func granted(_ reply: HoldReply, _ more: StreamHold.Extension) -> Result<Credits, HoldRefusal> {
        if let refusal = HoldRefusal(reply, least: more.least) {
            note(refusal, reply)
            return .failure(refusal)
        }
        availableAfterHold = reply.available
        granted = granted.adding(reply.granted)
        return .success(reply.granted)
    }

    // MARK: After

    private var delivered: (usage: TokenUsage, isEstimated: Bool) {
        stream?.meter.delivered(promptTokens: bound.prompt.estimatedTokens(model.limits))
            ?? (TokenUsage(promptTokens: 0, completionTokens: 0), true)
    }

    /// The amount of a report. It is zero before the provider has the request, and then pays for
    /// the prompt and the delivered output.
    private var usedSoFar: Credits {
        var usage = delivered.usage
        if isListening || usage.completionTokens == 0 {
            guard answer?.isAcknowledged ?? false else { return .zero }
            usage = TokenUsage(promptTokens: bound.prompt.estimatedTokens(model.limits), completionTokens: 0)
        }
        return amount(for: usage).credits
    }

    private func stopped(by error: UpstreamError) -> CallEnd {
        if error.code == .cancelled, exchange.isClosed { return stopped(by: CallFacts.End.clientGone) }
        return stopped(by: { if case .timedOut = error.code { .timedOut } else { .providerDied } }())
    }

    private func stopped(by cause: CallFacts.End) -> CallEnd {
        // The client got nothing of the answer that came while the gateway waited.
        var end = end(isListening || stream == nil ? .none : .partial)
        end.stoppedBy = cause
        return end
    }

    private func end(_ how: CallEnd.Answer) -> CallEnd {
        let delivered = delivered
        return CallEnd(
            answer: how, delivered: delivered.usage, isEstimated: delivered.isEstimated, reported: stream?.meter.usage,
            estimatedPromptTokens: bound.prompt.estimatedTokens(model.limits), isClientGone: exchange.isClosed,
            isAcknowledged: answer?.isAcknowledged ?? false)
    }

    private enum Conclusion {
        case charged(Credits)
        /// Neither the broker nor the outbox certainly has the charge.
        case unconfirmed
    }

    /// Settles or voids the hold. It is the only place that ends a charge.
    private func conclude(_ end: CallEnd) async -> Conclusion {
        defer { service.shared.funds.freed(by: asker, on: service.loop) }
        switch end.charge {
        case .nothing(let reason):
            await service.ledger.void(charge, of: principal.accountID, because: reason, in: context)
            return .charged(.zero)
        case .usage(let usage, let isEstimated, let how):
            let (used, isExact) = amount(for: usage)
            if !isExact, !isEstimated, !isListening { noteImpossible(usage) }
            let facts = CallFacts(
                model: model.id, provider: model.provider.name,
                usage: [.input: usage.promptTokens, .output: usage.completionTokens],
                isEstimated: isEstimated || !isExact, end: how, priceVersion: model.price.version,
                costPicoUSD: model.price.cost(of: usage)?.value ?? .max,
                operation: service.shared.operations.recorded(operation, of: principal.accountID, at: .now()), apiKeyID: principal.apiKeyID)
            let settlement = SettleCharge(chargeID: charge, accountID: principal.accountID, amount: used, call: facts)
            return await service.ledger.settle(settlement, in: context) ? .charged(used) : .unconfirmed
        }
    }

    /// Returns the charge for `usage`: its price, or at most the hold if the call cannot have used
    /// this much, or if the ledger granted no more while the gateway listened.
    private func amount(for usage: TokenUsage) -> (credits: Credits, isExact: Bool) {
        let price = price(usage)
        let isPossible = limit.map { bound.allows(usage, limit: $0) } ?? false
        if let price, isPossible, !isListening || price <= granted { return (price, true) }
        return (min(price ?? granted, granted), false)
    }

    private func noteImpossible(_ usage: TokenUsage) {
        service.log.error(
            "usage beyond the bound of the call",
            [
                "charge.id": .describing(charge), "provider": .string(model.provider.name), "model": .string(model.id),
                "prompt_tokens": .integer(usage.promptTokens), "completion_tokens": .integer(usage.completionTokens),
            ], trace: context.trace)
    }

    /// - Returns: nil if the price is above the largest amount of one charge.
    private func price(_ usage: TokenUsage) -> Credits? {
        bound.pricing.credits(for: usage, at: model.price).flatMap { $0 <= CallBound.amountMax ? $0 : nil }
    }

    private func answer(_ reply: Reply, after conclusion: Conclusion) throws {
        let unconfirmed = Problem.chargeUnconfirmed(charge.description)
        switch (reply, conclusion) {
        case (.problem(let problem), _): throw problem
        case (.body, .unconfirmed): throw unconfirmed
        case (.body(let body, let usage), .charged(let used)): respond(body, usage, used)
        case (.streamEnd, .unconfirmed): abortStream(with: unconfirmed)
        case (.streamEnd(let usage), .charged(let used)): completeStream(usage, used)
        case (.streamError(let problem, let isCut), _):
            guard isCut else { return abortStream(with: problem) }
            write(event: problem.body)
            exchange.end()
        }
    }

    private func members(_ used: Credits) -> ResponseUsage.Members {
        ResponseUsage.Members(
            used: used, remaining: max(.zero, availableAfterHold.adding(granted).adding(.zero - used)),
            maxTokensClamped: limit.flatMap { $0.isClamped ? $0.tokens : nil })
    }

    private func respond(_ body: [UInt8], _ usage: TokenUsage, _ used: Credits) {
        let members = members(used)
        var headers: HeaderBlock = ["content-type": "application/json"]
        headers.add("x-provider", model.provider.name)
        headers.add("x-credits-used", used.description)
        headers.add("x-credits-remaining", members.remaining.description)
        exchange.respond(200, headers: headers, body: ResponseUsage.adding(members, usage: usage, to: body) ?? body)
    }

    private func completeStream(_ usage: TokenUsage, _ used: Credits) {
        if includeUsage, let event = stream?.meter.usageEvent,
            let priced = ResponseUsage.adding(members(used), usage: usage, to: event)
        {
            write(event: priced)
        }
        if stream?.meter.isDone ?? false { write(event: Array("[DONE]".utf8)) }
        exchange.end()
    }

    private func abortStream(with problem: Problem) {
        write(event: problem.body)
        exchange.abort()
    }

    private func write(event data: [UInt8]) { exchange.write(Array("data: ".utf8) + data + Array("\n\n".utf8)) }
}
