import AMQP
import Contracts
import EventLoop
import Identity
import Messaging
import Outbox
import Telemetry

/// | message | from | what happens |
/// |---|---|---|
/// | `mail.send.v1` | ledger | the mail waits in the table `mail`, if the user wants it |
/// | `plan.changed.v1` | billing | the user has the plan in tokens, and in answers about cookies and API keys |
func subscriptions(_ auth: UseCases) -> [Subscription] {
    [
        .on(SendMail.self, from: Topology.authMails) { request, _, transaction in
            try await auth.mailer.accept(request, in: transaction)
        },
        .on(PlanChanged.self, from: Topology.authPlans) { change, _, transaction in
            try await auth.accounts.copy(change, in: transaction)
        },
    ]
}

/// Auth's answers over the broker: questions that come to `auth.rpc`.
///
/// A question that cannot be answered is dropped, because its requester's deadline passes long
/// before a second try.
struct IntrospectionServer: Sendable {
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
        do {
            switch delivery.properties.type {
            case IntrospectAPIKey.name:
                consumer.answer(APIKeyReply(owner: try await source.owner(of: delivery.decode())), to: delivery)
            case IntrospectSession.name:
                consumer.answer(SessionReply(owner: try await source.owner(of: delivery.decode())), to: delivery)
            case QuerySigningKeys.name:
                consumer.answer(try await source.signingKeys(delivery.decode()), to: delivery)
            default:
                throw Malformed.unknownType(delivery.properties.type)
            }
            log.debug("rpc request answered", ["message.type": .string(delivery.properties.type)], trace: delivery.trace)
        } catch {
            consumer.reject(delivery, requeue: false)
            log.warning(
                "rpc request failed", ["message.type": .string(delivery.properties.type)], error: error, trace: delivery.trace)
        }
    }
}
