import Crypto
import Testing
import Values

@testable import Auth

@Suite struct RefreshTokenTests {
    private let keys = RefreshTokenTests.keys()
    private let now = Instant(microseconds: 1_800_000_000_000_000)
    private var session: Session { Session(of: .make(), clientID: "web", salt: randomBytes(16), now: now) }

    /// Keys of a new ring with one master key.
    static func keys(_ number: Int = 1) -> RefreshKeys {
        guard let ring = try? MasterKeyRing("\(number):\(Base64.standard.encode(randomBytes(32)))") else {
            preconditionFailure("a ring of one random key is well-formed")
        }
        return RefreshKeys(ring)
    }

    private func decide(_ token: RefreshToken, _ session: Session, after seconds: Int64 = 0) -> RefreshDecision {
        RefreshDecision.decide(token, session, keys: keys, now: now + .seconds(seconds))
    }

    @Test func `a token reads back as itself and is authentic for its session only`() throws {
        for generation: Int64 in [0, 1, 255, 65_536, 4_294_967_295] {
            var session = session
            session.generation = generation
            let token = RefreshToken(of: session, keys: keys)
            let read = try #require(RefreshToken(token.text))
            #expect(read == token)
            #expect(read.isAuthentic(for: session, keys: keys))
            #expect(!read.isAuthentic(for: session, keys: Self.keys()))
            var other = session
            other.salt = randomBytes(16)
            #expect(!read.isAuthentic(for: other, keys: keys))
            other = session
            other.clientID = "desktop"
            #expect(!read.isAuthentic(for: other, keys: keys))
        }
    }

    @Test func `a changed, cut or lengthened token is refused`() {
        let text = RefreshToken(of: session, keys: keys).text
        let bytes = Array(text.utf8)
        for index in bytes.indices {
            var changed = bytes
            changed[index] = changed[index] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
            #expect(RefreshToken(String(decoding: changed, as: UTF8.self)) == nil)
        }
        for text in ["", "ssr_", "ssr__000000", String(text.dropLast()), text + "0", " " + text, String(repeating: "a", count: 10_000)] {
            #expect(RefreshToken(text) == nil)
        }
    }

    @Test func `a forged generation is refused and changes nothing`() {
        var ahead = session
        let honest = session
        ahead.id = honest.id
        ahead.generation = 7
        #expect(decide(RefreshToken(of: ahead, keys: Self.keys()), honest) == .refuse)
    }

    @Test func `a token refreshes once, and for thirty seconds again with the same answer`() {
        let first = session
        let token = RefreshToken(of: first, keys: keys)
        #expect(decide(token, first) == .rotate)
        let second = first.rotated(now: now)
        #expect(decide(token, second, after: 29) == .repeatSuccessor)
        #expect(decide(token, second, after: 30) == .repeatSuccessor)
        #expect(decide(token, second, after: 31) == .reuse)
        #expect(decide(RefreshToken(of: second, keys: keys), second, after: 31) == .rotate)
    }

    @Test func `a token two generations old counts as reuse at once`() {
        let first = session
        let third = first.rotated(now: now).rotated(now: now)
        #expect(decide(RefreshToken(of: first, keys: keys), third) == .reuse)
    }

    @Test func `a thief who refreshes in step with the owner is detected`() {
        // Both present their tokens, the thief always one behind: without a limit in time this never ends.
        var session = session
        var owner = RefreshToken(of: session, keys: keys)
        var thief = owner
        var decisions: [RefreshDecision] = []
        for round in 1...20 {
            for isOwner in [true, false] {
                let at = now + .seconds(round * 600 + (isOwner ? 0 : 300))
                let token = isOwner ? owner : thief
                let decision = RefreshDecision.decide(token, session, keys: keys, now: at)
                decisions.append(decision)
                if decision == .rotate { session = session.rotated(now: at) }
                let answer = RefreshToken(of: session, keys: keys)
                if isOwner { owner = answer } else { thief = answer }
            }
        }
        #expect(decisions.contains(.reuse))
        #expect(decisions.prefix(2) == [.rotate, .reuse])
    }

    @Test func `an ended or expired session does not refresh with any token`() {
        var session = session
        let token = RefreshToken(of: session, keys: keys)
        #expect(decide(token, session, after: 30 * 86_400) == .over)
        session.idleExpiresAt = now + .seconds(200 * 86_400)
        #expect(decide(token, session, after: 90 * 86_400) == .over)
        session.isRevoked = true
        #expect(decide(token, session) == .over)
    }

    @Test func `a refresh never extends a session beyond its absolute end`() {
        var session = session
        var at = now
        while !session.isOver(at: at) {
            session = session.rotated(now: at)
            #expect(session.idleExpiresAt <= session.absoluteExpiresAt)
            at = at + .seconds(86_400)
        }
        #expect(at - now == Session.absoluteLife)
    }

    @Test func `a token ahead of a restored backup is refused without ending the session`() {
        let first = session
        #expect(decide(RefreshToken(of: first.rotated(now: now), keys: keys), first) == .refuse)
    }

    @Test func `a token of an older master key refreshes while the ring has that key`() throws {
        let text = (1...2).map { "\($0):\(Base64.standard.encode(randomBytes(32)))" }
        let (old, both) = (RefreshKeys(try MasterKeyRing(text[0])), RefreshKeys(try MasterKeyRing("\(text[1]),\(text[0])")))
        let new = RefreshKeys(try MasterKeyRing(text[1]))
        let session = session
        let token = RefreshToken(of: session, keys: old)
        #expect(token.keyNumber == 1)
        #expect(RefreshDecision.decide(token, session, keys: both, now: now) == .rotate)
        #expect(RefreshDecision.decide(token, session, keys: new, now: now) == .refuse)
        #expect(RefreshToken(of: session.rotated(now: now), keys: both).keyNumber == 2)
    }
}
