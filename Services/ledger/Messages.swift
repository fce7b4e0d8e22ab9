import AMQP
import Contracts
import EventLoop
import Postgres
import Telemetry

/// What the ledger listens to. Every command is answered or acknowledged after its decision is durable, never before; the journal's
/// key makes a second delivery harmless, so no inbox row is written on this path.
///
/// Every replica subscribes to the command queues and the broker feeds one of them (single active consumer); the others stand by.
/// Questions about balances go to all in turn.
struct LedgerMessages: Sendable {
    let consumers: [CommandConsumer]
    let balances: BalanceConsumer

    /// - Parameter consumer: makes a consumer of a queue, with at most so many unsettled deliveries.
    init(runner: BatchRunner, store: LedgerStore, replies: AMQPPublisher, log: Logger, consumer: (Queue, Int) throws -> AMQPConsumer)
        rethrows
    {
        consumers = [
            CommandConsumer(.holds(replies), try consumer(Topology.ledgerHolds, 250), runner, log),
            CommandConsumer(.commands("charges", chargeCommand), try consumer(Topology.ledgerCharges, 250), runner, log),
            CommandConsumer(.commands("purchases", purchaseCommand), try consumer(Topology.ledgerPurchases, 200), runner, log),
        ]
        balances = BalanceConsumer(consumer: try consumer(Topology.ledgerBalances, 500), store: store, replies: replies, log: log)
    }
}

private func chargeCommand(_ delivery: Delivery) throws(Malformed) -> Command {
    switch delivery.properties.type {
    case SettleCharge.name: Command(try delivery.decode(SettleCharge.self), from: delivery)
    case VoidHold.name: Command(try delivery.decode(VoidHold.self), from: delivery)
    case ReportUsage.name: Command(try delivery.decode(ReportUsage.self), from: delivery)
    default: throw .unknownType(delivery.properties.type)
    }
}

private func purchaseCommand(_ delivery: Delivery) throws(Malformed) -> Command {
    switch delivery.properties.type {
    case PurchaseFulfilled.name: Command(try delivery.decode(PurchaseFulfilled.self), from: delivery)
    case PurchaseReversed.name: Command(try delivery.decode(PurchaseReversed.self), from: delivery)
    default: throw .unknownType(delivery.properties.type)
    }
}

private func holdCommand(_ delivery: Delivery) throws(Malformed) -> Command {
    switch delivery.properties.type {
    case PlaceHold.name: Command(try delivery.decode(PlaceHold.self), from: delivery)
    case ExtendHold.name: Command(try delivery.decode(ExtendHold.self), from: delivery)
    default: throw .unknownType(delivery.properties.type)
    }
}

/// Takes whatever waits in its queues, has it decided, answers and acknowledges, and takes the next.
final class CommandConsumer: Sendable {
    enum Kind: Sendable {
        /// Requests: each gets a reply, and one that cannot be read is dropped; its asker gives up by itself.
        case holds(AMQPPublisher)
        /// Durable commands: one that cannot take effect goes to the queue's dead letters.
        case commands(String, @Sendable (Delivery) throws(Malformed) -> Command)
    }

    let name: String
    private let kind: Kind
    private let consumer: AMQPConsumer
    private let runner: BatchRunner
    private let log: Logger
    private let outcomes: Outcomes

    init(_ kind: Kind, _ consumer: AMQPConsumer, _ runner: BatchRunner, _ log: Logger) {
        (self.kind, self.consumer, self.runner, self.log) = (kind, consumer, runner, log)
        name =
            switch kind {
            case .holds: "holds"
            case .commands(let name, _): name
            }
        outcomes = Outcomes(name)
    }

    /// The consumer itself is run by the caller. Returns after ``stop(within:)``, when everything received is settled.
    func run() async throws {
        do {
            while true { try await settleAll(consumer.next(max: 1_000)) }
        } catch ConsumeError.stopped {
            return
        } catch {
            // What was received is not settled here any more: back to the queue with it, at once.
            await consumer.stop(within: .zero)
            throw error
        }
    }

    func stop(within limit: Duration) async { await consumer.stop(within: limit) }

    /// See ``HandOver``.
    func setSuspended(_ isSuspended: Bool) { consumer.setSuspended(isSuspended) }

    var isConnected: Bool { consumer.isConnected }

    /// What waits is decided together. But a delivery that came back often was out each time a ledger died, and so were those beside it;
    /// one of them may be the reason. Then they are decided in groups that double, in an order thrown anew each time: every further death
    /// leaves about a third of the innocent settled, and long before the queue's delivery limit the guilty one is alone. The order of
    /// an account's messages is given up for that, which the rules provide for.
    private func settleAll(_ deliveries: [Delivery]) async throws {
        guard deliveries.contains(where: { $0.priorDeliveries >= Self.suspectAfter }) else {
            return try await settle(deliveries[...], inOrder: true)
        }
        outcomes.apart.add(Int64(deliveries.count))
        var rest = deliveries.shuffled()[...]
        var size = 1
        while !rest.isEmpty {
            try await settle(rest.prefix(size), inOrder: false)
            rest = rest.dropFirst(size)
            size *= 2
        }
    }

