import Contracts
import Postgres

extension LedgerStore {
    /// The charge id that stands for another system's `ref`, made on first sight, the same for ever after.
    func chargeID(source: String, ref: String) async throws -> ChargeID {
        try await pool.transaction { transaction in
            try await transaction.execute(NoteReference(source: source, ref: ref, charge: .make()))
            return try await transaction.one(ReadReference(source: source, ref: ref))
        }
    }
}

struct NoteReference: Statement {
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
