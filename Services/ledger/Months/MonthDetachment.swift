import EventLoop
import Postgres
import Values

/// Detaches the journal's oldest month. `journal_YYYY_MM` stays as a table of its own, to be
/// archived.
///
/// A month can be detached if all of this is true:
///
/// - It is older than ``monthsKept``.
/// - None of its holds is open.
/// - No command of a locked account waits as a row.
/// - Each of its entries was decided before the newest opening of the audit, so no later audit
///   reads it.
///
/// The ledger refuses ids made in the month, or before it, from then on.
struct MonthDetachment: Sendable {
    let pool: PostgresPool
    /// Between two tries to get the locks.
    var pause: Duration = .seconds(5)
    var triesMax = 24

    /// The number of months that stay, including the running month. Their charges may still be
    /// settled or sent again.
    static let monthsKept: Int64 = 3

    /// The SQLSTATE of `detach_journal_month` if commands of locked accounts wait as rows.
    private static let commandsWait = "LG001"

    enum Outcome: Sendable, Equatable {
        case detached
        /// The answer to a dry run: the month can be detached now.
        case possible
        case refused(Refusal)
    }

    enum Refusal: Sendable, Equatable {
        /// The journal begins with that month.
        case notTheOldest(JournalMonth)
        case tooRecent
        /// Charges of the month that have not ended.
        case openHolds(Int64)
        /// Some commands of locked accounts wait as rows. The ledger would refuse a command of a
        /// detached month for good.
        case commandsWaiting(Int64)
        /// The month has entries that were decided after the newest opening of the audit.
        case notAudited
        /// An audit, a backup or another reader kept the journal locked during every try.
        case busy
        /// The database cancelled a statement that ran for too long.
        case timedOut
    }

    /// Runs on the pool's loop.
    func run(_ month: JournalMonth, isDryRun: Bool) async throws -> Outcome {
        do {
            if let refusal = try await refusal(of: month) { return .refused(refusal) }
            if isDryRun { return .possible }
            if let refusal = try await detach(month) { return .refused(refusal) }
        } catch let error as PostgresError where error.sqlState == "57014" {
            return .refused(.timedOut)
        }
        try await pool.transaction { transaction in
            _ = try await transaction.pipeline(LimitStatements(within: .seconds(600)), DeleteOldAccountOpenings(), DeleteOldLotOpenings())
        }
        return .detached
    }

    /// Looks for a reason to refuse, without a lock that makes a writer wait.
    private func refusal(of month: JournalMonth) async throws -> Refusal? {
        let facts = try await pool.transaction { transaction in
            let limit = LimitStatements(within: .seconds(600))
            return try await transaction.pipeline(limit, SummarizeMonth(month: month), ReadMonth(month: month)).2[0]
        }
        guard month == JournalMonth(of: facts.journalStart) else { return .notTheOldest(JournalMonth(of: facts.journalStart)) }
        guard month.index + Self.monthsKept <= JournalMonth(of: facts.now).index else { return .tooRecent }
        guard facts.openHolds == 0 else { return .openHolds(facts.openHolds) }
        guard facts.commandsWaiting == 0 else { return .commandsWaiting(facts.commandsWaiting) }
        return facts.isAudited ? nil : .notAudited
    }

    private func detach(_ month: JournalMonth) async throws -> Refusal? {
        for attempt in 1... {
            do {
                _ = try await pool.transaction { try await $0.execute(DetachMonth(month: month)) }
                return nil
            } catch let error as PostgresError where error.sqlState == "55P03" {
                if attempt == triesMax { return .busy }
                try await pool.loop.sleep(for: pause)
            } catch let error as PostgresError where error.sqlState == "40001" {
                return .notAudited
            } catch let error as PostgresError where error.sqlState == Self.commandsWait {
                return .commandsWaiting(max(1, try await pool.one(CountCommandsWaiting())))
            }
        }
        preconditionFailure("tries are counted")
    }
}

/// Updates the month's BRIN index, so that the look into it under the lock reads a few pages.
private struct SummarizeMonth: Statement {
    let month: JournalMonth

    static let sql = """
        SELECT brin_summarize_new_values(i.indexrelid)
        FROM pg_index AS i
        JOIN pg_class AS c ON c.oid = i.indexrelid
        JOIN pg_am AS a ON a.oid = c.relam
        WHERE i.indrelid = to_regclass('journal_' || to_char($1::timestamptz AT TIME ZONE 'UTC', 'YYYY_MM')) AND a.amname = 'brin'
        """

    func bind(_ parameters: inout Parameters) { parameters.append(month.start) }
}

/// Reads what can forbid to detach a month. Looks for late entries in the oldest month only.
struct ReadMonth: Statement {
    struct Facts: Sendable {
        let journalStart: Instant
        let now: Instant
        let openHolds: Int64
        let commandsWaiting: Int64
        let isAudited: Bool
    }

    let month: JournalMonth

    static let sql = """
        SELECT
            journal_start(), clock_timestamp(),
            (SELECT count(*) FROM open_hold WHERE charge_id >= uuid_floor($1) AND charge_id < uuid_floor($2)),
            (\(CountCommandsWaiting.sql)),
            CASE WHEN $1 = journal_start() AND opening.at >= $2 THEN NOT month_has_entry_since($1, opening.at) ELSE false END
        FROM (SELECT newest_opening() AS at) AS opening
        """

    func bind(_ parameters: inout Parameters) {
        parameters.append(month.start)
        parameters.append(month.end)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Facts {
        try Facts(journalStart: row.next(), now: row.next(), openHolds: row.next(), commandsWaiting: row.next(), isAudited: row.next())
    }
}

private struct CountCommandsWaiting: Statement {
    typealias Output = Int64
    static let sql = "SELECT count(*) FROM dead_letter WHERE state = 'replay'"
}

struct DetachMonth: Statement {
    let month: JournalMonth
    static let sql = "SELECT detach_journal_month($1)"
    func bind(_ parameters: inout Parameters) { parameters.append(month.start) }
}

/// Deletes account openings at which no audit can begin any more.
private struct DeleteOldAccountOpenings: Statement {
    static let sql = """
        DELETE FROM account_opening AS old
        USING account_opening AS newer
        WHERE newer.account_id = old.account_id AND newer.at > old.at AND newer.at <= (SELECT min(at) FROM audit_opening)
        """
}

private struct DeleteOldLotOpenings: Statement {
    static let sql = """
        DELETE FROM lot_opening AS old
        USING lot_opening AS newer
        WHERE newer.account_id = old.account_id AND newer.grant_id = old.grant_id AND newer.at > old.at
            AND newer.at <= (SELECT min(at) FROM audit_opening)
        """
}
