import AMQP
import Contracts
import EventLoop
import LedgerCore
import Messaging
import Postgres
import Telemetry
import Values

/// Takes the messages of a queue and has them decided. Answers and acknowledges a message when its
/// own decision is durable.
final class CommandConsumer: Sendable {
    enum Kind: Sendable {
        /// Questions. Each one gets a reply. A question that cannot be read is dropped, and its
        /// proxy times out.
        case holds
        /// Durable commands. A command that cannot take effect goes to the queue's dead letters.
        case commands(Queue)
    }

    let name: String
    private let kind: Kind
    private let consumer: AMQPConsumer
    private let runner: BatchRunner
    private let log: Logger
    private let outcomes: Outcomes
    private let open: OpenCommands

    /// The number of undecided commands above which no further message is read. A message has up to
    /// 100 commands, and the prefetch counts messages.
    static let commandsMax = 4_000
    /// The most commands that are decided together while one of them is suspected.
    private static let groupMax = 1_000

    init(_ kind: Kind, _ consumer: AMQPConsumer, _ runner: BatchRunner, _ log: Logger) {
        (self.kind, self.consumer, self.runner, self.log) = (kind, consumer, runner, log)
        name =
            switch kind {
            case .holds: Topology.ledgerHolds.name
            case .commands(let queue): queue.name
            }
        outcomes = Outcomes(name)
        open = OpenCommands(max: Self.commandsMax, on: runner.loop)
    }

    /// Hands messages to the runner until ``stop(within:)``. The caller runs the consumer itself.
    /// The queue's prefetch limits the messages that wait here, and ``commandsMax`` their commands.
    func run() async throws {
        do {
            while true { try await submit(consumer.next(max: 1_000)) }
        } catch ConsumeError.stopped {
            return
        } catch {
            // This consumer acknowledges nothing more, so the broker gets the messages back at once.
            await consumer.stop(within: .zero)
            throw error
        }
    }

    func stop(within limit: Duration) async { await consumer.stop(within: limit) }

    /// Gives up the queue, or subscribes again (``HandOver``).
    func setSuspended(_ isSuspended: Bool) { consumer.setSuspended(isSuspended) }

    /// Submits the commands of deliveries together, as far as there is room for them.
    private func submit(_ deliveries: [Delivery]) async throws {
        let areSuspect = deliveries.contains { $0.priorDeliveries >= Self.suspectAfter }
        if areSuspect { outcomes.isolated.add(Int64(deliveries.count)) }
        var rest = (areSuspect ? deliveries.shuffled() : deliveries)[...]
        while !rest.isEmpty {
            try await open.room()
            var commands: [WaitingCommand] = []
            while open.hasRoom, let delivery = rest.popFirst() {
                let items = waiting(delivery)
                commands += areSuspect ? items.shuffled() : items
            }
            if areSuspect { try await isolate(commands) } else { runner.submit(commands) }
        }
    }

    /// Decides commands in groups of 1, 2, 4 …. The caller has shuffled the messages, and the items
    /// within each message.
    ///
    /// When a ledger dies, the broker redelivers every open message. The delivery
    /// count therefore does not name the poison message. With random groups each further death
    /// leaves about a third of the other messages acknowledged. A message is acknowledged if all its
    /// items are decided in one life of the ledger, so its items stay together. The poison command
    /// stands alone long before the queue's delivery limit. The order of an account's messages is
    /// not kept here.
    private func isolate(_ commands: [WaitingCommand]) async throws {
        var rest = commands[...]
        var size = 1
        while !rest.isEmpty {
            try await runner.isolate(Array(rest.prefix(size)))
            rest = rest.dropFirst(size)
            size = min(size * 2, Self.groupMax)
        }
    }

    /// The number of earlier deliveries at which a message is suspected. A money message gets 50
    /// deliveries.
    private static let suspectAfter = 5

    /// - Returns: the commands of the message. None if it cannot be read; it is then rejected.
    private func waiting(_ delivery: Delivery) -> [WaitingCommand] {
        do throws(Malformed) {
            switch kind {
            case .holds:
                let command = try Command.question(
                    delivery.properties.type, delivery.body, delivery.origin, isRedelivered: delivery.redelivered)
                open.begin()
                return [
                    WaitingCommand(command, deadline: delivery.deadline, isStale: isStale(delivery, command)) { [self] in
                        conclude(delivery, command, nil, $0)
                        open.finish()
                    }
                ]
            case .commands(let queue):
                let items = try Command.durable(delivery.properties.type, delivery.body, delivery.origin)
                let open = OpenItems(items.count)
                return items.compactMap {
                    waiting(delivery, OpenItem(DurableMessage(delivery: delivery, queue: queue.name, item: $0.item), open), $0)
                }
            }
        } catch {
            outcomes.malformed.add()
            log.error("message refused", fields(delivery), error: error, trace: delivery.trace)
            consumer.reject(delivery, requeue: false)
            return []
        }
    }

    /// - Returns: nil for an item that cannot be read. It is then a dead letter of its own.
    private func waiting(_ delivery: Delivery, _ item: OpenItem, _ content: DurableItem) -> WaitingCommand? {
        switch content.command {
        case .success(let command):
            open.begin()
            return WaitingCommand(command, message: item.message, isStale: isStale(delivery, command)) { [self] in
                conclude(delivery, command, item, $0)
                open.finish()
            }
        case .failure(let error):
            outcomes.malformed.add()
            log.error("item refused", fields(delivery), error: error, trace: delivery.trace)
            giveUp(delivery, content.account, item, "malformed", because: "\(error)")
            return nil
        }
    }

