import Contracts
import Crypto
import Identity
import Postgres
import Testing
import Values

@testable import Auth

@Suite(.authDatabase) struct CookieSessionTests {
    private func owner(_ auth: AuthUnderTest, _ session: SessionID, _ secret: SHA256Digest) async throws -> SessionReply.Owner? {
        try await CookieSessions(pool: auth.pool, clock: { auth.clock.now })
            .owner(of: IntrospectSession(sessionID: session, secretSHA256: secret.hexadecimal))
    }

    @Test func `a cookie is good with its own secret only`() async throws {
        try await AuthUnderTest.with { auth in
            let (member, other) = (try await auth.register(), try await auth.register())
            let cookie = try await auth.signInByForm(member.email).cookie
            let found = try #require(try await owner(auth, cookie.sessionID, cookie.secretDigest))
            #expect(found.userID == member.id)
            #expect(found.sessionID == cookie.sessionID)
            #expect(found.expiresAt == auth.clock.now + Session.idleLife)
            let wrong = SessionCookie.make(for: cookie.sessionID).cookie.secretDigest
            #expect(try await owner(auth, cookie.sessionID, wrong) == nil)
            #expect(try await owner(auth, other.session, cookie.secretDigest) == nil, "the session has no cookie")
            #expect(try await owner(auth, .make(), cookie.secretDigest) == nil)
            let malformed = IntrospectSession(sessionID: cookie.sessionID, secretSHA256: "00ff")
            #expect(try await CookieSessions(pool: auth.pool, clock: { auth.clock.now }).owner(of: malformed) == nil)
        }
    }

    @Test func `use prolongs the session, to its absolute end at most`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let began = auth.clock.now
            let cookie = try await auth.signInByForm(member.email).cookie
            for _ in 0..<4 {
                auth.clock.advance(.seconds(20 * 86_400))
                #expect(try await owner(auth, cookie.sessionID, cookie.secretDigest) != nil)
            }
            let last = try #require(try await owner(auth, cookie.sessionID, cookie.secretDigest))
            #expect(last.expiresAt == began + Session.absoluteLife)
            auth.clock.advance(.seconds(10 * 86_400))
            #expect(try await owner(auth, cookie.sessionID, cookie.secretDigest) == nil)
        }
    }

    @Test func `the cookie of an ended session or of a deactivated user is not good`() async throws {
        try await AuthUnderTest.with { auth in
            let (ended, deactivated) = (try await auth.register(), try await auth.register())
            let browsers = [try await auth.signInByForm(ended.email), try await auth.signInByForm(deactivated.email)]
            let cookies = browsers.map(\.cookie)
            for cookie in cookies { #expect(try await owner(auth, cookie.sessionID, cookie.secretDigest) != nil) }
            _ = try await auth.ask("POST", "/api/auth/logout", headers: browsers[0].pageHeaders)
            try await auth.change(deactivated.id, isActive: false)
            for cookie in cookies { #expect(try await owner(auth, cookie.sessionID, cookie.secretDigest) == nil) }
        }
    }
}
