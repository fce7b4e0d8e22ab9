import AMQP
import Contracts
import EventLoop
import LedgerCore
import Messaging
import Postgres
import Telemetry
import Values

/// Answers questions about balances and charges. It reads only, so it drops a question that cannot be
/// answered now, and the requester asks again.
final class QueryConsumer: Sendable {
    private let consumer: AMQPConsumer
    private let store: LedgerStore
    private let log: Logger

    init(consumer: AMQPConsumer, store: LedgerStore, log: Logger) {
        (self.consumer, self.store, self.log) = (consumer, store, log)
    }

    /// The consumer itself is run by the caller.
    func run() async throws {
        do {
            while true { await answer(try await consumer.next(max: 500)) }
        } catch ConsumeError.stopped {
            return
        }
    }

    func stop(within limit: Duration) async { await consumer.stop(within: limit) }

    private func answer(_ deliveries: [Delivery]) async {
        var balances: [(delivery: Delivery, account: AccountID)] = []
        var charges: [(delivery: Delivery, question: ChargeQuestion)] = []
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
        await answer(charges)
    }

    private func answer(_ asked: [(delivery: Delivery, account: AccountID)]) async {
        guard !asked.isEmpty else { return }
        do {
            let found = try await store.standings(of: Array(Set(asked.map(\.account))))
            for (delivery, id) in asked {
                let account = found[id]?.account ?? Account(id: id)
                let message = BalanceReply(accountID: id, posted: account.posted, held: account.held, available: account.available)
                consumer.answer(message, to: delivery)
            }
        } catch {
            drop(asked.map(\.delivery), error)
        }
    }

    private func answer(_ asked: [(delivery: Delivery, question: ChargeQuestion)]) async {
        guard !asked.isEmpty else { return }
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
