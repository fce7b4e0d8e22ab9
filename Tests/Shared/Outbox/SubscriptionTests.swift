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

struct SubscriptionTests {
    struct Broken: Error {}

    private static let record = Subscription.on(UserVerified.self, from: Stage.queue) { user, _, transaction in
        try await transaction.execute(RecordEffect(text: user.email))
    }

    @Test func `a message delivered twice, at once and later, takes effect once`() async throws {
        try await Stage.with { stage in
            let metrics = Metrics()
            try await stage.withRunner([Self.record], metrics: metrics) { runner in
                try await stage.withPublisher { publisher in
                    let twin = outgoing(message("twin"))
                    _ = await publisher.publish(batch: Array(repeating: twin, count: 6), within: .seconds(30))
                    try await publisher.publish(outgoing(message("other")), within: .seconds(30))
                    let duplicates = metrics.counter("inbox_duplicates_total", help: "")
                    try await until { duplicates.count == 5 }
                    try await publisher.publish(twin, within: .seconds(30))
                    try await until { duplicates.count == 6 }
                    // Messages are handled at the same time, so the other one may come last.
                    try await until { try await stage.effects().count > 1 }
                    #expect(try await stage.effects().sorted() == ["other", "twin"])
                }
                await runner.stop()
            }
            // Nothing was left unacknowledged: a fresh reader gets only what is published now.
            try await stage.withPublisher { publisher in
                try await publisher.publish(outgoing(message("last")), within: .seconds(30))
                let deliveries = try await stage.receive { !$0.isEmpty }
                #expect(try deliveries.map { try UserVerified(decoding: $0.body).email } == ["last"])
            }
        }
    }

    @Test func `a handler that fails leaves no claim and no effect, is tried again, and then parked`() async throws {
        try await Stage.with { stage in
            let attempts = Mutex<[Int]>([])
            let failing = Subscription.on(UserVerified.self, from: Stage.queue) { user, envelope, transaction in
                try await transaction.execute(RecordEffect(text: user.email))
                attempts.withLock { $0.append(envelope.attempt) }
                throw Broken()
            }
            let delays: [Duration] = [.milliseconds(1), .milliseconds(1)]
            try await stage.withRunner([failing]) {
                $0.retryDelays = delays
            } _: { _ in
                try await stage.withPublisher { try await $0.publish(outgoing(message("x")), within: .seconds(30)) }
                try await until { try await stage.deadLetters().first?.state == "parked" }
            }
            #expect(attempts.withLock { $0 } == [1, 2, 3])
            let letters = try await stage.deadLetters()
            #expect(letters.map(\.attempts) == [3])
            #expect(letters.map(\.errorClass) == ["Broken"])
            #expect(try await stage.effects() == [])
            #expect(try await stage.pool.one(CountInbox()) == 0)

            // A person mends the cause and asks for another go.
            try await stage.pool.execute(Replay())
            try await stage.withRunner([Self.record]) { _ in
                try await until { try await stage.deadLetters().first?.state == "resolved" }
            }
            #expect(try await stage.effects() == ["x"])
            #expect(try await stage.pool.one(CountInbox()) == 1)
        }
    }

    @Test func `the retry sweep leaves rows with an ordering key to their service`() async throws {
        try await Stage.with { stage in
            // The keyed row is due first: a sweep that takes keyed rows handles it before the
            // other.
            try await stage.pool.execute(AddDeadLetter(text: "keyed", orderingKey: "a"))
            try await stage.pool.execute(AddDeadLetter(text: "free", orderingKey: nil))
            try await stage.withRunner([Self.record]) { _ in
                try await until { try await stage.effects().contains("free") }
            }
            #expect(try await stage.effects() == ["free"])
            #expect(try await Set(stage.deadLetters().map(\.state)) == ["replay", "resolved"])
        }
    }

