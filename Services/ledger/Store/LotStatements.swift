import Contracts
import Postgres

/// The lots of these accounts that may have credits left, and those named.
struct ReadLots: Statement {
    let accounts: [AccountID]
    let named: [ChargeID]

    static let sql = """
        SELECT
            grant_id, account_id, kind, amount, remaining, expired, reversed, reversal_target, reversal_version, expires_at, granted_at
        FROM credit_grant
        WHERE account_id = ANY($1::uuid[]) AND (remaining > 0 OR grant_id = ANY($2::uuid[]))
        """

    func bind(_ parameters: inout Parameters) {
        parameters.append(accounts)
        parameters.append(named)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Lot {
        try Lot(
            id: row.next(), account: row.next(), kind: Entry.Kind(row: row.next()), amount: row.next(), remaining: row.next(),
            expired: row.next(), reversed: row.next(), reversalTarget: row.next(), reversalVersion: row.next(),
            expiresAt: row.next(Instant?.self), grantedAt: row.next())
    }
}

/// The sums of all counted keys of these accounts.
struct ReadKeys: Statement {
    let accounts: [AccountID]

    static let sql = """
        SELECT account_id, api_key_id, daily_limit, monthly_limit, held, spent_at, spent_day, spent_month
        FROM key_spending
        WHERE account_id = ANY($1::uuid[])
        """

    func bind(_ parameters: inout Parameters) { parameters.append(accounts) }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> KeySpending {
        let id = try KeySpending.ID(account: row.next(), key: APIKeyID(rawValue: row.next()))
        let limits = try SpendingLimits(daily: row.next(Credits?.self), monthly: row.next(Credits?.self))
        return try KeySpending(
            id: id, limits: limits, held: row.next(), spending: Spending(at: row.next(), day: row.next(), month: row.next()))
    }
}
