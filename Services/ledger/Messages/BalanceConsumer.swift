import AMQP
import Contracts
import EventLoop
import Postgres
import Telemetry
import Values

/// Answers questions about balances; reads only, so a question that cannot be answered now is dropped and asked again.
final class BalanceConsumer: Sendable {
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
        var asked: [(delivery: Delivery, account: AccountID)] = []
        for delivery in deliveries {
            do {
                guard delivery.properties.type == QueryBalance.name else { throw Malformed.unknownType(delivery.properties.type) }
                asked.append((delivery, try QueryBalance(decoding: delivery.body).accountID))
            } catch {
                log.error("message refused", ["message.type": .string(delivery.properties.type)], error: error, trace: delivery.trace)
                consumer.ack(delivery)
            }
        }
        do {
            let found = try await store.standings(of: Array(Set(asked.map(\.account))))
            for (delivery, id) in asked {
                let account = found[id]?.account ?? Account(id: id)
                let message = BalanceReply(accountID: id, posted: account.posted, held: account.held, available: account.available)
                consumer.answer(delivery, messageID: MessageID.make().description, type: BalanceReply.name, body: message.encoded())
            }
        } catch {
            log.warning("balance query failed", ["questions": .integer(asked.count)], error: error)
            for (delivery, _) in asked { consumer.ack(delivery) }
        }
    }
}
