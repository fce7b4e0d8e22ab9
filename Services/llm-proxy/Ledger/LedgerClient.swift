import AMQP
import Contracts
import EventLoop
import Identity
import Messaging
import Outbox
import Telemetry
import Values

/// Sends the messages of the proxies to the ledger. A proxy has no queue to consume: the ledger's
/// reply goes to the task that asked.
///
/// | message | how | when |
/// |---|---|---|
/// | `hold.place.v1` | RPC | before a call |
/// | `hold.extend.v1` | RPC | before a stream uses up its hold |
/// | `charge.query.v1` | RPC | for a receipt that no proxy wrote, or with a price above its hold |
/// | `balance.query.v1` | RPC | for `/api/v1/llm/balance` |
/// | `charge.settle.v2` | confirmed, else outbox | after a call that is paid for, before its answer ends |
/// | `hold.void.v1` | confirmed, else outbox | after a held call that costs nothing |
/// | `hold.void.v1` | sent and forgotten | after a question for a hold that was sent and not answered |
/// | `hold.report.v1` | sent and forgotten | every few seconds of a long call |
struct LedgerClient: Sendable {
    struct Timing: Sendable {
        /// The time for the answer to one question. After it the call is refused with `ledger_unavailable`.
        var holdWithin: Duration
        /// The time to live that each message gives a hold. A report prolongs the hold only if less
        /// than half of it is left, so the hold outlives the last report by at least half of it.
        var holdTimeToLive: Duration
        /// The time for which a call waits for credits that other calls of its account hold.
        var fundsWithin: Duration
        /// The time for the broker to confirm a settlement. After it the settlement goes into the outbox.
        var confirmWithin: Duration
        /// The time for which a running stream repeats its question while the ledger does not
        /// answer.
        var outagePatience: Duration

        init(
            holdWithin: Duration, holdTimeToLive: Duration, fundsWithin: Duration, confirmWithin: Duration, outagePatience: Duration? = nil
        ) {
            (self.holdWithin, self.holdTimeToLive, self.fundsWithin) = (holdWithin, holdTimeToLive, fundsWithin)
            self.confirmWithin = confirmWithin
            self.outagePatience = outagePatience ?? holdTimeToLive + LedgerClient.outageMargin
        }

        var reportEvery: Duration { min(.seconds(5), holdTimeToLive / 4) }
    }

    let requests: RPCClient
    let publisher: AMQPPublisher
    let outbox: ChargeOutbox
    /// Names this replica, in the context of its holds.
    let replica: String
    let timing: Timing
    let log: Logger

    /// The time for which a stream outlasts the time to live of its hold without an answer. A hold
    /// lives at most its time to live after its last message, and then the ledger's expiry grace
    /// (30 s by default). A connection may take 15 s more to come back. A shorter wait would cut a
    /// stream with a live hold; in a longer one the hold has expired.
    static let outageMargin = Duration.seconds(45)
    /// The longest time for which a question lives: the broker drops it from the queue then, and
    /// the ledger decides no later.
    static let questionLivesMax = Duration.seconds(5)
    /// The time between two questions of a stream during an outage.
    static let outagePause = Duration.seconds(1)
    /// The pause after the first `busy`, before the same question is sent again. It doubles, up to
    /// one second.
    private static let busyPause = Duration.milliseconds(100)

    /// Asks for a hold, once.
    /// - Throws: if the ledger does not answer. At most one void, sent and forgotten, takes back a
    ///   question that may have arrived. It is not durable: an overload must not cost a durable
    ///   message for each refused call. Without a connection none is sent, and the hold expires.
    func place(
        _ charge: ChargeID, for caller: Principal, _ amounts: HoldAmounts, takesShare: Bool, timeToLive: Duration? = nil,
        on loop: EventLoop, in context: MessageContext
    ) async throws -> HoldReply {
        let question = PlaceHold(
            chargeID: charge, accountID: caller.accountID, amounts: amounts, takesShare: takesShare,
            timeToLiveMilliseconds: timing.holdTimeToLive.wholeMilliseconds, replica: replica, apiKeyID: caller.apiKeyID,
            keyLimits: caller.keyLimits, service: caller.service)
        do {
            return try await ask(question, on: loop, in: context)
        } catch let error as RPCError where error.neverArrived {
            throw error
        } catch {
            let void = VoidHold(
                chargeID: charge, accountID: caller.accountID, reason: "the ledger did not answer", apiKeyID: caller.apiKeyID)
            try? publisher.send(message(void, in: context), within: timing.confirmWithin)
            throw error
        }
    }

