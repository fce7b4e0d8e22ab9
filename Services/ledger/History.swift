import Contracts
import JSON
import Postgres

/// What people see of the journal: every change of their balance, newest first. Holds and releases are not among them.
struct HistoryPage: Sendable {
    var lines: [HistoryLine]
    /// Where the next page begins; nil on the last.
    var nextCursor: Int64?
    var total: Int64
}

struct HistoryLine: Sendable {
    let entry: Entry
    let description: String?
    let metadata: JSONText?

    /// - Parameter isForOwner: hides who adjusted and under which key.
    func encode(into json: inout JSONWriter, isForOwner: Bool) {
        json.field("id", entry.charge)
        json.field("seq", entry.seq)
        json.field("type", entry.kind.type)
        json.field("amount", credits: entry.postedDelta)
        json.field("balance_before", credits: entry.postedAfter - entry.postedDelta)
        json.field("balance_after", credits: entry.postedAfter)
        json.field("description", description)
        if entry.kind == .lateCapture || entry.kind == .expire { json.field("flag", entry.kind.name) }
        if entry.overage > .zero { json.field("overage", credits: entry.overage) }
        json.key("metadata")
        if let shown = isForOwner ? metadataForOwner : metadata?.bytes { json.raw(shown) } else { json.null() }
        json.field("created_at", entry.at.description)
    }

    private var metadataForOwner: [UInt8]? {
        guard let metadata, let object = try? JSONObject(metadata.bytes) else { return nil }
        guard object.has("admin_id") else { return metadata.bytes }
        var splice = JSONSplice(object)
        splice.remove("admin_id")
        splice.remove("idempotency_key")
        return splice.apply()
    }
}

extension Lot {
    func encode(into json: inout JSONWriter) {
        json.field("id", id)
        json.field("type", kind.type)
        json.field("amount", credits: amount)
        json.field("remaining", credits: remaining)
        json.field("granted_at", grantedAt.description)
        json.field("expires_at", expiresAt?.description)
    }
}

extension JSONWriter {
    /// A JSON number in credits, exact.
    mutating func field(_ name: String, credits: Credits) { field(name, raw: Array(credits.description.utf8)) }
}

/// Lines of one account. By offset or, for any depth at the same cost, by cursor.
struct ReadHistory: Statement {
    let account: AccountID
    /// Below this seq.
    let before: Int64
    let kinds: [Entry.Kind]
    let limit: Int
    let offset: Int

    static let sql = """
        SELECT
            charge_id, step, account_id, seq, kind, status, requested, amount, posted_delta, held_delta, posted_after, held_after,
            fingerprint, decided_at, description, metadata
        FROM journal
        WHERE account_id = $1 AND seq > 0 AND seq < $2 AND posted_delta <> 0 AND kind = ANY($3::smallint[])
        ORDER BY seq DESC
        LIMIT $4 OFFSET $5
        """

    func bind(_ parameters: inout Parameters) {
        parameters.append(account)
        parameters.append(before)
        parameters.append(kinds.map(\.rawValue))
        parameters.append(limit)
        parameters.append(offset)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> HistoryLine {
        let entry = try Entry(&row)
        return try HistoryLine(entry: entry, description: row.next(String?.self), metadata: row.next(JSONText?.self))
    }
}

struct CountHistory: Statement {
    typealias Output = Int64
    let account: AccountID
    let kinds: [Entry.Kind]

    static let sql = """
        SELECT count(*)
        FROM journal
        WHERE account_id = $1 AND seq > 0 AND posted_delta <> 0 AND kind = ANY($2::smallint[])
        """

    func bind(_ parameters: inout Parameters) {
        parameters.append(account)
        parameters.append(kinds.map(\.rawValue))
    }
}

extension LedgerStore {
    /// - Parameter kinds: empty means all.
    func history(
        of account: AccountID, kinds: [Entry.Kind], before cursor: Int64?, offset: Int, limit: Int
    ) async throws -> HistoryPage {
        let kinds = kinds.isEmpty ? Entry.Kind.allCases : kinds
        // One line more than asked for tells whether there is another page.
        let (lines, total) = try await pool.withConnection { connection in
            try await connection.pipeline(
                ReadHistory(account: account, before: cursor ?? .max, kinds: kinds, limit: limit + 1, offset: offset),
                CountHistory(account: account, kinds: kinds))
        }
        let page = Array(lines.prefix(limit))
        return HistoryPage(lines: page, nextCursor: lines.count > limit ? page.last?.entry.seq : nil, total: total[0])
    }

    /// The charge id that stands for another system's `ref`, made on first sight, the same for ever after.
    func chargeID(source: String, ref: String) async throws -> ChargeID {
        try await pool.transaction { transaction in
            try await transaction.execute(NoteReference(source: source, ref: ref, charge: .make()))
            return try await transaction.one(ReadReference(source: source, ref: ref))
        }
    }
}

private struct NoteReference: Statement {
    let source: String
    let ref: String
    let charge: ChargeID

    static let sql = """
        INSERT INTO external_ref (source, ref, charge_id)
        VALUES ($1, $2, $3)
        ON CONFLICT DO NOTHING
        """

    func bind(_ parameters: inout Parameters) {
        parameters.append(source)
        parameters.append(ref)
        parameters.append(charge)
    }
}

private struct ReadReference: Statement {
    let source: String
    let ref: String

    static let sql = """
        SELECT charge_id
        FROM external_ref
        WHERE source = $1 AND ref = $2
        """

    func bind(_ parameters: inout Parameters) {
        parameters.append(source)
        parameters.append(ref)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> ChargeID { try row.next() }
}
