import EventLoop
import Messaging
import Outbox
import Postgres
import Telemetry
import TestSupport
import Testing
import Values

@Suite(.database(schema: "test", migrations: "Shared/Outbox/Migrations"))
struct InboxTests {
    struct Crash: Error {}

    private func envelope(_ id: MessageID = .make()) -> Envelope {
        Envelope(
            messageID: id, conversationID: .make(), causationID: nil, type: "test.v1", sender: "test", trace: .new(), sentAt: .now())
    }

    @Test func `one of two concurrent deliveries claims a message, and the other waits for the outcome`() async throws {
        let envelope = envelope()
        try await TestDatabase.current.withPool { pool async throws in
            let claims = try await withThrowingTaskGroup(of: Bool.self) { group in
                for _ in 0..<6 {
                    group.addTask { try await pool.transaction { try await Inbox.claim(envelope, for: "queue", in: $0) } }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(claims.filter { $0 }.count == 1)
        }
    }

    @Test func `a second delivery waits for the first, and claims when the first fails`() async throws {
        let envelope = envelope()
        try await TestDatabase.current.withPool { pool async throws in
            try await withThrowingTaskGroup(of: Bool.self) { group in
                let first = Promise<Void>(on: TestDatabase.loop)
                await #expect(throws: Crash.self) {
                    try await pool.transaction { transaction async throws in
                        #expect(try await Inbox.claim(envelope, for: "queue", in: transaction))
                        group.addTask {
                            first.succeed(())
                            return try await pool.transaction { try await Inbox.claim(envelope, for: "queue", in: $0) }
                        }
                        try await first.value()
                        throw Crash()
                    }
                }
                let second = try await group.next()
                #expect(second == true)
            }
        }
    }

    @Test func `two consumers of a service claim a message each`() async throws {
        let envelope = envelope()
        try await TestDatabase.current.withPool { pool async throws in
            for queue in ["a", "b"] {
                let isNew = try await pool.transaction { try await Inbox.claim(envelope, for: queue, in: $0) }
                #expect(isNew)
            }
        }
    }

    @Test func `a batch returns only new messages`() async throws {
        let known = envelope()
        let new = (0..<3).map { _ in envelope() }
        try await TestDatabase.current.withPool { pool async throws in
            try await pool.transaction { _ = try await Inbox.claim(known, for: "queue", in: $0) }
            let claimed = try await pool.query(ClaimMessages(new + [known] + new, for: "queue"))
            #expect(Set(claimed) == Set(new.map(\.messageID)))
            #expect(claimed.count == 3)
        }
    }

    @Test(arguments: [1_000_000_000_000, 0, 9_999_999_999_999]) func `an id outside the partitions is refused`(
        milliseconds: Int64
    ) async throws {
        var random = SystemRandomNumberGenerator()
        let stale = envelope(MessageID(rawValue: .make(milliseconds: milliseconds, using: &random)))
        try await TestDatabase.current.withPool { pool async throws in
            let error = await #expect(throws: PostgresError.self) {
                try await pool.transaction { try await Inbox.claim(stale, for: "queue", in: $0) }
            }
            #expect(error?.sqlState == .checkViolation)
        }
    }

    @Test func `partitions exist for the coming fortnight, are made once, and are dropped when they are old`() async throws {
        struct Create: Statement {
            typealias Output = Int32
            let back: Int32
            static let sql = "SELECT inbox_create_partitions($1, 14)"
            func bind(_ parameters: inout Parameters) { parameters.append(back) }
        }
        struct Drop: Statement {
            typealias Output = Int32
            let keep: Int32
            static let sql = "SELECT inbox_drop_partitions($1)"
            func bind(_ parameters: inout Parameters) { parameters.append(keep) }
        }
        try await TestDatabase.current.withPool(connectionsMax: 1) { pool async throws in
            try await pool.transaction { transaction async throws in
                #expect(try await transaction.one(Create(back: 15)) == 0)
                #expect(try await transaction.one(Create(back: 18)) == 3)
                #expect(try await transaction.one(Drop(keep: 15)) == 3)
                #expect(try await transaction.one(Drop(keep: 15)) == 0)
            }
        }
    }
}
