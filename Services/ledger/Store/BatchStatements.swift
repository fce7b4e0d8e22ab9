import Contracts
package import Postgres
package import Values

// The statements of one batch, in the order they are sent.

/// Makes accounts that are unknown, so that they can be locked like all others. Waits for a
/// transaction that makes one of them.
struct OpenAccounts: Statement {
    let ids: [AccountID]

    static let sql = """
        INSERT INTO account (account_id)
        SELECT id FROM unnest($1::uuid[]) AS id
        ORDER BY id
        ON CONFLICT DO NOTHING
        """

    func bind(_ parameters: inout Parameters) { parameters.append(ids) }
}

/// Locks the accounts that no other transaction has locked, in the order of their ids. Returns
/// neither missing nor locked accounts; ``ReadAccountsThere`` distinguishes them.
struct LockFreeAccounts: Statement {
    let ids: [AccountID]

    static let sql = LockAccount.sql + " SKIP LOCKED"

    func bind(_ parameters: inout Parameters) { parameters.append(ids) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> Account { try Account(&row) }
}

/// Locks one account. Waits behind the transactions that already wait for it.
struct LockAccount: Statement {
    let id: AccountID

    static let sql = """
        SELECT
            account_id, posted, held, overdraft, debt, seq, lots_expire_at, daily_limit, monthly_limit, spent_at, spent_day, spent_month,
            counts_keys, low_balance_level, alerted
        FROM account
        WHERE account_id = ANY($1::uuid[])
        ORDER BY account_id
        FOR NO KEY UPDATE
        """

    func bind(_ parameters: inout Parameters) { parameters.append([id]) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> Account { try Account(&row) }
}

/// Reads which of these accounts exist.
struct ReadAccountsThere: Statement {
    typealias Output = AccountID
    let ids: [AccountID]

    static let sql = "SELECT account_id FROM account WHERE account_id = ANY($1::uuid[])"

    func bind(_ parameters: inout Parameters) { parameters.append(ids) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> AccountID { try row.next() }
}

/// Reads accounts without a lock.
struct ReadAccounts: Statement {
    let ids: [AccountID]

    static let sql = """
        SELECT
            account_id, posted, held, overdraft, debt, seq, lots_expire_at, daily_limit, monthly_limit, spent_at, spent_day, spent_month,
            counts_keys, low_balance_level, alerted
        FROM account
        WHERE account_id = ANY($1::uuid[])
        """

    func bind(_ parameters: inout Parameters) { parameters.append(ids) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> Account { try Account(&row) }
}

extension Account {
    /// Reads the columns of ``LockAccount``.
    package init(_ row: inout RowReader) throws(PostgresError) {
        try self.init(
            id: row.next(), posted: row.next(), held: row.next(), overdraft: row.next(), debt: row.next(), seq: row.next(),
            lotsExpireAt: row.next(Instant?.self))
        // An operator may write anything into the table; the engine's sums have room for this much.
        overdraft = min(overdraft, .countedMax)
        limits = try SpendingLimits(daily: row.next(Credits?.self), monthly: row.next(Credits?.self))
        spending = try Spending(at: row.next(), day: row.next(), month: row.next())
        countsKeys = try row.next()
        lowBalanceLevel = try row.next(Credits?.self)
        alerted = try Alerted(row: row.next())
    }
}

/// Limits each wait for a lock (SQLSTATE 55P03) and each statement (57014) of the transaction.
/// Makes the statements use generic plans without sequential scans. Postgres ends a transaction
/// that is idle for three seconds, so a stopped ledger loses its locks.
///
/// Planning the write took as long as running it (0.3 ms of a batch of one), so a connection plans
/// once. A plan depends on the size of the tables at that moment, not on the values. A plan that is
/// made while few holds are open would read all of `open_hold`, including dead rows.
struct BeginBatch: Statement {
    let lockWithin: Duration
    var statementWithin = Duration.seconds(30)

