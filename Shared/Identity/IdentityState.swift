import Contracts
import Crypto

/// What one process knows about credentials: signing keys, credentials seen before, revocations. Values only; the
/// ``Authenticator`` asks auth for what is missing.
struct IdentityState: Sendable {
    /// An API key is asked about again after this, and trusted this long when auth does not answer.
    static let apiKeyFreshFor: Duration = .seconds(60)
    static let apiKeyStaleFor: Duration = .seconds(300)
    static let refusalFor: Duration = .seconds(5)
    /// Longer than an answer can be under way plus the life of a fresh entry, so that an answer which was overtaken by its
    /// key's revocation is never believed.
    static let revokedKeyFor: Duration = .seconds(400)
    /// An unknown key id is asked about once in this time: a flood of made-up ids costs one question.
    static let keysCooldown: Duration = .seconds(30)
    static let keysFreshFor: Duration = .seconds(300)

    enum Refusal: Error, Equatable { case invalid, expired, revoked }

    enum Finding: Equatable {
        case known(Principal)
        case refused(Refusal)
        /// A token never seen, or an API key whose entry is missing; `stale` may be used if auth does not answer.
        case unknown(stale: Principal?)
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
    private var heardAllSince = Instant(microseconds: .min)
    private var tokens = BoundedCache<SHA256Digest, TokenEntry>(countMax: 100_000)
    private var apiKeys = BoundedCache<SHA256Digest, APIKeyEntry>(countMax: 100_000)
    private var refusals = BoundedCache<SHA256Digest, Instant>(countMax: 20_000)
    private var revokedSessions = ExpiringSet<SessionID>(countMax: 1_000_000)
    private var revokedKeys = ExpiringSet<APIKeyID>(countMax: 100_000)

    // MARK: Asking

    mutating func findToken(_ digest: SHA256Digest, now: Instant) -> Finding {
        guard let entry = tokens.value(for: digest) else { return .unknown(stale: nil) }
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
            let isFresh = entry.askedAt >= heardAllSince && now < entry.askedAt + Self.apiKeyFreshFor
            if isFresh { return .known(entry.principal) }
            return .unknown(stale: now < entry.askedAt + Self.apiKeyStaleFor ? entry.principal : nil)
        }
        if let until = refusals.value(for: digest), now < until { return .refused(.invalid) }
        return .unknown(stale: nil)
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

    /// Replaces the keys, unless the answer holds none that can be read: old keys are better than no keys.
    mutating func learn(_ snapshot: SigningKeysReply, now: Instant) {
        var read: [String: ES256PublicKey] = [:]
        for key in snapshot.keys {
            guard let x = Base64.url.decode(key.x), let y = Base64.url.decode(key.y), let publicKey = ES256PublicKey(x: x, y: y),
                publicKey.thumbprint == key.keyID
            else { continue }
            read[key.keyID] = publicKey
        }
        if !read.isEmpty { keys = read }
        for session in snapshot.revokedSessions { revoke(session, now: now) }
    }

    mutating func revoke(_ session: SessionRevoked, now: Instant) {
        revokedSessions.insert(session.sessionID, until: session.tokensExpireAt, now: now)
    }

    mutating func revoke(_ key: APIKeyID, now: Instant) {
        revokedKeys.insert(key, until: now + Self.revokedKeyFor, now: now)
    }

    /// After a time without events nothing is known about keys revoked in it: each is asked about again, and used meanwhile only
    /// if auth does not answer.
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