    /// Of the fifty deliveries a message of money gets.
    private static let suspectAfter = 5

    /// - Parameter inOrder: that of arrival, after everything that came before.
    private func settle(_ deliveries: ArraySlice<Delivery>, inOrder: Bool) async throws {
        var asked: [(delivery: Delivery, command: Command)] = []
        asked.reserveCapacity(deliveries.count)
        let now = MonotonicInstant.current()
        for delivery in deliveries {
            guard !isForNobody(delivery, now: now) else {
                outcomes.dropped.add()
                log.warning("request too old: dropped undecided", fields(delivery), trace: delivery.trace)
                consumer.reject(delivery, requeue: false)
                continue
            }
            do throws(Malformed) {
                asked.append((delivery, try command(delivery)))
            } catch {
                outcomes.malformed.add()
                log.error("message refused", fields(delivery), error: error, trace: delivery.trace)
                consumer.reject(delivery, requeue: false)
            }
        }
        let verdicts = try await decide(asked)
        var last: Delivery?
        for ((delivery, command), verdict) in zip(asked, verdicts) {
            if !conclude(delivery, command, verdict) {
                consumer.reject(delivery, requeue: false)
            } else if inOrder {
                last = delivery
            } else {
                consumer.ack(delivery)
            }
        }
        if let last { consumer.ack(last, multiple: true) }
    }

    /// A request that waited here, behind a database that was away, for as long as its asker waits. The time in the queue before that is
    /// the broker's to count (`expiration`); no clock of the asker's is asked, which may differ. So a hold may be decided at twice its
    /// asker's patience: its proxy voids what it does not wait for.
    private func isForNobody(_ delivery: Delivery, now: MonotonicInstant) -> Bool {
        guard isHold, let deadline = delivery.deadline else { return false }
        return deadline <= now
    }

    private func command(_ delivery: Delivery) throws(Malformed) -> Command {
        switch kind {
        case .holds: try holdCommand(delivery)
        case .commands(_, let read): try read(delivery)
        }
    }

    private func decide(_ asked: [(delivery: Delivery, command: Command)]) async throws -> [Verdict] {
        let commands = asked.map(\.command)
        guard isHold else { return try await runner.decide(commands) }
        // The last of the group to be given up: a hold decided later would reserve for nobody.
        return try await runner.decide(commands, before: asked.map { $0.delivery.deadline ?? .never }.max() ?? .never)
    }

    /// - Returns: false when the message belongs to the dead letters.
    private func conclude(_ delivery: Delivery, _ command: Command, _ verdict: Verdict) -> Bool {
        let decision: Decision
        switch verdict {
        case .decided(let made): decision = made
        case .dropped:
            outcomes.dropped.add()
            log.warning("request too old: not answered", fields(delivery, command), trace: delivery.trace)
            return true
        case .failed(let error):
            outcomes.failed.add()
            log.error("command cannot be written", fields(delivery, command), error: error, trace: delivery.trace)
            if case .holds(let replies) = kind {
                reply(.invalid("the ledger cannot write this request", command), to: delivery, by: replies)
            }
            return isHold
        }
        outcomes.note(decision)
        record(decision, delivery, command)
        if case .holds(let replies) = kind {
            reply(HoldReply(decision, to: command), to: delivery, by: replies)
            return true
        }
        switch decision {
        case .conflict, .invalid: return false
        case .decided, .duplicate, .superseded, .awaitingFunds, .noted: return true
        }
    }

    private var isHold: Bool { if case .holds = kind { true } else { false } }

    private func reply(_ message: HoldReply, to delivery: Delivery, by replies: AMQPPublisher) {
        let headers = delivery.trace.map { [("traceparent", $0.child().traceparent)] } ?? []
        do {
            // Not waited for: an asker that hears nothing asks again under the same id.
            try replies.send(
                .reply(
                    to: delivery, messageID: MessageID.make().description, type: HoldReply.name, body: message.encoded(), headers: headers),
                within: .seconds(5))
        } catch {
            log.warning("reply not sent", fields(delivery), error: error, trace: delivery.trace)
        }
    }

    // MARK: What people see of it

    private func record(_ decision: Decision, _ delivery: Delivery, _ command: Command) {
        switch decision {
        case .decided(let entry):
            var fields = fields(delivery, command)
            fields.append("kind", .string(entry.kind.name))
            fields.append("status", .string(entry.status.name))
            fields.append("credits", .describing(entry.amount))
            fields.append("balance", .describing(entry.postedAfter - entry.heldAfter))
            if entry.overage > .zero { fields.append("overage", .describing(entry.overage)) }
            let isOdd = entry.overage > .zero || entry.kind == .lateCapture || !entry.kind.isHold && entry.status != .applied
            isOdd
                ? log.warning("decided", fields, trace: delivery.trace)
                : log.info("decided", fields, trace: delivery.trace)
        case .conflict(let entry):
            var fields = fields(delivery, command)
            fields.append("stands", .string(entry.kind.name))
            log.error("another command stands under this id: not applied", fields, trace: delivery.trace)
        case .invalid(let flaw):
            var fields = fields(delivery, command)
            fields.append("flaw", .string(flaw.rawValue))
            log.error("command refused", fields, trace: delivery.trace)
        case .duplicate: log.info("decided before", fields(delivery, command), trace: delivery.trace)
        case .superseded: log.warning("came after the end of its charge", fields(delivery, command), trace: delivery.trace)
        case .awaitingFunds, .noted: log.debug("noted", fields(delivery, command), trace: delivery.trace)
        }
    }

