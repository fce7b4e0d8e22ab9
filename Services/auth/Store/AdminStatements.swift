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

/// Reads the users whose address begins with a text, in the order of the addresses. It is the order of
/// their bytes, and an address has ASCII only, so that the index finds each page at once.
struct UsersByEmail: Statement {
    static let sql = """
        SELECT \(User.columns)
        FROM users
        WHERE email >= $1 AND email < $1 || chr(127) AND email > $2
        ORDER BY email
        LIMIT $3
        """
    var beginning: String
    var after: EmailAddress?
    var limit: Int

    func bind(_ parameters: inout Parameters) {
        parameters.append(beginning)
        parameters.append(after?.text ?? "")
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
    /// The address of a subject that is a user.
    var subjectEmail: String?
    var ip: String?
    var userAgent: String?
}

struct AuditOfUser: Statement {
    static let sql = """
        SELECT audit.id, audit.at, audit.event, audit.outcome, audit.subject, users.email, audit.ip, audit.user_agent
        FROM audit
        LEFT JOIN users
            ON users.id = CASE WHEN audit.subject ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN audit.subject::uuid END
        WHERE audit.user_id = $1 AND ($2::uuid IS NULL OR audit.id < $2)
        ORDER BY audit.id DESC
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
            subjectEmail: try row.next(), ip: try row.next(), userAgent: try row.next())
    }
}
