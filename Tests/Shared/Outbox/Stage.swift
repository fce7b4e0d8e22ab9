import AMQP
import Contracts
import EventLoop
import Glibc
import Messaging
import Outbox
import Postgres
import Synchronization
import Telemetry
import TestSupport
import Testing
import Values

/// A database and a virtual host of one test's own, with the queue of `Topology.billingUsers` and its dead-letter queue.
struct Stage: Sendable {
    let database: TestDatabase
    let broker: TestBroker
    let pool: PostgresPool

    static let queue = Topology.billingUsers
    static let deadLetters = "billing.sub.auth.dlq"

    static func with(_ body: @escaping @Sendable (Stage) async throws -> Void) async throws {
        try await TestBroker.with { broker in
            try broker.declareExchange("auth.evt", type: "topic")
            try broker.declareExchange("dlx", type: "direct")
            try broker.declareQueue(
                queue.name,
                arguments: #""x-queue-type":"quorum","x-dead-letter-exchange":"dlx","x-dead-letter-routing-key":"\#(queue.name)""#)
            try broker.declareQueue(deadLetters, arguments: #""x-queue-type":"quorum""#)
            try broker.bind(queue: queue.name, exchange: "auth.evt", routingKey: "user.#")
            try broker.bind(queue: deadLetters, exchange: "dlx", routingKey: queue.name)
            let database = try await TestDatabase.create(
                schema: "test", migrations: ["Shared/Outbox/Migrations", "Tests/Shared/Outbox/Migrations"])
            let result: Result<Void, any Error>
            do {
                try await database.withPool(connectionsMax: 12) { pool in
                    try await body(Stage(database: database, broker: broker, pool: pool))
                }
                result = .success(())
            } catch {
                result = .failure(error)
            }
            try await database.drop()
            try result.get()
        }
    }

    func amqp(_ name: String) throws -> AMQPConfiguration {
        try AMQPConfiguration(url: broker.url, connectionName: name)
    }

    /// Runs `body` next to a connected publisher.
    /// - Parameter port: where the publisher connects; by default to the broker.
    func withPublisher(at port: Int? = nil, _ body: @escaping @Sendable (AMQPPublisher) async throws -> Void) async throws {
        var configuration = try amqp("publisher")
        if let port { configuration.hosts[0].port = port }
        let publisher = AMQPPublisher(configuration, log: TestDatabase.log)
        try await beside({ await publisher.run() }) {
            #expect(await publisher.connected(within: .seconds(10)))
            try await body(publisher)
        }
    }

    /// A pool that gives up waiting soon, as in an outage.
    func withImpatientPool(_ body: @escaping @Sendable (PostgresPool) async throws -> Void) async throws {
        var configuration = database.configuration()
        configuration.acquireWithin = .milliseconds(50)
        try await TestDatabase.withPool(configuration, body)
    }

    func withRelay(
        configuration: OutboxRelay.Configuration = .init(), pool: PostgresPool? = nil, at port: Int? = nil,
        _ body: @escaping @Sendable (OutboxRelay) async throws -> Void
    ) async throws {
        try await withPublisher(at: port) { publisher in
            let relay = OutboxRelay(
                pool: pool ?? self.pool, publisher: publisher, configuration: configuration, log: TestDatabase.log, metrics: Metrics())
            try await beside({ try? await relay.run() }) { try await body(relay) }
        }
    }

    func withRunner(
        _ subscriptions: [Subscription], configure: (inout SubscriptionRunner.Configuration) -> Void = { _ in },
        metrics: Metrics = Metrics(), pool: PostgresPool? = nil, whenEnded: @escaping @Sendable () -> Void = {},
        _ body: @escaping @Sendable (SubscriptionRunner) async throws -> Void
    ) async throws {
        var configuration = SubscriptionRunner.Configuration()
        configuration.retrySweepEvery = .milliseconds(20)
        configuration.outagePauseMax = .milliseconds(100)
        configure(&configuration)
        let runner = SubscriptionRunner(
            pool: pool ?? self.pool, amqp: try amqp("runner"), subscriptions: subscriptions, configuration: configuration,
            log: TestDatabase.log,
            metrics: metrics)
        try await beside({
            try? await runner.run()
            whenEnded()
        }) {
            try await until { runner.isReady }
            try await body(runner)
        }
    }

    /// Reads the queue until `isEnough`, acknowledging.
    func receive(
        from queue: String = queue.name, until isEnough: @escaping @Sendable ([Delivery]) -> Bool
    ) async throws -> [Delivery] {
        let consumer = AMQPConsumer(try amqp("reader"), source: .queue(queue), prefetch: 200, log: TestDatabase.log)
        let reading = Task(executorPreference: TestDatabase.loop) {
            var all: [Delivery] = []
            while !isEnough(all) {
                for delivery in try await consumer.next(max: 100) {
                    all.append(delivery)
                    consumer.ack(delivery)
                }
            }
            await consumer.stop()
            return all
        }
        let limit = TestDatabase.loop.schedule(after: .seconds(30)) { reading.cancel() }
        defer { TestDatabase.loop.cancel(limit) }
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await consumer.run() }
            let all = try await reading.value
            group.cancelAll()
            return all
        }
    }

