import Postgres
import TestSupport
import Testing

@testable import Outbox

/// Tests the plans of the outbox. A connection keeps the plan that it made first, so the plan must
/// suit every later backlog.
@Suite(.database(schema: "test", migrations: "Shared/Outbox/Migrations"), .serialized)
struct OutboxPlanTests {
    @Test(arguments: [0, 20_000])
    func `the relay reads in the order of an index, planned on an empty outbox or a full one`(rows: Int64) async throws {
        try await TestDatabase.current.withPool { pool in
            try await pool.execute(AddRows(count: rows))
            let (new, failed, walk, runs) = try await pool.transaction { transaction in
                try await transaction.script("ANALYZE outbox")
                _ = try await transaction.one(ClaimOutbox())
                return try await transaction.pipeline(
                    Explain(TakeNewMessages()), Explain(TakeFailedMessages(limit: 200)), Explain(WalkKeys(key: "")),
                    Explain(TakeRuns(keys: ["1", "2"])))
            }
            #expect(Self.indexes(new) == ["outbox_new"])
            #expect(Self.indexes(failed) == ["outbox_failed", "outbox_pending_key"])
            #expect(Self.indexes(walk) == ["outbox_pending_key"])
            #expect(Self.indexes(runs) == ["outbox_pending_key"])
            for plan in [new, failed, walk, runs] {
                #expect(!plan.contains { $0.contains("Seq Scan") || $0.contains("Bitmap") }, "\(plan)")
            }
            // Each statement reads a range of its index, and does not filter the whole index.
            for plan in [new, failed, walk, runs] {
                #expect(
                    plan.filter { $0.contains("Index Cond") }.count == plan.filter { $0.contains("Scan using") }.count, "\(plan)")
            }
        }
    }

    private static func indexes(_ plan: [String]) -> Set<String> {
        Set(
            plan.compactMap { line in
                guard let range = line.firstRange(of: "Scan using ") else { return nil }
                return String(line[range.upperBound...].prefix { $0 != " " })
            })
    }
}

private struct Explain<Explained: Statement>: Statement {
    typealias Output = String
    let statement: Explained

    init(_ statement: Explained) { self.statement = statement }

    static var sql: String { "EXPLAIN " + Explained.sql }
    func bind(_ parameters: inout Parameters) { statement.bind(&parameters) }
}

/// Adds rows of seven keys. Every eighth row has no key.
private struct AddRows: Statement {
    let count: Int64

    static let sql = """
        INSERT INTO outbox (message_id, ordering_key, exchange, routing_key, type, conversation_id, traceparent, body, attempts)
        SELECT gen_random_uuid(), nullif((n % 8)::text, '0'), 'e', 'r', 't', gen_random_uuid(), '', '', n % 2
        FROM generate_series(1, $1::bigint) AS n
        """

    func bind(_ parameters: inout Parameters) { parameters.append(count) }
}
