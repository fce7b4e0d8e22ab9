import Contracts
import EventLoop
import Identity
import Telemetry
import Values

/// One call, from the question for its hold to a durable charge. ``CallState`` decides; this
/// class asks the ledger, calls the provider and feeds the client.
///
/// If the process dies first, the ledger lets the hold expire at the largest report.
final class MeteredCall: @unchecked Sendable {
    // @unchecked Sendable: confined to the caller's loop, where its tasks run too.

    /// The facts of a call that its endpoint has read.
    struct Plan: Sendable {
        var request: ModelRequest
        /// The bounds on the routes that can serve the call, in the order of their trial. At least one.
        var routes: [CallBound]
        var amounts: HoldAmounts
        /// The feature that asked (`x-operation`).
        var operation: String?
        /// The id of the charge. It is of this call only.
        var charge = ChargeID.make()
    }

    private enum Delivery {
        case failed(ProviderFailure)
        case whole(WholeAnswer, Usage)
        case stream(AnswerStream.End)
        /// Bytes, until they ended or failed.
        case bytes(ProviderFailure?)
    }

    private let services: CallServices
    private let sink: any AnswerSink
    private let principal: Principal
    private let context: MessageContext
    private let funding: Funding
    private let amounts: HoldAmounts
    private let operation: String?
    private let isStreaming: Bool
    let surface: Surface
    /// True if the answer is bytes instead of JSON or events.
    let isBinary: Bool
    /// True if the client asked for usage in the stream.
    let includeUsage: Bool
    /// Nil once the provider has begun to answer.
    private var request: ModelRequest?

    private let startedAt = Instant.now()
    private let started: MonotonicInstant
    private var state: CallState
    /// Nil once the provider has begun to answer.
    private var attempts: Attempts?
    private var call: ProviderCall?
    private var stream: AnswerStream?
    /// The part of the answer that came.
    private var delivery = Delivery.failed(ProviderFailure(.cancelled))
    /// True if the provider has answered no call for ``ProviderWatch/silence``.
    private var isProviderSilent = false
    /// The time of a whole answer in one piece.
    private var answeredAt: MonotonicInstant?

    var model: Catalogue.Model { state.bound.model }
    /// The number of the last event of a stream whose provider numbers them.
    var lastEventNumber: Int64? { stream?.meter.lastEventNumber }
    private var charge: ChargeID { funding.charge }
    private var loop: EventLoop { services.loop }

    /// - Parameter context: the context of the call's messages, made from its charge.
    init(
        _ plan: Plan, to sink: any AnswerSink, for principal: Principal, _ services: CallServices, context: (ChargeID) -> MessageContext
    ) {
        (self.services, self.sink, self.principal) = (services, sink, principal)
        (request, isStreaming, amounts, operation) = (plan.request, plan.request.isStreaming, plan.amounts, plan.operation)
        (surface, includeUsage, isBinary) = (plan.request.surface, plan.request.includeUsage, plan.request.isBinary)
        state = CallState(plan.routes[0], plan.amounts)
        attempts = Attempts(plan.routes)
        started = services.loop.now
        let charge = plan.charge
        self.context = context(charge)
        funding =
            principal.service != nil && services.shared.skipsServiceCalls
            ? .skipped(charge) : .account(HoldQuestions(services: services, principal: principal, charge: charge, context: self.context))
    }

    func run() async -> CallOutcome {
        // A task keeps the memory of its frames until it ends. Those of the question are large, and
        // a stream lives long, so the question has a task of its own.
        if let refusal = await Task(executorPreference: loop, operation: { await self.hold() }).value { return refusal }
        let reports = funding.reportEvery.map { every in
            Reports(on: loop, every: every) { [self] in funding.report(usedSoFar: usedSoFar) }
        }
        let end = await carryOut()
        reports?.stop()
        let charged = await conclude(end)
        // The sink of a repeated call lives as long as this call does, and refers to it.
        (sink.onClose, sink.onReturn) = (nil, nil)
        return outcome(after: charged)
    }

