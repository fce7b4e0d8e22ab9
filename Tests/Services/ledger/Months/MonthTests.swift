import Contracts
import EventLoop
import Postgres
import TestSupport
import Testing

@testable import Ledger

/// A journal of eight months, written by the engine under a clock of the test's own through the store's own statements.
@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct MonthsLeavingTests {
    @Test func `months leave one after the other, and what stays adds up`() async throws {
        let seed = UInt64.random(in: 1...1_000_000_000)
        print("MonthTests seed \(seed)")
        try await withLedgers(2) { ledgers in
            let history = try await History(in: ledgers[0], seed: seed)
            var model = history.model
            #expect(try await Audit.run(on: ledgers[0].pool).findings == [], "seed \(seed)")
            for month in history.months {
                let before = try await ledgers[0].count("journal")
                let dry = try await ledgers[0].detach(month, isDryRun: true)
                guard case .possible(let entries, _) = dry else {
                    Issue.record("seed \(seed), \(month): \(dry)")
                    return
                }
                #expect(try await ledgers[0].count("account_opening") == 0 || month > history.months[0])
                #expect(try await ledgers[0].count("journal") == before)
                guard case .detached(entries, _) = try await ledgers[0].detach(month) else {
                    Issue.record("seed \(seed), \(month) is not detached")
                    return
                }
                #expect(try await ledgers[0].count("journal") == before - entries)
                #expect(try await ledgers[0].count("journal_\(month.description.replacing("-", with: "_"))") == entries)
                #expect(try await Audit.run(on: ledgers[0].pool).findings == [], "seed \(seed), without \(month)")

                // The ledger goes on, with the lots and charges of the months that left.
                for _ in 0..<10 {
                    model.now = Instant.now()
                    let commands = (0..<8).map { _ in model.draw() }
                    _ = try await ledgers[1].decide(commands)
                }
                #expect(try await Audit.run(on: ledgers[0].pool).findings == [], "seed \(seed), after \(month)")
            }
            let kept = JournalMonth(index: history.months[history.months.count - 1].index + 1)
            guard case .refused(.tooRecent) = try await ledgers[0].detach(kept) else {
                Issue.record("one of the last three months left")
                return
            }
            try await damageIsFound(ledgers[0], model.accounts)
        }
    }

    /// What lies before an opening is not looked at any more; everything since then is.
    private func damageIsFound(_ ledger: StoreUnderTest, _ accounts: [AccountID]) async throws {
        for account in accounts {
            let posted = try await ledger.findings(after: "UPDATE account SET posted = posted + 1 WHERE account_id = '\(account)'")
            #expect(posted.first?.check == "account")
            let lot = try await ledger.findings(
                after: """
                    UPDATE credit_grant SET expired = expired + 1
                    WHERE grant_id = (SELECT min(grant_id::text)::uuid FROM credit_grant WHERE account_id = '\(account)')
                    """)
            #expect(lot.first?.check == "lot")
        }
    }

}

@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct MonthRefusalTests {
    @Test func `a month is not detached before its time, out of turn, with open holds or over findings`() async throws {
        try await withLedgers { ledgers in
            let ledger = ledgers[0]
            let now = JournalMonth(of: Instant.now())
            let (april, may) = (JournalMonth(index: now.index - 5), JournalMonth(index: now.index - 4))
            try await ledger.attach(from: april, to: JournalMonth(index: now.index - 2))
            let account = try await ledger.account(10)
            let call = ChargeID.made(in: may)

            guard case .refused(.notTheOldest(april)) = try await ledger.detach(may) else { throw Unexpected("out of turn") }
            guard case .detached(entries: 0, accounts: 0) = try await ledger.detach(april) else { throw Unexpected("an empty month") }
            try await ledger.do(hold(4), on: call, account: account)
            guard case .refused(.openHolds(1)) = try await ledger.detach(may) else { throw Unexpected("a running call") }
            try await ledger.do(settle(4), on: call, account: account)

            try await ledger.pool.withConnection { try await $0.script("UPDATE account SET posted = posted + 1") }
            guard case .refused(.findings(let findings)) = try await ledger.detach(may) else { throw Unexpected("over a finding") }
            #expect(findings.map(Named.init) == [Named("account", account, seq: 3)])
            try await ledger.pool.withConnection { try await $0.script("UPDATE account SET posted = posted - 1") }

            guard case .detached(entries: 2, accounts: 1) = try await ledger.detach(may) else { throw Unexpected("in its turn") }
            guard case .refused(.notTheOldest) = try await ledger.detach(may) else { throw Unexpected("twice") }
        }
    }

}

@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct IdsOfMonthsThatLeftTests {
    @Test func `a ledger that did not hear of it refuses ids of a month that has left, and goes on`() async throws {
        try await withLedgers(2) { ledgers in
            let now = JournalMonth(of: Instant.now())
            let month = JournalMonth(index: now.index - 4)
            try await ledgers[0].attach(from: month, to: JournalMonth(index: now.index - 2))
            try await ledgers[1].store.prepareJournal()
            let account = try await ledgers[0].account(10)
            let call = ChargeID.made(in: month)
            try await ledgers[1].do(hold(4), on: call, account: account)
            try await ledgers[1].do(settle(4), on: call, account: account)
            guard case .detached = try await ledgers[0].detach(month) else { throw Unexpected("not detached") }
            // Both settle again: one asks the journal in vain, since the month has gone, and must not settle twice.
            for ledger in ledgers {
                #expect(try await ledger.do(settle(4), on: call, account: account) == .invalid(.idOutOfRange))
                #expect(try await ledger.do(hold(1), account: account) == .applied(1))
            }
        }
    }

}

