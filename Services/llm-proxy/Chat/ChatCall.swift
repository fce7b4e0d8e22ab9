import Contracts
import EventLoop
import HTTP
import HTTPWire
import Identity
import JSON
import Telemetry
import UpstreamClient

/// One chat completion, from the caller's credentials to a durable charge.
///
/// From the moment a hold is granted every way out settles or voids it; should the process die first, the ledger lets the hold
/// expire at what was last reported.
final class ChatCall: @unchecked Sendable {
    // @unchecked Sendable: confined to the caller's loop, where its tasks run too.

    private let exchange: Exchange
    private let service: ChatService
    private let principal: Principal
    private let request: ChatRequest
    private let model: Catalogue.Model
    private let tariff: Tariff
    private let context: MessageContext
    private let charge = ChargeID.make()
    private let promptTokensMax: Int64
    private let operation: String?

    private var granted = Credits.zero
    private var availableAfterHold = Credits.zero
    private var meter = StreamMeter()
    private var reports: TimerID?

    /// While an answer streams through.
    private var runningHold: RunningHold?
    /// The question for more that is under way.
    private var extending: Task<Void, Never>?
    /// What the caller is told where the hold ends before the answer does.
    private var refusal = Problem.internalError
    private var isCut = false

    /// - Throws: ``Problem`` for a request that cannot be served as it is.
    init(_ exchange: Exchange, _ context: RequestContext, principal: Principal, service: ChatService) throws {
        self.exchange = exchange
        self.service = service
        self.principal = principal
        do throws(ChatRequest.Refusal) {
            request = try ChatRequest(body: exchange.body)
            operation = try ChatRequest.operation(exchange.headers.string(for: "x-operation"))
        } catch .malformed(let reason) {
            throw Problem.invalidJSON("The body is not a JSON object: \(reason).")
        } catch .invalid(let param, let message) {
            throw Problem.invalidRequest(message, param: param)
        }
        let catalogue = service.catalogue.current
        guard let model = catalogue.models[request.model] else { throw Problem.modelNotFound(request.model) }
        try service.requireWay(to: model.provider)
        self.model = model
        tariff = catalogue.tariff
        promptTokensMax = HoldEstimate.promptTokensMax(of: exchange.body)
        self.context = MessageContext(
            conversationID: ConversationID(context.requestID) ?? ConversationID(rawValue: charge.rawValue), trace: context.trace)
    }

    func run() async throws {
        let outputBound = try await hold()
        guard !exchange.isClosed else { return await void(because: "the caller hung up") }
        reportWhileRunning()
        defer { if let reports { service.loop.cancel(reports) } }
        let answer: UpstreamResponse
        do {
            answer = try service.send(request.providerBody(model: model.providerModel, outputTokens: outputBound), to: model.provider)
        } catch {
            await void(because: "no connection to the provider")
            throw error
        }
        exchange.onClose = { answer.cancel() }
        let longest = service.loop.schedule(after: Self.longest) { answer.cancel() }
        defer { service.loop.cancel(longest) }
        do throws(UpstreamError) {
            try await answer.head()
        } catch {
            await void(because: "provider: \(error)")
            throw service.problem(for: error, of: model.provider)
        }
        guard (200..<300).contains(answer.status) else { return try await refuse(answer) }
        // A provider may not stream what it was asked to; its JSON is then no event, and would go through unmetered.
        let isJSON = answer.headers.string(for: "content-type")?.lowercased().hasPrefix("application/json") ?? false
        if request.isStreaming, !isJSON { await stream(answer) } else { try await collect(answer) }
    }

    /// A provider that trickles for ever meets no deadline between two reads.
    private static let longest = Duration.seconds(3_600)

    // MARK: Before

