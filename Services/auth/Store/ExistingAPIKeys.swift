import Contracts
import Postgres
import Values

/// Reads the API keys that are not revoked and have not expired, in the order of their ids.
struct ExistingAPIKeys: Statement {
    static let sql = """
        SELECT id, secret_sha256
        FROM api_key
        WHERE id > $2 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $1)
        ORDER BY id
        LIMIT $3
        """
    var now: Instant
    var after: APIKeyID?
    var limit: Int

    func bind(_ parameters: inout Parameters) {
        parameters.append(now)
        // Smaller than every id, so that the index leads to the first one.
        parameters.append(after?.rawValue ?? "")
        parameters.append(Int64(limit))
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> APIKeyCreated { try APIKeyCreated(&row) }
}

/// Reads the API keys created since a time, as ``RevokedSessions`` does.
struct CreatedAPIKeys: Statement {
    static let sql = """
        WITH created AS MATERIALIZED (
            SELECT id, secret_sha256
            FROM api_key
            WHERE created_at >= $1 AND revoked_at IS NULL
        )
        SELECT id, secret_sha256
        FROM created
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

    static func decode(_ row: inout RowReader) throws(PostgresError) -> APIKeyCreated { try APIKeyCreated(&row) }
}

extension APIKeyCreated {
    /// Reads `id, secret_sha256`.
    fileprivate init(_ row: inout RowReader) throws(PostgresError) {
        let id: String = try row.next()
        self.init(apiKeyID: APIKeyID(rawValue: id), fingerprint: APIKeyFingerprint(secretSHA256: try row.next([UInt8].self)))
    }
}