    // MARK: Before

    /// - Returns: nil if the hold is granted.
    private func hold() async -> CallOutcome? {
        sink.onClose = { [self] in funding.leave() }
        defer { sink.onClose = nil }
        let reply: HoldReply?
        do {
            reply = try await funding.place(amounts, takesShare: state.bound.takesShare) { sink.isClosed }
        } catch {
            services.log.warning("hold request failed", error: error, trace: context.trace)
            return .refused(.ledgerUnavailable)
        }
        guard let reply else { return .clientLeft }
        switch state.on(.held(reply)) {
        case .send: sink.take(charge)
        case .refuse(let refusal):
            note(refusal, reply)
            return .refused(refusal)
        default: break
        }
        return nil
    }

    private func note(_ refusal: HoldRefusal, _ reply: HoldReply) {
        guard refusal == .rejected || refusal == .holdGone else { return }
        services.log.error(
            "hold refused",
            ["charge.id": .describing(charge), "status": .string(reply.status.rawValue), "reason": .string(reply.message ?? "")],
            trace: context.trace)
    }

    // MARK: The provider's call

    private func carryOut() async -> CallEnd {
        defer { call?.ended() }
        do throws(ProviderFailure) {
            let (call, limit) = try await reach()
            if isBinary { return await passBytes(call) }
            return isStreaming ? await passThrough(call, limit) : try await collect(call)
        } catch {
            return failed(error)
        }
    }

    /// Calls one provider after the other until an answer begins.
    private func reach() async throws(ProviderFailure) -> (ProviderCall, OutputLimit) {
        while true {
            do throws(ProviderFailure) {
                let admission = try admit()
                let (call, limit) = try send()
                try await begin(call, admission)
                return (call, limit)
            } catch {
                try await prepareAnotherAttempt(after: error)
            }
        }
    }

    /// - Throws: `failure`, if it is the last one.
    @inline(never)
    private func prepareAnotherAttempt(after failure: ProviderFailure) async throws(ProviderFailure) {
        guard !sink.isClosed, request != nil,
            case .send(let bound, let pause)? = attempts?.next(
                after: failure, granted: state.granted, isOpen: { services.shared.breakers.wait(for: $0, at: loop.now) != nil })
        else { throw failure }
        note(failure)
        call?.ended()
        call = nil
        if pause > .zero { try? await loop.sleep(for: pause) }
        _ = state.on(.rerouted(bound))
    }

    private func admit() throws(ProviderFailure) -> CircuitBreaker.Admission {
        let (breakers, provider) = (services.shared.breakers, model.provider.name)
        if let admission = breakers.admit(to: provider, at: loop.now) { return admission }
        throw ProviderFailure(.failing(wait: breakers.wait(for: provider, at: loop.now) ?? .zero))
    }

    // Not inlined, like `stream(of:_:)`: the frame of a task keeps the temporaries of inlined code
    // while its stream lives.
    @inline(never)
    private func send() throws(ProviderFailure) -> (ProviderCall, OutputLimit) {
        guard !sink.isClosed, let limit = state.limit, let request else { throw ProviderFailure(.cancelled) }
        let call = try services.providers.send(request, to: model, limit: limit)
        self.call = call
        sink.onClose = { [self] in clientLeft(call) }
        return (call, limit)
    }

    /// Waits until the provider has begun an answer that can be metered.
    private func begin(_ call: ProviderCall, _ admission: CircuitBreaker.Admission) async throws(ProviderFailure) {
        do throws(ProviderFailure) {
            try await head(of: call)
            try await call.check()
        } catch {
            note(.init(error), of: admission)
            throw error
        }
        note(.answered, of: admission)
        (request, attempts) = (nil, nil)
        sink.dropRequest()
    }