    static let sql = """
        SELECT
            set_config('plan_cache_mode', 'force_generic_plan', true), set_config('enable_seqscan', 'off', true),
            set_config('idle_in_transaction_session_timeout', '3s', true), set_config('lock_timeout', $1, true),
            set_config('statement_timeout', $2, true)
        """

    func bind(_ parameters: inout Parameters) {
        parameters.append("\(lockWithin.wholeMilliseconds)ms")
        parameters.append("\(statementWithin.wholeMilliseconds)ms")
    }

    var statementTimeout: Duration? { statementWithin }
}

/// The only clock: read after the locks are held, so that time passes in the order of decisions.
package struct ReadClock: Statement {
    package typealias Output = Instant
    package static let sql = "SELECT clock_timestamp()"

    package init() {}
}

/// Reads the entries of these charges. It must be a statement of its own. A statement that also
/// locked would use the snapshot from before the wait, and would miss the entries of the previous
/// owner of the lock.
struct ReadEntries: Statement {
    let ids: [ChargeID]

    static let sql = """
        SELECT
            charge_id, step, account_id, seq, kind, status, requested, amount, posted_delta, held_delta, posted_after, held_after,
            fingerprint, decided_at
        FROM journal
        WHERE charge_id = ANY($1::uuid[]) AND charge_id >= $2 AND charge_id <= $3
        """

    func bind(_ parameters: inout Parameters) {
        parameters.append(ids)
        // The bounds let the planner's run-time pruning skip the other months.
        parameters.append(ids.min() ?? ChargeID(rawValue: UUIDv7(high: 0, low: 0)))
        parameters.append(ids.max() ?? ChargeID(rawValue: UUIDv7(high: 0, low: 0)))
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Entry { try Entry(&row) }
}

extension Entry {
    /// Reads the columns of ``ReadEntries``.
    package init(_ row: inout RowReader) throws(PostgresError) {
        let charge: ChargeID = try row.next()
        let step = try Step(rawValue: row.next())
        let account: AccountID = try row.next()
        let seq: Int64 = try row.next()
        let kind = try Kind(row: row.next())
        let status = try Status(row: row.next())
        let requested: Credits = try row.next()
        let amount: Credits = try row.next()
        let postedDelta: Credits = try row.next()
        let heldDelta: Credits = try row.next()
        let postedAfter: Credits = try row.next()
        let heldAfter: Credits = try row.next()
        self = try Entry(
            charge: charge, step: step, account: account, seq: seq, kind: kind, status: status, requested: requested, amount: amount,
            postedDelta: postedDelta, heldDelta: heldDelta, postedAfter: postedAfter, heldAfter: heldAfter, fingerprint: row.next(),
            at: row.next())
    }
}

extension RawRepresentable where RawValue == Int16 {
    package init(row value: Int16) throws(PostgresError) {
        guard let known = Self(rawValue: value) else {
            throw PostgresError(.typeMismatch, "the ledger's tables hold \(value) where a \(Self.self) was expected")
        }
        self = known
    }
}

/// The holds that the commands name.
struct ReadHolds: Statement {
    let charges: [ChargeID]

    static let sql = """
        SELECT charge_id, account_id, amount, used_so_far, expires_at, is_overdue, api_key_id
        FROM open_hold
        WHERE charge_id = ANY($1::uuid[])
        """

    func bind(_ parameters: inout Parameters) { parameters.append(charges) }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> OpenHold {
        try OpenHold(
            charge: row.next(), account: row.next(), amount: row.next(), usedSoFar: row.next(), expiresAt: row.next(),
            isOverdue: row.next(), key: row.next(String?.self).map(APIKeyID.init(rawValue:)))
    }
}

/// Reads which of these accounts have commands in rows.
struct ReadAccountsKept: Statement {
    let among: [AccountID]

    static let sql = """
        SELECT DISTINCT ordering_key::uuid
        FROM dead_letter
        WHERE state = 'replay' AND ordering_key = ANY($1::text[])
        """

    func bind(_ parameters: inout Parameters) { parameters.append(among.map(\.description)) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> AccountID { try row.next() }
}
