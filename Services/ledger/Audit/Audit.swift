import Postgres
import Values

/// Recomputes accounts, holds, lots, limits and rollups from the journal. Names the first row of
/// each check where the journal and a table differ.
///
/// Reads one snapshot while the services continue to write. An audit makes some passes over the
/// entries since the checkpoint. The longest pass reads row by row.
struct Audit: Sendable {
    /// The checkpoint. The audit did not read entries decided before it.
    var from: Instant
    var accounts: Int64
    var entries: Int64
    var holds: Int64
    /// Credits as decimals, because sums over all accounts can exceed 64 bits of nano-credits.
    var posted: String
    var held: String
    var findings: [AuditFinding]

    /// - Parameter all: reads everything since the oldest checkpoint, not only since the newest one.
    static func run(on pool: PostgresPool, all: Bool = false) async throws -> Audit {
        try await pool.transaction(isolation: .repeatableReadOnly) { transaction in
            try await transaction.execute(LockCheckpoints())
            return try await run(in: transaction, all: all)
        }
    }

    /// - Parameter transaction: a transaction with one snapshot, taken after ``LockCheckpoints``.
    static func run(in transaction: PostgresTransaction, all: Bool = false) async throws -> Audit {
        try await transaction.execute(PrepareAudit())
        let from = try await transaction.one(ReadCheckpoint(all: all))
        var audit = try await transaction.one(Totals(from: from))
        let (chain, accounts, overspent, overcharged, debt) = try await transaction.pipeline(
            BrokenChain(from: from), AccountOffJournal(from: from), Overspent(from: from), Overcharged(from: from), Debt())
        let (held, hold, missing, release) = try await transaction.pipeline(
            HeldOffHolds(), HoldOffJournal(), HoldWithoutRow(from: from), ReleaseOffHold(from: from))
        let (usage, spent, keyHeld, keySpent) = try await transaction.pipeline(
            UsageOffJournal(from: from), SpentOffJournal(from: from), KeyHeldOffHolds(), KeySpentOffJournal(from: from))
        audit.findings = [
            chain, accounts, overspent, overcharged, debt, held, hold, missing, release, usage, spent, keyHeld, keySpent,
        ].flatMap(\.self)
        audit.findings += try await lotFindings(in: transaction, from: from)
        return audit
    }

    /// Replays the journal account by account and compares the lots.
    /// - Returns: the first finding of each check.
    private static func lotFindings(in transaction: PostgresTransaction, from checkpoint: Instant) async throws -> [AuditFinding] {
        var findings: [AuditFinding] = []
        func note(_ found: [AuditFinding]) {
            for finding in found where !findings.contains(where: { $0.check == finding.check }) { findings.append(finding) }
        }
        var accounts = try await AccountReplays(in: transaction, from: checkpoint)
        while let account = try await accounts.next() {
            note([account.finding].compactMap(\.self) + account.replay.compare(with: account.lots, lotsExpireAt: account.lotsExpireAt))
        }
        try await accounts.close()
        return findings
    }
}

/// The parts of statements that begin at the checkpoint $1.
///
/// An account's checkpoint is its last entry decided before the month start, so each entry after it
/// was decided at or after the month start. A BRIN index finds the entries by time, in whichever
/// partition they are. If the clock was set back over the month start, `seq` decides which entries
/// follow the checkpoint.
enum Checkpoint {
    static let accounts = """
        (
            SELECT DISTINCT ON (account_id) account_id, seq, posted, held
            FROM account_checkpoint
            WHERE at <= $1
            ORDER BY account_id, at DESC
        )
        """

    static let lots = """
        (
            SELECT DISTINCT ON (account_id, grant_id) *
            FROM lot_checkpoint
            WHERE at <= $1
            ORDER BY account_id, grant_id, at DESC
        )
        """
}

/// Keeps months in the journal while an audit runs. It must be the first statement of its
/// transaction. LOCK TABLE takes no snapshot, so the snapshot is taken when no month is being
/// detached.
struct LockCheckpoints: Statement {
    static let sql = "LOCK TABLE audit_checkpoint IN ACCESS SHARE MODE"
}

/// Allows a pass over a large journal more time and more sort memory than a statement of the hot
/// path. Each statement is planned for its checkpoint. JIT is off, because compiling for many
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

/// Reads the checkpoint at which an audit begins.
private struct ReadCheckpoint: Statement {
    typealias Output = Instant
    let all: Bool
    static let sql = "SELECT CASE WHEN $1 THEN (SELECT min(at) FROM audit_checkpoint) ELSE newest_checkpoint() END"
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
