import Contracts
import Postgres

/// Recomputes accounts, holds, lots, limits and rollups from the journal, and names the first row of each check where truth and
/// table part.
///
/// Reads one snapshot; the services go on meanwhile. Cost: some passes over the journal, the longest of them row by row.
struct Audit: Sendable {
    var accounts: Int64
    var entries: Int64
    var holds: Int64
    var posted: Credits
    var held: Credits
    var findings: [Finding]

    struct Finding: Sendable, Equatable {
        let check: String
        let account: AccountID?
        /// Of the entry, the hold, or the lot.
        let charge: ChargeID?
        let seq: Int64?
        /// Amounts in nano-credits, as in the tables.
        let detail: String
    }

    static func run(on pool: PostgresPool) async throws -> Audit {
        try await pool.transaction(isolation: .repeatableReadOnly) { try await run(in: $0) }
    }

    /// - Parameters:
    ///   - transaction: one that keeps its snapshot.
    ///   - month: see ``LotAudit``.
    static func run(in transaction: PostgresTransaction, openingsOf month: JournalMonth? = nil) async throws -> Audit {
        try await transaction.execute(Prepare())
        var audit = try await transaction.one(Totals())
        let (chain, accounts, overspent, overcharged, owed) = try await transaction.pipeline(
            BrokenChain(), AccountOffJournal(), Overspent(), Overcharged(), Owed())
        let (held, hold, missing, release) = try await transaction.pipeline(
            HeldOffHolds(), HoldOffJournal(), HoldWithoutRow(), ReleaseOffHold())
        let (usage, spent, keyHeld, keySpent) = try await transaction.pipeline(
            UsageOffJournal(), SpentOffJournal(), KeyHeldOffHolds(), KeySpentOffJournal())
        audit.findings =
            chain + accounts + overspent + overcharged + owed + held + hold + missing + release + usage + spent + keyHeld + keySpent
        audit.findings += try await LotAudit.run(in: transaction, openingsOf: month)
        return audit
    }
}

/// A check answers with the first row it finds wrong, in the order of accounts and their chains.
///
/// The journal's older months may have left: then an account's chain begins at its `account_opening`.
protocol AuditCheck: Statement where Output == Audit.Finding {
    static var name: String { get }
}

extension AuditCheck {
    static func decode(_ row: inout RowReader) throws(PostgresError) -> Audit.Finding {
        try Audit.Finding(
            check: name, account: row.next(AccountID?.self), charge: row.next(ChargeID?.self), seq: row.next(Int64?.self),
            detail: row.next())
    }
}

/// A pass over a large journal takes longer than a statement of the hot path may, and sorts more. No month leaves the journal meanwhile.
private struct Prepare: Statement {
    static let sql = """
        SELECT
            set_config('statement_timeout', '1h', true), set_config('work_mem', '64MB', true), set_config('cursor_tuple_fraction', '1', true),
            pg_advisory_xact_lock_shared(hashtextextended('journal audit', 0))
        """
}

private struct Totals: Statement {
    static let sql = """
        SELECT
            (SELECT count(*) FROM account),
            (SELECT count(*) FROM journal),
            (SELECT count(*) FROM open_hold),
            (SELECT coalesce(sum(posted), 0)::bigint FROM account),
            (SELECT coalesce(sum(held), 0)::bigint FROM account)
        """

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Audit {
        try Audit(accounts: row.next(), entries: row.next(), holds: row.next(), posted: row.next(), held: row.next(), findings: [])
    }
}
