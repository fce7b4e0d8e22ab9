import Contracts
import Crypto
import Identity
import Postgres
import Values

/// API keys of people.
struct APIKeys: Sendable {
    let pool: PostgresPool
    let issuer: Issuer
    let revocations: Revocations
    let clock: @Sendable () -> Instant

    static let perUserMax: Int64 = 20
    /// The scopes of keys. None allows administration.
    static let knownScopes: Set<String> = ["llm", "credits", "models", "profile", "storage"]

    func list(of user: UserID) async throws -> [APIKeyRecord] {
        try await pool.withConnection { try await $0.query(ListAPIKeys(userID: user)) }
    }

    /// Ends a key.
    /// - Returns: false for a key that is unknown, has ended before, or belongs to another user.
    func revoke(_ id: APIKeyID, of user: UserID, client: ClientInfo) async throws -> Bool {
        let now = clock()
        return try await pool.transaction { transaction in
            guard try await revocations.end(id, of: user, now: now, in: transaction) else { return false }
            try await transaction.commit(
                AuditRecord(event: .apiKeyRevoked, userID: user, subject: id.description, client: client, now: now))
            return true
        }
    }

    /// Returns a key with its owner, and notes its use; nil if the key is not valid, for any reason.
    func use(_ id: APIKeyID, secret: SHA256Digest) async throws -> FindAPIKey.Output? {
        let now = clock()
        guard let found = try await pool.withConnection({ try await $0.first(FindAPIKey(id: id)) }),
            constantTimeEqual(found.secretSHA256, secret.bytes), found.user.isActive, found.expiresAt.map({ now < $0 }) ?? true
        else { return nil }
        _ = try await pool.withConnection { try await $0.execute(TouchAPIKey(id: id, now: now)) }
        return found
    }

    /// Returns the owner of a key, and notes its use; nil if the key is not valid, for any reason.
    func owner(of question: IntrospectAPIKey) async throws -> APIKeyReply.Owner? {
        guard let secret = SHA256Digest(hexadecimal: question.secretSHA256),
            let found = try await use(question.apiKeyID, secret: secret)
        else { return nil }
        return APIKeyReply.Owner(
            userID: found.user.id, roles: found.user.roles, scopes: found.scopes, plan: found.user.plan, expiresAt: found.expiresAt,
            limits: found.limits.isUnlimited ? nil : found.limits)
    }
}
