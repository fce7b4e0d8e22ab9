import Contracts
import Crypto

/// What one process knows about credentials: signing keys, credentials seen before, revocations. Values only; the
/// ``Authenticator`` asks auth for what is missing.
struct IdentityState: Sendable {
    /// An API key is asked about again after this.
    static let apiKeyFreshFor: Duration = .seconds(60)
    /// An API key is used without a new answer of auth for this long after the last one, while the
    /// last complete snapshot is not older either.
    static let apiKeyStaleFor: Duration = .seconds(300)
    static let refusalFor: Duration = .seconds(5)
    /// Longer than an answer can be under way plus the life of a fresh entry, so that an answer which was overtaken by its
    /// key's revocation is never believed.
    static let revokedKeyFor: Duration = .seconds(400)
    /// An unknown key id is asked about once in this time: a flood of made-up ids costs one question.
    static let keysCooldown: Duration = .seconds(30)
    /// A snapshot is asked for again after this.
    static let snapshotFreshFor: Duration = .seconds(60)
    /// The clocks of auth and of this process may differ by this.
    private static let clockSkewMax: Duration = .seconds(60)

    enum Refusal: Error, Equatable { case invalid, expired, revoked }

    enum Finding: Equatable {
        case known(Principal)
        /// An API key that is used while auth is asked about it again.
        case stale(Principal)
        case refused(Refusal)
        /// Auth has to be asked. `missesSnapshot`: a new snapshot may answer for the credential.
        case unknown(missesSnapshot: Bool)
    }

    private struct TokenEntry: Sendable {
        var principal: Principal
        var sessionID: SessionID
        var expiresAt: Int64
    }

    private struct APIKeyEntry: Sendable {
        var principal: Principal
        var id: APIKeyID
        var askedAt: Instant
        var expiresAt: Instant?
    }

    private(set) var keys: [String: ES256PublicKey] = [:]
    private var keysMayBeAskedAt: Instant?
    /// The last start of the event feed. Revocations before it come with a snapshot.
    private var heardAllSince = Instant(microseconds: .min)
    /// The time at which the last complete snapshot was asked for.
    private var syncedAt = Instant(microseconds: .min)
    private var tokens = BoundedCache<SHA256Digest, TokenEntry>(countMax: 100_000)
    private var apiKeys = BoundedCache<SHA256Digest, APIKeyEntry>(countMax: 100_000)
    private var refusals = BoundedCache<SHA256Digest, Instant>(countMax: 20_000)
    private var revokedSessions = ExpiringSet<SessionID>(countMax: 1_000_000)
    private var revokedKeys = ExpiringSet<APIKeyID>(countMax: 100_000)

    // MARK: Asking

    mutating func findToken(_ digest: SHA256Digest, now: Instant) -> Finding {
        guard let entry = tokens.value(for: digest) else { return .unknown(missesSnapshot: false) }
        if revokedSessions.contains(entry.sessionID) { return .refused(.revoked) }
        guard now.seconds < entry.expiresAt else {
            tokens.remove(digest)
            return .refused(.expired)
        }
        return .known(entry.principal)
    }

    mutating func findAPIKey(_ digest: SHA256Digest, now: Instant) -> Finding {
        if let entry = apiKeys.value(for: digest) {
            if revokedKeys.contains(entry.id) { return .refused(.revoked) }
            if let expiresAt = entry.expiresAt, now >= expiresAt { return .refused(.expired) }
            if entry.askedAt >= heardAllSince, now < entry.askedAt + Self.apiKeyFreshFor { return .known(entry.principal) }
            guard now < entry.askedAt + Self.apiKeyStaleFor else { return .unknown(missesSnapshot: false) }
            let isSynced = syncedAt >= heardAllSince && now < syncedAt + Self.apiKeyStaleFor
            return isSynced ? .stale(entry.principal) : .unknown(missesSnapshot: true)
        }
        if let until = refusals.value(for: digest), now < until { return .refused(.invalid) }
        return .unknown(missesSnapshot: false)
    }

