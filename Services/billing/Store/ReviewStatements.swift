import Postgres
import Values

/// A row that waits for an administrator.
struct Review: Sendable {
    enum Kind: String, Sendable { case purchase, invoice, subscription }

    var kind: Kind
    var id: String
    var userID: UserID
    var reason: String
    var since: Instant

    fileprivate static let columns = "kind, id, user_id, reason, since"

    fileprivate init(row: inout RowReader) throws(PostgresError) {
        kind = try row.named()
        id = try row.next()
        userID = try row.next()
        reason = try row.next()
        since = try row.next()
    }
}

/// Lists the rows that wait for an administrator, newest first.
struct ListReviews: Statement {
    static let sql = """
        SELECT \(Review.columns)
        FROM review
        WHERE $1::timestamptz IS NULL OR since < $1
        ORDER BY since DESC, id
        LIMIT $2
        """
    var before: Instant?
    var limit: Int64

    func bind(_ parameters: inout Parameters) {
        parameters.append(before)
        parameters.append(limit)
    }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> Review { try Review(row: &row) }
}

/// Finds a row that waits for an administrator.
struct FindReview: Statement {
    static let sql = "SELECT \(Review.columns) FROM review WHERE id = $1"
    var id: String

    func bind(_ parameters: inout Parameters) { parameters.append(id) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> Review { try Review(row: &row) }
}

/// Ends the review of a purchase or an invoice without credits. The reason of a purchase stays, so that no event decides it again.
struct CloseReview: Statement {
    static let sql = """
        WITH closed_purchase AS (
            UPDATE purchase
            SET status = 'failed'
            WHERE id::text = $1 AND status = 'review'
            RETURNING id
        ), closed_invoice AS (
            UPDATE invoice
            SET review = NULL
            WHERE id = $1 AND review IS NOT NULL
            RETURNING id
        )
        SELECT EXISTS (SELECT FROM closed_purchase) OR EXISTS (SELECT FROM closed_invoice)
        """
    var id: String

    func bind(_ parameters: inout Parameters) { parameters.append(id) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> Bool { try row.next() }
}
