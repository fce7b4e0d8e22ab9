import Contracts
import Postgres
import Values

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

/// The sums of these keys, as far as they are counted.
struct ReadKeys: Statement {
    let accounts: [AccountID]
    let keys: [APIKeyID]

    static let sql = """
        SELECT account_id, api_key_id, daily_limit, monthly_limit, held, spent_at, spent_day, spent_month
        FROM key_spending
        WHERE account_id = ANY($1::uuid[]) AND api_key_id = ANY($2::text[])
        """

    func bind(_ parameters: inout Parameters) {
        parameters.append(accounts)
        parameters.append(keys.map(\.rawValue))
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> KeySpending { try KeySpending(&row) }
}

/// Reads the API keys of an account that were used last.
struct ReadKeysUsedLast: Statement {
    let account: AccountID

    static let sql = """
        SELECT account_id, api_key_id, daily_limit, monthly_limit, held, spent_at, spent_day, spent_month
        FROM key_spending
        WHERE account_id = $1
        ORDER BY spent_at DESC, api_key_id
        LIMIT 100
        """

    func bind(_ parameters: inout Parameters) { parameters.append(account) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> KeySpending { try KeySpending(&row) }
}

extension KeySpending {
    /// Reads the columns of ``ReadKeys``.
    fileprivate init(_ row: inout RowReader) throws(PostgresError) {
        let id = try KeySpending.ID(account: row.next(), key: APIKeyID(rawValue: row.next()))
        let limits = try SpendingLimits(daily: row.next(Credits?.self), monthly: row.next(Credits?.self))
        self = try KeySpending(
            id: id, limits: limits, held: row.next(), spending: Spending(at: row.next(), day: row.next(), month: row.next()))
    }
}
