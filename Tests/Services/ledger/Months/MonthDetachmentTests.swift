import EventLoop
import Postgres
import TestSupport
import Testing
import Values

@testable import Ledger

/// A journal of eight months, written by the engine under a clock of the test's own through the store's own statements.
@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct MonthDetachmentTests {
    @Test func `months are detached one after the other, and the rest stays consistent`() async throws {
        let seed = drawSeed()
        let named = "TEST_SEED=\(seed)"
        try await withLedgers(2) { ledgers in
            let ledger = ledgers[0]
            let history = try await History(in: ledger, seed: seed)
            var model = history.model
            #expect(try await ledger.findings() == [], "\(named)")
            #expect(try await ledger.detach(history.months[0]) == .refused(.notAudited), "\(named)")

            // Each opening comes from the one before it.
            for month in history.months[0].index..<JournalMonth(of: Openings.newest(at: Instant.now())).index {
                let opening = JournalMonth(index: month).end
                #expect(try await Openings(pool: ledger.pool).advance(at: opening + .seconds(7 * 86_400)) == [opening])
                #expect(try await Audit.run(on: ledger.pool).from == opening)
                #expect(try await ledger.findings() == [], "\(named), from \(opening)")
            }
            for month in history.months {
                let look = try await ledger.detach(month, isDryRun: true)
                #expect(look == .possible, "\(named), \(month)")
                let before = try await ledger.count("journal")
                #expect(try await ledger.detach(month) == .detached, "\(named), \(month)")
                let detached = try await ledger.count("journal_\(month.description.replacing("-", with: "_"))")
                #expect(try await ledger.count("journal") == before - detached)
                #expect(try await ledger.findings() == [], "\(named), without \(month)")

                // The ledger goes on, with the lots and charges of the months that left.
                for _ in 0..<10 {
                    model.now = Instant.now()
                    // A month that still has to be detached would stay because of an entry that was
                    // decided late.
                    let commands = (0..<8).map { _ in model.draw() }.filter { command in
                        let ofCommand = JournalMonth(of: Instant(microseconds: command.id.rawValue.milliseconds * 1_000))
                        return ofCommand <= month || ofCommand.index > history.months.last!.index
                    }
                    _ = try await ledgers[1].decide(commands)
                }
                #expect(try await ledger.findings() == [], "\(named), after \(month)")
            }
            let kept = JournalMonth(index: history.months[history.months.count - 1].index + 1)
            #expect(try await ledger.detach(kept) == .refused(.tooRecent))
            try await damageIsFound(ledger, model.accounts)
        }
    }

    /// An audit compares tables with the openings and with every entry since then.
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
    @Test func `a month is not detached before its time, out of turn, with open holds or entries after the opening`() async throws {
        try await withMovedClock { ledgers in
            let ledger = ledgers[0]
            let now = JournalMonth(of: Instant.now())
            let (april, may) = (now + -5, now + -4)
            try await ledger.attach(from: april, to: now + -2)
            let account = try await ledger.account(10)
            let call = ChargeID.made(in: may)

            #expect(try await ledger.detach(may) == .refused(.notTheOldest(april)))
            #expect(try await ledger.detach(april) == .refused(.notAudited))
            // The clock was ahead when this opening was written.
            try await ledger.pool.script("INSERT INTO audit_opening VALUES ('\((now + 2).start)')")
            #expect(try await ledger.detach(april) == .refused(.notAudited))
            #expect(try await ledger.night(Instant.now()) == [])
            #expect(try await ledger.detach(april) == .detached)
            try await ledger.do(hold(4), on: call, account: account)
            #expect(try await ledger.detach(may) == .refused(.openHolds(1)))
            try await ledger.do(settle(4), on: call, account: account)
            #expect(try await ledger.detach(may) == .refused(.notAudited))

            #expect(try await ledger.night((now + 1).start + .days(8)) == [])
            try await ledger.pool.script(keptCommand)
            #expect(try await ledger.detach(may) == .refused(.commandsWaiting(1)))
            try await ledger.pool.script("DELETE FROM dead_letter")
            #expect(try await ledger.detach(may) == .detached)
            #expect(try await ledger.detach(may) == .refused(.notTheOldest(now + -3)))
        }
    }
}

