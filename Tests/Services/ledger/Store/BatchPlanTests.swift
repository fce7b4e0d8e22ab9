import Postgres
import TestSupport
import Testing
import Values

@testable import Ledger

/// A connection keeps the plan it first made of a batch's statement: it must be right for every later size of the tables.
@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct BatchPlanTests {
    @Test func `a batch scans no whole table, also when planned on empty tables`() async throws {
        let plans = try await plans { [BeginBatch(lockWithin: .seconds(1))] }
        for plan in plans {
            #expect(plan.contains { $0.contains("Index") }, "\(plan)")
            #expect(!plan.contains { $0.contains("Seq Scan") }, "\(plan)")
        }
    }

    @Test func `no statement of a batch looks for holds by time`() async throws {
        let plans = try await plans { [BeginBatch(lockWithin: .seconds(1))] }
        #expect(!plans.joined().contains { $0.contains("open_hold_expiry") })
    }

    @Test func `Postgres scans whole tables without the settings of a batch`() async throws {
        let plans = try await plans { [] }
        #expect(plans.joined().contains { $0.contains("Seq Scan") })
    }

    private func plans(after settings: @escaping @Sendable () -> [BeginBatch]) async throws -> [[String]] {
        try await TestDatabase.current.withPool { pool in
            try await pool.transaction { transaction in
                try await transaction.script("ANALYZE account, open_hold")
                for setting in settings() { try await transaction.execute(setting) }
                let (accounts, charges) = ([AccountID.make()], [ChargeID.make()])
                let (locks, entries, holds, kept, writes) = try await transaction.pipeline(
                    Explain(LockFreeAccounts(ids: accounts)), Explain(ReadEntries(ids: charges)), Explain(ReadHolds(charges: charges)),
                    Explain(ReadAccountsKept(among: accounts)), Explain(WriteBatch([], Changes(from: LedgerState(), to: LedgerState()))))
                return [locks, entries, holds, kept, writes]
            }
        }
    }
}

private struct Explain<Explained: Statement>: Statement {
    typealias Output = String
    let statement: Explained

    init(_ statement: Explained) { self.statement = statement }

    static var sql: String { "EXPLAIN " + Explained.sql }
    func bind(_ parameters: inout Parameters) { statement.bind(&parameters) }
}
