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

    /// Returns the published keys, and the first revocations that the question asks for.
    ///
    /// Sessions count if a token of them may still be alive. API keys count for ten minutes: a
    /// service uses an answer about a key for five. A minute is added to both, because the clocks
    /// of two replicas differ and a revocation is committed after its time.
    func signingKeys(_ question: QuerySigningKeys) async throws -> SigningKeysReply {
        let now = clock()
        func since(_ life: Duration) -> Instant {
            let oldest = now - life
            return max(question.revokedSince ?? oldest, oldest) + .seconds(-60)
        }
        let countMax = SigningKeysReply.revocationsMax
        let (sessions, apiKeys) = try await pool.withConnection { connection in
            try await connection.pipeline(
                RevokedSessions(since: since(tokenLife), after: question.afterSession, limit: countMax),
                RevokedAPIKeys(since: since(.seconds(540)), after: question.afterAPIKey, limit: countMax))
        }
        return SigningKeysReply(
            keys: keyring.published.map { id, key in
                SigningKeysReply.Key(keyID: id, x: Base64.url.encode(key.x), y: Base64.url.encode(key.y))
            },
            revokedSessions: sessions.map { revocations.event(of: $0.id, at: $0.revokedAt) }, revokedAPIKeys: apiKeys,
            readAt: now, hasMore: sessions.count == countMax || apiKeys.count == countMax)
    }
}
