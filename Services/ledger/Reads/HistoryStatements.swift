import LedgerCore
import Postgres
import Values

/// Places in an account's chain, from `start` up to, and without, `end`.
struct ChainStretch: Equatable, Sendable {
    var start: Int64
    var end: Int64
}

/// Where in an account's chain a period lies. Places in the chain have no gaps and time rises along it, so each bound is searched for by
/// halving: some twenty looks into the index by place, and none by time is needed on the table that every call writes to.
///
/// The stretch is wider by ``clockStep`` at both ends, because a clock that was set back may have made times fall a little; the lines
/// themselves are compared with the exact bounds. A place whose month was dropped is as early as the next lower one that is there.
struct FindStretch: Statement {
    let account: AccountID
    let from: Instant?
    let to: Instant?

    static let clockStep: Duration = .seconds(60)

    static let sql = """
        WITH RECURSIVE
            chain AS (SELECT coalesce((SELECT seq FROM account WHERE account_id = $1), 0) AS last),
            search (bound, low, high) AS (
                SELECT bound, 0::bigint, last + 1
                FROM chain, unnest(ARRAY[$2, $3]) AS bound
                UNION ALL
                SELECT
                    bound,
                    CASE WHEN coalesce(entry.decided_at < bound, true) THEN (low + high) / 2 ELSE low END,
                    CASE WHEN coalesce(entry.decided_at < bound, true) THEN high ELSE (low + high) / 2 END
                FROM search
                LEFT JOIN LATERAL (
                    SELECT decided_at
                    FROM journal
                    WHERE account_id = $1 AND seq > 0 AND seq > low AND seq <= (low + high) / 2
                    ORDER BY seq DESC
                    LIMIT 1
                ) AS entry ON true
                WHERE bound IS NOT NULL AND high - low > 1
            )
        SELECT
            coalesce((SELECT min(high) FROM search WHERE bound = $2), 1),
            coalesce((SELECT min(high) FROM search WHERE bound = $3), last + 1)
        FROM chain
        """

    func bind(_ parameters: inout Parameters) {
        parameters.append(account)
        parameters.append(from.map { $0 - Self.clockStep })
        parameters.append(to.map { $0 + Self.clockStep })
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> ChainStretch {
        try ChainStretch(start: row.next(), end: row.next())
    }
}

/// The part of an account's chain that one statement reads.
struct ChainSlice: Sendable {
    let account: AccountID
    let filter: HistoryFilter
    let start: Int64
    let end: Int64
    let limit: Int
    let offset: Int

    /// $1 to $7 of the statements below.
    func bind(_ parameters: inout Parameters) {
        parameters.append(account)
        parameters.append(start)
        parameters.append(end)
        parameters.append((filter.kinds.isEmpty ? Entry.Kind.allCases : filter.kinds).map(\.rawValue))
        parameters.append(filter.from ?? .startOf(month: 0))
        parameters.append(filter.to ?? .startOf(month: 330 * 12))
        parameters.append(filter.text)
    }

    static func condition(_ part: (some ChainPart).Type) -> String {
        """
        account_id = $1 AND \(part.condition) AND seq >= $2 AND seq < $3 AND posted_delta <> 0 AND kind = ANY($4)
            AND decided_at >= $5 AND decided_at < $6
            AND ($7 = '' OR strpos(
                lower(concat_ws(E'\\n', description, metadata ->> 'model', metadata ->> 'operation', charge_id)), lower($7)) > 0)
        """
    }
}

/// Which index of the journal serves: the words of its own condition have to stand in the query.
protocol ChainPart: Sendable {
    static var condition: String { get }
}

enum WholeChain: ChainPart {
    static let condition = "seq > 0"
}

enum GrantsOfChain: ChainPart {
    static let condition = "seq > 0 AND kind >= 20"
}

struct ReadHistory<Part: ChainPart>: Statement {
    let slice: ChainSlice

    static var sql: String {
        """
        SELECT
            charge_id, step, account_id, seq, kind, status, requested, amount, posted_delta, held_delta, posted_after, held_after,
            fingerprint, decided_at, expires_at, description, metadata
        FROM journal
        WHERE \(ChainSlice.condition(Part.self))
        ORDER BY seq DESC
        LIMIT $8 OFFSET $9
        """
    }

    func bind(_ parameters: inout Parameters) {
        slice.bind(&parameters)
        parameters.append(slice.limit)
        parameters.append(slice.offset)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> HistoryLine { try HistoryLine(&row) }
}

struct CountHistory<Part: ChainPart>: Statement {
    typealias Output = Int64
    let slice: ChainSlice

    static var sql: String { "SELECT count(*) FROM journal WHERE \(ChainSlice.condition(Part.self))" }

    func bind(_ parameters: inout Parameters) { slice.bind(&parameters) }
}

/// One decision as history shows it.
struct ReadLine: Statement {
    let key: EntryKey

    static let sql = """
        SELECT
            charge_id, step, account_id, seq, kind, status, requested, amount, posted_delta, held_delta, posted_after, held_after,
            fingerprint, decided_at, expires_at, description, metadata
        FROM journal
        WHERE charge_id = $1 AND step = $2
        """

    func bind(_ parameters: inout Parameters) {
        parameters.append(key.charge)
        parameters.append(key.step.rawValue)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> HistoryLine { try HistoryLine(&row) }
}

extension HistoryLine {
    init(_ row: inout RowReader) throws(PostgresError) {
        var entry = try Entry(&row)
        entry.expiresAt = try row.next(Instant?.self)
        try self.init(entry: entry, description: row.next(String?.self), metadata: row.next(JSONText?.self))
    }
}