    /// - Returns: the bound of the answer's length that the provider must be given; nil leaves the caller's own.
    private func hold() async throws -> Int64? {
        let outputTokens = request.outputTokensMax ?? model.usualOutputTokens
        guard
            let estimate = HoldEstimate(
                promptTokens: promptTokensMax, outputTokens: outputTokens, answers: request.answers, tariff: tariff, price: model.price)
        else { throw Problem.invalidRequest("The call could cost more than can be counted.", param: request.outputTokensMembers[0]) }
        let reply: HoldReply
        do {
            reply = try await service.ledger.place(charge, for: principal, estimate, on: service.loop, in: context)
        } catch {
            service.log.warning("ledger did not answer a hold", error: error, trace: context.trace)
            throw Problem.ledgerUnavailable
        }
        guard reply.status == .granted else { throw refusal(of: reply, required: estimate.amountLeast) }
        (granted, availableAfterHold) = (reply.granted, reply.available)
        refusal = reply.refusal(required: estimate.amount, topUpURL: service.topUpURL)
        guard granted < estimate.amount else {
            follow(request.outputTokensMax == nil ? .none : .callers)
            return nil
        }
        follow(.ours)
        let affordable = HoldEstimate.outputTokens(
            affordableWith: granted, promptTokens: promptTokensMax, upTo: outputTokens, answers: request.answers, tariff: tariff,
            price: model.price)
        exchange.standingHeaders.add("x-max-tokens-clamped", Int(affordable))
        return affordable
    }

    private func refusal(of reply: HoldReply, required: Credits) -> Problem {
        let problem = reply.refusal(required: required, topUpURL: service.topUpURL)
        if problem.status >= 500 {
            service.log.error(
                "the ledger refused a hold", ["status": .string(reply.status.rawValue), "reason": .string(reply.message ?? "")],
                trace: context.trace)
        }
        return problem
    }

    private func reportWhileRunning() {
        reports = service.loop.schedule(after: service.ledger.timing.reportEvery) { [self] in
            service.ledger.report(charge, of: principal.accountID, usedSoFar: price(delivered.usage) ?? granted, in: context)
            reportWhileRunning()
        }
    }

    // MARK: In one piece

    private func collect(_ answer: UpstreamResponse) async throws {
        let body: [UInt8]
        do throws(UpstreamError) {
            body = try await answer.collect(upTo: service.answerBytesMax)
        } catch {
            // Nothing has reached the caller, so nothing is charged.
            await void(because: "provider: \(error)")
            throw service.problem(for: error, of: model.provider)
        }
        guard !exchange.isClosed else { return await void(because: "the caller hung up") }
        let reported = body.withUnsafeBytes { JSONScan($0)["usage"].flatMap(TokenUsage.init) }
        let (usage, isEstimated) = AnswerUsage.delivered(in: body, reported: reported, promptTokens: promptTokensLikely)
        guard usage.completionTokens > 0 else {
            await void(because: "empty answer")
            return respond(body, usage: usage, used: .zero)
        }
        guard let used = await settle(usage, isEstimated: isEstimated, end: .completed) else { throw Problem.ledgerUnavailable }
        respond(body, usage: usage, used: used)
    }

    private func respond(_ body: [UInt8], usage: TokenUsage, used: Credits) {
        var headers: HeaderBlock = ["content-type": "application/json"]
        headers.add("x-provider", model.provider.name)
        headers.add("x-credits-used", used.description)
        headers.add("x-credits-remaining", remaining(after: used).description)
        let answer = AnswerUsage.adding(used: used, remaining: remaining(after: used), usage: usage, to: body) ?? body
        exchange.respond(200, headers: headers, body: answer)
    }

    // MARK: As a stream

    private func stream(_ answer: UpstreamResponse) async {
        var headers: HeaderBlock = ["content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"]
        headers.add("x-accel-buffering", "no")
        headers.add("x-provider", model.provider.name)
        exchange.begin(200, headers: headers)
        exchange.onDrain = { [self] in if !meter.isUncovered { answer.resume() } }
        let keepAlive = KeepAlive(exchange, on: service.loop)
        defer {
            keepAlive.stop()
            runningHold = nil
        }
        do throws(UpstreamError) {
            try await answer.pipe { [self] bytes in
                keepAlive.touch()
                meter.feed(bytes) { exchange.write($0) }
                extendIfNeeded(answer)
                if exchange.isCongested || meter.isUncovered { answer.pause() }
            }
            meter.finish { exchange.write($0) }
            extendIfNeeded(answer)
            while meter.isUncovered, let asking = extending { await asking.value }
        } catch {
            return if isCut { await cutOff() } else { await breakOff(because: error) }
        }
        if isCut {
            await cutOff()
        } else if meter.isUncovered {
            await breakOff(because: UpstreamError(.cancelled))
        } else {
            await finishStream()
        }
    }