    @Test func `a conflict in the database is repeated at once and leaves no trace`() async throws {
        try await Stage.with { stage in
            let attempts = Mutex(0)
            let conflicting = Subscription.on(UserVerified.self, from: Stage.queue) { user, _, transaction in
                try await transaction.execute(RecordEffect(text: user.email))
                if attempts.withLock({
                    $0 += 1; return $0
                }) < 3 {
                    _ = try await transaction.query(RaiseConflict())
                }
            }
            try await stage.withRunner([conflicting]) {
                $0.conflictPauses = Array(repeating: .milliseconds(1), count: 3)
            } _: { _ in
                try await stage.withPublisher { try await $0.publish(outgoing(message("x")), within: .seconds(30)) }
                try await until { try await stage.effects() == ["x"] }
            }
            #expect(attempts.withLock { $0 } == 3)
            #expect(try await stage.deadLetters().isEmpty)
        }
    }

    @Test func `a refused message, and one without a subscription, is parked at once`() async throws {
        try await Stage.with { stage in
            let refusing = Subscription.on(UserVerified.self, from: Stage.queue) { _, _, _ in
                throw MessageRefused("unknown_account", "no such account")
            }
            try await stage.withRunner([refusing]) { _ in
                try await stage.withPublisher { publisher in
                    try await publisher.publish(outgoing(message("x")), within: .seconds(30))
                    var other = outgoing(message("y"))
                    other.properties.type = "user.unheard-of.v9"
                    try await publisher.publish(other, within: .seconds(30))
                    var stale = outgoing(message("z"))
                    stale.properties.messageID = "018bcfe5-0000-7000-8000-000000000000"
                    try await publisher.publish(stale, within: .seconds(30))
                }
                try await until { try await stage.deadLetters().count == 3 }
            }
            let letters = try await stage.deadLetters()
            #expect(letters.allSatisfy { $0.state == "parked" && $0.attempts == 1 })
            #expect(Set(letters.map(\.errorClass)) == ["unknown_account", "unknown_type", "id_out_of_range"])
        }
    }

    @Test func `an unreadable message is rejected to the broker's dead letters`() async throws {
        try await Stage.with { stage in
            try await stage.withRunner([Self.record]) { _ in
                try await stage.withPublisher { publisher in
                    var garbled = outgoing(message("x"))
                    garbled.body = Array("{".utf8)
                    try await publisher.publish(garbled, within: .seconds(30))
                    var nameless = outgoing(message("y"))
                    nameless.properties.messageID = "17"
                    try await publisher.publish(nameless, within: .seconds(30))
                }
                let dead = try await stage.receive(from: Stage.deadLetters) { $0.count == 2 }
                #expect(dead.count == 2)
            }
            #expect(try await stage.deadLetters().isEmpty)
        }
    }

    @Test func `messages that no table takes are rejected to the broker's dead letters, and later ones are handled`() async throws {
        try await Stage.with { stage in
            try await stage.withRunner([Self.record]) { _ in
                try await stage.withPublisher { publisher in
                    // One more than the subscription handles at a time.
                    for number in 0..<9 {
                        var poison = outgoing(message("\(number)"))
                        poison.properties.type = "user.\0.v1"
                        try await publisher.publish(poison, within: .seconds(30))
                    }
                    try await publisher.publish(outgoing(message("x")), within: .seconds(30))
                }
                let dead = try await stage.receive(from: Stage.deadLetters) { $0.count == 9 }
                #expect(dead.count == 9)
                try await until { try await stage.effects() == ["x"] }
            }
            #expect(try await stage.deadLetters().isEmpty)
        }
    }

    @Test func `a reason with a NUL is stored without it`() async throws {
        try await Stage.with { stage in
            let refusing = Subscription.on(UserVerified.self, from: Stage.queue) { user, _, _ in
                throw MessageRefused("unknown_account", "no account \(user.email)")
            }
            try await stage.withRunner([refusing]) { _ in
                try await stage.withPublisher { try await $0.publish(outgoing(message("a\0b")), within: .seconds(30)) }
                try await until { try await stage.deadLetters().map(\.state) == ["parked"] }
            }
        }
    }

