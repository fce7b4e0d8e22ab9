import Postgres
import Values

/// Reads users in the order of their ids, which is that of their registration, the newest first.
struct NewestUsers: Statement {
    static let sql = """
        SELECT \(User.columns)
        FROM users
        WHERE $1::uuid IS NULL OR id < $1
        ORDER BY id DESC
        LIMIT $2
        """
    var before: UserID?
    var limit: Int

    func bind(_ parameters: inout Parameters) {
        parameters.append(before)
        parameters.append(Int64(limit))
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> User { try row.nextUser() }
}

/// Reads the users whose address begins with a text, in the order of ``NewestUsers``. The index of the
/// addresses finds them: its order is that of their bytes, and an address has ASCII only.
struct UsersByEmail: Statement {
    static let sql = """
        WITH users AS MATERIALIZED (
            SELECT *
            FROM users
            WHERE email >= $1 AND email < $1 || chr(127)
        )
        SELECT \(User.columns)
        FROM users
        WHERE $2::uuid IS NULL OR id < $2
        ORDER BY id DESC
        LIMIT $3
        """
    var beginning: String
    var before: UserID?
    var limit: Int

    func bind(_ parameters: inout Parameters) {
        parameters.append(beginning)
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
