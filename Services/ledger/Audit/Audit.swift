import Postgres
import Values

/// Recomputes accounts, holds, lots, limits and rollups from the journal. Names the first row of
/// each check where the journal and a table differ.
///
/// Reads one snapshot while the services continue to write. An audit makes some passes over the
/// entries since the opening. The longest pass reads row by row.
struct Audit: Sendable {
    /// The opening. The audit did not read entries decided before it.
    var from: Instant
    var accounts: Int64
    var entries: Int64
    var holds: Int64
    /// Credits as decimals, because sums over all accounts can exceed 64 bits of nano-credits.
    var posted: String
    var held: String
    var findings: [Finding]

    struct Finding: Sendable, Equatable {
        let check: String
        let account: AccountID?
        /// The id of the entry's charge, of the hold, or of the lot.
        let charge: ChargeID?
        let seq: Int64?
        /// Amounts in nano-credits, as in the tables.
        let detail: String
    }

    /// - Parameter all: reads everything since the oldest opening, not only since the newest one.
    static func run(on pool: PostgresPool, all: Bool = false) async throws -> Audit {
        try await pool.transaction(isolation: .repeatableReadOnly) { transaction in
            try await transaction.execute(LockOpenings())
            return try await run(in: transaction, all: all)
        }
    }

    /// - Parameter transaction: a transaction with one snapshot, taken after ``LockOpenings``.
    static func run(in transaction: PostgresTransaction, all: Bool = false) async throws -> Audit {
        try await transaction.execute(PrepareAudit())
        let from = try await transaction.one(ReadOpening(all: all))
        var audit = try await transaction.one(Totals(from: from))
        let (chain, accounts, overspent, overcharged, owed) = try await transaction.pipeline(
            BrokenChain(from: from), AccountOffJournal(from: from), Overspent(from: from), Overcharged(from: from), Owed())
        let (held, hold, missing, release) = try await transaction.pipeline(
            HeldOffHolds(), HoldOffJournal(), HoldWithoutRow(from: from), ReleaseOffHold(from: from))
        let (usage, spent, keyHeld, keySpent) = try await transaction.pipeline(
            UsageOffJournal(from: from), SpentOffJournal(from: from), KeyHeldOffHolds(), KeySpentOffJournal(from: from))
        audit.findings = [
            chain, accounts, overspent, overcharged, owed, held, hold, missing, release, usage, spent, keyHeld, keySpent,
        ].flatMap(\.self)
        audit.findings += try await lotFindings(in: transaction, from: from)
        return audit
    }

    /// Replays the journal account by account and compares the lots.
    /// - Returns: the first finding of each check.
    private static func lotFindings(in transaction: PostgresTransaction, from opening: Instant) async throws -> [Finding] {
        var findings: [Finding] = []
        func note(_ found: [Finding]) {
            for finding in found where !findings.contains(where: { $0.check == finding.check }) { findings.append(finding) }
        }
        var accounts = try await AccountReplays(in: transaction, from: opening)
        while let account = try await accounts.next() {
            note([account.finding].compactMap(\.self) + account.replay.compare(with: account.lots, lotsExpireAt: account.lotsExpireAt))
        }
        try await accounts.close()
        return findings
    }
}

/// A query for the first row that is wrong, in the order of accounts and their chains.
protocol AuditCheck: Statement where Output == Audit.Finding {
    static var name: String { get }
    /// Selects the account, charge, place in the chain and detail of every wrong row.
    static var wrong: String { get }
}

extension AuditCheck {
    /// Sorts the wrong rows after finding all of them. A plan that looks for the first row in the
    /// order of the chains would read every partition of the journal through its index.
    static var sql: String {
        """
        WITH wrong (account_id, charge_id, seq, detail) AS MATERIALIZED (
        \(wrong)
        )
        SELECT account_id, charge_id, seq, detail
        FROM wrong
        ORDER BY account_id, seq, charge_id, detail
        LIMIT 1
        """
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Audit.Finding {
        try Audit.Finding(
            check: name, account: row.next(AccountID?.self), charge: row.next(ChargeID?.self), seq: row.next(Int64?.self),
            detail: row.next())
    }
}

/// A check of the entries since an opening. The opening is $1.
protocol JournalCheck: AuditCheck {
    var from: Instant { get }
}

extension JournalCheck {
    func bind(_ parameters: inout Parameters) { parameters.append(from) }
}

/// The parts of statements that begin at the opening $1.
///
/// An account's opening is its last entry decided before the month start, so each entry after it
/// was decided at or after the month start. A BRIN index finds the entries by time, in whichever
/// partition they are. If the clock was set back over the month start, `seq` decides which entries
/// follow the opening.
enum Opening {
    static let accounts = """
        (
            SELECT DISTINCT ON (account_id) account_id, seq, posted, held
            FROM account_opening
            WHERE at <= $1
            ORDER BY account_id, at DESC
        )
        """

    static let lots = """
        (
            SELECT DISTINCT ON (account_id, grant_id) *
            FROM lot_opening
            WHERE at <= $1
            ORDER BY account_id, grant_id, at DESC
        )
        """
}

/// Keeps months in the journal while an audit runs. It must be the first statement of its
/// transaction. LOCK TABLE takes no snapshot, so the snapshot is taken when no month is being
/// detached.
struct LockOpenings: Statement {
    static let sql = "LOCK TABLE audit_opening IN ACCESS SHARE MODE"
}

/// Allows a pass over a large journal more time and more sort memory than a statement of the hot
/// path. Each statement is planned for its opening. JIT is off, because compiling for many
/// partitions takes longer than running the statement.
struct PrepareAudit: Statement {
    static let sql = """
        SELECT
            set_config('statement_timeout', '1h', true), set_config('work_mem', '64MB', true),
            set_config('cursor_tuple_fraction', '1', true), set_config('plan_cache_mode', 'force_custom_plan', true),
            set_config('jit', 'off', true)
        """

    var statementTimeout: Duration? { .seconds(3_600) }
}

/// Reads the opening at which an audit begins.
private struct ReadOpening: Statement {
    typealias Output = Instant
    let all: Bool
    static let sql = "SELECT CASE WHEN $1 THEN (SELECT min(at) FROM audit_opening) ELSE newest_opening() END"
    func bind(_ parameters: inout Parameters) { parameters.append(all) }
}

private struct Totals: Statement {
    let from: Instant

    static let sql = """
        SELECT
            $1::timestamptz,
            (SELECT count(*) FROM account),
            (SELECT count(*) FROM journal WHERE decided_at >= $1),
            (SELECT count(*) FROM open_hold),
            (SELECT trim_scale(coalesce(sum(posted), 0) * 0.000000001)::text FROM account),
            (SELECT trim_scale(coalesce(sum(held), 0) * 0.000000001)::text FROM account)
        """

    func bind(_ parameters: inout Parameters) { parameters.append(from) }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Audit { try Audit(&row) }
}

extension Audit {
    /// Makes an audit without findings.
    init(_ row: inout RowReader) throws(PostgresError) {
        try self.init(
            from: row.next(), accounts: row.next(), entries: row.next(), holds: row.next(), posted: row.next(), held: row.next(),
            findings: [])
    }
}
