import AMQP
import Contracts
import Crypto
import EventLoop
import Values

/// The knowledge of one process about credentials: signing keys, credentials seen before, revocations. Values only; the
/// ``Authenticator`` asks auth for what is missing.
struct IdentityState: Sendable {
    /// An API key or a cookie is asked about again after this.
    static let answerFreshFor: Duration = .seconds(60)
    /// An API key or a cookie is used without a new answer of auth for this long after the last one,
    /// while the last complete snapshot is not older either.
    static let answerStaleFor: Duration = .seconds(300)
    static let refusalFor: Duration = .seconds(5)
    /// Longer than ``answerStaleFor`` plus the time that an answer can be under way. An answer that its
    /// credential's revocation overtook is never believed.
    static let revokedFor: Duration = .seconds(400)
    /// The most questions a second about API keys that are not known to exist.
    static let unknownKeysPerSecond = 50
    /// An unknown key id is asked about once in this time: a flood of made-up ids costs one question.
    static let keysCooldown: Duration = .seconds(30)
    /// A snapshot is asked for again after this.
    static let snapshotFreshFor: Duration = .seconds(60)
    /// The age of revocations from which on administrators are refused.
    static let staleAfter: Duration = .seconds(30)

    /// Longer than the longest `TOKEN_TTL` by two minutes: tokens from before a change have expired then.
    static let userChangeFor: Duration = .seconds(3_720)

    enum Refusal: Error, Equatable { case invalid, expired, revoked, userDeactivated }

    enum Finding: Equatable {
        case known(Principal)
        /// An API key or a cookie that is used while auth is asked about it again.
        case stale(Principal)
        case refused(Refusal)
        /// Auth has to be asked. `missesSnapshot`: a new snapshot may answer for the credential.
        case unknown(missesSnapshot: Bool)
    }

    // Objects, because half of the slots of a dictionary are empty: a slot has 40 bytes with a
    // reference, and 260 with a principal.
    private final class TokenEntry: Sendable {
        let principal: Principal
        let sessionID: SessionID
        let version: Int64
        let expiresAt: Int64

        init(_ claims: AccessTokenClaims) {
            principal = claims.principal
            (sessionID, version, expiresAt) = (claims.sessionID, claims.version, claims.expiresAt)
        }
    }

    /// The answer of auth about an API key or a cookie.
    struct Answer: Sendable {
        var principal: Principal
        var expiresAt: Instant?
    }

    private final class AnswerEntry: Sendable {
        let answer: Answer
        let asked: Asked

        init(answer: Answer, asked: Asked) { (self.answer, self.asked) = (answer, asked) }
    }

    /// The moment of a question to auth. The answer knows of every event before it.
    struct Asked: Sendable {
        var at: MonotonicInstant
        /// The numbers of gaps and of changes noticed before.
        fileprivate var gaps: UInt64
        fileprivate var changes: UInt64
    }

    private struct UserChange: Sendable {
        var tokenVersion: Int64
        var isActive: Bool
        /// Its place among all changes that this process noticed.
        var number: UInt64
    }

    private(set) var keys: [String: ES256PublicKey] = [:]
    private var keysMayBeAskedAt = MonotonicInstant(nanoseconds: 0)
    /// The number of times at which events may have been missed. Revocations before come with a
    /// snapshot.
    private var gaps: UInt64 = 0
    private var publishers = HeardPublishers()
    /// The question of the last complete snapshot; nil before the first.
    private var synced: Asked?
    /// The last time at which no revocation was missing; nil before the first snapshot.
    private var completeAt: MonotonicInstant?
    /// The time at which auth began to read the last complete snapshot, by the clock of auth.
    private var syncReadAt: Instant?
    private var tokens = BoundedCache<SHA256Digest, TokenEntry>(countMax: 100_000)
    private var answers = BoundedCache<SHA256Digest, AnswerEntry>(countMax: 200_000)
    private var refusals = BoundedCache<SHA256Digest, MonotonicInstant>(countMax: 20_000)
    private var revokedSessions = ExpiringMap<SessionID, Void, Instant>(countMax: 1_000_000)
    private var revokedKeys = ExpiringMap<APIKeyID, Void, MonotonicInstant>(countMax: 100_000)
    private var existingKeys = APIKeyTable()
    private var unknownKeys = QuestionBudget(perSecond: unknownKeysPerSecond)
    private var changedUsers = ExpiringMap<UserID, UserChange, MonotonicInstant>(countMax: 1_000_000)
    private var changes: UInt64 = 0
    /// The deactivated users that a service token must not name, with the versions of their changes.
    /// At most ``deactivatedUsersMax``; the next ones are not kept.
    private var deactivatedUsers: [UserID: Int64] = [:]
    static let deactivatedUsersMax = 1_000_000

