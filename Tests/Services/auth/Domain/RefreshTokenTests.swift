import Crypto
import Testing
import Values

@testable import Auth

@Suite struct RefreshTokenTests {
    private let key = randomBytes(32)
    private let now = Instant(microseconds: 1_800_000_000_000_000)
    private var session: Session { Session(of: .make(), clientID: "web", salt: randomBytes(16), now: now) }

    private func decide(_ token: RefreshToken, _ session: Session, after seconds: Int64 = 0) -> RefreshDecision {
        RefreshDecision.decide(token, session, key: key, now: now + .seconds(seconds))
    }

    @Test func `a token reads back as itself and is authentic for its session only`() throws {
        for generation: Int64 in [0, 1, 255, 65_536, 4_294_967_295] {
            var session = session
            session.generation = generation
            let token = RefreshToken(of: session, key: key)
            let read = try #require(RefreshToken(token.text))
            #expect(read == token)
            #expect(read.isAuthentic(for: session, key: key))
            #expect(!read.isAuthentic(for: session, key: randomBytes(32)))
            var other = session
            other.salt = randomBytes(16)
            #expect(!read.isAuthentic(for: other, key: key))
            other = session
            other.clientID = "desktop"
            #expect(!read.isAuthentic(for: other, key: key))
        }
    }

    @Test func `a changed, cut or lengthened token is refused`() {
        let text = RefreshToken(of: session, key: key).text
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
        #expect(decide(RefreshToken(of: ahead, key: randomBytes(32)), honest) == .refuse)
    }

    @Test func `a token refreshes once, and for thirty seconds again with the same answer`() {
        let first = session
        let token = RefreshToken(of: first, key: key)
        #expect(decide(token, first) == .rotate)
        let second = first.rotated(now: now)
        #expect(decide(token, second, after: 29) == .repeatSuccessor)
        #expect(decide(token, second, after: 30) == .repeatSuccessor)
        #expect(decide(token, second, after: 31) == .reuse)
        #expect(decide(RefreshToken(of: second, key: key), second, after: 31) == .rotate)
    }

    @Test func `a token two generations old counts as reuse at once`() {
        let first = session
        let third = first.rotated(now: now).rotated(now: now)
        #expect(decide(RefreshToken(of: first, key: key), third) == .reuse)
    }

    @Test func `a thief who refreshes in step with the owner is detected`() {
        // Both present whatever they hold, the thief always one behind: without a limit in time this goes on for ever.
        var session = session
        var owner = RefreshToken(of: session, key: key)
        var thief = owner
        var decisions: [RefreshDecision] = []
        for round in 1...20 {
            for isOwner in [true, false] {
                let at = now + .seconds(round * 600 + (isOwner ? 0 : 300))
                let token = isOwner ? owner : thief
                let decision = RefreshDecision.decide(token, session, key: key, now: at)
                decisions.append(decision)
                if decision == .rotate { session = session.rotated(now: at) }
                let answer = RefreshToken(of: session, key: key)
                if isOwner { owner = answer } else { thief = answer }
            }
        }
        #expect(decisions.contains(.reuse))
        #expect(decisions.prefix(2) == [.rotate, .reuse])
    }

    @Test func `an ended or expired session does not refresh with any token`() {
        var session = session
        let token = RefreshToken(of: session, key: key)
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
        #expect(decide(RefreshToken(of: first.rotated(now: now), key: key), first) == .refuse)
    }
}