@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct MonthLockTests {
    @Test func `a month leaves when those who read the journal have gone`() async throws {
        try await withLedgers(2) { ledgers in
            let month = JournalMonth(index: JournalMonth(of: Instant.now()).index - 4)
            try await ledgers[0].attach(from: month, to: JournalMonth(index: month.index + 2))
            let tries = ledgers[1].pool
            let outcome = try await ledgers[0].pool.transaction { reader in
                try await reader.script("SELECT count(*) FROM journal")
                let refused = try await MonthDetachment(pool: tries, pause: .zero, triesMax: 1).run(month, isDryRun: false)
                guard case .refused(.busy) = refused else { throw Unexpected("not refused") }
                let patient = Task(executorPreference: TestDatabase.loop) {
                    try await MonthDetachment(pool: tries, pause: .milliseconds(50)).run(month, isDryRun: false)
                }
                return patient
            }
            guard case .detached = try await outcome.value else { throw Unexpected("not detached") }
        }
    }

    @Test func `a month to come is made when nobody holds the journal's lock any more`() async throws {
        try await withLedgers(2) { ledgers in
            let ahead = JournalMonth(index: JournalMonth(of: Instant.now()).index + 3)
            let table = "journal_\(ahead.description.replacing("-", with: "_"))"
            try await ledgers[0].pool.withConnection { try await $0.script("DROP TABLE \(table)") }
            try await ledgers[0].pool.transaction { holder in
                try await holder.script("LOCK TABLE journal IN SHARE UPDATE EXCLUSIVE MODE")
                let error = await #expect(throws: PostgresError.self) { try await ledgers[1].store.prepareJournal() }
                #expect(error?.sqlState == "55P03")
            }
            try await ledgers[1].store.prepareJournal()
            #expect(try await ledgers[0].count(table) == 0)
        }
    }
}

private struct Unexpected: Error {
    let what: String
    init(_ what: String) { self.what = what }
}

extension ChargeID {
    fileprivate static func made(in month: JournalMonth) -> ChargeID {
        var random = SystemRandomNumberGenerator()
        return ChargeID(rawValue: .make(milliseconds: month.start.microseconds / 1_000 + 5, using: &random))
    }
}

extension StoreUnderTest {
    fileprivate func detach(_ month: JournalMonth, isDryRun: Bool = false) async throws -> MonthDetachment.Outcome {
        try await MonthDetachment(pool: pool, pause: .milliseconds(50)).run(month, isDryRun: isDryRun)
    }

    fileprivate func count(_ table: String) async throws -> Int64 {
        try await pool.transaction { transaction in
            try await transaction.script("CREATE TEMPORARY TABLE counted ON COMMIT DROP AS SELECT count(*) FROM \(table)")
            return try await transaction.one(ReadCount())
        }
    }

    /// Months from before the schema was made.
    fileprivate func attach(from first: JournalMonth, to last: JournalMonth) async throws {
        for index in first.index...last.index {
            let month = JournalMonth(index: index)
            let name = "journal_\(month.description.replacing("-", with: "_"))"
            try await pool.withConnection {
                try await $0.script(
                    """
                    DO $$ BEGIN
                        IF to_regclass('\(name)') IS NULL THEN
                            CREATE TABLE \(name) (LIKE journal INCLUDING ALL);
                            EXECUTE format('ALTER TABLE journal ATTACH PARTITION \(name) FOR VALUES FROM (%L) TO (%L)',
                                uuid_floor('\(month.start)'), uuid_floor('\(month.end)'));
                        END IF;
                    END $$
                    """)
            }
        }
        try await store.prepareJournal()
    }
}

private struct ReadCount: Statement {
    typealias Output = Int64
    static let sql = "SELECT count FROM counted"
}

/// What people did in the last eight months.
private struct History: Sendable {
    var model: LotModel
    /// Those that may leave, the oldest first.
    var months: [JournalMonth] = []

    init(in ledger: StoreUnderTest, seed: UInt64) async throws {
        let now = JournalMonth(of: Instant.now())
        let first = JournalMonth(index: now.index - 7)
        try await ledger.attach(from: first, to: JournalMonth(index: now.index - 2))
        model = LotModel(seed: seed, from: first.start, strideMax: .seconds(86_400))
        while model.now < now.start {
            let (before, ruling) = model.step()
            try await ledger.pool.transaction { transaction in
                try await transaction.execute(OpenAccounts(ids: ruling.state.accounts.keys.sorted()))
                let changes = Changes(from: before, to: ruling.state)
                try await transaction.commit(WriteBatch(ruling.entries, changes), WriteLotsAndKeys(lots: changes.lots, keys: changes.keys))
            }
        }
        for account in model.accounts { try await ledger.expireOverdue(of: account) }
        months = (first.index...now.index - MonthDetachment.monthsKept).map(JournalMonth.init(index:))
    }
}
