import Postgres
import Values

/// The accounts in the order of their ids. Each one has the lots that its journal makes from an
/// opening on.
///
/// Reads one page of rows at a time, so its memory does not grow with the journal. It needs a
/// transaction, which keeps the cursors open.
struct AccountReplays {
    private let transaction: PostgresTransaction
    private var entries: CursorReader<FetchEntries>
    private var standings: CursorReader<FetchStandings>

    struct Account {
        let id: AccountID
        var opening: LotReplay.Opening?
        /// The lots as the table has them.
        var lots: [LotRow] = []
        var lotsExpireAt: Instant?
        /// True if the account was written to since the opening.
        var hasEntries = false
        /// The first entry that is impossible for the lots before it.
        var finding: Audit.Finding?
        var replay: LotReplay
    }

    /// - Parameter end: a month start. The replay of an account stops at its last entry decided
    ///   before it.
    init(in transaction: PostgresTransaction, from opening: Instant, to end: Instant? = nil) async throws {
        if let end {
            try await transaction.execute(DeclareEntriesTo(from: opening, end: end))
        } else {
            try await transaction.execute(DeclareEntries(from: opening))
        }
        try await transaction.execute(DeclareStandings(from: opening))
        self.transaction = transaction
        entries = CursorReader(transaction, FetchEntries())
        standings = CursorReader(transaction, FetchStandings())
    }

    mutating func next() async throws -> Account? {
        guard let id = try await nextID() else { return nil }
        var account = Account(id: id, replay: LotReplay(account: id))
        while let standing = try await standings.next(of: id) {
            switch standing.what {
            case .opening(let begun): account.opening = begun
            case .openingLot(let lot): account.opening?.lots.append(lot)
            case .lot(let lot): account.lots.append(lot)
            case .account(let next): account.lotsExpireAt = next
            }
        }
        account.replay = LotReplay(account: id, from: account.opening)
        while let entry = try await entries.next(of: id) {
            account.hasEntries = true
            if entry.seq == 0 {
                account.replay.note(entry)
            } else {
                let finding = account.replay.follow(entry)
                account.finding = account.finding ?? finding
            }
        }
        return account
    }

    func close() async throws { try await transaction.execute(CloseCursors()) }

    private mutating func nextID() async throws -> AccountID? {
        let (entry, standing) = (try await entries.peek()?.account, try await standings.peek()?.account)
        guard let entry, let standing else { return entry ?? standing }
        return min(entry, standing)
    }
}

private protocol InAccountOrder: Sendable {
    var account: AccountID { get }
}

/// The rows of a cursor that is ordered by account, one page after the other.
private struct CursorReader<Fetch: Statement> where Fetch.Output: InAccountOrder {
    private let transaction: PostgresTransaction
    private let fetch: Fetch
    private var page: ArraySlice<Fetch.Output> = []
    private var isAtEnd = false

    init(_ transaction: PostgresTransaction, _ fetch: Fetch) { (self.transaction, self.fetch) = (transaction, fetch) }

    mutating func peek() async throws -> Fetch.Output? {
        if page.isEmpty, !isAtEnd {
            page = try await transaction.query(fetch)[...]
            isAtEnd = page.isEmpty
        }
        return page.first
    }

    mutating func next(of account: AccountID) async throws -> Fetch.Output? {
        guard try await peek()?.account == account else { return nil }
        return page.removeFirst()
    }
}

// MARK: Entries

extension LotEntry: InAccountOrder {}

/// Selects the chains from their openings on. Also selects entries outside of the chains (seq 0)
/// that made or changed lots without moving credits.
private struct DeclareEntries: Statement {
    let from: Instant

    static let sql = """
        DECLARE audited_entry NO SCROLL CURSOR FOR
        SELECT \(FetchEntries.columns)
        FROM journal AS j
        LEFT JOIN \(Opening.accounts) AS o USING (account_id)
        WHERE j.decided_at >= $1 AND (j.seq > coalesce(o.seq, 0) OR \(FetchEntries.isOutsideOfChain))
        ORDER BY account_id, j.seq, j.decided_at, j.charge_id
        """

    func bind(_ parameters: inout Parameters) { parameters.append(from) }
}

/// Selects the same rows up to each account's last entry that was decided before $2.
private struct DeclareEntriesTo: Statement {
    let from: Instant
    let end: Instant

