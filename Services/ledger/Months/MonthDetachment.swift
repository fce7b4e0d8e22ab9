import Contracts
import EventLoop
import Postgres

/// Takes the journal's oldest month off it; `journal_YYYY_MM` stays as a table of its own, to be archived.
///
/// First, in one snapshot, everything is audited, and for each account that decided something in the month it is written down where its
/// chain and its lots stood after its last entry there: later audits begin at that. Such an opening is true whether or not the month leaves,
/// so a process that dies in between leaves nothing half done. Then the month is detached, if nothing came into it meanwhile. Ids
/// made in it are refused from then on, and before.
struct MonthDetachment: Sendable {
    let pool: PostgresPool
    /// Between two tries to get the locks.
    var pause: Duration = .seconds(5)
    var triesMax = 24

    /// The running month and those before it that stay: charges of theirs may still be settled or asked for again.
    static let monthsKept: Int64 = 3

    enum Outcome: Sendable {
        case detached(entries: Int64, accounts: Int)
        /// What would be, of a dry run.
        case possible(entries: Int64, accounts: Int)
        case refused(Refusal)
    }

    enum Refusal: Sendable, Equatable {
        /// The journal begins with that month.
        case notTheOldest(JournalMonth)
        case tooRecent
        /// Charges of the month that have not ended.
        case openHolds(Int64)
        case findings([Audit.Finding])
        /// The month got entries while it was read.
        case writtenMeanwhile
        /// Somebody reads the journal all the time.
        case busy
    }

    /// On the pool's loop.
    func run(_ month: JournalMonth, isDryRun: Bool) async throws -> Outcome {
        let read = try await pool.transaction(isolation: .repeatableRead) { transaction in
            let read = try await open(after: month, in: transaction)
            if case .possible = read, !isDryRun { return read }
            await transaction.rollback()
            return read
        }
        guard case .possible(let entries, let accounts) = read, !isDryRun else { return read }
        if let refusal = try await detach(month, entries) { return .refused(refusal) }
        return .detached(entries: entries, accounts: accounts)
    }

    private func open(after month: JournalMonth, in transaction: PostgresTransaction) async throws -> Outcome {
        let facts = try await transaction.one(ReadMonth(month: month))
        guard month == JournalMonth(of: facts.journalStart) else { return .refused(.notTheOldest(JournalMonth(of: facts.journalStart))) }
        guard month.index + Self.monthsKept <= JournalMonth(of: facts.now).index else { return .refused(.tooRecent) }
        guard facts.openHolds == 0 else { return .refused(.openHolds(facts.openHolds)) }
        let audit = try await Audit.run(in: transaction, openingsOf: month)
        guard audit.findings.isEmpty else { return .refused(.findings(audit.findings)) }
        let accounts = try await transaction.execute(WriteAccountOpenings(month: month))
        // What the next audit will find.
        let next = try await Audit.run(in: transaction)
        guard next.findings.isEmpty else { return .refused(.findings(next.findings)) }
        return .possible(entries: facts.entries, accounts: accounts)
    }

    private func detach(_ month: JournalMonth, _ entries: Int64) async throws -> Refusal? {
        for attempt in 1... {
            do {
                _ = try await pool.transaction { try await $0.execute(DetachMonth(month: month, entries: entries)) }
                return nil
            } catch let error as PostgresError where error.sqlState == "55P03" {
                if attempt == triesMax { return .busy }
                try await pool.loop.sleep(for: pause)
            } catch let error as PostgresError where error.sqlState == "40001" {
                return .writtenMeanwhile
            }
        }
        preconditionFailure("tries are counted")
    }
}

private struct ReadMonth: Statement {
    struct Facts: Sendable {
        let journalStart: Instant
        let now: Instant
        let entries: Int64
        let openHolds: Int64
    }

    let month: JournalMonth

    static let sql = """
        SELECT
            journal_start(), clock_timestamp(),
            (SELECT count(*) FROM journal WHERE charge_id >= uuid_floor($1) AND charge_id < uuid_floor($2)),
            (SELECT count(*) FROM open_hold WHERE charge_id >= uuid_floor($1) AND charge_id < uuid_floor($2))
        """

    func bind(_ parameters: inout Parameters) {
        parameters.append(month.start)
        parameters.append(month.end)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Facts {
        try Facts(journalStart: row.next(), now: row.next(), entries: row.next(), openHolds: row.next())
    }
}

/// Where the chains of the month's accounts stood after their last entry in it. A charge's entries all lie in the month of its id, so a
/// later entry can lie in an earlier month: an account's earlier opening may be ahead.
private struct WriteAccountOpenings: Statement {
    let month: JournalMonth

    static let sql = """
        INSERT INTO account_opening (account_id, seq, posted, held, at)
        SELECT
            last.account_id, greatest(last.seq, o.seq),
            CASE WHEN last.seq > coalesce(o.seq, 0) THEN j.posted_after ELSE coalesce(o.posted, 0) END,
            CASE WHEN last.seq > coalesce(o.seq, 0) THEN j.held_after ELSE coalesce(o.held, 0) END,
            greatest(last.at, o.at)
        FROM (
            SELECT account_id, max(seq) AS seq, max(decided_at) AS at
            FROM journal
            WHERE charge_id >= uuid_floor($1) AND charge_id < uuid_floor($2)
            GROUP BY account_id
        ) AS last
        LEFT JOIN account_opening AS o USING (account_id)
        LEFT JOIN (
            SELECT account_id, seq, posted_after, held_after
            FROM journal
            WHERE charge_id >= uuid_floor($1) AND charge_id < uuid_floor($2) AND seq > 0
        ) AS j ON j.account_id = last.account_id AND j.seq = last.seq
        ON CONFLICT (account_id) DO UPDATE
        SET seq = excluded.seq, posted = excluded.posted, held = excluded.held, at = excluded.at
        """

    func bind(_ parameters: inout Parameters) {
        parameters.append(month.start)
        parameters.append(month.end)
    }
}

private struct DetachMonth: Statement {
    let month: JournalMonth
    let entries: Int64

    static let sql = "SELECT set_config('statement_timeout', '10min', true), detach_journal_month($1, $2)"

    func bind(_ parameters: inout Parameters) {
        parameters.append(month.start)
        parameters.append(entries)
    }
}
