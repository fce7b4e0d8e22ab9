import Crypto
import Identity
import Postgres
import Values

/// Tells one of our own servers about a token that it received (RFC 7662). The database decides, so
/// that an answer knows of every revocation before it.
struct TokenIntrospection: Sendable {
    let pool: PostgresPool
    let issuer: Issuer
    let keys: APIKeys
    let clock: @Sendable () -> Instant

    /// A token that is valid now.
    struct ValidToken: Sendable {
        enum Use: String, Sendable {
            case accessToken = "access_token"
            case refreshToken = "refresh_token"
            case apiKey = "api_key"
        }

        var use: Use
        var user: User
        /// Names of scopes, separated by blanks. Empty for all.
        var scope: String
        /// Seconds since 1970.
        var issuedAt: Int64
        /// Seconds since 1970. Nil for an API key that does not expire.
        var expiresAt: Int64?
        /// Nil for an API key.
        var clientID: String?
        /// Nil for an API key.
        var sessionID: SessionID?
    }

    /// Returns a token that is valid now; nil for any other text. Notes the use of an API key, and
    /// changes nothing else.
    func find(_ text: String) async throws -> ValidToken? {
        if let key = APIKey(Array(text.utf8)) { return try await find(key) }
        if let token = RefreshToken(text) { return try await find(token) }
        let publicKeys = Dictionary(uniqueKeysWithValues: issuer.keyring.published.map { ($0.id, $0.key) })
        let verifier = TokenVerifier(issuer: issuer.gate.issuer)
        guard let claims = try? verifier.verify(Array(text.utf8), keys: publicKeys, now: clock()) else { return nil }
        return try await find(claims)
    }

    private func find(_ key: APIKey) async throws -> ValidToken? {
        guard let found = try await keys.use(key.id, secret: key.secretDigest) else { return nil }
        return ValidToken(
            use: .apiKey, user: found.user, scope: found.scopes.joined(separator: " "), issuedAt: found.createdAt.seconds,
            expiresAt: found.expiresAt?.seconds)
    }

    /// Finds the current refresh token of a session. One that was replaced is not valid, although it
    /// gets the same successor again for a while.
    private func find(_ token: RefreshToken) async throws -> ValidToken? {
        let now = clock()
        guard let (session, user) = try await liveSession(token.sessionID, now: now),
            issuer.decide(token, session, now: now) == .rotate
        else { return nil }
        return ValidToken(
            use: .refreshToken, user: user, scope: session.scope, issuedAt: session.rotatedAt.seconds,
            expiresAt: min(session.idleExpiresAt, session.absoluteExpiresAt).seconds, clientID: session.clientID, sessionID: session.id)
    }

    private func find(_ claims: AccessTokenClaims) async throws -> ValidToken? {
        guard let (_, user) = try await liveSession(claims.sessionID, now: clock()), user.id == claims.userID,
            user.tokenVersion <= claims.version
        else { return nil }
        return ValidToken(
            use: .accessToken, user: user, scope: claims.scope, issuedAt: claims.issuedAt, expiresAt: claims.expiresAt,
            clientID: claims.clientID, sessionID: claims.sessionID)
    }

    private func liveSession(_ id: SessionID, now: Instant) async throws -> (Session, User)? {
        guard let row = try await pool.withConnection({ try await $0.first(FindSession(id: id)) }),
            MintGate.refusal(row.user, row.session, now: now) == nil
        else { return nil }
        return (row.session, row.user)
    }
}