    private func note(_ result: CircuitBreaker.Result, of admission: CircuitBreaker.Admission) {
        let provider = model.provider.name
        switch services.shared.breakers.ended(result, of: admission, at: provider, at: loop.now) {
        case true?: services.log.error("provider unavailable", ["provider": .string(provider)], trace: context.trace)
        case false?: services.log.info("provider recovered", ["provider": .string(provider)], trace: context.trace)
        case nil: break
        }
    }

    private func head(of call: ProviderCall) async throws(ProviderFailure) {
        let (watch, provider) = (services.shared.watch, model.provider.name)
        watch.sent(to: provider, isStream: isStreaming, at: loop.now)
        do throws(ProviderFailure) {
            try await call.head()
        } catch {
            isProviderSilent = watch.isSilent(provider, at: loop.now)
            watch.ended(at: provider, isStream: isStreaming, hasAnswered: false, at: loop.now)
            throw error
        }
        watch.ended(at: provider, isStream: isStreaming, hasAnswered: true, at: loop.now)
    }

    private var hasDelivered: Bool { isBinary ? answeredAt != nil : stream?.meter.contentEvents ?? 0 > 0 }

    private func clientLeft(_ call: ProviderCall) {
        switch state.on(.clientLeft(hasDelivered: hasDelivered, isUnsent: call.isUnsent)) {
        case .listen:
            stream?.listen()
            // Another client may have come meanwhile, which repeats the call.
            loop.schedule(after: services.shared.listensFor) { [sink] in if sink.isClosed { call.cancel() } }
            sink.onReturn = { [self] in state.clientReturned() }
            sink.whenServerStops { [sink] in if sink.isClosed { call.cancel() } }
        default:
            funding.leave()
            call.cancel()
        }
    }

    private func collect(_ call: ProviderCall) async throws(ProviderFailure) -> CallEnd {
        let answer = try await call.whole(upTo: CallBound.answerBytesMax)
        answeredAt = loop.now
        var end = end(.whole)
        (end.delivered, end.isEstimated) = state.bound.usage(of: answer)
        end.hasUncountedResult = answer.hasUncountedResult
        delivery = .whole(answer, end.delivered)
        return end
    }

    /// Passes bytes on as they come. Their price does not depend on their number.
    private func passBytes(_ call: ProviderCall) async -> CallEnd {
        sink.onDrain = { call.resume() }
        defer {
            sink.providerEnded()
            sink.onDrain = nil
        }
        do throws(ProviderFailure) {
            try await call.pipe { [self] bytes in
                if answeredAt == nil { beginBytes(of: call) }
                sink.write(bytes)
                if sink.isBackpressured { call.pause() }
            }
        } catch {
            var end = failed(error)
            guard answeredAt != nil else { return end }
            delivery = .bytes(error)
            // A client that stops reading has left the answer, however the connections end.
            if sink.isBackpressured { end.stoppedBy = .clientDisconnected }
            return end
        }
        guard answeredAt != nil else { return failed(ProviderFailure(.wrongAnswer("without a byte"))) }
        delivery = .bytes(nil)
        return end(.whole)
    }

    private func beginBytes(of call: ProviderCall) {
        answeredAt = loop.now
        let units = state.bound.units ?? .none
        let used = state.bound.price(of: units) ?? state.granted
        sink.begin(StreamHead(provider: model.provider.name, binary: (call.mediaType, receipt(units, used))))
    }

    private func passThrough(_ call: ProviderCall, _ limit: OutputLimit) async -> CallEnd {
        let stream = stream(of: call, limit)
        self.stream = stream
        let end = await stream.run()
        // An extension that waits for credits is of no use any more.
        funding.leave()
        return ended(end)
    }

    @inline(never)
    private func stream(of call: ProviderCall, _ limit: OutputLimit) -> AnswerStream {
        sink.begin(StreamHead(provider: model.provider.name, maxTokensClamped: limit.isClamped ? limit.tokens : nil))
        let hold = StreamHold(granted: state.granted, bound: state.bound, limit: limit.tokens)
        return AnswerStream(call, to: sink, hold: hold, isListening: state.isListening, on: loop) { [weak self] in
            await self?.extend(by: $0) ?? .failure(.ledgerUnavailable)
        }
    }

