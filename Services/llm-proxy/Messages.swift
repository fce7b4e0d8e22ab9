import AMQP
import Contracts
import EventLoop
import Identity
import Outbox
import Postgres
import Telemetry

/// What the proxies say to the ledger. They consume nothing: answers come back to the task that asked.
///
/// | message | how | when |
/// |---|---|---|
/// | `hold.place.v1` | RPC | before a call |
/// | `hold.extend.v1` | RPC | before a stream uses up its hold |
/// | `charge.settle.v1` | confirmed, else outbox | after a call that is paid for, before its answer ends |
/// | `hold.void.v1` | confirmed, else outbox | after a call that costs nothing |
/// | `hold.report.v1` | sent and forgotten | every few seconds of a long call |
struct LedgerMessages: Sendable {
    struct Timing: Sendable {
        /// For one question; then the call is refused with `ledger_unavailable`.
        var holdWithin: Duration
        /// How long a hold outlives the last word of its proxy.
        var holdTimeToLive: Duration
        /// How long a caller waits for credits that his other calls hold.
        var fundsWithin: Duration
        /// For the broker to confirm a settlement; then it goes into the outbox.
        var confirmWithin: Duration

        var reportEvery: Duration { min(.seconds(5), holdTimeToLive / 4) }
    }

    let requests: RPCClient
    let publisher: AMQPPublisher
    let outbox: ChargeOutbox
    let holder: String
    let timing: Timing
    let log: Logger

    /// Asks for a hold; while the account's own calls hold what is missing, again with the same id.
    /// - Throws: when the ledger does not answer. Where it may have decided all the same, the hold is voided. What a full queue refused
    /// is not: an overload must not cost a durable message for each call it sheds.
    func place(
        _ charge: ChargeID, for caller: Principal, _ estimate: HoldEstimate, on loop: EventLoop, in context: MessageContext
    ) async throws -> HoldReply {
        let asksUntil = MonotonicInstant.current() + timing.fundsWithin
        var pause = Duration.milliseconds(20)
        while true {
            let isLast = MonotonicInstant.current() + pause >= asksUntil
            let question = PlaceHold(
                chargeID: charge, accountID: caller.accountID,
                amounts: HoldAmounts(
                    most: estimate.amount, usual: estimate.amountLeast, least: estimate.amountLeast, isLastQuestion: isLast),
                takesShare: false, timeToLiveMilliseconds: Int64(timing.holdTimeToLive.milliseconds), holder: holder,
                apiKeyID: caller.apiKeyID, keyLimits: caller.keyLimits)
            let reply: HoldReply
            do {
                reply = try await ask(question, in: context)
            } catch let error as RPCError where error.neverArrived {
                throw error
            } catch {
                await void(charge, of: caller.accountID, because: "the ledger did not answer", in: context)
                throw error
            }
            guard reply.status == .awaitingFunds else { return reply }
            try await loop.sleep(for: pause)
            pause = min(pause * 2, .milliseconds(250))
        }
    }

    /// Asks for more on a running hold; again, once, if no answer comes. The step makes both one question.
    /// - Throws: when the ledger does not answer twice. The hold is at least as large as it was.
    func extend(_ question: ExtendHold, on loop: EventLoop, in context: MessageContext) async throws -> HoldReply {
        let asked = MonotonicInstant.current()
        do {
            return try await ask(question, in: context)
        } catch {
            log.warning(
                "ledger did not answer an extend, asking again", ["step": .integer(question.step)], error: error, trace: context.trace)
        }
        // What failed at once gets a moment to come back.
        try await loop.sleep(for: min(.seconds(1), max(.zero, timing.holdWithin - (MonotonicInstant.current() - asked))))
        return try await ask(question, in: context)
    }

    private func ask<Question: Message>(_ question: Question, in context: MessageContext) async throws -> HoldReply {
        let delivery = try await requests.call(
            exchange: Question.exchange.name, routingKey: question.routingKey, type: Question.name, body: question.encoded(),
            headers: [("traceparent", context.trace.traceparent), ("x-conversation-id", context.conversationID.description)],
            messageID: MessageID.make().description, within: timing.holdWithin)
        return try HoldReply(decoding: delivery.body)
    }

    /// Makes a charge durable: confirmed by the broker, or committed to the outbox.
    /// - Returns: false when neither was possible. The hold then expires, at what was last reported.
    func settle(_ settlement: SettleCharge, in context: MessageContext) async -> Bool {
        await makeDurable(settlement, of: settlement.accountID, in: context)
    }

    /// Frees a hold. When even the outbox cannot take it, the hold expires by itself.
    func void(_ charge: ChargeID, of account: AccountID, because reason: String, in context: MessageContext) async {
        _ = await makeDurable(VoidHold(chargeID: charge, accountID: account, reason: reason), of: account, in: context)
    }

    /// Says what a running call has used and prolongs its hold. A lost report is made good by the next one.
    func report(_ charge: ChargeID, of account: AccountID, usedSoFar: Credits, in context: MessageContext) {
        let report = ReportUsage(
            chargeID: charge, accountID: account, usedSoFar: usedSoFar,
            timeToLiveMilliseconds: Int64(timing.holdTimeToLive.milliseconds))
        try? publisher.send(OutgoingMessage(report, id: .make(), in: context), within: timing.confirmWithin)
    }

    private func makeDurable(_ message: some Message, of account: AccountID, in context: MessageContext) async -> Bool {
        // One id for both ways: should the broker have taken what it did not confirm, the ledger sees it twice and charges once.
        let id = MessageID.make()
        do {
            try await publisher.publish(OutgoingMessage(message, id: id, in: context), within: timing.confirmWithin)
            return true
        } catch {
            log.warning(
                "publish not confirmed, keeping the message in the outbox", ["message.type": .string(type(of: message).name)], error: error)
        }
        do {
            let kept = TraceContext.$current.withValue(context.trace) {
                OutboxMessage(message, id: id, orderingKey: account.description, conversationID: context.conversationID)
            }
            try await outbox.keep(kept)
            return true
        } catch {
            log.error("a charge could not be made durable", ["message.type": .string(type(of: message).name)], error: error)
            return false
        }
    }
}

/// The proxy's outbox, reached from any loop: its pool lives on one.
struct ChargeOutbox: Sendable {
    let pool: PostgresPool
    let loop: EventLoop

    func keep(_ message: OutboxMessage) async throws {
        // A task of its own on the pool's loop, awaited here: the transaction must not end with a caller who hangs up.
        try await Task(executorPreference: loop) {
            try await pool.transaction { try await Outbox.add([message], in: $0) }
        }.value
    }
}

/// What a call's messages belong to.
struct MessageContext: Sendable {
    var conversationID: ConversationID
    var trace: TraceContext
}

extension OutgoingMessage {
    init<M: Message>(_ message: M, id: MessageID, in context: MessageContext) {
        let envelope = Envelope(
            messageID: id, conversationID: context.conversationID, causationID: nil, type: M.name, sender: "", trace: context.trace.child(),
            sentAt: .now())
        self.init(
            exchange: M.exchange.name, routingKey: message.routingKey, body: message.encoded(),
            properties: envelope.properties(from: "llm-proxy")
        )
    }
}
