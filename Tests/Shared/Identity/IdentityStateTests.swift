import AMQP
import Contracts
import Crypto
import EventLoop
import Testing
import Values

@testable import Identity

@Suite struct IdentityStateTests {
    private let now = Moment(
        wall: Instant(microseconds: 1_800_000_000_000_000), monotonic: MonotonicInstant(nanoseconds: 1_000_000_000_000_000))
    private let digest = sha256("credential")
    private let keyID = APIKeyID(rawValue: "abcdefghij")
    private let owner = APIKeyReply.Owner(userID: .make(), roles: ["user"], scopes: [], plan: "free", expiresAt: nil)

    private func claims(session: SessionID = .make(), user: UserID = .make(), version: Int64 = 0) -> AccessTokenClaims {
        AccessTokenClaims(
            issuer: "i", audience: "a", userID: user, clientID: "web", sessionID: session, generation: 0, version: version,
            tokenID: .make(),
            issuedAt: now.wall.seconds, expiresAt: now.wall.seconds + 900, authenticatedAt: now.wall.seconds, roles: [], scope: "",
            plan: "free")
    }

    @Test func `a token once verified is known until it expires`() {
        let state = Subject()
        let claims = claims()
        #expect(state.findToken(digest, now: now) == .unknown(missesSnapshot: false))
        #expect(state.learn(claims, digest: digest) == .known(claims.principal))
        #expect(state.findToken(digest, now: now + .seconds(899)) == .known(claims.principal))
        #expect(state.findToken(digest, now: now + .seconds(900)) == .refused(.expired))
    }

    @Test func `a deactivated user stays deactivated until a later change, however long that takes`() {
        let state = Subject()
        let (user, other) = (UserID.make(), UserID.make())
        #expect(!state.isDeactivated(user))
        state.change(user, to: 3, isActive: false, now: now)
        #expect(state.isDeactivated(user) && !state.isDeactivated(other))
        let later = now + IdentityState.userChangeFor + .seconds(60)
        // Changes of many other users make the state forget the old one for tokens.
        for _ in 0..<2_000 { state.change(.make(), to: 1, now: later) }
        #expect(state.isDeactivated(user))
        state.change(user, to: 2, isActive: true, now: later)
        #expect(state.isDeactivated(user), "an event that comes late changes nothing")
        state.change(user, to: 4, isActive: true, now: later)
        #expect(!state.isDeactivated(user))
    }

    @Test func `a revoked session refuses tokens known before and tokens that come later`() {
        let state = Subject()
        let claims = claims()
        state.learn(claims, digest: digest)
        state.revoke(SessionRevoked(sessionID: claims.sessionID, tokensExpireAt: now.wall + .seconds(900)), now: now)
        #expect(state.findToken(digest, now: now) == .refused(.revoked))
        #expect(state.learn(self.claims(session: claims.sessionID), digest: sha256("another token of the session")) == .refused(.revoked))
        let other = self.claims()
        #expect(state.learn(other, digest: sha256("another session")) == .known(other.principal))
    }

    @Test func `a token from before a change of its user has expired, and a later token is good`() {
        let state = Subject()
        let user = UserID.make()
        let (old, new) = (claims(user: user, version: 2), claims(user: user, version: 3))
        state.learn(old, digest: digest)
        state.change(user, to: 3, now: now)
        #expect(state.findToken(digest, now: now) == .refused(.expired))
        #expect(state.learn(claims(user: user, version: 2), digest: sha256("late")) == .refused(.expired))
        #expect(state.learn(new, digest: sha256("new")) == .known(new.principal))
        #expect(state.findToken(sha256("new"), now: now) == .known(new.principal))
        let other = claims(version: 2)
        #expect(state.learn(other, digest: sha256("other")) == .known(other.principal))
    }

    @Test func `no token of a deactivated user is good until the user is active again`() {
        let state = Subject()
        let user = UserID.make()
        let token = claims(user: user, version: 5)
        state.learn(token, digest: digest)
        state.change(user, to: 4, isActive: false, now: now)
        #expect(state.findToken(digest, now: now) == .refused(.userDeactivated))
        state.change(user, to: 5, now: now)
        #expect(state.findToken(digest, now: now) == .known(token.principal))
    }

    @Test func `an earlier message and a duplicate change nothing`() {
        let state = Subject()
        let user = UserID.make()
        state.change(user, to: 7, isActive: false, now: now)
        for version in [7, 6] as [Int64] { state.change(user, to: version, now: now) }
        #expect(state.learn(claims(user: user, version: 7), digest: digest) == .refused(.userDeactivated))
    }

