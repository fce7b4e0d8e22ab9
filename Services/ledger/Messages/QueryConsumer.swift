import AMQP
import Contracts
import EventLoop
import LedgerCore
import Messaging
import Postgres
import Synchronization
import Telemetry
import Values

/// Answers questions about balances and charges. It drops a question that cannot be answered now. The
/// requester then gets no answer, and nothing is lost, because a question changes nothing.
///
/// Charges are read from the journal, which may take seconds. A task of their own answers them, so
/// that no balance waits for a charge. Beyond ``chargesMax`` waiting questions it drops further
/// ones: the prefetch must have room for balances.
final class QueryConsumer: Sendable {
    private typealias AskedCharge = (delivery: Delivery, question: ChargeQuestion)

    private struct Charges {
        var waiting: [AskedCharge] = []
        /// True while a task answers charges.
        var areAnswered = false
    }

    private let consumer: AMQPConsumer
    private let store: LedgerStore
    private let log: Logger
    private let charges = Mutex(Charges())

    /// The most questions about charges that wait while others are answered.
    static let chargesMax = 100

    init(consumer: AMQPConsumer, store: LedgerStore, log: Logger) {
        (self.consumer, self.store, self.log) = (consumer, store, log)
    }

    /// The consumer itself is run by the caller.
    func run() async throws {
        do {
            try await withThrowingDiscardingTaskGroup { group in
                while true {
                    let asked = await answer(try await consumer.next(max: 500))
                    if takes(asked) { group.addTask { await self.answerCharges() } }
                }
            }
        } catch ConsumeError.stopped {
            return
        }
    }

    func stop(within limit: Duration) async { await consumer.stop(within: limit) }

    /// Answers balances.
    /// - Returns: the questions about charges.
    private func answer(_ deliveries: [Delivery]) async -> [AskedCharge] {
        var balances: [(delivery: Delivery, account: AccountID)] = []
        var charges: [AskedCharge] = []
        for delivery in deliveries {
            do {
                if delivery.properties.type == QueryCharge.name {
                    let query = try delivery.decode(as: QueryCharge.self)
                    charges.append((delivery, ChargeQuestion(charge: query.chargeID, account: query.accountID)))
                } else {
                    balances.append((delivery, try delivery.decode(as: QueryBalance.self).accountID))
                }
            } catch {
                log.error("message refused", ["message.type": .string(delivery.properties.type)], error: error, trace: delivery.trace)
                consumer.ack(delivery)
            }
        }
        await answer(balances)
        return charges
    }

    private func answer(_ asked: [(delivery: Delivery, account: AccountID)]) async {
        guard !asked.isEmpty else { return }
        do {
            let found = try await store.standings(of: Array(Set(asked.map(\.account))))
            for (delivery, id) in asked {
                let account = found[id]?.account ?? Account(id: id)
                let message = BalanceReply(
                    accountID: id, posted: account.posted, held: account.held, available: account.available,
                    alertLevel: account.alertLevel(default: store.limits.lowBalanceLevel))
                consumer.answer(message, to: delivery)
            }
        } catch {
            drop(asked.map(\.delivery), error)
        }
    }

    // MARK: Charges

    /// Keeps questions about charges, as many as may wait.
    /// - Returns: true if no task answers charges yet.
    private func takes(_ asked: [AskedCharge]) -> Bool {
        guard !asked.isEmpty else { return false }
        let (dropped, starts) = charges.withLock { charges in
            let taken = asked.prefix(Self.chargesMax - charges.waiting.count)
            charges.waiting += taken
            defer { charges.areAnswered = true }
            return (asked.dropFirst(taken.count), !charges.areAnswered)
        }
        if !dropped.isEmpty {
            log.warning("query refused", ["questions": .integer(dropped.count)])
            for (delivery, _) in dropped { consumer.ack(delivery) }
        }
        return starts
    }

    /// Answers charges until no question waits.
    private func answerCharges() async {
        while true {
            let asked = charges.withLock { charges in
                defer { charges.waiting = [] }
                charges.areAnswered = !charges.waiting.isEmpty
                return charges.waiting
            }
            guard !asked.isEmpty else { return }
            await answer(asked)
        }
    }

    private func answer(_ asked: [AskedCharge]) async {
        do {
            let found = try await store.records(of: Array(Set(asked.map(\.question))))
            for (delivery, question) in asked { consumer.answer(ChargeReply(question, found[question]), to: delivery) }
        } catch {
            drop(asked.map(\.delivery), error)
        }
    }

    private func drop(_ deliveries: [Delivery], _ error: any Error) {
        log.warning("query failed", ["questions": .integer(deliveries.count)], error: error)
        for delivery in deliveries { consumer.ack(delivery) }
    }
}
