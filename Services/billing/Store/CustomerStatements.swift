import Postgres
import Values

/// Keeps a user whose address is confirmed. Repeats change nothing.
struct InsertCustomer: Statement {
    static let sql = """
        INSERT INTO customer (user_id, email, verified_at)
        VALUES ($1, $2, $3)
        ON CONFLICT (user_id) DO NOTHING
        """
    var userID: UserID
    var email: String
    var verifiedAt: Instant

    func bind(_ parameters: inout Parameters) {
        parameters.append(userID)
        parameters.append(email)
        parameters.append(verifiedAt)
    }
}

/// Marks users of the free plan who have not had the credits of a month, and returns them.
struct ClaimFreeMonth: Statement {
    static let sql = """
        WITH due AS (
            SELECT user_id
            FROM customer
            WHERE plan = 'free' AND free_month < $1 AND ($2::uuid IS NULL OR user_id = $2)
            ORDER BY free_month, user_id
            LIMIT $3
            FOR UPDATE SKIP LOCKED
        )
        UPDATE customer
        SET free_month = $1
        FROM due
        WHERE customer.user_id = due.user_id
        RETURNING customer.user_id
        """
    var month: CalendarMonth
    /// Nil for all users.
    var userID: UserID?
    var limit: Int64

    func bind(_ parameters: inout Parameters) {
        parameters.append(month.description)
        parameters.append(userID)
        parameters.append(limit)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> UserID { try row.next() }
}
