import Identity
import Testing
import Values

@testable import Auth

struct MintGateTests {
    @Test func `only a live session of an active owner passes the gate`() throws {
        let now = Instant(microseconds: 1_800_000_000_000_000)
        var user = Self.user(now)
        var session = Session(of: user.id, clientID: "web", salt: [], now: now)
        let gate = MintGate(issuer: "https://gateway.example", tokenLife: .seconds(900))
        let claims = try gate.admit(user, session, now: now)
        #expect(claims.expiresAt == now.seconds + 900)
        #expect(claims.roles == ["user"])
        #expect(claims.sessionID == session.id)

        user.isActive = false
        #expect(throws: MintGate.Refusal.userDeactivated) { try gate.admit(user, session, now: now) }
        user.isActive = true
        #expect(throws: MintGate.Refusal.sessionEnded) { try gate.admit(user, session, now: now + Session.idleLife) }
        session.isRevoked = true
        #expect(throws: MintGate.Refusal.sessionEnded) { try gate.admit(user, session, now: now) }
        #expect(throws: MintGate.Refusal.foreignSession) { try gate.admit(Self.user(now), session, now: now) }
    }

    @Test func `no token outlives its session`() throws {
        let now = Instant(microseconds: 1_800_000_000_000_000)
        let user = Self.user(now)
        var session = Session(of: user.id, clientID: "web", salt: [], now: now)
        session.absoluteExpiresAt = now + .seconds(10)
        let gate = MintGate(issuer: "i", tokenLife: .seconds(900))
        #expect(try gate.admit(user, session, now: now).expiresAt == now.seconds + 10)
    }

    static func user(_ now: Instant) -> User {
        User(
            id: .make(), email: "a@example.com", fullName: nil, role: .user, plan: "free", isActive: true, tokenVersion: 0, createdAt: now)
    }
}