    /// The provider's answer is whole: it is paid for before the caller sees its end.
    private func finishStream() async {
        let (usage, isEstimated) = delivered
        guard usage.completionTokens > 0 else {
            await void(because: "empty answer")
            return endStream(used: .zero)
        }
        guard let used = await settle(usage, isEstimated: isEstimated, end: .completed) else {
            return breakStream(with: .ledgerUnavailable)
        }
        endStream(used: used)
    }

    /// More credits were not to be had: what was delivered is charged, and the caller told why there is no more.
    private func cutOff() async {
        service.log.info(
            "stream cut: its hold was not extended", ["charge.id": .describing(charge), "code": .string(refusal.code)], trace: context.trace
        )
        let (usage, isEstimated) = delivered
        if usage.completionTokens > 0 {
            _ = await settle(usage, isEstimated: isEstimated, end: .holdExhausted)
        } else {
            await void(because: "hold exhausted before the first token")
        }
        write(event: refusal.body)
        exchange.end()
    }

    private func endStream(used: Credits) {
        if request.wantsUsage, let event = meter.usageEvent,
            let priced = AnswerUsage.adding(used: used, remaining: remaining(after: used), usage: delivered.usage, to: event)
        {
            write(event: priced)
        }
        if meter.isDone { write(event: Array("[DONE]".utf8)) }
        exchange.end()
    }

    /// The stream ended before the answer did: the caller left, or the provider failed. What was delivered is charged.
    private func breakOff(because error: UpstreamError) async {
        let end: CallFacts.End =
            if exchange.isClosed { .clientGone } else if case .timedOut = error.code { .timedOut } else { .providerDied }
        let (usage, isEstimated) = delivered
        if usage.completionTokens > 0 {
            _ = await settle(usage, isEstimated: isEstimated, end: end)
        } else {
            await void(because: "\(end.rawValue) before the first token")
        }
        if !exchange.isClosed { breakStream(with: service.problem(for: error, of: model.provider)) }
    }

    /// An error event, and a connection that breaks: no reader can take what came for the whole answer.
    private func breakStream(with problem: Problem) {
        write(event: problem.body)
        exchange.abort()
    }

    private func write(event data: [UInt8]) { exchange.write(Array("data: ".utf8) + data + Array("\n\n".utf8)) }

    // MARK: A stream longer than its hold

    private func follow(_ bound: RunningHold.Bound) {
        guard request.isStreaming else { return }
        let hold = RunningHold(
            granted: granted, bound: bound, promptTokens: promptTokensMax, answers: request.answers,
            usualOutputTokens: model.usualOutputTokens, tariff: tariff, price: model.price)
        runningHold = hold
        meter.coverage = hold.coverage
    }

    /// After each read: asks for more while the answer goes on, and ends it when what is here is not paid for and never will be.
    private func extendIfNeeded(_ answer: UpstreamResponse) {
        if let more = runningHold?.next(delivered: meter.outputTokens, isUsedUp: meter.isUncovered) {
            extending = Task(executorPreference: service.loop) { [self] in
                await extend(by: more, answer)
                extending = nil
                guard let hold = runningHold, !exchange.isClosed else { return }
                meter.cover(hold.coverage) { exchange.write($0) }
                extendIfNeeded(answer)
                if !meter.isUncovered, !exchange.isCongested { answer.resume() }
            }
        }
        if meter.isUncovered, runningHold?.isFinal ?? false { cut(answer) }
    }