    // MARK: Asking

    mutating func findToken(_ digest: SHA256Digest, now: Moment) -> Finding {
        guard let entry = tokens.value(for: digest) else { return .unknown(missesSnapshot: false) }
        if let refusal = refusal(of: entry.principal.userID, entry.sessionID, entry.version) { return .refused(refusal) }
        guard now.wall.seconds < entry.expiresAt else {
            tokens.remove(digest)
            return .refused(.expired)
        }
        return .known(entry.principal)
    }

    /// Returns why a token of this user, session and version is refused.
    private func refusal(of user: UserID, _ session: SessionID, _ version: Int64) -> Refusal? {
        if revokedSessions.contains(session) { return .revoked }
        guard let change = changedUsers[user] else { return nil }
        if !change.isActive { return .userDeactivated }
        return version < change.tokenVersion ? .expired : nil
    }

    /// Returns whether the user has changed after a question about a credential of the user was asked.
    private func hasChanged(_ user: UserID, since asked: Asked) -> Bool {
        changedUsers[user].map { asked.changes < $0.number } ?? false
    }

    mutating func findAnswer(_ digest: SHA256Digest, now: Moment) -> Finding {
        if let entry = answers.value(for: digest) {
            let principal = entry.answer.principal
            if isRevoked(principal.kind) { return .refused(.revoked) }
            if let expiresAt = entry.answer.expiresAt, now.wall >= expiresAt { return .refused(.expired) }
            if hasChanged(principal.userID, since: entry.asked) { return .unknown(missesSnapshot: false) }
            let now = now.monotonic
            if entry.asked.gaps == gaps, now < entry.asked.at + Self.answerFreshFor { return .known(principal) }
            guard now < entry.asked.at + Self.answerStaleFor else { return .unknown(missesSnapshot: false) }
            guard let synced, !hasGap, now < synced.at + Self.answerStaleFor else { return .unknown(missesSnapshot: true) }
            return .stale(principal)
        }
        if let until = refusals.value(for: digest), now.monotonic < until { return .refused(.invalid) }
        return .unknown(missesSnapshot: false)
    }

    private func isRevoked(_ kind: Principal.Kind) -> Bool {
        switch kind {
        case .apiKey(let id): revokedKeys.contains(id)
        case .session(let id): revokedSessions.contains(id)
        case .service: false
        }
    }

    /// Returns whether auth says that the user is deactivated. False for a user that does not exist.
    func isDeactivated(_ user: UserID) -> Bool { deactivatedUsers[user] != nil }