    func script(_ sql: String) async throws { try await pool.withConnection { try await $0.script(sql) } }

    func effects() async throws -> [String] { try await pool.query(ReadEffects()) }

    func deadLetters() async throws -> [ReadDeadLetters.Row] { try await pool.query(ReadDeadLetters()) }

    private func beside(
        _ background: @escaping @Sendable () async -> Void, _ body: @escaping @Sendable () async throws -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await background() }
            let result: Result<Void, any Error>
            do { result = .success(try await body()) } catch { result = .failure(error) }
            group.cancelAll()
            try await group.waitForAll()
            try result.get()
        }
    }
}

/// A connection to the broker on which the bytes of both sides can be held back.
final class Wire: Sendable {
    private let server: ScriptedServer
    private let state: State

    private final class State: Sendable {
        let isHeld = Mutex(false)
    }

    init(to broker: AMQPConfiguration) {
        let state = State()
        let port = broker.hosts[0].port
        self.state = state
        server = ScriptedServer { peer in
            peer.forward(to: port) {
                while state.isHeld.withLock({ $0 }) { poll(nil, 0, 1) }
                return false
            }
        }
    }

    var port: Int { server.port }

    var isHeld: Bool {
        get { state.isHeld.withLock { $0 } }
        set { state.isHeld.withLock { $0 = newValue } }
    }
}

func message(_ text: String, group: Int = 0) -> UserVerified {
    UserVerified(userID: UserID.make(), email: text, verifiedAt: Instant(microseconds: Int64(group)))
}

func outgoing(_ message: UserVerified, id: MessageID = .make()) -> OutgoingMessage {
    let envelope = Envelope(
        messageID: id, conversationID: .make(), causationID: nil, type: UserVerified.name, sender: "", trace: .new(), sentAt: .now())
    return OutgoingMessage(
        exchange: "auth.evt", routingKey: message.routingKey, body: message.encoded(), properties: envelope.properties(from: "test"))
}

struct RecordEffect: Statement {
    let text: String
    static let sql = "INSERT INTO effect (text) VALUES ($1)"
    func bind(_ parameters: inout Parameters) { parameters.append(text) }
}

struct ReadEffects: Statement {
    typealias Output = String
    static let sql = "SELECT text FROM effect ORDER BY n"
}

struct ReadDeadLetters: Statement {
    struct Row: Sendable {
        let state: String
        let attempts: Int
        let errorClass: String
    }
    static let sql = "SELECT state, attempts, error_class FROM dead_letter ORDER BY message_id"

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Row {
        Row(state: try row.next(), attempts: try row.next(), errorClass: try row.next())
    }
}

struct CountUnsent: Statement {
    typealias Output = Int64
    static let sql = "SELECT count(*) FROM outbox WHERE sent_at IS NULL"
}