    private func ended(_ end: AnswerStream.End) -> CallEnd {
        defer { delivery = .stream(end) }
        switch end {
        case .whole: return self.end(.whole)
        case .cut(let refusal):
            services.log.info(
                "stream cut at the end of its hold", ["charge.id": .describing(charge), "reason": .string(refusal.word)],
                trace: context.trace)
            return stopped(by: .holdExhausted)
        case .beyondLimit: return stopped(by: .holdExhausted)
        case .failed(let failure): return failed(failure)
        }
    }

    private func extend(by more: StreamHold.Extension) async -> Result<Credits, HoldRefusal> {
        guard let stream, let reply = await funding.extend(by: more, usedSoFar: usedSoFar, while: { stream.needsCredits }) else {
            return .failure(.ledgerUnavailable)
        }
        return extended(reply, more)
    }

    private func extended(_ reply: HoldReply, _ asked: StreamHold.Extension) -> Result<Credits, HoldRefusal> {
        switch state.on(.extended(reply, asked)) {
        case .lengthen(let more): return .success(more)
        case .refuse(let refusal):
            note(refusal, reply)
            return .failure(refusal)
        default: return .failure(.ledgerUnavailable)
        }
    }

    // MARK: After

    private var delivered: (usage: Usage, isEstimated: Bool) {
        if isBinary, answeredAt != nil { return (state.bound.units ?? .none, false) }
        return stream?.meter.delivered(promptTokens: state.estimatedPromptTokens, of: state.bound.answerUnit) ?? (.none, true)
    }

    private var usedSoFar: Credits { state.usedSoFar(delivered: delivered.usage, isAcknowledged: call?.isAcknowledged ?? false) }

    private func failed(_ failure: ProviderFailure) -> CallEnd {
        delivery = .failed(failure)
        if failure.kind != .cancelled { note(failure) }
        switch failure.kind {
        case .refused(let status, _), .refusedRequest(let status, _, _), .accountRefused(let status):
            return end(.refused(status: status))
        case .cancelled where sink.isClosed: return stopped(by: .clientDisconnected)
        case .timedOut: return stopped(by: .timedOut)
        default: return stopped(by: .providerError)
        }
    }

    private func note(_ failure: ProviderFailure) {
        services.shared.metrics.failed(model.provider.name, failure.word)
        let fields: LogFields = [
            "provider": .string(model.provider.name), "reason": .string(failure.description), "fault": .string(failure.fault.rawValue),
            "provider.request_id": .string(call?.requestID ?? ""),
        ]
        if failure.fault == .client {
            services.log.info("provider refused the request", fields, trace: context.trace)
        } else {
            services.log.warning("provider failed", fields, trace: context.trace)
        }
    }

    private func stopped(by cause: CallFacts.End) -> CallEnd {
        // The client got nothing of the answer that came while the gateway waited.
        let hasBegun = stream != nil || isBinary && answeredAt != nil
        var end = end(state.isListening || !hasBegun ? .none : .partial)
        end.stoppedBy = cause
        return end
    }

    private func end(_ how: CallEnd.Answer) -> CallEnd {
        let delivered = delivered
        return CallEnd(
            answer: how, delivered: delivered.usage, isEstimated: delivered.isEstimated, hasUncountedResult: isBinary && answeredAt != nil,
            isPromptFree: state.bound.units != nil, reported: stream?.meter.usage,
            estimatedPromptTokens: state.estimatedPromptTokens, isClientGone: sink.isClosed, isAcknowledged: call?.isAcknowledged ?? false,
            isProviderSilent: isProviderSilent)
    }

