import Postgres
import Values

/// Reads users in the order of their ids, which is that of their registration, the newest first.
struct SearchUsers: Statement {
    static let sql = """
        SELECT \(User.columns)
        FROM users
        WHERE ($1::text IS NULL OR starts_with(email, $1) OR id::text = $1) AND ($2::uuid IS NULL OR id < $2)
        ORDER BY id DESC
        LIMIT $3
        """
    var search: String?
    var before: UserID?
    var limit: Int

    func bind(_ parameters: inout Parameters) {
        parameters.append(search)
        parameters.append(before)
        parameters.append(Int64(limit))
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> User { try row.nextUser() }
}

/// The id of an audit row; a cursor.
struct AuditID: TypedID {
    let rawValue: UUIDv7
    init(rawValue: UUIDv7) { self.rawValue = rawValue }
}

struct AuditRow: Sendable {
    var id: AuditID
    var at: Instant
    var event: String
    var outcome: String
    var subject: String?
    var ip: String?
    var userAgent: String?
}

struct AuditOfUser: Statement {
    static let sql = """
        SELECT id, at, event, outcome, subject, ip, user_agent
        FROM audit
        WHERE user_id = $1 AND ($2::uuid IS NULL OR id < $2)
        ORDER BY id DESC
        LIMIT $3
        """
    var userID: UserID
    var before: AuditID?
    var limit: Int

    func bind(_ parameters: inout Parameters) {
        parameters.append(userID)
        parameters.append(before)
        parameters.append(Int64(limit))
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> AuditRow {
        AuditRow(
            id: try row.next(), at: try row.next(), event: try row.next(), outcome: try row.next(), subject: try row.next(),
            ip: try row.next(), userAgent: try row.next())
    }
}
