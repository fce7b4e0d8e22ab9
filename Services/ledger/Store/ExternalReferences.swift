import Postgres
import Values

extension LedgerStore {
    /// The charge id that stands for another system's `ref`, made on first sight, the same for ever after.
    func chargeID(source: String, ref: String) async throws -> ChargeID {
        try await pool.transaction { transaction in
            try await transaction.execute(NoteReference(source: source, ref: ref))
            return try await transaction.one(ReadReference(source: source, ref: ref))
        }
    }

    /// Whether anything was decided under another system's `ref`.
    func isDecided(source: String, ref: String) async throws -> Bool {
        try await pool.withConnection { try await $0.one(ReadIsDecided(source: source, ref: ref)) }
    }
}

/// The id's time is the database's: one made by a host whose clock is wrong would be out of the journal's range, and the reference's for ever.
struct NoteReference: Statement {
    let source: String
    let ref: String
    private let random = ChargeID.make()

    init(source: String, ref: String) { (self.source, self.ref) = (source, ref) }

    static let sql = """
        INSERT INTO external_ref (source, ref, charge_id)
        VALUES ($1, $2, (left(uuid_floor(clock_timestamp())::text, 13) || substr($3::uuid::text, 14))::uuid)
        ON CONFLICT DO NOTHING
        """

    func bind(_ parameters: inout Parameters) {
        parameters.append(source)
        parameters.append(ref)
        parameters.append(random)
    }
}

struct ReadReference: Statement {
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

struct ReadIsDecided: Statement {
    typealias Output = Bool
    let source: String
    let ref: String

    static let sql = """
        SELECT EXISTS (
            SELECT
            FROM external_ref
            JOIN journal USING (charge_id)
            WHERE source = $1 AND ref = $2
        )
        """

    func bind(_ parameters: inout Parameters) {
        parameters.append(source)
        parameters.append(ref)
    }
}