@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct LateEntryTests {
    @Test func `a month is not detached while an entry is written to it`() async throws {
        try await withMovedClock { ledgers in
            let ledger = ledgers[0]
            let now = JournalMonth(of: Instant.now())
            let month = now + -4
            try await ledger.attach(from: month, to: now + -2)
            let account = try await ledger.account(10)
            #expect(try await ledger.night(Instant.now()) == [])
            #expect(try await ledger.detach(month, isDryRun: true) == .possible)
            // The look without a lock has found nothing. This entry is written before the lock.
            try await ledger.do(.charge(amount: credits(1)), on: .made(in: month), account: account)
            let error = await #expect(throws: PostgresError.self) {
                try await ledger.pool.withConnection { try await $0.script("SELECT detach_journal_month('\(month.start)')") }
            }
            #expect(error?.sqlState == "40001")
            #expect(try await ledger.findings() == [])
        }
    }
}

@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct ShortLockTests {
    @Test func `the searches for late entries, with and without the lock, do not grow with the month`() async throws {
        try await withLedgers { ledgers in
            let ledger = ledgers[0]
            let now = JournalMonth(of: Instant.now())
            let month = now + -4
            try await ledger.attach(from: month, to: now + -2)
            let table = "journal_\(month.description.replacing("-", with: "_"))"
            try await ledger.pool.script(Self.entries(200_000, table, month))
            #expect(try await ledger.detach(month) == .refused(.notAudited))
            try await ledger.pool.script("INSERT INTO audit_opening VALUES ('\(month.end)')")
            // Updates the index too.
            #expect(try await ledger.detach(month, isDryRun: true) == .possible)
            for look in ["without", "with"] {
                let blocks = try await ledger.pool.transaction { transaction in
                    let before = try await transaction.one(ReadBlocksFetched(table: table))
                    if look == "without" {
                        _ = try await transaction.query(ReadMonth(month: month))
                    } else {
                        try await transaction.execute(DetachMonth(month: month))
                    }
                    let blocks = try await transaction.one(ReadBlocksFetched(table: table)) - before
                    await transaction.rollback()
                    return blocks
                }
                #expect(blocks > 0, "\(look) the lock")
                #expect(blocks < 300, "\(look) the lock, of 4,000")
            }
            try await ledger.pool.script("TRUNCATE \(table); DELETE FROM audit_opening WHERE at = '\(month.end)'")
        }
    }

    private static func entries(_ count: Int, _ table: String, _ month: JournalMonth) -> String {
        """
        INSERT INTO \(table)
        SELECT
            (left(uuid_floor('\(month.start)')::text, 24) || lpad(to_hex(n), 12, '0'))::uuid, 0, gen_random_uuid(), 0, 4, 0, 0, 0, 0, 0, 0, 0, 0,
            '\(month.start)'::timestamptz + n * interval '10 seconds'
        FROM generate_series(1, \(count)) AS n
        """
    }
}

@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct IdsOfDetachedMonthsTests {
    @Test func `a running ledger refuses ids of a detached month and continues`() async throws {
        try await withMovedClock(2) { ledgers in
            let now = JournalMonth(of: Instant.now())
            let month = now + -4
            try await ledgers[0].attach(from: month, to: now + -2)
            try await ledgers[1].store.prepareJournal()
            let account = try await ledgers[0].account(10)
            let call = ChargeID.made(in: month)
            try await ledgers[1].do(hold(4), on: call, account: account)
            try await ledgers[1].do(settle(4), on: call, account: account)
            #expect(try await ledgers[0].night((now + 1).start + .days(8)) == [])
            #expect(try await ledgers[0].detach(month) == .detached)
            // Both ledgers get the settlement again. One of them does not know that the month was
            // detached, and must not settle twice.
            for ledger in ledgers {
                #expect(try await ledger.do(settle(4), on: call, account: account) == .invalid(.idOutOfRange))
                #expect(try await ledger.do(hold(1), account: account) == .applied(1))
            }
        }
    }
}

