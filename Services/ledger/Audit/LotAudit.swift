import Contracts
import Postgres

/// Replays the journal account by account and compares the lots: a page of rows at a time, so its memory does not grow with the
/// journal. Inside a transaction, whose snapshot its cursors keep.
struct LotAudit {
    private let transaction: PostgresTransaction
    private var entries: CursorReader<FetchEntries>
    private var standings: CursorReader<FetchStandings>
    /// Of a month that is to leave: the last entry that each account has in it.
    private var cutoffs: CursorReader<FetchCutoffs>?
    private var openings: [(account: AccountID, lot: LotReplay.OpenedLot)] = []
    private var findings: [Audit.Finding] = []

    /// - Parameter month: writes down the lots of each account as they were after its last entry in it (`lot_opening`).
    /// - Returns: the first finding of each check.
    static func run(in transaction: PostgresTransaction, openingsOf month: JournalMonth? = nil) async throws -> [Audit.Finding] {
        try await transaction.execute(DeclareEntries())
        try await transaction.execute(DeclareStandings())
        var audit = LotAudit(
            transaction: transaction, entries: CursorReader(transaction, FetchEntries()),
            standings: CursorReader(transaction, FetchStandings()))
        if let month {
            try await transaction.execute(DeclareCutoffs(month: month))
            audit.cutoffs = CursorReader(transaction, FetchCutoffs())
        }
        while let account = try await audit.nextAccount() { try await audit.replay(account) }
        try await audit.writeOpenings()
        try await transaction.execute(CloseCursors())
        return audit.findings
    }

    private init(
        transaction: PostgresTransaction, entries: CursorReader<FetchEntries>, standings: CursorReader<FetchStandings>
    ) {
        (self.transaction, self.entries, self.standings) = (transaction, entries, standings)
    }

    private mutating func nextAccount() async throws -> AccountID? {
        let (entry, standing) = (try await entries.peek()?.account, try await standings.peek()?.account)
        guard let entry, let standing else { return entry ?? standing }
        return min(entry, standing)
    }

    private mutating func replay(_ account: AccountID) async throws {
        var opening: LotReplay.Opening?
        var table: [LotRow] = []
        var lotsExpireAt: Instant?
        while let standing = try await standings.next(of: account) {
            switch standing.what {
            case .opening(let begun): opening = begun
            case .openingLot(let lot): opening?.lots.append(lot)
            case .lot(let lot): table.append(lot)
            case .account(let next): lotsExpireAt = next
            }
        }
        let cutoff = try await cutoffs?.next(of: account)?.seq
        var replay = LotReplay(account: account, from: opening)
        while let entry = try await entries.next(of: account) {
            if entry.seq == 0 { replay.note(entry) } else { note(replay.follow(entry)) }
            if entry.seq == cutoff { openings += replay.opened(besides: table).map { (account, $0) } }
        }
        if openings.count >= Self.openingsPerWrite { try await writeOpenings() }
        for finding in replay.compare(with: table, lotsExpireAt: lotsExpireAt) { note(finding) }
    }

    private mutating func note(_ finding: Audit.Finding?) {
        guard let finding, !findings.contains(where: { $0.check == finding.check }) else { return }
        findings.append(finding)
    }

    private mutating func writeOpenings() async throws {
        guard !openings.isEmpty else { return }
        try await transaction.execute(WriteLotOpenings(accounts: openings.map(\.account), lots: openings.map(\.lot)))
        openings = []
    }

    private static let openingsPerWrite = 1_000
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

/// Everything on the chains from their openings on, and before that (seq 0) what made or touched lots without moving credits.
private struct DeclareEntries: Statement {
    static let sql = """
        DECLARE audited_entry NO SCROLL CURSOR FOR
        SELECT
            account_id, j.charge_id, j.seq, j.kind, j.requested, j.posted_delta, j.posted_after, j.held_after, j.decided_at, j.grant_id,
            j.expires_at
        FROM journal AS j
        LEFT JOIN account_opening AS o USING (account_id)
        WHERE j.seq > coalesce(o.seq, 0)
            OR j.seq = 0 AND j.grant_id IS NOT NULL AND j.status = 0
        ORDER BY account_id, j.seq, j.decided_at, j.charge_id
        """
}

private struct FetchEntries: Statement {
    static let sql = "FETCH FORWARD 2000 FROM audited_entry"

