import Contracts
import Postgres

/// Stores the message if it is newer than the stored one.
struct PutCreditOffers: Statement {
    static let sql = """
        INSERT INTO credit_offers (version, message)
        VALUES ($1, $2)
        ON CONFLICT ON CONSTRAINT credit_offers_pkey DO UPDATE
        SET version = excluded.version, message = excluded.message
        WHERE credit_offers.version < excluded.version
        """
    var change: CatalogueChanged

    func bind(_ parameters: inout Parameters) {
        parameters.append(change.version)
        parameters.append(change.encoded())
    }
}

/// Reads the newest message.
struct ReadCreditOffers: Statement {
    static let sql = "SELECT message FROM credit_offers"

    static func decode(_ row: inout RowReader) throws(PostgresError) -> CatalogueChanged {
        do { return try CatalogueChanged(decoding: row.next()) } catch let error as PostgresError { throw error } catch {
            throw PostgresError(.typeMismatch, "credit_offers.message holds no message", cause: error)
        }
    }
}
