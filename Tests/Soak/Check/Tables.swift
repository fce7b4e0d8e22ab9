import Contracts
import Postgres
import Values

/// The ledger's tables at one moment, read as an auditor does: by the superuser, past every service.
struct Tables: Sendable {
    var entries: [Entry] = []
    var accounts: [Account] = []
    var holds: [OpenHold] = []
    var lots: [Lot] = []
    var keys: [KeySpending] = []
    /// The sum of the rollups of each account, which is the usage that clients see.
    var usage: [UsageSum] = []
    /// The charges that the ledger made for keys of HTTP requests.
    var references: [String: ChargeID] = [:]
    var kept: [KeptRow] = []
    /// The time of the read, by the database's clock.
    var readAt = Instant(microseconds: 0)

    static func read(from database: PostgresPool) async throws -> Tables {
        try await database.transaction(isolation: .repeatableReadOnly) { transaction in
            let (entries, accounts, holds, lots, keys, usage, references, kept, now) = try await transaction.pipeline(
                ReadEntries(), ReadAccounts(), ReadOpenHolds(), ReadLots(), ReadKeys(), ReadUsageSums(), ReadReferences(), ReadKeptRows(),
                ReadNow())
            return Tables(
                entries: entries, accounts: accounts, holds: holds, lots: lots, keys: keys, usage: usage,
                references: Dictionary(uniqueKeysWithValues: references), kept: kept, readAt: now[0])
        }
    }
}

struct UsageSum: Sendable {
    var account: AccountID
    var credits: Credits
}

/// A command of a locked account that the ledger keeps as a row of `dead_letter`.
struct KeptRow: Sendable {
    let message: MessageID
    let account: AccountID?
    let state: String
}

// MARK: Statements

private struct ReadEntries: Statement {
    static let sql = """
        SELECT
            charge_id, step, account_id, seq, kind, status, requested, amount, posted_delta, held_delta, posted_after, held_after,
            fingerprint, decided_at, grant_id, expires_at
        FROM ledger.journal
        """

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Entry {
        let (charge, step, account): (ChargeID, Int16, AccountID) = try (row.next(), row.next(), row.next())
        let (seq, kind, status): (Int64, Int16, Int16) = try (row.next(), row.next(), row.next())
        guard let kind = Entry.Kind(rawValue: kind), let status = Entry.Status(rawValue: status) else {
            throw PostgresError(.typeMismatch, "the journal has kind \(kind) with status \(status)")
        }
        return try Entry(
            charge: charge, step: Step(rawValue: step), account: account, seq: seq, kind: kind, status: status, requested: row.next(),
            amount: row.next(), postedDelta: row.next(), heldDelta: row.next(), postedAfter: row.next(), heldAfter: row.next(),
            fingerprint: row.next(), at: row.next(), grant: row.next(ChargeID?.self), expiresAt: row.next(Instant?.self))
    }
}

private struct ReadAccounts: Statement {
    static let sql = "SELECT account_id, posted, held, owed, seq, spent_at, spent_day, spent_month FROM ledger.account"

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Account {
        var account = try Account(id: row.next(), posted: row.next(), held: row.next(), owed: row.next(), seq: row.next())
        account.spending = try Spending(at: row.next(), day: row.next(), month: row.next())
        return account
    }
}

private struct ReadOpenHolds: Statement {
    static let sql = "SELECT charge_id, account_id, amount, reported, expires_at, is_overdue FROM ledger.open_hold"

    static func decode(_ row: inout RowReader) throws(PostgresError) -> OpenHold {
        try OpenHold(
            charge: row.next(), account: row.next(), amount: row.next(), reported: row.next(), expiresAt: row.next(), isOverdue: row.next())
    }
}

private struct ReadLots: Statement {
    static let sql = """
        SELECT grant_id, account_id, kind, amount, remaining, expired, reversed, expires_at, granted_at
        FROM ledger.credit_grant
        """

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Lot {
        let (id, account, number): (ChargeID, AccountID, Int16) = try (row.next(), row.next(), row.next())
        guard let kind = Entry.Kind(rawValue: number) else { throw PostgresError(.typeMismatch, "lot \(id) has kind \(number)") }
        return try Lot(
            id: id, account: account, kind: kind, amount: row.next(), remaining: row.next(), expired: row.next(), reversed: row.next(),
            expiresAt: row.next(Instant?.self), grantedAt: row.next())
    }
}

private struct ReadKeys: Statement {
    static let sql = """
        SELECT account_id, api_key_id, daily_limit, monthly_limit, held, spent_at, spent_day, spent_month
        FROM ledger.key_spending
        """

    static func decode(_ row: inout RowReader) throws(PostgresError) -> KeySpending {
        let id = try KeySpending.ID(account: row.next(), key: APIKeyID(rawValue: row.next()))
        let limits = try SpendingLimits(daily: row.next(Credits?.self), monthly: row.next(Credits?.self))
        return try KeySpending(
            id: id, limits: limits, held: row.next(), spending: Spending(at: row.next(), day: row.next(), month: row.next()))
    }
}

private struct ReadUsageSums: Statement {
    static let sql = "SELECT account_id, sum(credits)::bigint FROM ledger.usage_quarter GROUP BY account_id"

    static func decode(_ row: inout RowReader) throws(PostgresError) -> UsageSum {
        try UsageSum(account: row.next(), credits: row.next())
    }
}

private struct ReadReferences: Statement {
    static let sql = "SELECT ref, charge_id FROM ledger.external_ref"

    static func decode(_ row: inout RowReader) throws(PostgresError) -> (String, ChargeID) { try (row.next(), row.next()) }
}

private struct ReadKeptRows: Statement {
    static let sql = "SELECT message_id, ordering_key, state FROM ledger.dead_letter"

    static func decode(_ row: inout RowReader) throws(PostgresError) -> KeptRow {
        try KeptRow(message: row.next(), account: row.next(String?.self).flatMap { AccountID($0) }, state: row.next())
    }
}

private struct ReadNow: Statement {
    static let sql = "SELECT clock_timestamp()"
    typealias Output = Instant
}

/// Counts open holds, accounts with expired lots, and kept commands. Zero means that no work is
/// left.
struct CountUnfinished: Statement {
    static let sql = """
        SELECT
            (SELECT count(*) FROM ledger.open_hold)
            + (SELECT count(*) FROM ledger.account WHERE lots_expire_at <= clock_timestamp() AND posted > held)
            + (SELECT count(*) FROM ledger.dead_letter WHERE state = 'replay')
        """
    typealias Output = Int64
}

/// The spending limits of an account, as its owner sets them.
struct SetLimits: Statement {
    let account: AccountID
    let limits: SpendingLimits

    static let sql = """
        INSERT INTO ledger.account (account_id, daily_limit, monthly_limit)
        VALUES ($1, $2, $3)
        ON CONFLICT (account_id) DO UPDATE
        SET daily_limit = excluded.daily_limit, monthly_limit = excluded.monthly_limit
        """

    func bind(_ parameters: inout Parameters) {
        parameters.append(account)
        parameters.append(limits.daily)
        parameters.append(limits.monthly)
    }
}

/// Locks an account's row, as an operator's open session in psql does.
struct LockRow: Statement {
    let account: AccountID
    static let sql = "SELECT 1 FROM ledger.account WHERE account_id = $1 FOR UPDATE"
    typealias Output = Int32

    func bind(_ parameters: inout Parameters) { parameters.append(account) }
}