    /// Settles or voids the hold. It is the only place that ends a charge.
    /// - Returns: the charge; nil if neither the broker nor the outbox certainly has it.
    private func conclude(_ end: CallEnd) async -> Credits? {
        defer { funding.freed() }
        switch state.on(.ended(end)) {
        case .settle(let settlement):
            if settlement.isUnpriced || settlement.isImpossible { note(settlement) }
            let facts = facts(settlement)
            guard let charged = await funding.settle(settlement.amount, facts) else { return nil }
            keepReceipt(facts, price: charged)
            return charged
        case .void(let reason):
            // Without a confirm the ledger may charge the last report, so the journal has the answer.
            guard await funding.void(because: reason) else { return .zero }
            let how = if case .refused = end.answer { CallFacts.End.providerError } else { end.stoppedBy }
            let free = CallState.Settlement(amount: .zero, usage: .none, isEstimated: false, end: how, isImpossible: false)
            keepReceipt(facts(free), price: .zero)
            return .zero
        default: return .zero
        }
    }

    private func keepReceipt(_ facts: CallFacts, price: Credits) {
        let receipt = Receipt(
            charge: charge, account: principal.accountID, call: facts, requestID: context.conversationID.description,
            providerRequestID: call?.requestID, isStream: isStreaming, isSkipped: funding.isSkipped,
            held: funding.isSkipped ? .zero : state.granted, price: price, startedAt: startedAt,
            firstTokenMilliseconds: (stream?.firstContentAt ?? answeredAt).map { ($0 - started).wholeMilliseconds },
            durationMilliseconds: (loop.now - started).wholeMilliseconds)
        services.shared.note(receipt)
    }

    private func facts(_ settlement: CallState.Settlement) -> CallFacts {
        CallFacts(
            model: model.id, provider: model.provider.name,
            usage: settlement.usage.metered,
            isEstimated: settlement.isEstimated, end: settlement.end,
            priceVersion: model.price.version, costPicoUSD: model.price.cost(of: settlement.usage)?.value,
            operation: services.shared.operations.recorded(operation, of: principal.accountID, at: .now()), apiKeyID: principal.apiKeyID,
            service: principal.service)
    }

    private func note(_ settlement: CallState.Settlement) {
        let fields: LogFields = [
            "charge.id": .describing(charge), "provider": .string(model.provider.name), "model": .string(model.id),
            "prompt_tokens": .integer(settlement.usage.promptTokens), "completion_tokens": .integer(settlement.usage.completionTokens),
        ]
        guard settlement.isUnpriced else {
            return services.log.error("usage beyond the bound of the call", fields, trace: context.trace)
        }
        services.log.error("usage without a price, route is switched off", fields, trace: context.trace)
        services.shared.switchOff(model)
    }

    private func receipt(_ usage: Usage, _ used: Credits) -> CallReceipt {
        CallReceipt(
            used: funding.isSkipped ? .zero : used, remaining: funding.isSkipped ? nil : state.remaining(after: used), usage: usage,
            maxTokensClamped: state.limit.flatMap { $0.isClamped ? $0.tokens : nil })
    }

    private func outcome(after charged: Credits?) -> CallOutcome {
        switch (delivery, charged) {
        case (.failed(let failure), _): return .failed(failure)
        case (.whole, nil): return .unconfirmed(charge, isStreaming: false)
        case (.whole(let answer, let usage), let used?): return .whole(answer, receipt(usage, used))
        case (.stream, nil): return .unconfirmed(charge, isStreaming: true)
        case (.stream(.whole), let used?): return .streamed(usageChunk: stream?.meter.usageChunk, receipt(delivered.usage, used))
        case (.stream(.cut(let refusal)), _): return .cut(refusal)
        case (.stream(.beyondLimit), _): return .beyondLimit
        case (.stream(.failed(let failure)), _), (.bytes(let failure?), _): return .brokeOff(failure)
        case (.bytes(nil), nil): return .unconfirmed(charge, isStreaming: true)
        case (.bytes(nil), let used?): return .streamed(usageChunk: nil, receipt(delivered.usage, used))
        }
    }
}