    /// True once per cooldown; the caller then asks auth.
    mutating func mayAskForKeys(now: Instant) -> Bool {
        if let keysMayBeAskedAt, now < keysMayBeAskedAt { return false }
        keysMayBeAskedAt = now + Self.keysCooldown
        return true
    }

    /// Auth did not answer: the next unknown key id may ask again after a second.
    mutating func keysDidNotCome(now: Instant) { keysMayBeAskedAt = now + .seconds(1) }

    // MARK: Learning

    /// False when the session was revoked meanwhile.
    mutating func learn(_ claims: AccessTokenClaims, digest: SHA256Digest) -> Bool {
        guard !revokedSessions.contains(claims.sessionID) else { return false }
        tokens.insert(
            TokenEntry(principal: claims.principal, sessionID: claims.sessionID, expiresAt: claims.expiresAt), for: digest)
        return true
    }

    mutating func learn(_ id: APIKeyID, owner: APIKeyReply.Owner?, digest: SHA256Digest, now: Instant) -> Finding {
        guard let owner else {
            apiKeys.remove(digest)
            refusals.insert(now + Self.refusalFor, for: digest)
            return .refused(.invalid)
        }
        guard !revokedKeys.contains(id) else { return .refused(.revoked) }
        let principal = Principal(
            userID: owner.userID, kind: .apiKey(id), roles: owner.roles, scopes: owner.scopes, plan: owner.plan, keyLimits: owner.limits)
        apiKeys.insert(
            APIKeyEntry(
                principal: principal, id: id, askedAt: now, expiresAt: owner.expiresAt),
            for: digest)
        return .known(principal)
    }

    /// Replaces the signing keys, unless the snapshot has none that can be read. Revokes what was
    /// revoked lately. Forgets all API keys if the snapshot does not reach back to the last one.
    /// - Parameter askedAt: the time of the question.
    mutating func learn(_ snapshot: SigningKeysReply, askedAt: Instant, now: Instant) {
        var read: [String: ES256PublicKey] = [:]
        for key in snapshot.keys {
            guard let x = Base64.url.decode(key.x), let y = Base64.url.decode(key.y), let publicKey = ES256PublicKey(x: x, y: y),
                publicKey.thumbprint == key.keyID
            else { continue }
            read[key.keyID] = publicKey
        }
        if !read.isEmpty { keys = read }
        for session in snapshot.revokedSessions { revoke(session, now: now) }
        for key in snapshot.revokedAPIKeys { revoke(key, now: now) }
        if syncedAt < snapshot.revokedAPIKeysSince + Self.clockSkewMax { apiKeys.removeAll() }
        syncedAt = max(syncedAt, askedAt)
    }

    mutating func revoke(_ session: SessionRevoked, now: Instant) {
        revokedSessions.insert(session.sessionID, until: session.tokensExpireAt, now: now)
    }

    mutating func revoke(_ key: APIKeyID, now: Instant) {
        revokedKeys.insert(key, until: now + Self.revokedKeyFor, now: now)
    }

    /// Notes that events before now may be missing. Until the next snapshot no API key is used that
    /// auth was asked about before.
    mutating func heardNothing(until now: Instant) { heardAllSince = now }
}

/// Members that are forgotten some time after their end. Full, it forgets the members that end first.
struct ExpiringSet<Member: Hashable & Sendable>: Sendable {
    private var ends: [Member: Instant] = [:]
    private let countMax: Int
    private var sweepAt = 1_024

    init(countMax: Int) { self.countMax = countMax }

    var count: Int { ends.count }

    func contains(_ member: Member) -> Bool { !ends.isEmpty && ends[member] != nil }

    mutating func insert(_ member: Member, until end: Instant, now: Instant) {
        ends[member] = end
        guard ends.count > sweepAt else { return }
        ends = ends.filter { $0.value > now }
        if ends.count > countMax {
            let kept = ends.sorted { $0.value > $1.value }.prefix(countMax / 2)
            ends = Dictionary(uniqueKeysWithValues: kept.map { ($0.key, $0.value) })
        }
        sweepAt = max(1_024, min(countMax, ends.count * 2))
    }
}
