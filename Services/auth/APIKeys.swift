import Contracts
import Crypto
import HTTP
import Identity
import Outbox
import Postgres
import Telemetry
import Values

/// API keys of people: made, listed, revoked, looked up.
struct APIKeys: Sendable {
    static let perUserMax: Int64 = 20
    /// The scopes that a key can be restricted to. A key without scopes has all of them. None allows administration.
    static let knownScopes: Set<String> = ["llm", "credits", "models", "storage"]

    let pool: PostgresPool
    var clock: @Sendable () -> Instant = Instant.now
    var onRevocation: @Sendable (APIKeyRevoked) -> Void = { _ in }

    struct Order: Sendable {
        var name: String
        var scopes: [String]
        var expiresAt: Instant?
        var limits: SpendingLimits
    }

    /// `key` is the only copy: it is shown now or never.
    func create(
        _ order: Order, for user: UserID, from session: SessionID, origin: Origin
    ) async throws -> (record: APIKeyRecord, key: String) {
        let now = clock()
        let (key, text) = APIKey.make()
        let record = APIKeyRecord(
            id: key.id, name: order.name, last4: key.last4, scopes: order.scopes, limits: order.limits, createdAt: now,
            expiresAt: order.expiresAt, lastUsedAt: nil)
        try await pool.transaction { transaction in
            let (active, count) = try await transaction.pipeline(LockUser(id: user), CountAPIKeys(userID: user))
            guard active.first == true else { throw Problem.userDeactivated }
            guard count.first ?? 0 < Self.perUserMax else {
                throw Problem.conflict("The limit of \(Self.perUserMax) keys is reached; revoke one first.")
            }
            try await transaction.commit(
                InsertAPIKey(record: record, secretSHA256: key.secretDigest.bytes, userID: user, sessionID: session),
                AuditRecord(event: .apiKeyCreated, userID: user, subject: key.id.description, origin: origin, now: now))
        }
        return (record, text)
    }

    func list(of user: UserID) async throws -> [APIKeyRecord] {
        try await pool.withConnection { try await $0.query(ListAPIKeys(userID: user)) }
    }

    /// False for a key that is unknown, revoked already, or another user's.
    func revoke(_ id: APIKeyID, of user: UserID, origin: Origin) async throws -> Bool {
        let now = clock()
        return try await pool.transaction { transaction in
            guard try await transaction.first(RevokeAPIKey(id: id, userID: user, now: now)) != nil else { return false }
            let message = APIKeyRevoked(apiKeyID: id)
            try await Outbox.add(message, orderingKey: id.description, in: transaction)
            try await transaction.execute(
                AuditRecord(event: .apiKeyRevoked, userID: user, subject: id.description, origin: origin, now: now))
            transaction.onCommit { [onRevocation] in onRevocation(message) }
            return true
        }
    }

    /// Returns the owner of a key; nil if the key is not valid, for any reason.
    func owner(of question: IntrospectAPIKey) async throws -> APIKeyReply.Owner? {
        let now = clock()
        guard let digest = SHA256Digest(hexadecimal: question.secretSHA256),
            let found = try await pool.withConnection({ try await $0.first(FindAPIKey(id: question.apiKeyID)) }),
            constantTimeEqual(found.secretSHA256, digest.bytes), found.user.isActive, found.expiresAt.map({ now < $0 }) ?? true
        else { return nil }
        _ = try await pool.withConnection { try await $0.execute(TouchAPIKey(id: question.apiKeyID, now: now)) }
        return APIKeyReply.Owner(
            userID: found.user.id, roles: found.user.roles, scopes: found.scopes, plan: found.user.plan, expiresAt: found.expiresAt,
            limits: found.limits.isUnlimited ? nil : found.limits)
    }
}

/// Auth's own source of identities: its database.
struct LocalIdentitySource: IdentitySource {
    let accounts: Accounts
    let keys: APIKeys

    func signingKeys(_ question: QuerySigningKeys) async throws -> SigningKeysReply { try await accounts.signingKeys(question) }
    func owner(of key: IntrospectAPIKey) async throws -> APIKeyReply.Owner? { try await keys.owner(of: key) }
}

extension Accounts {
    /// Returns the published keys, and the first revocations that the question asks for.
    ///
    /// Sessions count if a token of them may still be alive. API keys count for ten minutes: a
    /// service uses an answer about a key for five. A minute is added to both, because the clocks
    /// of two replicas differ and a revocation is committed after its time.
    func signingKeys(_ question: QuerySigningKeys) async throws -> SigningKeysReply {
        let now = clock()
        func since(_ life: Duration) -> Instant {
            let oldest = now + (.zero - life)
            return max(question.revokedSince ?? oldest, oldest) + .seconds(-60)
        }
        let countMax = SigningKeysReply.revocationsMax
        let (sessions, apiKeys) = try await pool.withConnection { connection in
            try await connection.pipeline(
                RevokedSessions(since: since(gate.tokenLife), after: question.afterSession, limit: countMax),
                RevokedAPIKeys(since: since(.seconds(540)), after: question.afterAPIKey, limit: countMax))
        }
        return SigningKeysReply(
            keys: keyring.published.map { id, key in
                SigningKeysReply.Key(keyID: id, x: Base64.url.encode(key.x), y: Base64.url.encode(key.y))
            },
            revokedSessions: sessions.map { revocation(of: $0.id, at: $0.revokedAt) }, revokedAPIKeys: apiKeys,
            readAt: now, hasMore: sessions.count == countMax || apiKeys.count == countMax)
    }
}