    private func fields(_ delivery: Delivery, _ command: Command? = nil) -> LogFields {
        var fields: LogFields = [
            "queue": .string(name), "message.type": .string(delivery.properties.type), "message.id": .string(delivery.properties.messageID),
        ]
        if let command {
            fields.append("charge.id", .describing(command.id))
            fields.append("account.id", .describing(command.account))
        }
        if delivery.redelivered { fields.append("redelivered", true) }
        return fields
    }
}

extension Delivery {
    /// Until when the asker of a request waits, if it says so.
    fileprivate var deadline: MonotonicInstant? {
        let patience = properties.expirationMilliseconds
        return patience > 0 ? receivedAt + .milliseconds(patience) : nil
    }

    /// How often this message was out before, unsettled; a quorum queue counts.
    fileprivate var priorDeliveries: Int { redelivered ? properties.header("x-delivery-count").flatMap { Int($0) } ?? 0 : 0 }
}

extension HoldReply {
    /// What the asker is told; a repetition is told what the first was.
    init(_ decision: Decision, to command: Command) {
        switch decision {
        case .decided(let entry), .duplicate(let entry):
            let status: Status =
                switch entry.status {
                case .applied: .granted
                case .insufficientFunds, .accountNotFound, .outOfRange: .insufficientFunds
                case .accountDailyLimit, .accountMonthlyLimit, .keyDailyLimit, .keyMonthlyLimit: .limitReached
                case .alreadyResolved, .superseded: .alreadyResolved
                case .holdNotFound: .notHeld
                }
            self.init(
                chargeID: command.id, status: status, granted: entry.amount, available: max(.zero, entry.postedAfter - entry.heldAfter),
                limit: entry.limit)
        case .awaitingFunds(let available):
            self.init(chargeID: command.id, status: .awaitingFunds, granted: .zero, available: available)
        case .conflict:
            self.init(chargeID: command.id, status: .conflict, granted: .zero, available: .zero)
        case .superseded:
            self.init(chargeID: command.id, status: .alreadyResolved, granted: .zero, available: .zero)
        case .invalid(let flaw): self = .invalid(flaw.rawValue, command)
        case .noted: self = .invalid("not a hold", command)
        }
    }

    fileprivate static func invalid(_ message: String, _ command: Command) -> HoldReply {
        HoldReply(chargeID: command.id, status: .invalid, granted: .zero, available: .zero, message: message)
    }
}

extension Entry.Kind {
    /// Of the decision itself, for logs and metrics; ``type`` is what it means for the balance.
    var name: String {
        switch self {
        case .hold: "hold"
        case .extend: "extend"
        case .capture: "capture"
        case .void: "void"
        case .expire: "expire"
        case .lateCapture: "late_capture"
        case .charge: "charge"
        case .purchase, .planGrant, .bonus, .refund, .adjustment, .topup, .clawback: type
        case .lotExpiry: "lot_expiry"
        }
    }
}

/// Counters of one queue.
private struct Outcomes: Sendable {
    let applied, refused, duplicate, conflict, superseded, awaiting, noted, invalid, malformed, dropped, failed: Counter
    /// Decided in small groups, because of what came back too often.
    let apart: Counter

    init(_ queue: String) {
        func counter(_ outcome: String) -> Counter {
            Metrics.shared.counter("ledger_commands_total", help: "Commands by outcome.", labels: ["queue": queue, "outcome": outcome])
        }
        (applied, refused, duplicate, conflict) = (counter("applied"), counter("refused"), counter("duplicate"), counter("conflict"))
        (superseded, awaiting, noted, invalid) = (counter("superseded"), counter("awaiting"), counter("noted"), counter("invalid"))
        (malformed, dropped, failed) = (counter("malformed"), counter("dropped"), counter("failed"))
        apart = Metrics.shared.counter(
            "ledger_commands_apart_total", help: "Commands decided in small groups, because of one that came back too often.",
            labels: ["queue": queue])
    }

    func note(_ decision: Decision) {
        switch decision {
        case .decided(let entry): (entry.status == .applied ? applied : refused).add()
        case .duplicate: duplicate.add()
        case .conflict: conflict.add()
        case .superseded: superseded.add()
        case .awaitingFunds: awaiting.add()
        case .noted: noted.add()
        case .invalid: invalid.add()
        }
    }
}
