import Contracts
import Postgres
import TestSupport
import Testing

@testable import Ledger

/// A connection keeps the plan it first made of a batch's statement: it must be right for every later size of the tables.
@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct BatchPlanTests {
    @Test func `a batch reads no table as a whole, also when its statements are planned on empty ones`() async throws {
        let plans = try await plans { [PlanOnce()] }
        for plan in plans {
            #expect(plan.contains { $0.contains("Index") }, "\(plan)")
            #expect(!plan.contains { $0.contains("Seq Scan") }, "\(plan)")
        }
    }

    @Test func `expired holds are looked for once, among what is over, and not once for each account`() async throws {
        let plans = try await plans { [PlanOnce()] }
        #expect(plans[2].contains { $0.contains("open_hold_expiry") })
        #expect(!plans.joined().contains { $0.contains("open_hold_account") })
    }

    @Test func `left alone, Postgres would read some of them as a whole`() async throws {
        let plans = try await plans { [] }
        #expect(plans.joined().contains { $0.contains("Seq Scan") })
    }

    /// What finds the expired holds by an index must not miss one that expired while the batch waited for its accounts.
    @Test func `a statement's time is no earlier than the clock read before it, in one pipeline and after a wait`() async throws {
        let (clock, time) = try await TestDatabase.current.withPool { pool in
            try await pool.transaction { transaction in
                let (_, clock, time) = try await transaction.pipeline(WaitAMoment(), ReadClock(), ReadStatementTime())
                return (clock[0], time[0])
            }
        }
        #expect(time >= clock)
    }

    private func plans(after settings: @escaping @Sendable () -> [PlanOnce]) async throws -> [[String]] {
        try await TestDatabase.current.withPool { pool in
            try await pool.transaction { transaction in
                try await transaction.script("ANALYZE account, open_hold")
                for setting in settings() { try await transaction.execute(setting) }
                let (accounts, charges) = ([AccountID.make()], [ChargeID.make()])
                let (locks, entries, holds, writes) = try await transaction.pipeline(
                    Explain(LockAccounts(ids: accounts)), Explain(ReadEntries(ids: charges)),
                    Explain(ReadHolds(charges: charges, accounts: accounts, expiredMax: 1_000)),
                    Explain(WriteBatch([], Changes(from: LedgerState(), to: LedgerState()))))
                return [locks, entries, holds, writes]
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

private struct WaitAMoment: Statement {
    static let sql = "SELECT pg_sleep(0.05)"
}

private struct ReadStatementTime: Statement {
    typealias Output = Instant
    static let sql = "SELECT statement_timestamp()"
}