    /// Returns a check that is true when the broker may have given the delivery to another ledger.
    /// That ledger then answers the question. An expiry must not be decided here before the
    /// messages that the other ledger has queued.
    private func isStale(_ delivery: Delivery, _ command: Command) -> @Sendable () -> Bool {
        guard command.isQuestion || command.isHousekeeping else { return { false } }
        return { [consumer] in !consumer.isOut(delivery) }
    }

    // MARK: Answers

    private func conclude(_ delivery: Delivery, _ command: Command, _ item: OpenItem?, _ result: CommandResult) {
        switch result {
        case .decided(let decision): conclude(delivery, command, item, decision)
        case .undecided:
            outcomes.busy.add()
            log.warning("question not decided in time", fields(delivery, command), trace: delivery.trace)
            answer(delivery, HoldReply(chargeID: command.id, status: .busy))
        case .unknown:
            outcomes.dropped.add()
            log.warning("question expired, decision unknown", fields(delivery, command), trace: delivery.trace)
            consumer.ack(delivery)
        case .kept:
            outcomes.kept.add()
            ack(delivery, item)
        case .failed(let error):
            outcomes.failed.add()
            log.error("command cannot be written", fields(delivery, command), error: error, trace: delivery.trace)
            isHold
                ? answer(delivery, .invalid("the ledger cannot write this request", command))
                : giveUp(delivery, command.account, item, "not_written", because: "\(error)")
        case .givenBack: break
        }
    }

    private func conclude(_ delivery: Delivery, _ command: Command, _ item: OpenItem?, _ decision: Decision) {
        outcomes.note(decision)
        record(decision, delivery, command)
        if isHold {
            answer(delivery, HoldReply(decision, to: command))
        } else if let mistake = decision.mistake, !command.isHousekeeping {
            giveUp(delivery, command.account, item, "refused", because: mistake)
        } else {
            // The sweep asks again for an expiry that was refused.
            ack(delivery, item)
        }
    }

    /// Acknowledges the message when its last item is durable.
    private func ack(_ delivery: Delivery, _ item: OpenItem?) { finish(delivery, item, isStored: true) }

    private func finish(_ delivery: Delivery, _ item: OpenItem?, isStored: Bool) {
        let end = item.map { $0.open.finish(isStored: isStored) } ?? (isStored ? .stored : .spoiled)
        switch end {
        case .stored: consumer.ack(delivery)
        case .spoiled: consumer.reject(delivery, requeue: false)
        case nil: break
        }
    }

    /// Makes a command that cannot take effect a dead letter: its whole message, or its item if the
    /// message has others.
    private func giveUp(_ delivery: Delivery, _ account: AccountID?, _ item: OpenItem?, _ errorClass: String, because reason: String) {
        guard let item, item.message.item != nil else { return finish(delivery, item, isStored: false) }
        open.begin()
        runner.park(item.message, of: account, errorClass: errorClass, because: reason) { [self] in
            finish(delivery, item, isStored: $0)
            open.finish()
        }
    }

    private var isHold: Bool { if case .holds = kind { true } else { false } }

    /// A proxy without an answer asks again under the same id, or voids it.
    private func answer(_ question: Delivery, _ reply: HoldReply) { consumer.answer(reply, to: question) }

    // MARK: Logs

    private func record(_ decision: Decision, _ delivery: Delivery, _ command: Command) {
        switch decision {
        case .decided(let entry, _):
            var fields = fields(delivery, command)
            fields.append("kind", .string(entry.kind.name))
            fields.append("status", .string(entry.status.name))
            fields.append("credits", .describing(entry.amount))
            fields.append("balance", .describing(entry.postedAfter - entry.heldAfter))
            if entry.overage > .zero { fields.append("overage", .describing(entry.overage)) }
            let isOdd = entry.overage > .zero || entry.kind == .lateCapture || entry.status != .applied
            isOdd
                ? log.warning("entry posted", fields, trace: delivery.trace)
                : log.info("entry posted", fields, trace: delivery.trace)
        case .conflict(let entry):
            var fields = fields(delivery, command)
            fields.append("stands", .string(entry.kind.name))
            log.error("idempotency conflict", fields, trace: delivery.trace)
        case .invalid(let flaw):
            var fields = fields(delivery, command)
            fields.append("flaw", .string(flaw.rawValue))
            log.error("command refused", fields, trace: delivery.trace)
        case .refused(let refusal):
            var fields = fields(delivery, command)
            fields.append("reason", .string(refusal.name))
            log.info("refused", fields, trace: delivery.trace)
        case .duplicate: log.info("duplicate command", fields(delivery, command), trace: delivery.trace)
        case .awaitingFunds, .undecided, .noted: log.debug("noted", fields(delivery, command), trace: delivery.trace)
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
    /// The time at which an undecided question is answered: half a second before the proxy gives
    /// up, if the delivery was immediate. It counts from the delivery and uses no clock of the
    /// proxy. The broker counts the time in the queue (`expiration`).
    fileprivate var deadline: MonotonicInstant {
        let longest = Int64(5_000)
        let given = Int64(properties.expirationMilliseconds)
        let patience = given > 0 ? min(given, longest) : longest
        return receivedAt + .milliseconds(max(patience - 500, patience / 2))
    }
}

extension Refusal {
    /// The reason's name in logs.
    fileprivate var name: String {
        switch self {
        case .insufficientFunds: "insufficient_funds"
        case .accountNotFound: "account_not_found"
        case .limit(let limit, _): "\(limit.scope.rawValue)_\(limit.period.rawValue)_limit"
        case .alreadyResolved: "already_resolved"
        case .notHeld: "not_held"
        case .outOfRange: "out_of_range"
        }
    }
}

extension Entry.Kind {
    /// The decision's name, for logs; ``type`` is its meaning for the balance.
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
