import Contracts
import Crypto
import EventLoop
import Values

/// The knowledge of one process about credentials: signing keys, credentials seen before, revocations. Values only; the
/// ``Authenticator`` asks auth for what is missing.
struct IdentityState: Sendable {
    /// An API key is asked about again after this.
    static let apiKeyFreshFor: Duration = .seconds(60)
    /// An API key is used without a new answer of auth for this long after the last one, while the
    /// last complete snapshot is not older either.
    static let apiKeyStaleFor: Duration = .seconds(300)
    static let refusalFor: Duration = .seconds(5)
    /// Longer than ``apiKeyStaleFor`` plus the time that an answer can be under way. An answer that
    /// its key's revocation overtook is never believed.
    static let revokedKeyFor: Duration = .seconds(400)
    /// An unknown key id is asked about once in this time: a flood of made-up ids costs one question.
    static let keysCooldown: Duration = .seconds(30)
    /// A snapshot is asked for again after this.
    static let snapshotFreshFor: Duration = .seconds(60)
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
        var askedAt: MonotonicInstant
        var expiresAt: Instant?
    }

    private(set) var keys: [String: ES256PublicKey] = [:]
    private var keysMayBeAskedAt = MonotonicInstant(nanoseconds: 0)
    /// The last start of the event feed. Revocations before it come with a snapshot.
    private var heardAllSince = MonotonicInstant(nanoseconds: 0)
    /// The time at which the last complete snapshot was asked for; nil before the first.
    private var syncedAt: MonotonicInstant?
    /// The time at which auth began to read the last complete snapshot, by the clock of auth.
    private var syncReadAt: Instant?
    private var tokens = BoundedCache<SHA256Digest, TokenEntry>(countMax: 100_000)
    private var apiKeys = BoundedCache<SHA256Digest, APIKeyEntry>(countMax: 100_000)
    private var refusals = BoundedCache<SHA256Digest, MonotonicInstant>(countMax: 20_000)
    private var revokedSessions = ExpiringSet<SessionID, Instant>(countMax: 1_000_000)
    private var revokedKeys = ExpiringSet<APIKeyID, MonotonicInstant>(countMax: 100_000)

    // MARK: Asking

    mutating func findToken(_ digest: SHA256Digest, now: Moment) -> Finding {
        guard let entry = tokens.value(for: digest) else { return .unknown(missesSnapshot: false) }
        if revokedSessions.contains(entry.sessionID) { return .refused(.revoked) }
        guard now.wall.seconds < entry.expiresAt else {
            tokens.remove(digest)
            return .refused(.expired)
        }
        return .known(entry.principal)
    }

    mutating func findAPIKey(_ digest: SHA256Digest, now: Moment) -> Finding {
        if let entry = apiKeys.value(for: digest) {
            if revokedKeys.contains(entry.id) { return .refused(.revoked) }
            if let expiresAt = entry.expiresAt, now.wall >= expiresAt { return .refused(.expired) }
            let now = now.monotonic
            if entry.askedAt >= heardAllSince, now < entry.askedAt + Self.apiKeyFreshFor { return .known(entry.principal) }
            guard now < entry.askedAt + Self.apiKeyStaleFor else { return .unknown(missesSnapshot: false) }
            guard let syncedAt, syncedAt >= heardAllSince, now < syncedAt + Self.apiKeyStaleFor else {
                return .unknown(missesSnapshot: true)
            }
            return .stale(entry.principal)
        }
        if let until = refusals.value(for: digest), now.monotonic < until { return .refused(.invalid) }
        return .unknown(missesSnapshot: false)
    }

    /// True once per cooldown; the caller then asks auth.
    mutating func mayAskForKeys(now: Moment) -> Bool {
        guard now.monotonic >= keysMayBeAskedAt else { return false }
        keysMayBeAskedAt = now.monotonic + Self.keysCooldown
        return true
    }

    /// Auth did not answer: the next unknown key id may ask again after a second.
    mutating func keysDidNotCome(now: Moment) { keysMayBeAskedAt = now.monotonic + .seconds(1) }

    // MARK: Learning

    /// False when the session was revoked meanwhile.
    mutating func learn(_ claims: AccessTokenClaims, digest: SHA256Digest) -> Bool {
        guard !revokedSessions.contains(claims.sessionID) else { return false }
        tokens.insert(
            TokenEntry(principal: claims.principal, sessionID: claims.sessionID, expiresAt: claims.expiresAt), for: digest)
        return true
    }

    mutating func learn(_ id: APIKeyID, owner: APIKeyReply.Owner?, digest: SHA256Digest, now: Moment) -> Finding {
        guard let owner else {
            apiKeys.remove(digest)
            refusals.insert(now.monotonic + Self.refusalFor, for: digest)
            return .refused(.invalid)
        }
        guard !revokedKeys.contains(id) else { return .refused(.revoked) }
        let principal = Principal(
            userID: owner.userID, kind: .apiKey(id), roles: owner.roles, scopes: owner.scopes, plan: owner.plan, keyLimits: owner.limits)
        apiKeys.insert(
            APIKeyEntry(
                principal: principal, id: id, askedAt: now.monotonic, expiresAt: owner.expiresAt),
            for: digest)
        return .known(principal)
    }

    /// The question that begins the next snapshot.
    var question: QuerySigningKeys { QuerySigningKeys(revokedSince: syncReadAt) }

    /// Replaces the signing keys, unless the answer has none that can be read. Revokes what was
    /// revoked lately.
    mutating func learn(_ snapshot: SigningKeysReply, now: Moment) {
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
    }

    /// Notes that every answer of a snapshot has come.
    /// - Parameters:
    ///   - askedAt: the time of its first question.
    ///   - readAt: the time that its first answer gave.
    mutating func sync(askedAt: Moment, readAt: Instant) { (syncedAt, syncReadAt) = (askedAt.monotonic, readAt) }

    mutating func revoke(_ session: SessionRevoked, now: Moment) {
        revokedSessions.insert(session.sessionID, until: session.tokensExpireAt, now: now.wall)
    }

    mutating func revoke(_ key: APIKeyID, now: Moment) {
        revokedKeys.insert(key, until: now.monotonic + Self.revokedKeyFor, now: now.monotonic)
    }

    /// Notes that events before now may be missing. Until the next snapshot no API key is used that
    /// auth was asked about before.
    mutating func markRevocationGap(until now: Moment) { heardAllSince = now.monotonic }
}

/// Members that are forgotten some time after their end. Full, it forgets the members that end first.
struct ExpiringSet<Member: Hashable & Sendable, Time: Comparable & Sendable>: Sendable {
    private var ends: [Member: Time] = [:]
    private let countMax: Int
    private var sweepAt = 1_024

    init(countMax: Int) { self.countMax = countMax }

    var count: Int { ends.count }

    func contains(_ member: Member) -> Bool { !ends.isEmpty && ends[member] != nil }

    mutating func insert(_ member: Member, until end: Time, now: Time) {
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
