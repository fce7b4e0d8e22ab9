import Contracts
import Postgres
import TestSupport
import Testing
import Values

@testable import Ledger

/// Tests how the opening moves with the months, under a clock of the test.
struct OpeningsTests {
    @Test(arguments: [
        ("2026-11-07T23:59:59.999999Z", "2026-10-01T00:00:00Z"), ("2026-11-08T00:00:00Z", "2026-11-01T00:00:00Z"),
        ("2026-11-30T12:00:00Z", "2026-11-01T00:00:00Z"), ("2027-01-03T00:00:00Z", "2026-12-01T00:00:00Z"),
    ])
    func `the newest opening is the newest month start that is seven days old`(now: String, expected: String) throws {
        #expect(Openings.newest(at: try #require(Instant(now))) == Instant(expected))
    }
}

@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct MovingOpeningTests {
    @Test func `sums of the running month, and of the one before in its first week, are compared whole`() async throws {
        let month = JournalMonth(of: Instant.now()) + 1
        try await withMovedClock(at: month.start + .seconds(60)) { ledgers in
            let ledger = ledgers[0]
            let account = try await ledger.account(100)
            try await ledger.keyCall(5, at: month.start + .seconds(3_600), account)
            #expect(try await ledger.night(month.start + .days(8)) == [])
            #expect(try await Audit.run(on: ledger.pool).from == month.start)
            try await ledger.keyCall(7, at: month.start + .days(20), account)

            for (now, opening) in [(month.start + .days(20), month), ((month + 1).start + .days(3), month)] {
                #expect(try await ledger.night(now) == [])
                let audit = try await Audit.run(on: ledger.pool)
                #expect(audit.from == opening.start)
                #expect(audit.entries == 5)
                let damage = [
                    ("UPDATE account SET spent_month = spent_month - 1", "spent"),
                    ("UPDATE account SET spent_day = spent_day + 1", "spent"),
                    ("UPDATE account SET spent_at = spent_at - interval '40 days'", "spent"),
                    ("UPDATE key_spending SET spent_month = spent_month - 1", "key_spent"),
                    ("UPDATE key_spending SET spent_at = spent_at - interval '40 days'", "key_spent"),
                    ("UPDATE usage_quarter SET credits = credits - 1 WHERE quarter < '\(month.start + .days(1))'", "usage"),
                ]
                for (sql, check) in damage {
                    #expect(try await ledger.findings(after: sql).map(\.check) == [check], "\(sql) at \(now)")
                }
            }
        }
    }
}

@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct HoldOverOpeningTests {
    @Test func `a hold that was open over the opening is compared with its hold and key`() async throws {
        let month = JournalMonth(of: Instant.now()) + 1
        try await withMovedClock(at: month.start + .seconds(60)) { ledgers in
            let ledger = ledgers[0]
            let account = try await ledger.account(100)
            let (video, unlimited) = (ChargeID.made(at: month.start + .days(25)), ChargeID.made(at: month.start + .days(25)))
            try await ledger.moveClock(to: month.start + .days(25))
            _ = try await ledger.do([keyHold(unlimited, account, limit: nil)])
            try await ledger.moveClock(to: month.start + .days(25) + .seconds(1))
            _ = try await ledger.do([keyHold(video, account, limit: 50)])
            for id in [video, unlimited] { try await ledger.keep(id, until: (month + 1).start + .days(20)) }
            #expect(try await ledger.night((month + 1).start + .days(8)) == [])
            #expect(try await Audit.run(on: ledger.pool).from == (month + 1).start)

            try await ledger.moveClock(to: (month + 1).start + .days(10))
            try await ledger.do(settle(3), on: video, account: account)
            try await ledger.do(settle(4), on: unlimited, account: account)
            #expect(try await ledger.findings() == [])
            let audit = try await Audit.run(on: ledger.pool)
            #expect(audit.entries == 2)
            let ended = "charge_id = '\(video)' AND kind = 3"
            for (sql, checks) in [
                ("UPDATE journal SET held_after = held_after + 1 WHERE \(ended)", ["chain"]),
                ("UPDATE journal SET held_delta = held_delta + 1 WHERE \(ended)", ["chain", "account", "release"]),
                ("UPDATE key_spending SET spent_month = spent_month + 4", ["key_spent"]),
            ] {
                #expect(try await ledger.findings(after: sql).map(\.check) == checks, "\(sql)")
            }
        }
    }
}

