import Contracts
import Crypto
import Identity
import Postgres
import Values

/// Auth's own source of identities: its database.
struct IdentityAnswers: IdentitySource {
    let pool: PostgresPool
    let keyring: SigningKeyring
    let revocations: Revocations
    let keys: APIKeys
    let tokenLife: Duration
    let clock: @Sendable () -> Instant

    func owner(of key: IntrospectAPIKey) async throws -> APIKeyReply.Owner? { try await keys.owner(of: key) }

    func owner(of cookie: IntrospectSession) async throws -> SessionReply.Owner? {
        try await CookieSessions(pool: pool, clock: clock).owner(of: cookie)
    }

    /// Returns the published keys, and the first revocations and changes that the question asks for.
    ///
    /// Sessions count for the life of a token, and for ten minutes at least, as API keys do: a
    /// service uses an answer about a key for five. A minute is added, because the clocks of two
    /// replicas differ and a revocation is committed after its time. A service keeps the deactivated
    /// users for ever. The first snapshot has all of them, and a later one every change since.
    func signingKeys(_ question: QuerySigningKeys) async throws -> SigningKeysReply {
        let now = clock()
        func since(_ life: Duration) -> Instant {
            let oldest = now - life
            return max(question.revokedSince ?? oldest, oldest) + .seconds(-60)
        }
        let countMax = SigningKeysReply.pageMax
        let answerLife: Duration = .seconds(540)
        let (sessions, apiKeys, users, created) = try await pool.withConnection { connection in
            let created = try await createdAPIKeys(question, now: now, limit: countMax, on: connection)
            let revoked = try await connection.pipeline(
                RevokedSessions(since: since(max(tokenLife, answerLife)), after: question.afterSession, limit: countMax),
                RevokedAPIKeys(since: since(answerLife), after: question.afterAPIKey, limit: countMax),
                ChangedUsers(
                    since: question.revokedSince.map { $0 + .seconds(-60) } ?? since(max(tokenLife, answerLife)), after: question.afterUser,
                    limit: countMax, withDeactivated: question.revokedSince == nil))
            return (revoked.0, revoked.1, revoked.2, created)
        }
        return SigningKeysReply(
            keys: keyring.published.map { id, key in
                SigningKeysReply.Key(keyID: id, x: Base64.url.encode(key.x), y: Base64.url.encode(key.y))
            },
            revokedSessions: sessions.map { revocations.event(of: $0.id, at: $0.revokedAt) }, revokedAPIKeys: apiKeys,
            changedUsers: users, createdAPIKeys: created, readAt: now,
            hasMore: [sessions.count, apiKeys.count, users.count, created.count].contains(countMax))
    }

    /// Reads the first API keys that the question asks for, before the revocations: a key that is
    /// revoked meanwhile is among these.
    private func createdAPIKeys(
        _ question: QuerySigningKeys, now: Instant, limit: Int, on connection: PostgresConnection
    ) async throws -> [APIKeyCreated] {
        guard let since = question.revokedSince else {
            return try await connection.query(ExistingAPIKeys(now: now, after: question.afterCreatedAPIKey, limit: limit))
        }
        return try await connection.query(CreatedAPIKeys(since: since + .seconds(-60), after: question.afterCreatedAPIKey, limit: limit))
    }
}