    /// Decides whether auth is asked about an API key that no answer is known of.
    /// - Returns: a refusal, or nil to ask. Unknown if only a snapshot tells which keys exist.
    mutating func screen(_ key: APIKey, now: Moment) -> Finding? {
        if revokedKeys.contains(key.id) { return .refused(.revoked) }
        switch existingKeys.match(key) {
        case .found: return nil
        case .wrongSecret: return .refused(.invalid)
        case .unknown where synced == nil: return .unknown(missesSnapshot: true)
        case .unknown: return unknownKeys.take(now: now.monotonic) ? nil : .refused(.invalid)
        }
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

    /// Keeps a token that was verified, unless its session was revoked or its user has changed.
    mutating func learn(_ claims: AccessTokenClaims, digest: SHA256Digest) -> Finding {
        if let refusal = refusal(of: claims.userID, claims.sessionID, claims.version) { return .refused(refusal) }
        let entry = TokenEntry(claims)
        tokens.insert(entry, for: digest)
        return .known(entry.principal)
    }

    /// Keeps an answer of auth; nil for a credential that is not valid.
    mutating func learn(_ answer: Answer?, digest: SHA256Digest, asked: Asked, now: Moment) -> Finding {
        guard let answer else {
            answers.remove(digest)
            refusals.insert(now.monotonic + Self.refusalFor, for: digest)
            return .refused(.invalid)
        }
        if isRevoked(answer.principal.kind) { return .refused(.revoked) }
        // The answer may be older than the change: auth has to be asked again.
        if hasChanged(answer.principal.userID, since: asked) { return .unknown(missesSnapshot: false) }
        answers.insert(AnswerEntry(answer: answer, asked: asked), for: digest)
        return .known(answer.principal)
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
        for key in snapshot.createdAPIKeys { existingKeys.insert(key) }
        for session in snapshot.revokedSessions { revoke(session, now: now) }
        for key in snapshot.revokedAPIKeys { revoke(key, now: now) }
        for user in snapshot.changedUsers { learn(user, now: now) }
    }

    /// The moment of a question that is asked now.
    func asking(now: Moment) -> Asked { Asked(at: now.monotonic, gaps: gaps, changes: changes) }

    /// Notes that every answer of a snapshot has come.
    /// - Parameters:
    ///   - asked: the moment of its first question.
    ///   - readAt: the time that its first answer gave.
    mutating func sync(_ asked: Asked, readAt: Instant) {
        (synced, syncReadAt) = (asked, readAt)
        if !hasGap { completeAt = max(completeAt ?? asked.at, asked.at) }
    }

    mutating func revoke(_ session: SessionRevoked, now: Moment) {
        revokedSessions.insert(session.sessionID, until: max(session.tokensExpireAt, now.wall + Self.revokedFor), now: now.wall)
    }

    mutating func learn(_ key: APIKeyCreated) { existingKeys.insert(key) }

    mutating func revoke(_ key: APIKeyID, now: Moment) {
        existingKeys.remove(key)
        revokedKeys.insert(key, until: now.monotonic + Self.revokedFor, now: now.monotonic)
    }

    /// Learns that a user has changed. Ignores a message that is not newer than the last one about the
    /// user.
    mutating func learn(_ user: UserChanged, now: Moment) {
        let known = max(changedUsers[user.userID]?.tokenVersion ?? .min, deactivatedUsers[user.userID] ?? .min)
        guard user.tokenVersion > known else { return }
        changes += 1
        if user.isActive {
            deactivatedUsers[user.userID] = nil
        } else if deactivatedUsers.count < Self.deactivatedUsersMax {
            deactivatedUsers[user.userID] = user.tokenVersion
        }
        let change = UserChange(tokenVersion: user.tokenVersion, isActive: user.isActive, number: changes)
        changedUsers.insert(change, for: user.userID, until: now.monotonic + Self.userChangeFor, now: now.monotonic)
    }

    // MARK: Gaps

    /// True if events may be missing that no snapshot has brought yet.
    var hasGap: Bool { synced?.gaps != gaps }

    /// Notes that events before now may be missing. Until the next snapshot no API key is used that
    /// auth was asked about before.
    mutating func noteGap() { gaps += 1 }

    /// Notes the number of an event. Call it after the event was learnt.
    mutating func hear(_ number: PublishNumber, now: Moment) -> HeardPublishers.Finding {
        let finding = publishers.hear(number, now: now.monotonic)
        if finding != .complete { noteGap() }
        if !hasGap { completeAt = now.monotonic }
        return finding
    }

    /// Returns true if a publisher has fallen silent: see ``HeardPublishers/endsSilence(now:)``.
    mutating func endsSilence(now: Moment) -> Bool { publishers.endsSilence(now: now.monotonic) }

    /// True if revocations may be missing since ``staleAfter``.
    func isStale(now: Moment) -> Bool { completeAt.map { now.monotonic >= $0 + Self.staleAfter } ?? false }
}
