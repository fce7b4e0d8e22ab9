import Contracts
import Postgres
import Values

struct CountAPIKeys: Statement {
    static let sql = "SELECT count(*) FROM api_key WHERE user_id = $1 AND revoked_at IS NULL"
    typealias Output = Int64
    var userID: UserID
    func bind(_ parameters: inout Parameters) { parameters.append(userID) }
}

/// A key as it is stored: without the key itself.
struct APIKeyRecord: Sendable, Equatable {
    var id: APIKeyID
    var name: String
    var last4: String
    var scopes: [String]
    var limits: SpendingLimits
    var createdAt: Instant
    var expiresAt: Instant?
    var lastUsedAt: Instant?
}

/// One showing of the form that makes an API key.
struct KeyFormID: TypedID {
    let rawValue: UUIDv7
    init(rawValue: UUIDv7) { self.rawValue = rawValue }
}

struct InsertAPIKey: Statement {
    static let sql = """
        INSERT INTO api_key
            (id, user_id, secret_sha256, last4, name, scopes, daily_spending_limit, spending_limit, created_at, created_by_session, expires_at,
            form_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
        """
    var record: APIKeyRecord
    var secretSHA256: [UInt8]
    var userID: UserID
    var sessionID: SessionID
    /// Nil for a key that no form of a page made.
    var formID: KeyFormID?

    func bind(_ parameters: inout Parameters) {
        parameters.append(record.id.rawValue)
        parameters.append(userID)
        parameters.append(secretSHA256)
        parameters.append(record.last4)
        parameters.append(record.name)
        parameters.append(record.scopes)
        parameters.append(record.limits.daily)
        parameters.append(record.limits.monthly)
        parameters.append(record.createdAt)
        parameters.append(sessionID)
        parameters.append(record.expiresAt)
        parameters.append(formID)
    }
}

/// Reads the key that a form has made, even if it is revoked.
struct FindAPIKeyOfForm: Statement {
    static let sql = """
        SELECT \(APIKeyRecord.columns)
        FROM api_key
        WHERE user_id = $1 AND form_id = $2
        """
    var userID: UserID
    var formID: KeyFormID

    func bind(_ parameters: inout Parameters) {
        parameters.append(userID)
        parameters.append(formID)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> APIKeyRecord { try APIKeyRecord(&row) }
}

struct ListAPIKeys: Statement {
    static let sql = """
        SELECT \(APIKeyRecord.columns)
        FROM api_key
        WHERE user_id = $1 AND revoked_at IS NULL
        ORDER BY created_at DESC, id
        """
    var userID: UserID

    func bind(_ parameters: inout Parameters) { parameters.append(userID) }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> APIKeyRecord { try APIKeyRecord(&row) }
}

extension APIKeyRecord {
    fileprivate static let columns =
        "id, name, last4, scopes, daily_spending_limit, spending_limit, created_at, expires_at, last_used_at"

    /// Reads ``columns``.
    fileprivate init(_ row: inout RowReader) throws(PostgresError) {
        self.init(
            id: APIKeyID(rawValue: try row.next()), name: try row.next(), last4: try row.next(), scopes: try row.next([String].self),
            limits: try row.nextSpendingLimits(), createdAt: try row.next(), expiresAt: try row.next(), lastUsedAt: try row.next())
    }
}

/// Returns nothing for a key that is unknown or belongs to another user: the two are not told apart.
struct RevokeAPIKey: Statement {
    static let sql = """
        UPDATE api_key
        SET revoked_at = $3
        WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL
        RETURNING id
        """
    typealias Output = String
    var id: APIKeyID
    var userID: UserID
    var now: Instant

    func bind(_ parameters: inout Parameters) {
        parameters.append(id.rawValue)
        parameters.append(userID)
        parameters.append(now)
    }
}

struct RevokeAPIKeys: Statement {
    static let sql = "UPDATE api_key SET revoked_at = $2 WHERE user_id = $1 AND revoked_at IS NULL RETURNING id"
    typealias Output = String
    var userID: UserID
    var now: Instant

    func bind(_ parameters: inout Parameters) {
        parameters.append(userID)
        parameters.append(now)
    }
}

/// Reads the keys revoked since a time, as ``RevokedSessions`` does.
struct RevokedAPIKeys: Statement {
    static let sql = """
        WITH revoked AS MATERIALIZED (
            SELECT id
            FROM api_key
            WHERE revoked_at >= $1
        )
        SELECT id
        FROM revoked
        WHERE $2 IS NULL OR id > $2
        ORDER BY id
        LIMIT $3
        """
    var since: Instant
    var after: APIKeyID?
    var limit: Int

    func bind(_ parameters: inout Parameters) {
        parameters.append(since)
        parameters.append(after?.rawValue)
        parameters.append(Int64(limit))
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> APIKeyID { APIKeyID(rawValue: try row.next()) }
}

struct FindAPIKey: Statement {
    static let sql = """
        SELECT api_key.secret_sha256, api_key.scopes, api_key.created_at, api_key.expires_at, api_key.daily_spending_limit, api_key.spending_limit,
            \(User.columns)
        FROM api_key
        JOIN users ON users.id = api_key.user_id
        WHERE api_key.id = $1 AND api_key.revoked_at IS NULL
        """
    struct Output: Sendable {
        var secretSHA256: [UInt8]
        var scopes: [String]
        var createdAt: Instant
        var expiresAt: Instant?
        var limits: SpendingLimits
        var user: User
    }
    var id: APIKeyID

    func bind(_ parameters: inout Parameters) { parameters.append(id.rawValue) }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Output {
        Output(
            secretSHA256: try row.next([UInt8].self), scopes: try row.next([String].self), createdAt: try row.next(),
            expiresAt: try row.next(),
            limits: try row.nextSpendingLimits(), user: try row.nextUser())
    }
}

extension RowReader {
    /// `daily_spending_limit`, `spending_limit` (the monthly one).
    fileprivate mutating func nextSpendingLimits() throws(PostgresError) -> SpendingLimits {
        SpendingLimits(daily: try next(), monthly: try next())
    }
}

/// "Last used" is good to five minutes: one write for all the requests in between.
struct TouchAPIKey: Statement {
    static let sql = """
        UPDATE api_key
        SET last_used_at = $2
        WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2::timestamptz - interval '5 minutes')
        """
    var id: APIKeyID
    var now: Instant

    func bind(_ parameters: inout Parameters) {
        parameters.append(id.rawValue)
        parameters.append(now)
    }
}