    /// Asks for more credits for a running hold. The step identifies a repeated question.
    /// - Throws: if the ledger does not answer. The hold is then at least as large as it was.
    func extend(_ question: ExtendHold, on loop: EventLoop, in context: MessageContext) async throws -> HoldReply {
        try await ask(question, on: loop, in: context)
    }

    /// Asks for the ledger's record of a charge.
    func record(_ query: QueryCharge) async throws -> ChargeReply { try await requests.ask(query, within: timing.holdWithin) }

    /// Asks for the balance of an account.
    func balance(of account: AccountID) async throws -> BalanceReply {
        try await requests.ask(QueryBalance(accountID: account), within: timing.holdWithin)
    }

    /// Repeats a question that the ledger was too busy to decide, within the time of one question.
    private func ask(_ question: some Message, on loop: EventLoop, in context: MessageContext) async throws -> HoldReply {
        let deadline = MonotonicInstant.current() + timing.holdWithin
        var pause = Self.busyPause
        while true {
            let reply = try await requests.ask(
                question, for: HoldReply.self, within: deadline - MonotonicInstant.current(), conversation: context.conversationID,
                trace: context.trace)
            guard reply.status == .busy, deadline - MonotonicInstant.current() > pause * 2 else { return reply }
            try await loop.sleep(for: pause)
            pause = min(pause * 2, .seconds(1))
        }
    }

    /// Makes a charge durable: confirmed by the broker, or committed to the outbox.
    /// - Returns: false if neither is certain in time. The hold then expires at the largest report,
    ///   unless the broker or the outbox has the charge after all.
    func settle(_ settlement: SettleCharge, in context: MessageContext) async -> Bool {
        await publishOrEnqueue(SettleCharges([settlement]), in: context)
    }

    /// Frees a hold. When even the outbox cannot take it, the hold expires by itself.
    /// - Returns: false if neither broker nor outbox certainly has the message. The ledger then charges
    ///   the largest report.
    func void(_ charge: ChargeID, for caller: Principal, because reason: String, in context: MessageContext) async -> Bool {
        let void = VoidHold(chargeID: charge, accountID: caller.accountID, reason: reason, apiKeyID: caller.apiKeyID)
        return await publishOrEnqueue(void, in: context)
    }

    /// True if reports can be sent.
    var isConnected: Bool { publisher.isConnected }

    /// Reports the usage of a running call, which prolongs its hold. The next report makes up for a lost one.
    /// - Parameter timeToLive: the time that the hold then lives; nil: the usual one.
    func report(
        _ charge: ChargeID, of account: AccountID, usedSoFar: Credits, timeToLive: Duration? = nil, in context: MessageContext
    ) {
        let report = ReportUsage(
            chargeID: charge, accountID: account, usedSoFar: usedSoFar,
            timeToLiveMilliseconds: (timeToLive ?? timing.holdTimeToLive).wholeMilliseconds)
        try? publisher.send(self.message(report, in: context), within: timing.confirmWithin)
    }

    private func publishOrEnqueue(_ message: some Message, in context: MessageContext) async -> Bool {
        // One id for both ways: should the broker have taken what it did not confirm, the ledger sees it twice and charges once.
        let id = MessageID.make()
        do {
            try await publisher.publish(self.message(message, id: id, in: context), within: timing.confirmWithin)
            return true
        } catch {
            log.warning("publish failed, message goes to the outbox", ["message.type": .string(type(of: message).name)], error: error)
        }
        do {
            // The message has no ordering key: a charge has one end, and reports may come in any
            // order.
            let row = TraceContext.$current.withValue(context.trace) {
                OutboxMessage(message, id: id, conversationID: context.conversationID)
            }
            try await outbox.enqueue(row)
            return true
        } catch {
            log.error("outbox failed, message is not durable", ["message.type": .string(type(of: message).name)], error: error)
            return false
        }
    }

    private func message(_ message: some Message, id: MessageID = .make(), in context: MessageContext) -> OutgoingMessage {
        OutgoingMessage(message, id: id, conversation: context.conversationID, trace: context.trace, from: log.service)
    }
}

/// The conversation and the trace of a call's messages.
struct MessageContext: Sendable {
    var conversationID: ConversationID
    var trace: TraceContext
}
