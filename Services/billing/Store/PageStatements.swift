import Postgres
import Values

/// Finds the newest orders of credits of a user that were at Stripe.
struct PurchasesOfUser: Statement {
    static let sql = """
        SELECT \(Purchase.columns)
        FROM purchase
        WHERE user_id = $1 AND kind = 'credits' AND status NOT IN ('creating', 'expired')
        ORDER BY id DESC
        LIMIT 20
        """
    var userID: UserID

    func bind(_ parameters: inout Parameters) { parameters.append(userID) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> Purchase { try Purchase(&row) }
}

/// Tells whether events wait for an administrator.
struct HasDeadEvents: Statement {
    static let sql = "SELECT EXISTS (SELECT FROM stripe_event WHERE state = 'dead')"

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Bool { try row.next() }
}

/// Finds an event with its body, as Stripe sent it.
struct FindEvent: Statement {
    struct Found: Sendable {
        var event: ListEvents.Listed
        var raw: [UInt8]
    }

    static let sql = """
        SELECT id, type, object_id, state, attempts::bigint, deliveries::bigint, found_by, created_at, received_at, last_error, raw
        FROM stripe_event
        WHERE id = $1
        """
    var id: String

    func bind(_ parameters: inout Parameters) { parameters.append(id) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> Found {
        Found(event: try ListEvents.decode(&row), raw: try row.next())
    }
}
