import Postgres
import Values

struct InsertSession: Statement {
    static let sql = """
        INSERT INTO session (id, user_id, client_id, scope, is_device, salt, generation, authenticated_at, rotated_at, idle_expires_at,
            absolute_expires_at, ip, network, user_agent, cookie_sha256, device_name)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
        """
    var session: Session
    var client: ClientInfo
    /// SHA-256 of the secret of the browser's cookie.
    var cookieSHA256: [UInt8]?
    /// The name of a device that was connected by a code.
    var deviceName: String?

    func bind(_ parameters: inout Parameters) {
        parameters.append(session.id)
        parameters.append(session.userID)
        parameters.append(session.clientID)
        parameters.append(session.scope)
        parameters.append(session.isDevice)
        parameters.append(session.salt)
        parameters.append(session.generation)
        parameters.append(session.authenticatedAt)
        parameters.append(session.rotatedAt)
        parameters.append(session.idleExpiresAt)
        parameters.append(session.absoluteExpiresAt)
        parameters.append(client.address)
        parameters.append(client.network)
        parameters.append(client.userAgent)
        parameters.append(cookieSHA256)
        parameters.append(deviceName)
    }
}

/// A session and its user.
struct SessionRow: Sendable {
    var session: Session
    var user: User

    fileprivate static let columns = """
        session.id, session.user_id, session.client_id, session.scope, session.is_device, session.salt, session.generation, session.authenticated_at,
            session.rotated_at, session.idle_expires_at, session.absolute_expires_at, session.revoked_at IS NOT NULL,
            \(User.columns)
        """

    fileprivate init(_ row: inout RowReader) throws(PostgresError) {
        session = Session(
            id: try row.next(), userID: try row.next(), clientID: try row.next(), scope: try row.next(), isDevice: try row.next(),
            salt: try row.next([UInt8].self),
            generation: try row.next(), authenticatedAt: try row.next(), rotatedAt: try row.next(), idleExpiresAt: try row.next(),
            absoluteExpiresAt: try row.next(), isRevoked: try row.next())
        user = try row.nextUser()
    }
}

/// Reads a session without a lock.
struct FindSession: Statement {
    static let sql = """
        SELECT \(SessionRow.columns)
        FROM session
        JOIN users ON users.id = session.user_id
        WHERE session.id = $1
        """
    var id: SessionID

    func bind(_ parameters: inout Parameters) { parameters.append(id) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> SessionRow { try SessionRow(&row) }
}

/// Reads a session. Its row stays locked until the transaction ends: refresh and revocation of one
/// session take turns.
struct LockSession: Statement {
    static let sql = """
        SELECT \(SessionRow.columns)
        FROM session
        JOIN users ON users.id = session.user_id
        WHERE session.id = $1
        FOR UPDATE OF session
        """
    var id: SessionID

    func bind(_ parameters: inout Parameters) { parameters.append(id) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> SessionRow { try SessionRow(&row) }
}

/// Reads a session. Its row and its user's stay as they are until the transaction ends.
struct ShareSession: Statement {
    static let sql = """
        SELECT \(SessionRow.columns)
        FROM session
        JOIN users ON users.id = session.user_id
        WHERE session.id = $1
        FOR SHARE
        """
    var id: SessionID

    func bind(_ parameters: inout Parameters) { parameters.append(id) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> SessionRow { try SessionRow(&row) }
}

struct RotateSession: Statement {
    static let sql = """
        UPDATE session
        SET generation = $2, rotated_at = $3, idle_expires_at = $4
        WHERE id = $1
        """
    var session: Session

    func bind(_ parameters: inout Parameters) {
        parameters.append(session.id)
        parameters.append(session.generation)
        parameters.append(session.rotatedAt)
        parameters.append(session.idleExpiresAt)
    }
}

/// Answers nothing for a session that is unknown or over already.
struct RevokeSession: Statement {
    static let sql = """
        UPDATE session
        SET revoked_at = $2
        WHERE id = $1 AND revoked_at IS NULL
        RETURNING user_id
        """
    var id: SessionID
    var now: Instant

    func bind(_ parameters: inout Parameters) {
        parameters.append(id)
        parameters.append(now)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> UserID { try row.next() }
}

struct RevokeSessions: Statement {
    static let sql = """
        UPDATE session
        SET revoked_at = $2
        WHERE user_id = $1 AND revoked_at IS NULL AND ($3::uuid IS NULL OR id <> $3)
        RETURNING id
        """
    var userID: UserID
    /// The session that stays.
    var except: SessionID?
    var now: Instant

    func bind(_ parameters: inout Parameters) {
        parameters.append(userID)
        parameters.append(now)
        parameters.append(except)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> SessionID { try row.next() }
}

/// Reads the sessions revoked since a time, in the order of their ids: many may end at one time.
///
/// The sessions are found by their time first. In the order of the ids Postgres could read them all.
struct RevokedSessions: Statement {
    static let sql = """
        WITH revoked AS MATERIALIZED (
            SELECT id, revoked_at
            FROM session
            WHERE revoked_at >= $1
        )
        SELECT id, revoked_at
        FROM revoked
        WHERE $2 IS NULL OR id > $2
        ORDER BY id
        LIMIT $3
        """
    struct Output: Sendable {
        var id: SessionID
        var revokedAt: Instant
    }
    var since: Instant
    var after: SessionID?
    var limit: Int

    func bind(_ parameters: inout Parameters) {
        parameters.append(since)
        parameters.append(after)
        parameters.append(Int64(limit))
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Output { Output(id: try row.next(), revokedAt: try row.next()) }
}

/// A thousand at most: a backlog goes in steps that lock nothing for long.
struct SweepSessions: Statement {
    static let sql = """
        DELETE FROM session
        WHERE id IN (
            SELECT id
            FROM session
            WHERE idle_expires_at < $1
            ORDER BY idle_expires_at
            LIMIT 1000
            FOR UPDATE SKIP LOCKED
        )
        """
    var endedBefore: Instant
    func bind(_ parameters: inout Parameters) { parameters.append(endedBefore) }
}

/// The sign-ins a person could still use, the last used first: at most ``countMax``.
struct LiveSessions: Statement {
    static let countMax = 100

    static let sql = """
        SELECT id, client_id, device_name, authenticated_at, rotated_at, ip, user_agent
        FROM session
        WHERE user_id = $1 AND revoked_at IS NULL AND idle_expires_at > $2 AND absolute_expires_at > $2
        ORDER BY rotated_at DESC, id
        LIMIT \(countMax)
        """
    struct Output: Sendable {
        var id: SessionID
        var clientID: String
        /// The name of a device that was connected by a code, if it has one.
        var deviceName: String?
        var signedInAt: Instant
        var lastUsedAt: Instant
        var ip: String?
        var userAgent: String?
    }
    var userID: UserID
    var now: Instant

    func bind(_ parameters: inout Parameters) {
        parameters.append(userID)
        parameters.append(now)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Output {
        Output(
            id: try row.next(), clientID: try row.next(), deviceName: try row.next(), signedInAt: try row.next(),
            lastUsedAt: try row.next(), ip: try row.next(), userAgent: try row.next())
    }
}