    @Test func `an API key is asked about again after a change of its owner, once`() throws {
        let state = Subject()
        let principal = try known(state)
        let asked = state.asking(now: now)
        state.change(owner.userID, to: 1, now: now)
        #expect(state.findAnswer(digest, now: now) == .unknown(missesSnapshot: false))
        // An answer to a question from before the change.
        #expect(state.learn(asked: asked, keyID, owner: owner, digest: digest, now: now) == .unknown(missesSnapshot: false))
        #expect(state.findAnswer(digest, now: now) == .unknown(missesSnapshot: false))
        #expect(state.learn(keyID, owner: owner, digest: digest, now: now) == .known(principal))
        state.change(owner.userID, to: 1, now: now)
        #expect(state.findAnswer(digest, now: now) == .known(principal))
    }

    private func snapshot(_ keys: [SigningKeysReply.Key] = [], revoked: [APIKeyID] = [], hasMore: Bool = false) -> SigningKeysReply {
        SigningKeysReply(keys: keys, revokedSessions: [], revokedAPIKeys: revoked, readAt: now.wall, hasMore: hasMore)
    }

    /// Learns the key at `now`, after a snapshot.
    private func known(_ state: Subject) throws -> Principal {
        state.learn(snapshot(), askedAt: now, now: now)
        guard case .known(let principal) = state.learn(keyID, owner: owner, digest: digest, now: now) else {
            throw NotLearnt()
        }
        return principal
    }
    private struct NotLearnt: Error {}

    @Test func `an API key is known for a minute, and then used while auth is asked, for five minutes after the answer`() throws {
        let state = Subject()
        let principal = try known(state)
        #expect(principal.kind == .apiKey(keyID))
        #expect(state.findAnswer(digest, now: now + .seconds(59)) == .known(principal))
        #expect(state.findAnswer(digest, now: now + .seconds(60)) == .stale(principal))
        #expect(state.findAnswer(digest, now: now + .seconds(299)) == .stale(principal))
        state.learn(snapshot(), askedAt: now + .seconds(299), now: now + .seconds(299))
        #expect(state.findAnswer(digest, now: now + .seconds(300)) == .unknown(missesSnapshot: false))
    }

    @Test func `an API key is not used without a snapshot of the last five minutes`() throws {
        let state = Subject()
        let principal = try known(state)
        _ = state.learn(keyID, owner: owner, digest: digest, now: now + .seconds(200))
        #expect(state.findAnswer(digest, now: now + .seconds(299)) == .stale(principal))
        #expect(state.findAnswer(digest, now: now + .seconds(300)) == .unknown(missesSnapshot: true))
        state.learn(snapshot(), askedAt: now + .seconds(300), now: now + .seconds(300))
        #expect(state.findAnswer(digest, now: now + .seconds(301)) == .stale(principal))
    }

    @Test func `after a time without events an API key is used only once a later snapshot has come`() throws {
        let state = Subject()
        let principal = try known(state)
        let asked = state.asking(now: now + .milliseconds(500))
        state.noteGap()
        #expect(state.findAnswer(digest, now: now + .seconds(2)) == .unknown(missesSnapshot: true))
        // Asked for before the events could be heard, and answered after.
        state.learn(snapshot(), asked: asked, now: now + .seconds(2))
        #expect(state.findAnswer(digest, now: now + .seconds(2)) == .unknown(missesSnapshot: true))
        state.learn(snapshot(), askedAt: now + .seconds(2), now: now + .seconds(2))
        #expect(state.findAnswer(digest, now: now + .seconds(2)) == .stale(principal))
        _ = state.learn(keyID, owner: owner, digest: digest, now: now + .seconds(3))
        #expect(state.findAnswer(digest, now: now + .seconds(3)) == .known(principal))
    }

    @Test func `a missing number lets no API key be used until a snapshot that is asked for later`() throws {
        let state = Subject()
        let principal = try known(state)
        #expect(state.hear(1, now: now) == .complete)
        #expect(state.findAnswer(digest, now: now) == .known(principal))
        let asked = state.asking(now: now)
        #expect(state.hear(3, now: now) == .gap)
        state.learn(snapshot(), asked: asked, now: now)
        #expect(state.findAnswer(digest, now: now) == .unknown(missesSnapshot: true))
        state.learn(snapshot(), askedAt: now, now: now)
        #expect(state.findAnswer(digest, now: now) == .stale(principal))
    }

