import Postgres
import Values

/// Finds the session of a browser, unless it was revoked or its user is deactivated.
struct FindCookieSession: Statement {
    static let sql = """
        SELECT session.cookie_sha256, session.authenticated_at, session.idle_expires_at, session.absolute_expires_at,
            \(User.columns)
        FROM session
        JOIN users ON users.id = session.user_id
        WHERE session.id = $1 AND session.cookie_sha256 IS NOT NULL AND session.revoked_at IS NULL AND NOT session.is_device
            AND users.active
        """
    struct Output: Sendable {
        var cookieSHA256: [UInt8]
        var authenticatedAt: Instant
        var idleExpiresAt: Instant
        var absoluteExpiresAt: Instant
        var user: User
    }
    var id: SessionID

    func bind(_ parameters: inout Parameters) { parameters.append(id) }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Output {
        Output(
            cookieSHA256: try row.next([UInt8].self), authenticatedAt: try row.next(), idleExpiresAt: try row.next(),
            absoluteExpiresAt: try row.next(), user: try row.nextUser())
    }
}

struct PutCookie: Statement {
    static let sql = "UPDATE session SET cookie_sha256 = $2 WHERE id = $1"
    var session: SessionID
    var secretSHA256: [UInt8]

    func bind(_ parameters: inout Parameters) {
        parameters.append(session)
        parameters.append(secretSHA256)
    }
}

/// Prolongs the session of a browser. "Last used" is good to five minutes: one write for all the
/// requests in between.
struct TouchCookieSession: Statement {
    static let sql = """
        UPDATE session
        SET rotated_at = $2, idle_expires_at = least($3, absolute_expires_at)
        WHERE id = $1 AND revoked_at IS NULL AND rotated_at < $2::timestamptz - interval '5 minutes'
        """
    var id: SessionID
    var now: Instant
    var idleExpiresAt: Instant

    func bind(_ parameters: inout Parameters) {
        parameters.append(id)
        parameters.append(now)
        parameters.append(idleExpiresAt)
    }
}
