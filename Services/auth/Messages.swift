import AMQP
import Contracts
import EventLoop
import Identity
import Telemetry
import Values

/// Auth's answers over the broker: questions that come to `auth.rpc`.
///
/// A question that cannot be answered is dropped, because its requester's deadline passes long
/// before a second try.
struct QuestionServer: Sendable {
    /// Started and stopped by the caller.
    let consumer: AMQPConsumer
    let source: any IdentitySource
    let log: Logger

    static let atOnceMax = 64

    func run() async throws {
        try await withThrowingDiscardingTaskGroup { group in
            while true {
                let deliveries: [Delivery]
                do { deliveries = try await consumer.next(max: Self.atOnceMax) } catch ConsumeError.stopped { break }
                for delivery in deliveries { group.addTask { await answer(delivery) } }
            }
            group.cancelAll()
        }
    }

    private func answer(_ delivery: Delivery) async {
        let trace = delivery.properties.header("traceparent").flatMap(TraceContext.init(traceparent:))?.child() ?? .new()
        do {
            switch delivery.properties.type {
            case IntrospectAPIKey.name:
                let owner = try await source.owner(of: IntrospectAPIKey(decoding: delivery.body))
                answer(delivery, APIKeyReply(owner: owner), trace)
            case QuerySigningKeys.name:
                answer(delivery, try await source.signingKeys(QuerySigningKeys(decoding: delivery.body)), trace)
            default:
                throw MessageError(field: "type", expected: "\(IntrospectAPIKey.name) or \(QuerySigningKeys.name)")
            }
            log.debug("rpc request answered", ["message.type": .string(delivery.properties.type)], trace: trace)
        } catch {
            consumer.reject(delivery, requeue: false)
            log.warning("rpc request failed", ["message.type": .string(delivery.properties.type)], error: error, trace: trace)
        }
    }

    private func answer<Answer: Message>(_ question: Delivery, _ answer: Answer, _ trace: TraceContext) {
        consumer.answer(
            question, messageID: MessageID.make().description, type: Answer.name, body: answer.encoded(),
            headers: [("traceparent", trace.traceparent)])
    }
}

/// Asks the ledger for a balance.
struct BalanceSource: Sendable {
    let rpc: RPCClient
    let log: Logger

    /// Nil when the ledger does not answer within half a second: a profile is worth showing without it.
    func available(to account: AccountID) async -> Credits? {
        do {
            let question = QueryBalance(accountID: account)
            let headers = TraceContext.current.map { [("traceparent", $0.child().traceparent)] } ?? []
            let delivery = try await rpc.call(
                exchange: QueryBalance.exchange.name, routingKey: question.routingKey, type: QueryBalance.name,
                body: question.encoded(), headers: headers, messageID: MessageID.make().description, within: .milliseconds(500))
            return try BalanceReply(decoding: delivery.body).available
        } catch {
            log.warning("balance lookup failed", ["user.id": .describing(account)], error: error)
            return nil
        }
    }
}