    @Test func `revocations are stale thirty seconds after the last event or snapshot, and with a gap whatever comes`() {
        let state = Subject()
        state.learn(snapshot(), askedAt: now, now: now)
        #expect(!state.isStale(now: now + .seconds(29)))
        #expect(state.isStale(now: now + .seconds(30)))
        #expect(state.hear(1, now: now + .seconds(20)) == .complete)
        #expect(!state.isStale(now: now + .seconds(49)))
        #expect(state.hear(3, now: now + .seconds(40)) == .gap)
        #expect(state.hear(4, now: now + .seconds(45)) == .complete)
        #expect(state.isStale(now: now + .seconds(50)))
        state.learn(snapshot(), askedAt: now + .seconds(50), now: now + .seconds(51))
        #expect(!state.isStale(now: now + .seconds(79)))
        #expect(state.isStale(now: now + .seconds(80)))
    }

    @Test func `a clock that is set back an hour makes no API key unknown`() throws {
        let state = Subject()
        state.noteGap()
        let later = Moment(wall: now.wall + .seconds(-3_600), monotonic: now.monotonic + .milliseconds(1))
        state.learn(snapshot(), askedAt: later, now: later)
        guard case .known(let principal) = state.learn(keyID, owner: owner, digest: digest, now: later) else { throw NotLearnt() }
        #expect(state.findAnswer(digest, now: later) == .known(principal))
    }

    @Test func `a key that a snapshot names as revoked is refused`() throws {
        let state = Subject()
        _ = try known(state)
        state.learn(snapshot(revoked: [keyID]), askedAt: now + .seconds(1), now: now + .seconds(1))
        #expect(state.findAnswer(digest, now: now + .seconds(1)) == .refused(.revoked))
    }

    @Test func `an answer that more answers follow names revoked keys and is no snapshot`() throws {
        let state = Subject()
        let principal = try known(state)
        state.noteGap()
        let later = now + .seconds(2)
        state.learn(snapshot(revoked: [APIKeyID(rawValue: "klmnopqrst")], hasMore: true), askedAt: later, now: later)
        #expect(state.findAnswer(digest, now: later) == .unknown(missesSnapshot: true))
        state.learn(snapshot(), askedAt: later, now: later)
        #expect(state.findAnswer(digest, now: later) == .stale(principal))
        let other = APIKeyID(rawValue: "klmnopqrst")
        #expect(state.learn(other, owner: owner, digest: sha256("other"), now: later) == .refused(.revoked))
    }

    @Test func `a snapshot asks for what was revoked since the one before`() {
        let state = Subject()
        #expect(state.question.revokedSince == nil)
        state.learn(snapshot(hasMore: true), askedAt: now, now: now)
        #expect(state.question.revokedSince == nil)
        state.learn(snapshot(), askedAt: now, now: now)
        #expect(state.question.revokedSince == now.wall)
    }

    @Test func `a refused API key is refused for five seconds without asking`() {
        let state = Subject()
        #expect(state.learn(keyID, owner: nil, digest: digest, now: now) == .refused(.invalid))
        #expect(state.findAnswer(digest, now: now + .seconds(4)) == .refused(.invalid))
        #expect(state.findAnswer(digest, now: now + .seconds(5)) == .unknown(missesSnapshot: false))
    }

    @Test func `an answer that its key's revocation overtook is not used`() {
        let state = Subject()
        state.revoke(keyID, now: now)
        #expect(state.learn(keyID, owner: owner, digest: digest, now: now) == .refused(.revoked))
        #expect(state.findAnswer(digest, now: now) == .unknown(missesSnapshot: false))
    }

    @Test func `an API key that expires while cached is refused on time`() {
        let state = Subject()
        var owner = owner
        owner.expiresAt = now.wall + .seconds(10)
        _ = state.learn(keyID, owner: owner, digest: digest, now: now)
        #expect(state.findAnswer(digest, now: now + .seconds(10)) == .refused(.expired))
    }

    @Test func `signing keys are asked for once in thirty seconds`() {
        let state = Subject()
        #expect(state.mayAskForKeys(now: now))
        #expect(!state.mayAskForKeys(now: now + .seconds(29)))
        #expect(state.mayAskForKeys(now: now + .seconds(30)))
    }

