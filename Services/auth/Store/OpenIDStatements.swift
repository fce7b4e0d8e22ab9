import Postgres
import Values

// MARK: Attempts

struct InsertOpenIDAttempt: Statement {
    static let sql = """
        INSERT INTO openid_attempt (
            state_sha256, browser_sha256, provider_id, nonce, pkce_verifier, next_path, user_id, session_id, fresh_since, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        """
    var attempt: OpenIDAttempt
    var stateSHA256: [UInt8]
    var browserSHA256: [UInt8]
    var providerID: String
    var expiresAt: Instant

    func bind(_ parameters: inout Parameters) {
        parameters.append(stateSHA256)
        parameters.append(browserSHA256)
        parameters.append(providerID)
        parameters.append(attempt.nonce)
        parameters.append(attempt.verifier)
        parameters.append(attempt.next)
        parameters.append(attempt.linker?.userID)
        parameters.append(attempt.linker?.sessionID)
        parameters.append(attempt.freshSince)
        parameters.append(expiresAt)
    }
}

/// Deletes the attempt of a state, which finishes it. Returns nothing if it was finished before, has
/// expired, or belongs to another browser or provider; the attempt of another browser stays.
struct TakeOpenIDAttempt: Statement {
    static let sql = """
        DELETE FROM openid_attempt
        WHERE state_sha256 = $1 AND browser_sha256 = $2 AND provider_id = $3 AND expires_at > $4
        RETURNING nonce, pkce_verifier, next_path, user_id, session_id, fresh_since
        """
    var stateSHA256: [UInt8]
    var browserSHA256: [UInt8]
    var providerID: String
    var now: Instant

    func bind(_ parameters: inout Parameters) {
        parameters.append(stateSHA256)
        parameters.append(browserSHA256)
        parameters.append(providerID)
        parameters.append(now)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> OpenIDAttempt {
        var attempt = OpenIDAttempt(nonce: try row.next(), verifier: try row.next(), next: try row.next())
        let (user, session): (UserID?, SessionID?) = (try row.next(), try row.next())
        attempt.linker = user.flatMap { user in session.map { OpenIDAttempt.Linker(userID: user, sessionID: $0) } }
        attempt.freshSince = try row.next()
        return attempt
    }
}

/// Deletes at most ten thousand rows, so that a backlog locks nothing for long.
struct SweepOpenIDAttempts: Statement {
    static let sql = """
        DELETE FROM openid_attempt
        WHERE state_sha256 IN (
            SELECT state_sha256
            FROM openid_attempt
            WHERE expires_at <= $1
            ORDER BY expires_at
            LIMIT 10000
            FOR UPDATE SKIP LOCKED
        )
        """
    var expiredBy: Instant
    func bind(_ parameters: inout Parameters) { parameters.append(expiredBy) }
}

// MARK: Identities

/// Lets one transaction at a time decide about an identity, also about one that has no row yet. Held
/// until the transaction ends.
struct LockIdentity: Statement {
    static let sql = "SELECT pg_advisory_xact_lock(hashtextextended($1 || ' ' || $2, 0))"
    var issuer: String
    var subject: String

    func bind(_ parameters: inout Parameters) {
        parameters.append(issuer)
        parameters.append(subject)
    }
}

/// Reads the user of an identity.
struct FindUserByIdentity: Statement {
    static let sql = """
        SELECT \(User.columns)
        FROM external_identity
        JOIN users ON users.id = external_identity.user_id
        WHERE external_identity.issuer = $1 AND external_identity.subject = $2
        """
    var issuer: String
    var subject: String

    func bind(_ parameters: inout Parameters) {
        parameters.append(issuer)
        parameters.append(subject)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> User { try row.nextUser() }
}

struct InsertIdentity: Statement {
    static let sql = """
        INSERT INTO external_identity (issuer, subject, provider_id, email, created_at, last_used_at, user_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        """
    var identity: ExternalIdentity
    var userID: UserID

    func bind(_ parameters: inout Parameters) {
        parameters.append(identity.issuer)
        parameters.append(identity.subject)
        parameters.append(identity.providerID)
        parameters.append(identity.email)
        parameters.append(identity.createdAt)
        parameters.append(identity.lastUsedAt)
        parameters.append(userID)
    }
}

/// Notes a sign-in. An address that the provider leaves out stays.
struct TouchIdentity: Statement {
    static let sql = """
        UPDATE external_identity
        SET provider_id = $3, email = COALESCE($4, email), last_used_at = $5
        WHERE issuer = $1 AND subject = $2
        """
    var identity: ExternalIdentity

    func bind(_ parameters: inout Parameters) {
        parameters.append(identity.issuer)
        parameters.append(identity.subject)
        parameters.append(identity.providerID)
        parameters.append(identity.email)
        parameters.append(identity.lastUsedAt)
    }
}

/// Reads the identities of a user, the oldest first.
struct IdentitiesOfUser: Statement {
    static let sql = """
        SELECT issuer, subject, provider_id, email, created_at, last_used_at
        FROM external_identity
        WHERE user_id = $1
        ORDER BY created_at, issuer, subject
        """
    var userID: UserID

    func bind(_ parameters: inout Parameters) { parameters.append(userID) }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> ExternalIdentity {
        ExternalIdentity(
            issuer: try row.next(), subject: try row.next(), providerID: try row.next(), email: try row.next(), createdAt: try row.next(),
            lastUsedAt: try row.next())
    }
}

struct DeleteIdentity: Statement {
    static let sql = "DELETE FROM external_identity WHERE issuer = $1 AND subject = $2 AND user_id = $3"
    var issuer: String
    var subject: String
    var userID: UserID

    func bind(_ parameters: inout Parameters) {
        parameters.append(issuer)
        parameters.append(subject)
        parameters.append(userID)
    }
}

/// Deletes all identities of a user.
struct DeleteIdentities: Statement {
    static let sql = "DELETE FROM external_identity WHERE user_id = $1"
    var userID: UserID
    func bind(_ parameters: inout Parameters) { parameters.append(userID) }
}
