import Contracts
import Postgres
import Values

/// Reads the users that changed since a time, as ``RevokedSessions`` does, and the deactivated ones
/// if they are asked for.
struct ChangedUsers: Statement {
    static let sql = """
        WITH changed AS MATERIALIZED (
            SELECT id, token_version, active
            FROM users
            WHERE changed_at >= $1
            UNION
            SELECT id, token_version, active
            FROM users
            WHERE NOT active AND $4
        )
        SELECT id, token_version, active
        FROM changed
        WHERE $2 IS NULL OR id > $2
        ORDER BY id
        LIMIT $3
        """
    var since: Instant
    var after: UserID?
    var limit: Int
    /// True to read every deactivated user too.
    var withDeactivated = false

    func bind(_ parameters: inout Parameters) {
        parameters.append(since)
        parameters.append(after)
        parameters.append(Int64(limit))
        parameters.append(withDeactivated)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> UserChanged { try UserChanged(&row) }
}

extension UserChanged {
    /// Reads `id, token_version, active`.
    init(_ row: inout RowReader) throws(PostgresError) {
        self.init(userID: try row.next(), tokenVersion: try row.next(), isActive: try row.next())
    }
}
