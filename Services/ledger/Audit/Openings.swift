import Postgres
import Values

/// Moves the newest opening, where later audits begin. The new opening is the newest month start
/// that is at least seven days old. Moves it one month at a time.
///
/// Call it only after an audit without findings: later audits would not find a finding before the
/// new opening. An opening comes from a replay of the entries since the opening before it, never
/// from the tables. After seven days each entry decided before the month start is committed, so an
/// opening never changes.
///
/// Waits for no batch and no audit: it reads the journal and writes only the tables of the
/// openings.
struct Openings: Sendable {
    let pool: PostgresPool

    static func newest(at now: Instant) -> Instant { JournalMonth(of: now + .seconds(-7 * 86_400)).start }

    /// - Returns: the openings that were written, oldest first; none if another process writes
    ///   them.
    @discardableResult
    func advance(at now: Instant) async throws -> [Instant] {
        var written: [Instant] = []
        while let opening = try await advanceOnce(until: Self.newest(at: now)) { written.append(opening) }
        return written
    }

    private func advanceOnce(until newest: Instant) async throws -> Instant? {
        try await pool.transaction { transaction in
            try await transaction.execute(PrepareAudit())
            guard try await transaction.one(ClaimOpenings()) else { return nil }
            let known = try await transaction.one(ReadNewestOpening())
            try await transaction.execute(DeleteLaterOpenings(than: known.opening))
            let next = max(JournalMonth(of: known.opening), JournalMonth(of: known.journalStart)).end
            guard next <= newest else { return nil }
            if try await write(next, after: known.opening, in: transaction) { return next }
            await transaction.rollback()
            return nil
        }
    }

    /// - Returns: false if an entry is impossible for the lots before it. The next audit will find
    ///   the entry.
    private func write(_ opening: Instant, after earlier: Instant, in transaction: PostgresTransaction) async throws -> Bool {
        var page = OpeningPage(at: opening)
        var accounts = try await AccountReplays(in: transaction, from: earlier, to: opening)
        while let account = try await accounts.next() {
            guard account.finding == nil else { return false }
            guard account.hasEntries else { continue }
            page.append(account)
            if page.isFull {
                try await page.write(in: transaction)
                page = OpeningPage(at: opening)
            }
        }
        try await page.write(in: transaction)
        try await accounts.close()
        try await transaction.execute(WriteOpening(at: opening))
        return true
    }
}

/// The openings of some accounts, written together.
private struct OpeningPage {
    let at: Instant
    private var accounts: [(id: AccountID, opening: LotReplay.Opening)] = []
    private var lots: [(account: AccountID, lot: LotReplay.OpenedLot)] = []

    init(at: Instant) { self.at = at }

    var isFull: Bool { accounts.count + lots.count >= 1_000 }

    mutating func append(_ account: AccountReplays.Account) {
        let opening = account.replay.opening(besides: account.lots)
        let known = Dictionary(uniqueKeysWithValues: (account.opening?.lots ?? []).map { ($0.row.id, $0) })
        accounts.append((account.id, opening))
        lots += opening.lots.filter { known[$0.row.id] != $0 }.map { (account.id, $0) }
    }

    func write(in transaction: PostgresTransaction) async throws {
        _ = try await transaction.pipeline(
            WriteAccountOpenings(at: at, accounts: accounts.map(\.id), openings: accounts.map(\.opening)),
            WriteLotOpenings(at: at, accounts: lots.map(\.account), lots: lots.map(\.lot)))
    }
}

private struct ClaimOpenings: Statement {
    typealias Output = Bool
    static let sql = "SELECT pg_try_advisory_xact_lock(hashtextextended('audit openings', 0))"
}

private struct ReadNewestOpening: Statement {
    static let sql = "SELECT newest_opening(), journal_start()"

    static func decode(_ row: inout RowReader) throws(PostgresError) -> (opening: Instant, journalStart: Instant) {
        try (row.next(), row.next())
    }
}

/// Deletes openings that a clock wrote while it was ahead. Entries decided since then may lie
/// before them.
private struct DeleteLaterOpenings: Statement {
    let newest: Instant

    init(than newest: Instant) { self.newest = newest }

    static let sql = """
        WITH
            later AS (DELETE FROM audit_opening WHERE at > $1 RETURNING at),
            accounts AS (DELETE FROM account_opening WHERE at IN (SELECT at FROM later))
        DELETE FROM lot_opening WHERE at IN (SELECT at FROM later)
        """

    func bind(_ parameters: inout Parameters) { parameters.append(newest) }
}

private struct WriteOpening: Statement {
    let at: Instant
    static let sql = "INSERT INTO audit_opening (at) VALUES ($1)"
    func bind(_ parameters: inout Parameters) { parameters.append(at) }
}

private struct WriteAccountOpenings: Statement {
    let at: Instant
    let accounts: [AccountID]
    let openings: [LotReplay.Opening]

    static let sql = """
        INSERT INTO account_opening (account_id, at, seq, posted, held)
        SELECT account_id, $1::timestamptz, seq, posted, held
        FROM unnest($2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[]) AS opening (account_id, seq, posted, held)
        """

    func bind(_ parameters: inout Parameters) {
        parameters.append(at)
        parameters.append(accounts)
        parameters.append(openings.map(\.seq))
        parameters.append(openings.map(\.posted))
        parameters.append(openings.map(\.held))
    }
}

private struct WriteLotOpenings: Statement {
    let at: Instant
    let accounts: [AccountID]
    let lots: [LotReplay.OpenedLot]

    static let sql = """
        INSERT INTO lot_opening (
            account_id, grant_id, at, kind, amount, remaining, expired, reversed, reversal_target, reversal_at, expires_at, granted_at)
        SELECT account_id, grant_id, $1::timestamptz, kind, amount, remaining, expired, reversed, target, reversal_at, expires_at, granted_at
        FROM unnest(
            $2::uuid[], $3::uuid[], $4::smallint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
            $10::timestamptz[], $11::timestamptz[], $12::timestamptz[]
        ) AS lot (account_id, grant_id, kind, amount, remaining, expired, reversed, target, reversal_at, expires_at, granted_at)
        """

    func bind(_ parameters: inout Parameters) {
        parameters.append(at)
        parameters.append(accounts)
        parameters.append(lots.map(\.row.id))
        parameters.append(lots.map(\.row.kind.rawValue))
        parameters.append(lots.map(\.row.amount))
        parameters.append(lots.map(\.row.remaining))
        parameters.append(lots.map(\.row.expired))
        parameters.append(lots.map(\.row.reversed))
        parameters.append(lots.map(\.row.reversalTarget))
        parameters.append(lots.map(\.reversalAt))
        parameters.append(lots.map(\.row.expiresAt))
        parameters.append(lots.map(\.row.grantedAt))
    }
}