    static let sql = """
        DECLARE audited_entry NO SCROLL CURSOR FOR
        SELECT \(FetchEntries.columns)
        FROM journal AS j
        JOIN (
            SELECT account_id, max(seq) AS seq
            FROM journal
            WHERE decided_at >= $1 AND decided_at < $2
            GROUP BY account_id
        ) AS last USING (account_id)
        LEFT JOIN \(Opening.accounts) AS o USING (account_id)
        WHERE j.decided_at >= $1
            AND (
                j.seq > coalesce(o.seq, 0) AND j.seq <= last.seq
                OR \(FetchEntries.isOutsideOfChain) AND j.decided_at < $2)
        ORDER BY account_id, j.seq, j.decided_at, j.charge_id
        """

    func bind(_ parameters: inout Parameters) {
        parameters.append(from)
        parameters.append(end)
    }
}

private struct FetchEntries: Statement {
    static let columns = """
        account_id, j.charge_id, j.seq, j.kind, j.requested, j.posted_delta, j.posted_after, j.held_after, j.decided_at, j.grant_id,
            j.expires_at
        """
    static let isOutsideOfChain = "j.seq = 0 AND j.grant_id IS NOT NULL AND j.status = 0"

    static let sql = "FETCH FORWARD 2000 FROM audited_entry"

    static func decode(_ row: inout RowReader) throws(PostgresError) -> LotEntry {
        try LotEntry(
            account: row.next(), charge: row.next(), seq: row.next(), kind: Entry.Kind(row: row.next()), requested: row.next(),
            postedDelta: row.next(), postedAfter: row.next(), heldAfter: row.next(), at: row.next(), grant: row.next(ChargeID?.self),
            expiresAt: row.next(Instant?.self))
    }
}

// MARK: Openings and tables

private struct LotStanding: InAccountOrder {
    enum What: Sendable {
        case opening(LotReplay.Opening)
        case openingLot(LotReplay.OpenedLot)
        case lot(LotRow)
        case account(lotsExpireAt: Instant?)
    }

    let account: AccountID
    let what: What
}

private struct DeclareStandings: Statement {
    let from: Instant

    static let sql = """
        DECLARE audited_standing NO SCROLL CURSOR FOR
        SELECT
            account_id, 0::smallint AS what, account_id AS grant_id, 0::smallint AS kind, posted AS amount, held AS remaining,
            seq AS expired, 0::bigint AS reversed, NULL::bigint AS reversal_target, NULL::timestamptz AS reversal_at,
            NULL::timestamptz AS expires_at, $1::timestamptz AS granted_at
        FROM \(Opening.accounts) AS opening
        UNION ALL
        SELECT account_id, 1::smallint, grant_id, kind, amount, remaining, expired, reversed, reversal_target, reversal_at, expires_at, granted_at
        FROM \(Opening.lots) AS opened
        UNION ALL
        SELECT
            account_id, 2::smallint, grant_id, kind, amount, remaining, expired, reversed,
            CASE WHEN reversal_version > 0 THEN reversal_target END, NULL, expires_at, granted_at
        FROM credit_grant
        UNION ALL
        SELECT account_id, 3::smallint, account_id, 0::smallint, 0, 0, 0, 0, NULL, NULL, lots_expire_at, spent_at
        FROM account
        ORDER BY account_id, what
        """

    func bind(_ parameters: inout Parameters) { parameters.append(from) }
}

private struct FetchStandings: Statement {
    static let sql = "FETCH FORWARD 2000 FROM audited_standing"

    static func decode(_ row: inout RowReader) throws(PostgresError) -> LotStanding {
        let account: AccountID = try row.next()
        let what: Int16 = try row.next()
        let (id, kind): (ChargeID, Int16) = try (row.next(), row.next())
        let (amount, remaining): (Int64, Int64) = try (row.next(), row.next())
        let (expired, reversed): (Int64, Int64) = try (row.next(), row.next())
        let (target, targetAt) = try (row.next(Int64?.self), row.next(Instant?.self))
        let (expiresAt, grantedAt): (Instant?, Instant) = try (row.next(Instant?.self), row.next())
        if what == 0 { return LotStanding(account: account, what: .opening(.init(seq: expired, posted: amount, held: remaining))) }
        if what == 3 { return LotStanding(account: account, what: .account(lotsExpireAt: expiresAt)) }
        let lot = try LotRow(
            id: id, kind: Entry.Kind(row: kind), amount: amount, remaining: remaining, expired: expired, reversed: reversed,
            reversalTarget: target, expiresAt: expiresAt, grantedAt: grantedAt)
        return LotStanding(account: account, what: what == 1 ? .openingLot(.init(row: lot, reversalAt: targetAt)) : .lot(lot))
    }
}

private struct CloseCursors: Statement {
    static let sql = "CLOSE ALL"
}
