import AMQP
import Contracts
import Outbox
import Postgres
import Telemetry
import TestSupport
import Testing

@testable import Auth

extension AuthUnderTest {
    /// Runs the subscriptions of auth next to a connected publisher of another service.
    func consuming(
        _ broker: TestBroker, _ configuration: SubscriptionRunner.Configuration = .init(),
        _ body: @escaping @Sendable (AMQPPublisher, Metrics) async throws -> Void
    ) async throws {
        let metrics = Metrics()
        let runner = SubscriptionRunner(
            pool: pool, amqp: try AMQPConfiguration(url: broker.url, connectionName: "auth:events"), subscriptions: subscriptions(useCases),
            configuration: configuration, log: Self.log, metrics: metrics)
        let publisher = AMQPPublisher(try AMQPConfiguration(url: broker.url, connectionName: "other:publish"), log: Self.log)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await publisher.run() }
            group.addTask { try await runner.run() }
            defer { group.cancelAll() }
            #expect(await publisher.connected(within: .seconds(10)))
            try await body(publisher, metrics)
        }
    }
}

extension AuthUnderTest {
    /// Copies a plan as the subscription does.
    func copy(_ change: PlanChanged) async throws {
        try await pool.transaction { [accounts] transaction in try await accounts.copy(change, in: transaction) }
    }
}