    @Test func `a message waits while the table of dead letters takes none`() async throws {
        try await Stage.with { stage in
            let refusing = Subscription.on(UserVerified.self, from: Stage.queue) { _, _, _ in
                throw MessageRefused("unknown_account", "no such account")
            }
            // A sequence counts the tries, because it is not rolled back.
            try await stage.script(
                """
                CREATE SEQUENCE tries START 1;
                CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                    PERFORM nextval('tries');
                    RAISE insufficient_privilege;
                END $$;
                CREATE TRIGGER refuse BEFORE INSERT ON dead_letter FOR EACH ROW EXECUTE FUNCTION refuse();
                """)
            try await stage.withRunner([refusing]) { _ in
                try await stage.withPublisher { try await $0.publish(outgoing(message("x")), within: .seconds(30)) }
                try await until { try await stage.pool.one(CountTries()) > 1 }
                try await stage.script("DROP TRIGGER refuse ON dead_letter")
                try await until { try await stage.deadLetters().map(\.state) == ["parked"] }
            }
        }
    }

    @Test(arguments: [(Int32.min, "retry", 1), (-1, "retry", 1), (0, "retry", 1), (.max, "parked", 1_000_001)])
    func `any number of attempts that an operator writes is valid`(
        _ written: Int32, _ state: String, _ attempts: Int
    ) async throws {
        try await Stage.with { stage in
            let failing = Subscription.on(UserVerified.self, from: Stage.queue) { _, _, _ in throw Broken() }
            try await stage.pool.execute(AddDeadLetter(text: "x", orderingKey: nil))
            try await stage.pool.execute(WriteAttempts(attempts: written))
            try await stage.withRunner([failing]) { _ in
                try await until { try await stage.deadLetters()[0].state == state }
                #expect(try await stage.deadLetters()[0].attempts == attempts)
            }
        }
    }

    @Test func `a message of a handler has its cause, conversation and trace`() async throws {
        try await Stage.with { stage in
            let answering = Subscription.on(UserVerified.self, from: Stage.queue) { user, envelope, transaction in
                #expect(TraceContext.current?.traceIDText == envelope.trace?.traceIDText)
                try await Outbox.add(message("answer"), in: transaction)
            }
            let question = outgoing(message("question"))
            try await stage.withRunner([answering]) { _ in
                try await stage.withPublisher { try await $0.publish(question, within: .seconds(30)) }
                try await until { try await stage.pool.one(CountUnsent()) == 1 }
            }
            let sent = try #require(Envelope(question.properties))
            let journal = try await stage.pool.query(ReadJournal(conversation: sent.conversationID))
            #expect(journal.map(\.kind) == ["handled", "sent"])
            #expect(journal.map(\.messageID)[0] == sent.messageID)
            #expect(journal.map(\.causationID) == [nil, sent.messageID])
            #expect(journal.allSatisfy { $0.traceID == sent.trace?.traceIDText })
        }
    }

    @Test func `messages are kept while the database is unavailable, and each has one effect afterwards`() async throws {
        try await Stage.with { stage in
            try await stage.withImpatientPool { pool in
                try await stage.withRunner([Self.record], pool: pool) { _ in
                    try await stage.withPublisher { publisher in
                        try await stage.outage {
                            for number in 0..<30 { try await publisher.publish(outgoing(message("\(number)")), within: .seconds(30)) }
                            // The runner's statements have failed too, when this one has.
                            await #expect(throws: PostgresError.self) { try await pool.one(CountUnsent()) }
                        }
                        try await until { try await stage.effects().count >= 30 }
                    }
                }
            }
            #expect(try await stage.effects().compactMap { Int($0) }.sorted() == Array(0..<30))
            #expect(try await stage.deadLetters().isEmpty)
        }
    }

    @Test func `a runner that is stopped in an outage leaves the message to the next one`() async throws {
        try await Stage.with { stage in
            try await stage.withPublisher { publisher in
                try await stage.outage {
                    let ended = Mutex(false)
                    try await stage.withImpatientPool { pool in
                        try await stage.withRunner([Self.record], pool: pool, whenEnded: { ended.withLock { $0 = true } }) { runner in
                            try await publisher.publish(outgoing(message("x")), within: .seconds(30))
                            await runner.stop(within: .milliseconds(300))
                            try await until { ended.withLock { $0 } }
                        }
                    }
                }
                try await stage.withRunner([Self.record]) { _ in
                    try await until { try await stage.effects() == ["x"] }
                }
            }
        }
    }