@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct BoundedAuditTests {
    /// In an old month an audit reads the index by time and the last pages, which the index does
    /// not cover.
    @Test func `an audit from an opening reads almost no entry of older months`() async throws {
        try await withLedgers { ledgers in
            let ledger = ledgers[0]
            let old = JournalMonth(of: Instant.now()) + -1
            let table = "journal_\(old.description.replacing("-", with: "_"))"
            // These entries belong to no account.
            try await ledger.pool.withConnection {
                try await $0.script(
                    """
                    INSERT INTO \(table)
                    SELECT
                        (left(uuid_floor('\(old.start)')::text, 24) || lpad(to_hex(n), 12, '0'))::uuid, 0, gen_random_uuid(), 1, 22, 0, 1, 1, 1, 0,
                        1, 0, 0, '\(old.start)'::timestamptz + n * interval '10 seconds'
                    FROM generate_series(1, 100000) AS n
                    """)
                try await $0.script("VACUUM ANALYZE \(table)")
                try await $0.script("INSERT INTO audit_opening VALUES ('\(old.start + .days(15))')")
            }
            _ = try await ledger.account(10)
            // About ten statements read the journal.
            for (all, rows) in [(false, 0...100_000), (true, 500_000...10_000_000)] as [(Bool, ClosedRange<Int64>)] {
                let read = try await ledger.pool.transaction(isolation: .repeatableRead) { transaction in
                    _ = try await Audit.run(in: transaction, all: all)
                    return try await transaction.one(ReadRowsRead(table: table))
                }
                #expect(rows.contains(read), "all: \(all)")
            }
            try await ledger.pool.withConnection { try await $0.script("TRUNCATE \(table)") }
        }
    }
}

private struct ReadRowsRead: Statement {
    typealias Output = Int64
    let table: String
    static let sql = "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = $1"
    func bind(_ parameters: inout Parameters) { parameters.append(table) }
}

@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct OpeningStaysTests {
    @Test func `the opening does not move past a finding, and moves when it is repaired`() async throws {
        let month = JournalMonth(of: Instant.now()) + 1
        try await withMovedClock { ledgers in
            let ledger = ledgers[0]
            let account = try await ledger.account(10)
            func damage(_ change: Int) async throws {
                try await ledger.pool.withConnection { try await $0.script("UPDATE account SET posted = posted + \(change)") }
            }
            try await damage(1)
            #expect(try await ledger.night(month.start + .days(8))?.map(Named.init) == [Named("account", account, seq: 1)])
            #expect(try await Audit.run(on: ledger.pool).from < month.start)
            // Later audits find it too.
            #expect(try await ledger.night(month.start + .days(20))?.count == 1)
            try await damage(-1)
            #expect(try await ledger.night(month.start + .days(21)) == [])
            #expect(try await Audit.run(on: ledger.pool).from == month.start)
        }
    }
}

@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct ClockOverOpeningTests {
    @Test func `a clock that is set back over the month start leaves no gap`() async throws {
        let month = JournalMonth(of: Instant.now()) + 1
        try await withMovedClock(at: month.start + .seconds(-60)) { ledgers in
            let ledger = ledgers[0]
            let account = try await ledger.account(100)
            for second in [-20, 10, -30, 40, -5, 60] as [Int64] {
                let now = month.start + .seconds(second)
                try await ledger.moveClock(to: now)
                try await ledger.do(.grant(.bonus, amount: credits(1)), on: .made(at: now), account: account)
            }
            try await ledger.moveClock(to: month.start + .days(8))
            try await Openings(pool: ledger.pool).advance(at: month.start + .days(8))
            let audit = try await Audit.run(on: ledger.pool)
            #expect(audit.from == month.start)
            #expect(audit.findings == [])
            #expect(try await ledger.findings() == [])
        }
    }
}