    private func extend(by more: RunningHold.Extension, _ answer: UpstreamResponse) async {
        let question = ExtendHold(
            chargeID: charge, accountID: principal.accountID, step: more.step,
            amounts: HoldAmounts(most: more.amount, usual: more.amountLeast, least: more.amountLeast),
            usedSoFar: price(delivered.usage) ?? granted,
            timeToLiveMilliseconds: Int64(service.ledger.timing.holdTimeToLive.milliseconds))
        let reply: HoldReply
        do {
            reply = try await service.ledger.extend(question, on: service.loop, in: context)
        } catch {
            service.log.warning("ledger did not answer an extend twice", error: error, trace: context.trace)
            return holdIsFinal(because: .ledgerUnavailable)
        }
        switch reply.status {
        case .granted:
            availableAfterHold = reply.available
            granted += reply.granted
            runningHold?.extended(by: reply.granted)
        case .insufficientFunds, .awaitingFunds, .limitReached, .conflict, .invalid, .busy:
            holdIsFinal(because: refusal(of: reply, required: more.amountLeast))
        case .notHeld, .alreadyResolved:
            // The ledger has not heard of us for longer than the hold lives: nothing is paid for any more.
            service.log.error("the hold of a running stream is gone", ["charge.id": .describing(charge)], trace: context.trace)
            holdIsFinal(because: .ledgerUnavailable)
            if runningHold != nil { cut(answer) }
        }
    }

    private func holdIsFinal(because problem: Problem) {
        refusal = problem
        runningHold?.refused()
    }

    private func cut(_ answer: UpstreamResponse) {
        isCut = true
        answer.cancel()
    }

    // MARK: After

    /// The provider said no, before anything was generated.
    private func refuse(_ answer: UpstreamResponse) async throws {
        await void(because: "provider answered \(answer.status)")
        let patience = service.loop.schedule(after: .seconds(10)) { answer.cancel() }
        defer { service.loop.cancel(patience) }
        let body = (try? await answer.collect(upTo: 65_536)) ?? []
        throw service.problem(
            forStatus: answer.status, body: body, retryAfter: answer.headers.string(for: "retry-after"), of: model.provider)
    }

    private var delivered: (usage: TokenUsage, isEstimated: Bool) { meter.delivered(promptTokens: promptTokensLikely) }

    /// For a provider that never says: four bytes a token, as tokenizers do on average. Pictures inside are no text.
    private var promptTokensLikely: Int64 { max(1, min(promptTokensMax, Int64(exchange.body.count / 4))) }

    /// - Returns: nil beyond what the ledger takes in one charge.
    private func price(_ usage: TokenUsage) -> Credits? {
        tariff.credits(for: usage, at: model.price).flatMap { $0 <= HoldEstimate.amountMax ? $0 : nil }
    }

    private func remaining(after used: Credits) -> Credits { max(.zero, availableAfterHold + granted - used) }

    /// - Returns: what was charged; nil when the charge could not be made durable.
    private func settle(_ usage: TokenUsage, isEstimated: Bool, end: CallFacts.End) async -> Credits? {
        let priced = price(usage)
        // A charge that could not be counted would be lost: what was held is what is surely owed.
        if priced == nil { service.log.error("usage beyond what can be priced", ["model": .string(model.id)], trace: context.trace) }
        let used = priced ?? granted
        let facts = CallFacts(
            model: model.id, provider: model.provider.name, promptTokens: usage.promptTokens, completionTokens: usage.completionTokens,
            isEstimated: isEstimated, end: end, priceVersion: model.price.version,
            costPicoUSD: model.price.cost(of: usage)?.value ?? .max,
            markupBasisPoints: tariff.markupBasisPoints, operation: operation,
            apiKeyID: principal.apiKeyID)
        let settlement = SettleCharge(chargeID: charge, accountID: principal.accountID, amount: used, call: facts)
        return await service.ledger.settle(settlement, in: context) ? used : nil
    }

    private func void(because reason: String) async {
        await service.ledger.void(charge, of: principal.accountID, because: reason, in: context)
    }
}
