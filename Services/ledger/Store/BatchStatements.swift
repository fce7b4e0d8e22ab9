import Contracts
import Postgres

// The statements of one batch, in the order they are sent.

/// Makes the accounts that a grant may be the first to touch, so that they can be locked like all others.
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

/// Everything about an account is decided under its row lock, taken in the order of the ids: two batches never wait for each other in
/// a circle.
struct LockAccounts: Statement {
    let ids: [AccountID]

    static let sql = """
        SELECT account_id, posted, held, overdraft, seq
        FROM account
        WHERE account_id = ANY($1::uuid[])
        ORDER BY account_id
        FOR NO KEY UPDATE
        """

    func bind(_ parameters: inout Parameters) { parameters.append(ids) }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Account {
        try Account(id: row.next(), posted: row.next(), held: row.next(), overdraft: row.next(), seq: row.next())
    }
}

/// Has the batch's statements planned once a connection and not once a batch: planning the write took as long as running it
/// (0.3 ms of a batch of one). Their plans do not depend on the values.
struct PlanOnce: Statement {
    static let sql = "SELECT set_config('plan_cache_mode', 'force_generic_plan', true)"
    typealias Output = String
}

/// The only clock: read after the locks are held, so that time passes in the order of decisions.
struct ReadClock: Statement {
    typealias Output = Instant
    static let sql = "SELECT clock_timestamp()"
}

/// What is decided about these charges already. A statement of its own: one that also locked would read with the snapshot from
/// before the wait, and miss what the lock's last owner wrote.
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
    init(_ row: inout RowReader) throws(PostgresError) {
        let charge: ChargeID = try row.next()
        let step = try Step(row: row.next())
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
    fileprivate init(row value: Int16) throws(PostgresError) {
        guard let known = Self(rawValue: value) else {
            throw PostgresError(.typeMismatch, "the journal holds \(value) where a \(Self.self) was expected")
        }
        self = known
    }
}

/// The holds that the commands name, and those of the touched accounts that have expired.
struct ReadHolds: Statement {
    let charges: [ChargeID]
    let accounts: [AccountID]

    static let sql = """
        SELECT charge_id, account_id, amount, reported, expires_at
        FROM open_hold
        WHERE charge_id = ANY($1::uuid[])
        UNION
        SELECT charge_id, account_id, amount, reported, expires_at
        FROM open_hold
        WHERE account_id = ANY($2::uuid[]) AND expires_at <= clock_timestamp()
        """

    func bind(_ parameters: inout Parameters) {
        parameters.append(charges)
        parameters.append(accounts)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> OpenHold {
        try OpenHold(charge: row.next(), account: row.next(), amount: row.next(), reported: row.next(), expiresAt: row.next())
    }
}

/// All that a batch changes, in one statement. No row is touched twice in it, since parts of one statement do not see each other.
struct WriteBatch: Statement {
    let entries: [Entry]
    let changes: Changes

    static let sql = """
        WITH
            written AS (
                INSERT INTO journal (
                    charge_id, step, account_id, seq, kind, status, requested, amount, posted_delta, held_delta, posted_after,
                    held_after, fingerprint, decided_at, trace_id, conversation_id, description, metadata)
                SELECT *
                FROM unnest(
                    $1::uuid[], $2::smallint[], $3::uuid[], $4::bigint[], $5::smallint[], $6::smallint[], $7::bigint[], $8::bigint[],
                    $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::timestamptz[], $15::uuid[],
                    $16::uuid[], $17::text[], $18::jsonb[])
            ),
            changed AS (
                UPDATE account
                SET posted = new.posted, held = new.held, seq = new.seq
                FROM unnest($19::uuid[], $20::bigint[], $21::bigint[], $22::bigint[]) AS new (account_id, posted, held, seq)
                WHERE account.account_id = new.account_id AND account.seq < new.seq
                RETURNING 1
            ),
            put AS (
                INSERT INTO open_hold (charge_id, account_id, amount, reported, expires_at)
                SELECT * FROM unnest($23::uuid[], $24::uuid[], $25::bigint[], $26::bigint[], $27::timestamptz[])
                ON CONFLICT (charge_id) DO UPDATE
                SET amount = excluded.amount, reported = excluded.reported, expires_at = excluded.expires_at
            ),
            deleted AS (
                DELETE FROM open_hold
                WHERE charge_id = ANY($28::uuid[])
                RETURNING 1
            )
        SELECT
            expect_rows('accounts changed', (SELECT count(*) FROM changed), $29),
            expect_rows('holds ended', (SELECT count(*) FROM deleted), $30)
        """

    func bind(_ parameters: inout Parameters) {
        parameters.append(entries.map(\.charge))
        parameters.append(entries.map(\.step.rawValue))
        parameters.append(entries.map(\.account))
        parameters.append(entries.map(\.seq))
        parameters.append(entries.map(\.kind.rawValue))
        parameters.append(entries.map(\.status.rawValue))
        parameters.append(entries.map(\.requested))
        parameters.append(entries.map(\.amount))
        parameters.append(entries.map(\.postedDelta))
        parameters.append(entries.map(\.heldDelta))
        parameters.append(entries.map(\.postedAfter))
        parameters.append(entries.map(\.heldAfter))
        parameters.append(entries.map(\.fingerprint))
        parameters.append(entries.map(\.at))
        parameters.append(entries.map(\.context.trace))
        parameters.append(entries.map(\.context.conversation))
        parameters.append(entries.map(\.context.description))
        parameters.append(entries.map { $0.context.metadata.map(JSONText.init) })
        parameters.append(changes.accounts.map(\.id))
        parameters.append(changes.accounts.map(\.posted))
        parameters.append(changes.accounts.map(\.held))
        parameters.append(changes.accounts.map(\.seq))
        parameters.append(changes.holdsPut.map(\.charge))
        parameters.append(changes.holdsPut.map(\.account))
        parameters.append(changes.holdsPut.map(\.amount))
        parameters.append(changes.holdsPut.map(\.reported))
        parameters.append(changes.holdsPut.map(\.expiresAt))
        parameters.append(changes.holdsDeleted)
        parameters.append(changes.accounts.count)
        parameters.append(changes.holdsDeleted.count)
    }
}