@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct ClockAheadTests {
    @Test func `openings that a clock wrote while it was ahead are not used, and are deleted`() async throws {
        let month = JournalMonth(of: Instant.now()) + 1
        try await withMovedClock(at: month.start + .days(9)) { ledgers in
            let ledger = ledgers[0]
            let auditor = Auditor(pool: ledger.pool, log: silent)
            func audit(_ now: Instant) async throws -> Audit? {
                try await ledger.moveClock(to: now)
                guard let run = try await auditor.run() else { return nil }
                if run.audit.findings.isEmpty { try await auditor.close(at: run.started) }
                return run.audit
            }
            func charge(_ account: AccountID, at now: Instant) async throws {
                try await ledger.moveClock(to: now)
                try await ledger.do(.charge(amount: credits(1)), on: .made(at: now), account: account)
            }
            let account = try await ledger.account(100)
            // Two quarters of a half-hour, which the clock folds while it is ahead.
            for minutes in [1, 16] as [Int64] { try await charge(account, at: month.start + .days(9) + .seconds(minutes * 60)) }
            #expect(try await ledger.pool.one(CountSecondQuarters()) == 1)
            #expect(try await audit((month + 2).start + .days(8))?.findings == [])
            #expect(try await ledger.pool.one(CountSecondQuarters()) == 0)

            // The clock is right again.
            for (now, opening) in [
                (month.start + .days(10), month), (month.start + .days(11), month), ((month + 1).start + .days(9), month),
                ((month + 1).start + .days(10), month + 1), ((month + 2).start + .days(9), month + 1),
            ] {
                try await charge(account, at: now)
                let audit = try await audit(now)
                #expect(audit?.findings == [], "\(now)")
                #expect(audit?.from == opening.start, "\(now)")
            }
            #expect(try await ledger.pool.query(ReadOpenings()).last == (month + 2).start)
            #expect(try await ledger.findings() == [])
        }
    }
}

private struct ReadOpenings: Statement {
    typealias Output = Instant
    static let sql = "SELECT at FROM audit_opening ORDER BY at"
}

private struct CountSecondQuarters: Statement {
    typealias Output = Int64
    static let sql = "SELECT count(*) FROM usage_quarter WHERE quarter <> date_bin('30 minutes', quarter, 'epoch')"
}

@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct OpeningRaceTests {
    @Test func `several ledgers that move the opening at once write each opening once, and no batch waits`() async throws {
        try await withMovedClock(3) { ledgers in
            let next = JournalMonth(of: Instant.now()) + 1
            let account = try await ledgers[0].account(100)
            try await ledgers[0].moveClock(to: next.start + .days(8))
            let written = try await concurrently(6) { try await Openings(pool: ledgers[$0 % 3].pool).advance(at: next.start + .days(8)) }
            #expect(written.flatMap(\.self).count { $0 == next.start } == 1)
            // The transaction that writes an opening locks nothing that a batch needs.
            try await ledgers[0].pool.transaction { transaction in
                try await transaction.script("LOCK TABLE audit_opening, account_opening, lot_opening")
                #expect(try await ledgers[1].do(.charge(amount: credits(1)), account: account) == .applied(1))
                await transaction.rollback()
            }
            #expect(try await ledgers[0].findings() == [])
        }
    }
}

extension StoreUnderTest {
    /// Makes a call by a key with a limit, of `cost` whole credits.
    fileprivate func keyCall(_ cost: Int64, at now: Instant, _ account: AccountID) async throws {
        try await moveClock(to: now)
        let id = ChargeID.made(at: now)
        _ = try await self.do([keyHold(id, account, limit: 50)])
        try await self.do(settle(cost), on: id, account: account)
    }

    /// Prolongs a hold, as its reports do.
    fileprivate func keep(_ hold: ChargeID, until time: Instant) async throws {
        try await pool.withConnection {
            try await $0.script("UPDATE open_hold SET expires_at = '\(time)' WHERE charge_id = '\(hold)'")
        }
    }
}

private func keyHold(_ id: ChargeID, _ account: AccountID, limit: Int64?) -> Command {
    Command(
        id: id, account: account,
        action: hold(10, least: 5, for: .seconds(600), keyLimits: limit.map { SpendingLimits(monthly: credits($0)) }),
        key: APIKeyID(rawValue: "key0000001"), context: Context(metadata: #"{"api_key_id":"key0000001"}"#))
}
