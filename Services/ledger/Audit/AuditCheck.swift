import Postgres
import Values

/// The first row of a check where the journal and a table differ.
struct AuditFinding: Sendable, Equatable {
    let check: String
    let account: AccountID?
    /// The id of the entry's charge, of the hold, or of the lot.
    let charge: ChargeID?
    let seq: Int64?
    /// Amounts in nano-credits, as in the tables.
    let detail: String
}

/// A query for the first row that is wrong, in the order of accounts and their chains.
protocol AuditCheck: Statement where Output == AuditFinding {
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

    static func decode(_ row: inout RowReader) throws(PostgresError) -> AuditFinding {
        try AuditFinding(
            check: name, account: row.next(AccountID?.self), charge: row.next(ChargeID?.self), seq: row.next(Int64?.self),
            detail: row.next())
    }
}

/// A check of the entries since a checkpoint. The checkpoint is $1.
protocol JournalCheck: AuditCheck {
    var from: Instant { get }
}

extension JournalCheck {
    func bind(_ parameters: inout Parameters) { parameters.append(from) }
}
