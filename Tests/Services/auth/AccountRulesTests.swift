import Identity
import Testing
import Values

@testable import Auth

@Suite struct AccountRulesTests {
    @Test(
        arguments: [
            ("anna@example.com", "anna@example.com"), ("  Anna@Example.COM ", "anna@example.com"),
            ("a.b+tag@sub.example.co", "a.b+tag@sub.example.co"),
            ("o'brien@example.ie", "o'brien@example.ie"),
        ])
    func `spellings of one mailbox are one address`(raw: String, expected: String) {
        #expect(EmailAddress(raw)?.text == expected)
    }

    @Test(
        arguments: [
            "", "@", "a", "a@", "@example.com", "a@b", "a@b@example.com", "a b@example.com", "a@exa mple.com", "a@-example.com",
            "a@example-.com",
            "a@.com", "a@example..com", "a..b@example.com", ".a@example.com", "a.@example.com", "a@example.com\r\nBcc: x@y.z",
            "a\0@example.com",
            "\"a\"@example.com", "a@[127.0.0.1]", "аnna@example.com", "anna@exämple.com", "anna\u{200B}@example.com", "<a@example.com>",
            String(repeating: "a", count: 65) + "@example.com", "a@" + String(repeating: "b", count: 64) + ".com",
            "a@" + String(repeating: "b.", count: 130) + "com", String(repeating: "a", count: 10_000),
        ])
    func `what mail cannot reach, or only a forger has, is no address`(raw: String) {
        #expect(EmailAddress(raw) == nil)
    }

    @Test func `a password is measured, not styled`() throws {
        let email = try #require(EmailAddress("longish.name@example.com"))
        func refusal(_ password: String) -> PasswordPolicy.Refusal? { PasswordPolicy.refusal(of: password, for: email) }
        #expect(refusal("seven77") == .tooShort)
        #expect(refusal("correct horse battery staple") == nil)
        #expect(refusal("Пароль-длинный") == nil)
        #expect(refusal("👩‍👩‍👧‍👦") == .tooShort)  // seven code points in 25 bytes
        #expect(refusal("👩‍👩‍👧‍👦!") == nil)
        #expect(refusal("пароль7") == .tooShort)
        #expect(refusal(String(repeating: "ab", count: 512)) == nil)
        #expect(refusal(String(repeating: "ab", count: 512) + "c") == .tooLong)
        #expect(refusal(String(repeating: " ", count: 12)) == .blank)
        #expect(refusal("Password123") == .common)
        #expect(refusal("zzzzzzzzzzzz") == .common)
        #expect(refusal("Longish.Name@example.com") == .sameAsEmail)
        #expect(refusal("longish.name") == .sameAsEmail)
    }

    @Test func `failures of one account wait 1, 2, 4 up to 300 seconds after the fifth`() {
        let now = Instant(microseconds: 1_800_000_000_000_000)
        func wait(_ failures: Int64, after seconds: Int64) -> Duration {
            LoginThrottle.wait(failures: failures, lastFailedAt: now, now: now + .seconds(seconds))
        }
        #expect(LoginThrottle.wait(failures: 0, lastFailedAt: nil, now: now) == .zero)
        #expect(wait(4, after: 0) == .zero)
        #expect([5, 6, 7, 8].map { wait($0, after: 0) } == [.seconds(1), .seconds(2), .seconds(4), .seconds(8)])
        #expect(wait(13, after: 0) == .seconds(256))
        #expect(wait(14, after: 0) == .seconds(300))
        #expect(wait(.max, after: 0) == .seconds(300))
        #expect(wait(8, after: 5) == .seconds(3))
        #expect(wait(8, after: 8) == .zero)
    }

    @Test func `an address may fail fifty times, then ten times a minute`() throws {
        var throttle = AddressThrottle()
        let now = Instant(microseconds: 1_800_000_000_000_000)
        for _ in 0..<50 {
            #expect(throttle.wait("192.0.2.1", now: now) == nil)
            throttle.failed("192.0.2.1", now: now)
        }
        let wait = try #require(throttle.wait("192.0.2.1", now: now))
        #expect(wait > .seconds(5) && wait < .seconds(7))
        #expect(throttle.wait("192.0.2.1", now: now + .seconds(7)) == nil)
        #expect(throttle.wait("192.0.2.2", now: now) == nil)
    }

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
        #expect(throws: MintGate.Refusal.sessionOver) { try gate.admit(user, session, now: now + Session.idleLife) }
        session.isRevoked = true
        #expect(throws: MintGate.Refusal.sessionOver) { try gate.admit(user, session, now: now) }
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
