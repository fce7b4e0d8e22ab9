import Contracts
import Postgres

/// The ledger's tables at one moment, read as an auditor does: by the superuser, past every service.
struct Tables: Sendable {
    var rows: [Row] = []
    var accounts: [AccountRow] = []
    var holds: [HoldRow] = []
    var lots: [LotRow] = []
    var keys: [KeyRow] = []
    /// What people are shown: the sum of an account's rollups.
    var usage: [UsageSum] = []
    /// By the database's clock.
    var readAt = Instant(microseconds: 0)

    static func read(from database: PostgresPool) async throws -> Tables {
        try await database.transaction(isolation: .repeatableReadOnly) { transaction in
            let (rows, accounts, holds, lots, keys, usage, now) = try await transaction.pipeline(
                ReadRows(), ReadAccountRows(), ReadHoldRows(), ReadLotRows(), ReadKeyRows(), ReadUsageSums(), ReadNow())
            return Tables(rows: rows, accounts: accounts, holds: holds, lots: lots, keys: keys, usage: usage, readAt: now[0])
        }
    }
}

/// One line of the journal.
struct Row: Sendable, Hashable {
    enum Kind: String, Sendable {
        case hold, extend, capture, void, expire
        case lateCapture = "late_capture"
        case charge, purchase
        case planGrant = "plan_grant"
        case bonus, refund, adjustment, topup, clawback
        case lotExpiry = "lot_expiry"

        /// Takes credits for something that was used.
        var charges: Bool { [.capture, .expire, .lateCapture, .charge].contains(self) }
        var isGrant: Bool { [.purchase, .planGrant, .bonus].contains(self) }
        /// Nobody asks for it: the ledger's clock does.
        var isOfClock: Bool { self == .expire || self == .lotExpiry }
    }

    enum Status: String, Sendable {
        case applied
        case insufficientFunds = "insufficient_funds"
        case accountNotFound = "account_not_found"
        case alreadyResolved = "already_resolved"
        case outOfRange = "out_of_range"
        case accountDailyLimit = "account_daily_limit"
        case accountMonthlyLimit = "account_monthly_limit"
        case keyDailyLimit = "key_daily_limit"
        case keyMonthlyLimit = "key_monthly_limit"
        case holdNotFound = "hold_not_found"
        case superseded

        var isLimit: Bool { [.accountDailyLimit, .accountMonthlyLimit, .keyDailyLimit, .keyMonthlyLimit].contains(self) }
    }

    var charge: ChargeID
    var step: Int16
    var account: AccountID
    var seq: Int64
    var kind: Kind
    var status: Status
    var requested: Credits
    var amount: Credits
    var postedDelta: Credits
    var heldDelta: Credits
    var postedAfter: Credits
    var heldAfter: Credits
    var at: Instant
    var grant: ChargeID?
    var expiresAt: Instant?

    static let opening: Int16 = 0
    static let terminal: Int16 = 10_000
    static let late: Int16 = 10_001
}

struct AccountRow: Sendable {
    var account: AccountID
    var posted: Credits
    var held: Credits
    var seq: Int64
    var spentDay: Credits
}

struct HoldRow: Sendable {
    var charge: ChargeID
    var account: AccountID
    var amount: Credits
}

struct LotRow: Sendable {
    var lot: ChargeID
    var account: AccountID
    var remaining: Credits
}

struct KeyRow: Sendable {
    var account: AccountID
    var key: APIKeyID
    var held: Credits
    var spentDay: Credits
}

struct UsageSum: Sendable {
    var account: AccountID
    var credits: Credits
}

// MARK: Statements

private struct ReadRows: Statement {
    static let sql = """
        SELECT
            charge_id, step, account_id, seq, ledger.journal_kind(kind), ledger.journal_status(status), requested, amount, posted_delta,
            held_delta, posted_after, held_after, decided_at, grant_id, expires_at
        FROM ledger.journal
        ORDER BY account_id, seq, decided_at
        """

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Row {
        try Row(
            charge: row.next(), step: row.next(), account: row.next(), seq: row.next(), kind: named(row.next()), status: named(row.next()),
            requested: row.next(), amount: row.next(), postedDelta: row.next(), heldDelta: row.next(), postedAfter: row.next(),
            heldAfter: row.next(), at: row.next(), grant: row.next(ChargeID?.self), expiresAt: row.next(Instant?.self))
    }

    private static func named<Name: RawRepresentable<String>>(_ text: String) throws(PostgresError) -> Name {
        guard let name = Name(rawValue: text) else { throw PostgresError(.typeMismatch, "the journal holds '\(text)'") }
        return name
    }
}

private struct ReadAccountRows: Statement {
    static let sql = "SELECT account_id, posted, held, seq, spent_day FROM ledger.account"

    static func decode(_ row: inout RowReader) throws(PostgresError) -> AccountRow {
        try AccountRow(account: row.next(), posted: row.next(), held: row.next(), seq: row.next(), spentDay: row.next())
    }
}

private struct ReadHoldRows: Statement {
    static let sql = "SELECT charge_id, account_id, amount FROM ledger.open_hold"

    static func decode(_ row: inout RowReader) throws(PostgresError) -> HoldRow {
        try HoldRow(charge: row.next(), account: row.next(), amount: row.next())
    }
}

private struct ReadLotRows: Statement {
    static let sql = "SELECT grant_id, account_id, remaining FROM ledger.credit_grant WHERE remaining > 0"

    static func decode(_ row: inout RowReader) throws(PostgresError) -> LotRow {
        try LotRow(lot: row.next(), account: row.next(), remaining: row.next())
    }
}

private struct ReadKeyRows: Statement {
    static let sql = "SELECT account_id, api_key_id, held, spent_day FROM ledger.key_spending"

    static func decode(_ row: inout RowReader) throws(PostgresError) -> KeyRow {
        try KeyRow(account: row.next(), key: APIKeyID(rawValue: row.next()), held: row.next(), spentDay: row.next())
    }
}

private struct ReadUsageSums: Statement {
    static let sql = "SELECT account_id, sum(credits)::bigint FROM ledger.usage_quarter GROUP BY account_id"

    static func decode(_ row: inout RowReader) throws(PostgresError) -> UsageSum {
        try UsageSum(account: row.next(), credits: row.next())
    }
}

private struct ReadNow: Statement {
    static let sql = "SELECT clock_timestamp()"
    typealias Output = Instant
}

/// Holds that run, and accounts with lots that are over: none when all is quiet.
struct CountUnfinished: Statement {
    static let sql = """
        SELECT
            (SELECT count(*) FROM ledger.open_hold)
            + (SELECT count(*) FROM ledger.account WHERE lots_expire_at <= clock_timestamp() AND posted > held)
        """
    typealias Output = Int64
}

/// Limits as their owner would set them.
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