    static func decode(_ row: inout RowReader) throws(PostgresError) -> LotEntry {
        try LotEntry(
            account: row.next(), charge: row.next(), seq: row.next(), kind: Entry.Kind(row: row.next()), requested: row.next(),
            postedDelta: row.next(), postedAfter: row.next(), heldAfter: row.next(), at: row.next(), grant: row.next(ChargeID?.self),
            expiresAt: row.next(Instant?.self))
    }
}

// MARK: What the tables say

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
    static let sql = """
        DECLARE audited_standing NO SCROLL CURSOR FOR
        SELECT
            account_id, 0::smallint AS what, account_id AS grant_id, 0::smallint AS kind, posted AS amount, held AS remaining,
            0::bigint AS expired, 0::bigint AS reversed, NULL::bigint AS reversal_target, NULL::timestamptz AS reversal_at,
            NULL::timestamptz AS expires_at, at AS granted_at
        FROM account_opening
        UNION ALL
        SELECT account_id, 1::smallint, grant_id, kind, amount, remaining, expired, reversed, reversal_target, reversal_at, expires_at, granted_at
        FROM lot_opening
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
        if what == 0 { return LotStanding(account: account, what: .opening(.init(posted: amount, held: remaining))) }
        if what == 3 { return LotStanding(account: account, what: .account(lotsExpireAt: expiresAt)) }
        let lot = try LotRow(
            id: id, kind: Entry.Kind(row: kind), amount: amount, remaining: remaining, expired: expired, reversed: reversed,
            reversalTarget: target, expiresAt: expiresAt, grantedAt: grantedAt)
        return LotStanding(account: account, what: what == 1 ? .openingLot(.init(row: lot, reversalAt: targetAt)) : .lot(lot))
    }
}

// MARK: A month that leaves

private struct Cutoff: InAccountOrder {
    let account: AccountID
    let seq: Int64
}

private struct DeclareCutoffs: Statement {
    let month: JournalMonth

    static let sql = """
        DECLARE audited_cutoff NO SCROLL CURSOR FOR
        SELECT account_id, max(seq) AS seq
        FROM journal
        WHERE charge_id >= uuid_floor($1) AND charge_id < uuid_floor($2) AND seq > 0
        GROUP BY account_id
        ORDER BY account_id
        """

    func bind(_ parameters: inout Parameters) {
        parameters.append(month.start)
        parameters.append(month.end)
    }
}

private struct FetchCutoffs: Statement {
    static let sql = "FETCH FORWARD 2000 FROM audited_cutoff"

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Cutoff { try Cutoff(account: row.next(), seq: row.next()) }
}

/// An account's earlier opening makes way.
private struct WriteLotOpenings: Statement {
    let accounts: [AccountID]
    let lots: [LotReplay.OpenedLot]

    static let sql = """
        INSERT INTO lot_opening (
            account_id, grant_id, kind, amount, remaining, expired, reversed, reversal_target, reversal_at, expires_at, granted_at)
        SELECT *
        FROM unnest(
            $1::uuid[], $2::uuid[], $3::smallint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[],
            $9::timestamptz[], $10::timestamptz[], $11::timestamptz[])
        ON CONFLICT (account_id, grant_id) DO UPDATE
        SET kind = excluded.kind, amount = excluded.amount, remaining = excluded.remaining, expired = excluded.expired,
            reversed = excluded.reversed, reversal_target = excluded.reversal_target, reversal_at = excluded.reversal_at,
            expires_at = excluded.expires_at, granted_at = excluded.granted_at
        """

    func bind(_ parameters: inout Parameters) {
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

private struct CloseCursors: Statement {
    static let sql = "CLOSE ALL"
}