@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct MonthLockTests {
    @Test func `a month is detached when the readers of the journal have finished`() async throws {
        try await withLedgers(2) { ledgers in
            let month = JournalMonth(index: JournalMonth(of: Instant.now()).index - 4)
            try await ledgers[0].attach(from: month, to: JournalMonth(index: month.index + 2))
            let tries = ledgers[1].pool
            try await Openings(pool: tries).advance(at: Instant.now())
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

    @Test func `a coming month is made when the journal's lock is free again`() async throws {
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

@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct DetachmentTimeoutTests {
    @Test func `a statement of a detachment that takes too long is refused with its reason`() async throws {
        let database = TestDatabase.current
        try await withLedgers { ledgers in
            let month = JournalMonth(index: JournalMonth(of: Instant.now()).index - 4)
            try await ledgers[0].attach(from: month, to: month + 2)
            try await Openings(pool: ledgers[0].pool).advance(at: Instant.now())
            var configuration = database.configuration(connectionsMax: 1)
            configuration.statementTimeout = .milliseconds(100)
            let pool = PostgresPool(loop: TestDatabase.loop, configuration: configuration, log: silent)
            try await ledgers[0].pool.transaction { reader in
                try await reader.script("SELECT count(*) FROM journal")
                #expect(try await MonthDetachment(pool: pool).run(month, isDryRun: false) == .refused(.timedOut))
            }
            await pool.close()
        }
    }

    @Test func `a command that becomes a row during the wait for the lock keeps its month`() async throws {
        try await withLedgers(2) { ledgers in
            let month = JournalMonth(index: JournalMonth(of: Instant.now()).index - 4)
            try await ledgers[0].attach(from: month, to: month + 2)
            let tries = ledgers[1].pool
            try await Openings(pool: tries).advance(at: Instant.now())
            let outcome = try await ledgers[0].pool.transaction { reader in
                try await reader.script("SELECT count(*) FROM journal")
                let outcome = Task(executorPreference: TestDatabase.loop) {
                    try await MonthDetachment(pool: tries, pause: .milliseconds(50)).run(month, isDryRun: false)
                }
                try await until("the lock is waited for") { try await ledgers[0].pool.one(CountWaiting()) > 0 }
                try await ledgers[0].pool.script(keptCommand)
                return outcome
            }
            #expect(try await outcome.value == .refused(.commandsWaiting(1)))
            try await ledgers[0].pool.script("DELETE FROM dead_letter")
        }
    }
}

/// Counts the blocks of a table and its indexes that the connection fetched lately.
private struct ReadBlocksFetched: Statement {
    typealias Output = Int64
    let table: String

    static let sql = """
        SELECT sum(pg_stat_get_xact_blocks_fetched(read.oid))::bigint
        FROM (SELECT $1::regclass::oid UNION ALL SELECT indexrelid FROM pg_index WHERE indrelid = $1::regclass) AS read (oid)
        """

    func bind(_ parameters: inout Parameters) { parameters.append(table) }
}

private struct CountWaiting: Statement {
    typealias Output = Int64
    static let sql = """
        SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%detach_journal_month%'
        """
}

/// A command of a locked account, as a row.
private let keptCommand = """
    INSERT INTO dead_letter (message_id, consumer, exchange, routing_key, type, source, conversation_id, body, ordering_key,
        attempts, error_class, error_message, state, next_attempt_at)
    VALUES (gen_random_uuid(), 'ledger.cmd.charge', 'gw', 'x', 'charge.settle.v1', 'llm-proxy', gen_random_uuid(), '',
        'an account', 1, 'account_locked', 'x', 'replay', now())
    """

private struct Unexpected: Error {
    let what: String
    init(_ what: String) { self.what = what }
}

extension ChargeID {
    fileprivate static func made(in month: JournalMonth) -> ChargeID { made(at: month.start + .milliseconds(5)) }
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

/// Eight months of drawn commands.
private struct History: Sendable {
    var model: LotModel
    /// The months that may be detached, the oldest first.
    var months: [JournalMonth] = []

    init(in ledger: StoreUnderTest, seed: UInt64) async throws {
        let now = JournalMonth(of: Instant.now())
        let first = JournalMonth(index: now.index - 7)
        try await ledger.attach(from: first, to: JournalMonth(index: now.index - 2))
        let stride = Duration.seconds(86_400)
        model = LotModel(seed: seed, from: first.start, strideMax: stride)
        // No step goes beyond the newest opening.
        while model.now + stride < now.start {
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