    @Test func `a connection lost during COMMIT leads to one effect, by the claim`() async throws {
        try await Stage.with { stage in
            let slow = Subscription.on(UserVerified.self, from: Stage.queue) { user, _, transaction in
                try await transaction.execute(RecordSlowly(text: user.email))
            }
            try await stage.withRunner([slow]) { _ in
                try await stage.withPublisher { try await $0.publish(outgoing(message("x")), within: .seconds(30)) }
                try await until { try await stage.pool.query(KillSleepers()) == [true] }
                try await until { try await stage.effects() == ["x"] }
            }
            #expect(try await stage.effects() == ["x"])
            #expect(try await stage.deadLetters().isEmpty)
            #expect(try await stage.pool.one(CountInbox()) == 1)
        }
    }
}

extension Stage {
    /// Refuses all database connections while `body` runs.
    fileprivate func outage(_ body: () async throws -> Void) async throws {
        var server = PostgresPool.Configuration(
            url: database.url.replacing(database.name, with: "postgres"), applicationName: "test")
        server.connectionsMax = 1
        let name = database.name
        let administrator = PostgresPool(loop: TestDatabase.loop, configuration: server, log: TestDatabase.log)
        func allow(_ isAllowed: Bool) async throws {
            try await administrator.withConnection { connection in
                try await connection.script("ALTER DATABASE \(name) ALLOW_CONNECTIONS \(isAllowed)")
                if !isAllowed {
                    try await connection.script("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '\(name)'")
                }
            }
        }
        try await allow(false)
        try await body()
        try await allow(true)
        await administrator.close()
    }
}

private struct CountInbox: Statement {
    typealias Output = Int64
    static let sql = "SELECT count(*) FROM inbox"
}

/// The first COMMIT after it sleeps.
private struct RecordSlowly: Statement {
    let text: String
    static let sql = "INSERT INTO slow_effect (text) VALUES ($1)"
    func bind(_ parameters: inout Parameters) { parameters.append(text) }
}

private struct KillSleepers: Statement {
    typealias Output = Bool
    static let sql = """
        SELECT pg_terminate_backend(pid)
        FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event = 'PgSleep'
        """
}

private struct Replay: Statement {
    static let sql = "UPDATE dead_letter SET state = 'replay', next_attempt_at = clock_timestamp()"
}

private struct AddDeadLetter: Statement {
    let text: String
    let orderingKey: String?

    static let sql = """
        INSERT INTO dead_letter (
            message_id, consumer, exchange, routing_key, type, source, conversation_id, body, attempts, error_class, error_message, state,
            next_attempt_at, ordering_key)
        VALUES ($1, $2, 'auth.evt', $3, $4, 'auth', $1, $5, 1, 'Broken', '', 'replay', clock_timestamp(), $6)
        """

    func bind(_ parameters: inout Parameters) {
        let message = message(text)
        parameters.append(MessageID.make())
        parameters.append(Stage.queue.name)
        parameters.append(message.routingKey)
        parameters.append(UserVerified.name)
        parameters.append(message.encoded())
        parameters.append(orderingKey)
    }
}

private struct CountTries: Statement {
    typealias Output = Int64
    static let sql = "SELECT last_value FROM tries"
}

private struct WriteAttempts: Statement {
    let attempts: Int32
    static let sql = "UPDATE dead_letter SET attempts = $1"
    func bind(_ parameters: inout Parameters) { parameters.append(attempts) }
}

private struct RaiseConflict: Statement {
    static let sql = "SELECT test_conflict()"
}

private struct ReadJournal: Statement {
    struct Row: Sendable {
        let kind: String
        let messageID: MessageID
        let causationID: MessageID?
        let traceID: String?
    }
    let conversation: ConversationID

    static let sql = "SELECT kind, message_id, causation_id, trace_id FROM v_journal WHERE conversation_id = $1 ORDER BY at"

    func bind(_ parameters: inout Parameters) { parameters.append(conversation) }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Row {
        Row(kind: try row.next(), messageID: try row.next(), causationID: try row.next(), traceID: try row.next())
    }
}