    @Test func `a key under a name that is not its thumbprint is not taken, and an empty answer changes nothing`() {
        let state = Subject()
        let pair = ES256KeyPair.generate().publicKey
        let (x, y) = (Base64.url.encode(pair.x), Base64.url.encode(pair.y))
        state.learn(snapshot([.init(keyID: pair.thumbprint, x: x, y: y)]), askedAt: now, now: now)
        #expect(Array(state.keys.keys) == [pair.thumbprint])
        state.learn(snapshot([.init(keyID: "other", x: x, y: y)]), askedAt: now, now: now)
        #expect(Array(state.keys.keys) == [pair.thumbprint])
    }

    @Test func `the caches stay within their bounds`() {
        var cache = BoundedCache<Int, Int>(countMax: 100)
        for value in 0..<10_000 {
            cache.insert(value, for: value)
            #expect(cache.count <= 100)
            let kept = value >= 7 ? cache.value(for: value - 7) : nil
            #expect(value < 7 || kept == value - 7)
        }
        var set = ExpiringMap<Int, Void, Instant>(countMax: 5_000)
        for value in 0..<20_000 { set.insert(value, until: now.wall + .seconds(value), now: now.wall) }
        #expect(set.count <= 5_000)
        #expect(set.contains(19_999))
    }

    @Test func `used entries stay in the cache, and unused ones are removed`() {
        var cache = BoundedCache<Int, Int>(countMax: 10)
        cache.insert(0, for: 0)
        for value in 1...1_000 {
            cache.insert(value, for: value)
            let used = cache.value(for: 0)
            #expect(used == 0)
        }
        let unused = cache.value(for: 1)
        #expect(unused == nil)
    }
}

/// A state behind a reference: `#expect` cannot call what mutates.
private final class Subject {
    private var state = IdentityState()

    var question: QuerySigningKeys { state.question }
    var keys: [String: ES256PublicKey] { state.keys }
    func findToken(_ digest: SHA256Digest, now: Moment) -> IdentityState.Finding { state.findToken(digest, now: now) }
    func findAnswer(_ digest: SHA256Digest, now: Moment) -> IdentityState.Finding { state.findAnswer(digest, now: now) }
    func mayAskForKeys(now: Moment) -> Bool { state.mayAskForKeys(now: now) }
    @discardableResult
    func learn(_ claims: AccessTokenClaims, digest: SHA256Digest) -> IdentityState.Finding { state.learn(claims, digest: digest) }
    func learn(_ id: APIKeyID, owner: APIKeyReply.Owner?, digest: SHA256Digest, now: Moment) -> IdentityState.Finding {
        learn(asked: state.asking(now: now), id, owner: owner, digest: digest, now: now)
    }
    func learn(asked: IdentityState.Asked, _ id: APIKeyID, owner: APIKeyReply.Owner?, digest: SHA256Digest, now: Moment)
        -> IdentityState.Finding
    {
        let answer = owner.map { owner in
            IdentityState.Answer(
                principal: Principal(
                    userID: owner.userID, kind: .apiKey(id), roles: owner.roles, scopes: owner.scopes, plan: owner.plan),
                expiresAt: owner.expiresAt)
        }
        return state.learn(answer, digest: digest, asked: asked, now: now)
    }
    func learn(_ answer: SigningKeysReply, askedAt: Moment, now: Moment) { learn(answer, asked: state.asking(now: askedAt), now: now) }
    /// Learns an answer, which completes a snapshot unless more follow.
    func learn(_ answer: SigningKeysReply, asked: IdentityState.Asked, now: Moment) {
        state.learn(answer, now: now)
        if !answer.hasMore { state.sync(asked, readAt: answer.readAt) }
    }
    func asking(now: Moment) -> IdentityState.Asked { state.asking(now: now) }
    func hear(_ number: UInt64, now: Moment) -> HeardPublishers.Finding {
        state.hear(PublishNumber(publisher: "p", number: number), now: now)
    }
    func isStale(now: Moment) -> Bool { state.isStale(now: now) }
    func revoke(_ session: SessionRevoked, now: Moment) { state.revoke(session, now: now) }
    func noteGap() { state.noteGap() }
    func change(_ user: UserID, to version: Int64, isActive: Bool = true, now: Moment) {
        state.learn(UserChanged(userID: user, tokenVersion: version, isActive: isActive), now: now)
    }
    func revoke(_ key: APIKeyID, now: Moment) { state.revoke(key, now: now) }
    func isDeactivated(_ user: UserID) -> Bool { state.isDeactivated(user) }
}
