import AMQP
import Contracts
import EventLoop
import Messaging
import Outbox
import Postgres
import Synchronization
import Telemetry
import TestSupport
import Testing
import Values

struct OutboxTests {
    struct Crash: Error {}

    @Test func `a committed message is sent at once, and a rolled back one never`() async throws {
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
                    #expect(try UserVerified(decoding: delivery.body).email == "committed")
                    let envelope = try #require(Envelope(delivery.properties))
                    #expect(envelope.type == "user.verified.v1")
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

    @Test func `a revocation is numbered, and another event is not`() async throws {
        try await Stage.with { stage in
            try stage.broker.bind(queue: Stage.queue.name, exchange: "auth.evt", routingKey: "session.revoked.#")
            try await stage.withRelay { _ in
                try await stage.pool.transaction { transaction in
                    let revoked = SessionRevoked(sessionID: .make(), tokensExpireAt: Instant(microseconds: 0))
                    for _ in 0..<2 { try await Outbox.add(revoked, orderingKey: "a", in: transaction) }
                    try await Outbox.add(message("b"), in: transaction)
                }
                let deliveries = try await stage.receive { $0.count == 3 }
                let revocations = deliveries.filter { $0.properties.type == SessionRevoked.name }
                #expect(revocations.map { $0.publishNumber?.number } == [1, 2])
                #expect(deliveries.filter { $0.publishNumber == nil }.map(\.properties.type) == [UserVerified.name])
            }
        }
    }

    @Test func `a thousand messages in one statement keep their order within a key`() async throws {
        try await Stage.with { stage in
            try await stage.pool.transaction { transaction in
                let messages = (0..<1_000).map { OutboxMessage(message("\($0)", group: $0 % 100), orderingKey: "\($0 % 100)") }
                try await Outbox.add(messages, in: transaction)
            }
            try await stage.withRelay { _ in
                let deliveries = try await stage.receive { $0.count == 1_000 }
                try expectOrder(deliveries)
            }
        }
    }

    @Test func `an unroutable message has its error, and messages of its key wait behind it`() async throws {
        try await Stage.with { stage in
            try stage.broker.deleteQueue(Stage.queue.name)
            try await stage.withRelay { relay in
                try await stage.pool.transaction { transaction in
                    try await Outbox.add(message("1"), orderingKey: "a", in: transaction)
                    try await Outbox.add(message("2"), orderingKey: "a", in: transaction)
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

    @Test func `a failure in the middle of a key's backlog holds back the rest, and the order is kept after the repair`() async throws {
        try await Stage.with { stage in
            try await stage.pool.transaction { transaction in
                try await Outbox.add((0..<10).map { OutboxMessage(message("\($0)"), orderingKey: "a") }, in: transaction)
                try await transaction.execute(Misroute(position: 5))
            }
            try await stage.withRelay { _ in
                try await until { try await stage.pool.query(ReadOutbox()).contains { $0.error != nil } }
                #expect(try await stage.pool.query(ReadOutbox()).map(\.attempts) == [1, 1, 1, 1, 1, 1, 0, 0, 0, 0])
                try stage.broker.bind(queue: Stage.queue.name, exchange: "auth.evt", routingKey: "nowhere")
                let deliveries = try await stage.receive { $0.count == 10 }
                #expect(try texts(deliveries) == (0..<10).map(String.init))
            }
        }
    }

    @Test func `any number of messages behind a failing one of their key delay no other`() async throws {
        try await Stage.with { stage in
            try await stage.pool.execute(AddBacklog(keys: 1, rows: 2_002, misrouted: 1))
            try await stage.addHealthy()
            try await stage.withRelay { _ in
                let deliveries = try await stage.receive { $0.count >= 2 }
                #expect(try texts(deliveries).sorted() == ["free", "keyed"])
            }
        }
    }

    @Test func `any number of failing keys delay no other`() async throws {
        try await Stage.with { stage in
            try await stage.pool.execute(AddBacklog(keys: 2_500, rows: 2, misrouted: 1))
            try await stage.addHealthy()
            try await stage.withRelay { _ in
                let deliveries = try await stage.receive { $0.count >= 2 }
                #expect(try texts(deliveries).sorted() == ["free", "keyed"])
            }
        }
    }

    @Test func `any number of pausing keys delay no other, with two relays that interrupt each other`() async throws {
        try await Stage.with { stage in
            try await stage.pool.execute(AddBacklog(keys: 3_500, rows: 2, misrouted: 1))
            try await stage.pool.execute(Postpone())
            try await stage.addHealthy()
            try await stage.withRelay { first in
                try await stage.withRelay { second in
                    let deliveries = try await stage.receive { deliveries in
                        first.wake()
                        second.wake()
                        return deliveries.count >= 2
                    }
                    #expect(try texts(deliveries).sorted() == ["free", "keyed"])
                }
            }
        }
    }

    @Test func `new messages are sent before all failed ones without a key are tried again`() async throws {
        try await Stage.with { stage in
            try await stage.pool.execute(AddBacklog(keys: 0, rows: 2_500, misrouted: 2_500))
            // All messages are due again at once, as after a long outage of their queue.
            try await stage.pool.execute(SetAttempts(attempts: 3))
            try await stage.addHealthy()
            try await stage.withRelay { _ in
                let deliveries = try await stage.receive { $0.count >= 2 }
                #expect(try texts(deliveries).sorted() == ["free", "keyed"])
                #expect(try await stage.pool.one(CountAttempts(above: 3)) < 2_500)
            }
        }
    }

    @Test func `a long backlog of one key lets others pass and keeps its order`() async throws {
        try await Stage.with { stage in
            try await stage.pool.execute(AddBacklog(keys: 1, rows: 2_200, misrouted: 0))
            try await stage.addHealthy()
            try await stage.withRelay { _ in
                let texts = try texts(try await stage.receive { $0.count >= 2_202 })
                #expect(try #require(texts.firstIndex(of: "free")) < 1_000)
                #expect(try #require(texts.firstIndex(of: "keyed")) < 1_000)
                #expect(texts.filter { Int($0) != nil } == (1...2_200).map(String.init))
            }
        }
    }

    @Test func `a message that the broker nacked is tried again within ten seconds, one without a queue may wait longer`() async throws {
        try await Stage.with { stage in
            try stage.broker.deleteQueue(Stage.queue.name)
            try stage.broker.declareQueue("full", arguments: #""x-max-length":1,"x-overflow":"reject-publish""#)
            try stage.broker.bind(queue: "full", exchange: "auth.evt", routingKey: "user.#")
            try await stage.withPublisher { try await $0.publish(outgoing(message("in the way")), within: .seconds(30)) }
            try await stage.pool.transaction { transaction in
                try await Outbox.add(message("nacked"), in: transaction)
                try await Outbox.add(message("unroutable"), in: transaction)
                try await transaction.execute(Misroute(position: 1))
                try await transaction.execute(SetAttempts(attempts: 12))
            }
            try await stage.withRelay { _ in
                try await until { try await stage.pool.query(ReadPauses()).count == 2 }
                let pauses = try await stage.pool.query(ReadPauses())
                #expect(pauses[0].error == "nacked")
                // The sweep of an idle relay adds a second.
                #expect(pauses[0].seconds <= 9)
                #expect(pauses[1].error.contains("unroutable"))
                #expect(pauses[1].seconds > 10)
            }
        }
    }

    @Test func `a message that is not confirmed in time is sent after others`() async throws {
        try await Stage.with { stage in
            try await stage.pool.transaction { try await Outbox.add(message("slow"), in: $0) }
            var configuration = OutboxRelay.Configuration()
            configuration.confirmWithin = .zero
            try await stage.withRelay(configuration: configuration) { _ in
                try await until { try await stage.pool.query(ReadOutbox())[0].attempts > 0 }
                #expect(try await stage.pool.query(ReadOutbox())[0].error == "timedOut")
            }
        }
    }

    @Test func `a relay that is cancelled while the broker confirms does not send the message again`() async throws {
        try await Stage.with { stage in
            let wire = Wire(to: try stage.amqp("wire"))
            try await stage.withPublisher(at: wire.port) { publisher in
                var configuration = OutboxRelay.Configuration()
                configuration.confirmWithin = .seconds(60)
                let relay = OutboxRelay(
                    pool: stage.pool, publisher: publisher, configuration: configuration, log: TestDatabase.log, metrics: Metrics())
                wire.isHeld = true
                try await stage.pool.transaction { try await Outbox.add(message("x"), in: $0) }
                let running = Task(executorPreference: TestDatabase.loop) { try await relay.run() }
                // Twice in a row: then the relay has the answer to its last read and publishes.
                var seen = 0
                try await until {
                    seen = try await stage.pool.one(IsPublishing()) ? seen + 1 : 0
                    return seen == 2
                }
                running.cancel()
                wire.isHeld = false
                await #expect(throws: CancellationError.self) { try await running.value }
                #expect(try await stage.pool.one(CountUnsent()) == 0)
                #expect(try await stage.receive { !$0.isEmpty }.count == 1)
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
                #expect(try Set(deliveries.map { try UserVerified(decoding: $0.body).email }) == ["before", "after"])
                try await until { try await stage.pool.query(ReadOutbox())[1].attempts > 0 }
                // One whose confirm was lost with the channel is sent twice.
                try await until { try await stage.pool.one(CountUnsent()) == 1 }
            }
        }
    }

    @Test func `a missing exchange and a queue without a leader hold back no other message`() async throws {
        let delivered = Mutex(0)
        let server = ScriptedServer { peer in
            let broker = ScriptedBroker(peer: peer)
            guard broker.open(), broker.selectConfirms() else { return }
            var tag: UInt64 = 0
            while let published = broker.published() {
                tag += 1
                if published.exchange == "missing" {
                    broker.closeChannel()
                    guard broker.wait(for: [20, 41]), broker.openChannel(), broker.selectConfirms() else { return }
                    tag = 0
                } else if published.routingKey != "stuck" {
                    delivered.withLock { $0 += 1 }
                    broker.acknowledge(tag)
                }
            }
        }
        try await Stage.with { stage in
            try await stage.pool.transaction { try await Outbox.add((0..<9).map { OutboxMessage(message("\($0)")) }, in: $0) }
            try await stage.script(
                """
                UPDATE outbox SET exchange = 'missing' WHERE seq = (SELECT min(seq) FROM outbox);
                UPDATE outbox SET routing_key = 'stuck'
                WHERE seq > (SELECT min(seq) FROM outbox) AND seq < (SELECT max(seq) FROM outbox);
                """)
            var database = stage.database.configuration()
            database.idleInTransactionTimeout = .milliseconds(500)
            var configuration = OutboxRelay.Configuration()
            configuration.confirmWithin = .milliseconds(200)
            try await TestDatabase.withPool(database) { [configuration] pool in
                try await stage.withRelay(configuration: configuration, pool: pool, at: server.port) { _ in
                    try await until { try await stage.pool.query(ReadOutbox()).allSatisfy { $0.attempts > 0 } }
                    let errors = try await stage.pool.query(ReadOutbox()).map(\.error)
                    #expect(errors[0]?.contains("404") == true)
                    #expect(errors[1...7].allSatisfy { $0 == "timedOut" })
                    #expect(errors[8] == nil)
                    #expect((1...2).contains(delivered.withLock { $0 }))
                }
            }
        }
    }

    /// Two relays at a time; both are stopped again and again, and sometimes all database connections are killed under them.
    @Test func `relays that are killed and come back lose nothing and keep the order of every key`() async throws {
        let seed = drawSeed()
        try await Stage.with { stage in
            var random = SplitMix64(seed: seed)
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
                        let next = message("\(number)", group: key)
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

    private func texts(_ deliveries: [Delivery]) throws -> [String] {
        try deliveries.map { try UserVerified(decoding: $0.body).email }
    }

    /// The first arrivals of each key, told by `verifiedAt`, come in the order of their numbers, told by `email`.
    private func expectOrder(_ deliveries: [Delivery], sourceLocation: SourceLocation = #_sourceLocation) throws {
        var seen: Set<String> = []
        var last: [Instant: Int] = [:]
        for delivery in deliveries where seen.insert(delivery.properties.messageID).inserted {
            let user = try UserVerified(decoding: delivery.body)
            let number = try #require(Int(user.email))
            if let previous = last[user.verifiedAt] {
                #expect(previous < number, "key \(user.verifiedAt)", sourceLocation: sourceLocation)
            }
            last[user.verifiedAt] = number
        }
    }
}

extension Stage {
    /// Adds a message without a key, and a message of a key that comes after all others.
    fileprivate func addHealthy() async throws {
        try await pool.transaction { transaction in
            try await Outbox.add(message("free"), in: transaction)
            try await Outbox.add(message("keyed"), orderingKey: "z", in: transaction)
        }
    }
}
