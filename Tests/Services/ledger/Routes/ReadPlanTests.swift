import Postgres
import TestSupport
import Testing
import Values

@testable import Ledger
@testable import LedgerCore

/// An index for every query a page makes: no statement that is asked by people reads through a whole month of the journal, or the rollups.
@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct ReadPlanTests {
    private static let account = AccountID("01900000-0000-7000-8000-000000000007")!

    /// The statement's own text, and values for its parameters.
    private static var questions: [(sql: String, types: String, values: String)] {
        let slice = "uuid, bigint, bigint, smallint[], timestamptz, timestamptz, text"
        func values(_ kinds: String, _ text: String) -> String {
            "'\(account)', 1, 5000, '\(kinds)', '1970-01-01', '2300-01-01', '\(text)'"
        }
        func ofAccount(_ more: String = "") -> String { "'\(account)', '2026-10-20', '2026-11-20'\(more)" }
        func ofAll(_ more: String = "") -> String { "NULL, '2026-10-20', '2026-10-22'\(more)" }
        let all = "{\(Entry.Kind.allCases.map { "\($0.rawValue)" }.joined(separator: ","))}"
        return [
            (FindStretch.sql, "uuid, timestamptz, timestamptz", "'\(account)', '2026-10-20', '2026-11-20'"),
            (ReadHistory<WholeChain>.sql, slice + ", bigint, bigint", values(all, "") + ", 21, 0"),
            (ReadHistory<WholeChain>.sql, slice + ", bigint, bigint", values("{7}", "gpt") + ", 21, 40"),
            (ReadHistory<GrantsOfChain>.sql, slice + ", bigint, bigint", values("{20,22}", "") + ", 21, 0"),
            (CountHistory<WholeChain>.sql, slice, values(all, "")), (CountHistory<GrantsOfChain>.sql, slice, values("{20}", "")),
            (ReadLine.sql, "uuid, smallint", "uuid_floor(now()), 0"), (ReadReceipt.sql, "uuid, uuid", "uuid_floor(now()), '\(account)'"),
            (UsageByType<OfAccount>.sql, "uuid, timestamptz, timestamptz", ofAccount()),
            (UsageByType<OfEverybody>.sql, "uuid, timestamptz, timestamptz", ofAll()),
            (UsageByDay<OfAccount>.sql, "uuid, timestamptz, timestamptz, text", ofAccount(", 'Asia/Bangkok'")),
            (UsageByDay<OfEverybody>.sql, "uuid, timestamptz, timestamptz, text", ofAll(", 'Asia/Bangkok'")),
            (UsageByName<OfAccount, ByModel>.sql, "uuid, timestamptz, timestamptz, bigint", ofAccount(", 100")),
            (UsageByName<OfEverybody, ByModel>.sql, "uuid, timestamptz, timestamptz, bigint", ofAll(", 100")),
            (UsageByName<OfAccount, ByOperation>.sql, "uuid, timestamptz, timestamptz, bigint", ofAccount(", 100")),
            (UsageByName<OfEverybody, ByOperation>.sql, "uuid, timestamptz, timestamptz, bigint", ofAll(", 100")),
        ]
    }

    @Test func `no read of a page scans a whole table`() async throws {
        try await TestDatabase.current.withPool(connectionsMax: 1) { pool in
            try await pool.withConnection { connection in
                try await connection.script(Self.rows)
                // Which only a transaction of its own may do; the index on time is brought up to date by it.
                try await connection.script("VACUUM ANALYZE usage_15m")
                for (sql, types, values) in Self.questions {
                    try await connection.script("PREPARE question (\(types)) AS \(sql)")
                    // Postgres plans a statement for its values five times, and may then use a
                    // generic plan.
                    for mode in ["force_custom_plan", "force_generic_plan"] {
                        let plan = try await connection.query(ReadPlan(mode: mode, query: "EXECUTE question (\(values))"))
                        let scans = plan.filter { $0.contains("Seq Scan on journal") || $0.contains("Seq Scan on usage_15m") }
                        #expect(scans == [], "\(mode)\n\(sql)\n\(plan.joined(separator: "\n"))")
                        #expect(plan.contains { $0.contains("Index") }, "\(mode)\n\(sql)\n\(plan.joined(separator: "\n"))")
                    }
                    try await connection.script("DEALLOCATE question")
                }
                let whole = try await connection.query(ReadPlan(mode: "auto", query: "SELECT sum(posted_delta) FROM journal"))
                #expect(whole.contains { $0.contains("Seq Scan on journal_") }, "the check finds nothing: \(whole)")
            }
        }
    }

    /// Twelve accounts with 2,500 entries in each of the months, and two months of rollups.
    private static let rows = """
        SET statement_timeout = 0;
        CREATE OR REPLACE FUNCTION plan(mode text, query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM set_config('plan_cache_mode', mode, true);
            RETURN QUERY EXECUTE 'EXPLAIN (COSTS OFF) ' || query;
        END $$;
        TRUNCATE account, journal, usage_15m;
        INSERT INTO account (account_id, seq)
        SELECT ('01900000-0000-7000-8000-0000000000' || lpad(to_hex(n), 2, '0'))::uuid, 12500 FROM generate_series(0, 11) AS n;
        INSERT INTO journal (
            charge_id, step, account_id, seq, kind, status, requested, amount, posted_delta, held_delta, posted_after, held_after,
            fingerprint, decided_at, description)
        SELECT
            (left(uuid_floor(month + seq * interval '1 minute')::text, 19) || '8' || substr(md5(n || '-' || seq), 1, 3) || '-'
                || substr(md5(n || ' ' || seq), 1, 12))::uuid,
            0, ('01900000-0000-7000-8000-0000000000' || lpad(to_hex(n), 2, '0'))::uuid, ordinal * 2500 + seq,
            CASE WHEN seq % 100 = 0 THEN 22 WHEN seq % 2 = 0 THEN 1 ELSE 7 END, 0, 1, 1, CASE WHEN seq % 2 = 0 THEN 0 ELSE -1 END, 1, 0, 0, 0,
            month + seq * interval '1 minute', 'gpt'
        FROM (
            SELECT to_timestamp(right(inhrelid::regclass::text, 7), 'YYYY_MM') + interval '1 hour' AS month,
                row_number() OVER (ORDER BY inhrelid::regclass::text) - 1 AS ordinal
            FROM pg_inherits WHERE inhparent = 'journal'::regclass
        ) AS months, generate_series(1, 2500) AS seq, generate_series(0, 11) AS n;
        INSERT INTO usage_15m
        SELECT ('01900000-0000-7000-8000-0000000000' || lpad(to_hex(n), 2, '0'))::uuid, quarter, 'usage', 'm', '', 1, -1, 0
        FROM generate_series('2026-09-20 00:00Z'::timestamptz, '2026-11-20 00:00Z', '15 minutes') AS quarter, generate_series(0, 11) AS n
        ORDER BY quarter;
        ANALYZE account, journal;
        """
}

private struct ReadPlan: Statement {
    typealias Output = String
    let mode: String
    let query: String
    static let sql = "SELECT plan($1, $2)"

    func bind(_ parameters: inout Parameters) {
        parameters.append(mode)
        parameters.append(query)
    }
}
