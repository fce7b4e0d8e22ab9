import AMQP
import Contracts
import EventLoop
import Outbox
import Postgres
import Telemetry
import TestSupport
import Testing

struct OutboxTests {
    struct Crash: Error {}

    @Test func `what is committed leaves at once, what is rolled back never`() async throws {
        try await Stage.with { stage in
            var configuration = OutboxRelay.Configuration()
            configuration.sweepEvery = .seconds(60)
            configuration.sweepEveryWhenIdle = .seconds(60)
            try await stage.withRelay(configuration: configuration) { _ in
                await #expect(throws: Crash.self) {
                    try await stage.pool.transaction { transaction in
                        try await Outbox.add(message("rolled back"), in: transaction)
                        throw Crash()
                    }
                }
                let conversation = ConversationID.make()
                try await TraceContext.$current.withValue(.new()) {
                    try await stage.pool.transaction {
                        try await Outbox.add(message("committed"), conversationID: conversation, in: $0)
                    }
                    let deliveries = try await stage.receive { !$0.isEmpty }
                    #expect(deliveries.count == 1)
                    let delivery = try #require(deliveries.first)
                    #expect(try UserRegistered(decoding: delivery.body).email == "committed")
                    let envelope = try #require(Envelope(delivery.properties))
                    #expect(envelope.type == "user.registered.v1")
                    #expect(envelope.conversationID == conversation)
                    #expect(envelope.causationID == nil)
                    #expect(envelope.sender == "admin", "put there and checked by the broker")
                    #expect(envelope.trace?.traceIDText == TraceContext.current?.traceIDText)
                    #expect(envelope.sentAt != nil)
                    #expect(delivery.properties.correlationID == conversation.description)
                    #expect(delivery.properties.persistent)
                }
                try await until { try await stage.pool.one(CountUnsent()) == 0 }
            }
        }
    }

    @Test func `a thousand messages in one statement keep their order within a key`() async throws {
        try await Stage.with { stage in
            try await stage.pool.transaction { transaction in
                let messages = (0..<1_000).map { OutboxMessage(message("\($0)", plan: "\($0 % 100)"), orderingKey: "\($0 % 100)") }
                try await Outbox.add(messages, in: transaction)
            }
            try await stage.withRelay { _ in
                let deliveries = try await stage.receive { $0.count == 1_000 }
                try expectOrder(deliveries)
            }
        }
    }

    @Test func `a message that is not routed says so, and those of its key wait behind it`() async throws {
        try await Stage.with { stage in
            try stage.broker.deleteQueue(Stage.queue.name)
            try await stage.withRelay { relay in
                try await stage.pool.transaction { transaction in
                    try await Outbox.add(message("1", plan: "a"), orderingKey: "a", in: transaction)
                    try await Outbox.add(message("2", plan: "a"), orderingKey: "a", in: transaction)
                }
                try await until { try await stage.pool.query(ReadOutbox()).first?.attempts == 1 }
                let rows = try await stage.pool.query(ReadOutbox())
                #expect(rows[0].error?.contains("unroutable") == true)
                #expect(rows[1].attempts == 0)
                try stage.broker.declareQueue(Stage.queue.name)
                try stage.broker.bind(queue: Stage.queue.name, exchange: "auth.evt", routingKey: "user.#")
                relay.wake()
                let deliveries = try await stage.receive { $0.count == 2 }
                try expectOrder(deliveries)
            }
        }
    }

    @Test func `an exchange that does not exist fails its own messages only`() async throws {
        try await Stage.with { stage in
            try await stage.pool.transaction { transaction in
                try await Outbox.add(message("before"), in: transaction)
                try await transaction.execute(AddToMissingExchange())
                try await Outbox.add(message("after"), in: transaction)
            }
            try await stage.withRelay { _ in
                let deliveries = try await stage.receive { Set($0.map(\.properties.messageID)).count == 2 }
                #expect(try Set(deliveries.map { try UserRegistered(decoding: $0.body).email }) == ["before", "after"])
                try await until { try await stage.pool.query(ReadOutbox())[1].attempts > 0 }
                // One whose confirm was lost with the channel is sent twice.
                try await until { try await stage.pool.one(CountUnsent()) == 1 }
            }
        }
    }

    /// Two relays at a time; both are stopped again and again, and sometimes all database connections are killed under them.
    @Test func `relays that are killed and come back lose nothing and keep the order of every key`() async throws {
        let seed = UInt64.random(in: .min ... .max)
        print("seed \(seed)")
        try await Stage.with { stage in
            var random = Seeded(seed)
            let total = 600
            let received = Task(executorPreference: TestDatabase.loop) {
                try await stage.receive { deliveries in Set(deliveries.map(\.properties.messageID)).count == total }
            }
            let added = Task(executorPreference: TestDatabase.loop) { try await add(total, stage) }
            for _ in 0..<8 {
                let kills = Bool.random(using: &random)
                let pause = Duration.milliseconds(Int.random(in: 5...60, using: &random))
                try await stage.withRelay { _ in
                    try await stage.withRelay { _ in
                        try await TestDatabase.loop.sleep(for: pause)
                        if kills { _ = try? await stage.pool.query(KillOthers()) }
                    }
                }
            }
            try await added.value
            try await stage.withRelay { _ in
                try expectOrder(try await received.value)
                try await until { try await stage.pool.one(CountUnsent()) == 0 }
            }
        }
    }

    /// One transaction per message, per key behind a lock as a service would hold one on its aggregate.
    private func add(_ total: Int, _ stage: Stage) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for key in 0..<6 {
                group.addTask {
                    for number in 0..<total / 6 {
                        let next = message("\(number)", plan: "\(key)")
                        let id = MessageID.make()
                        // A killed connection loses the transaction, not the intention.
                        while true {
                            do {
                                try await stage.pool.transaction { transaction in
                                    try await Outbox.add([OutboxMessage(next, id: id, orderingKey: "\(key)")], in: transaction)
                                }
                                break
                            } catch let error as PostgresError where error.isDatabaseUnavailable {
                                continue
                            } catch let error as PostgresError where error.isViolation(of: "outbox_message_id_key") {
                                break
                            }
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    /// The first arrivals of each key, told by `plan`, come in the order of their numbers, told by `email`.
    private func expectOrder(_ deliveries: [Delivery], sourceLocation: SourceLocation = #_sourceLocation) throws {
        var seen: Set<String> = []
        var last: [String: Int] = [:]
        for delivery in deliveries where seen.insert(delivery.properties.messageID).inserted {
            let user = try UserRegistered(decoding: delivery.body)
            let number = try #require(Int(user.email))
            if let previous = last[user.plan] {
                #expect(previous < number, "key \(user.plan)", sourceLocation: sourceLocation)
            }
            last[user.plan] = number
        }
    }
}

/// SplitMix64: small, and the same for a seed everywhere.
struct Seeded: RandomNumberGenerator {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

private struct ReadOutbox: Statement {
    struct Row: Sendable {
        let attempts: Int
        let error: String?
    }
    static let sql = "SELECT attempts, last_error FROM outbox ORDER BY seq"

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Row {
        Row(attempts: try row.next(), error: try row.next())
    }
}

private struct AddToMissingExchange: Statement {
    static let sql = """
        INSERT INTO outbox (message_id, partition, exchange, routing_key, type, conversation_id, traceparent, body)
        VALUES (gen_random_uuid(), 0, 'nowhere', 'a', 'a', gen_random_uuid(), '', '')
        """
}

private struct KillOthers: Statement {
    typealias Output = Bool
    static let sql = """
        SELECT pg_terminate_backend(pid)
        FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()
        """
}
