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
            let cookie = try #require(SessionCookie(Array(try await auth.giveCookie(to: member.session).utf8)))
            let found = try #require(try await owner(auth, member.session, cookie.secretDigest))
            #expect(found.userID == member.id)
            #expect(found.sessionID == member.session)
            #expect(found.expiresAt == auth.clock.now + Session.idleLife)
            let wrong = SessionCookie.make(for: member.session).cookie.secretDigest
            #expect(try await owner(auth, member.session, wrong) == nil)
            #expect(try await owner(auth, other.session, cookie.secretDigest) == nil, "the session has no cookie")
            #expect(try await owner(auth, .make(), cookie.secretDigest) == nil)
            let malformed = IntrospectSession(sessionID: member.session, secretSHA256: "00ff")
            #expect(try await CookieSessions(pool: auth.pool, clock: { auth.clock.now }).owner(of: malformed) == nil)
        }
    }

    @Test func `use prolongs the session, to its absolute end at most`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let began = auth.clock.now
            let cookie = try #require(SessionCookie(Array(try await auth.giveCookie(to: member.session).utf8)))
            for _ in 0..<4 {
                auth.clock.advance(.seconds(20 * 86_400))
                #expect(try await owner(auth, member.session, cookie.secretDigest) != nil)
            }
            let last = try #require(try await owner(auth, member.session, cookie.secretDigest))
            #expect(last.expiresAt == began + Session.absoluteLife)
            auth.clock.advance(.seconds(10 * 86_400))
            #expect(try await owner(auth, member.session, cookie.secretDigest) == nil)
        }
    }

    @Test func `the cookie of an ended session or of a deactivated user is not good`() async throws {
        try await AuthUnderTest.with { auth in
            let (ended, deactivated) = (try await auth.register(), try await auth.register())
            let cookies = [try await auth.giveCookie(to: ended.session), try await auth.giveCookie(to: deactivated.session)]
                .compactMap { SessionCookie(Array($0.utf8)) }
            for cookie in cookies { #expect(try await owner(auth, cookie.sessionID, cookie.secretDigest) != nil) }
            _ = try await auth.ask("POST", "/api/auth/logout", token: ended.accessToken)
            try await auth.change(deactivated.id, isActive: false)
            for cookie in cookies { #expect(try await owner(auth, cookie.sessionID, cookie.secretDigest) == nil) }
        }
    }
}

extension AuthUnderTest {
    /// Gives a cookie to a session, as a sign-in in a browser does.
    func giveCookie(to session: SessionID) async throws -> String {
        let (cookie, text) = SessionCookie.make(for: session)
        _ = try await pool.transaction { try await $0.execute(PutCookie(session: session, secretSHA256: cookie.secretDigest.bytes)) }
        return text
    }
}

private struct PutCookie: Statement {
    static let sql = "UPDATE session SET cookie_sha256 = $2 WHERE id = $1"
    var session: SessionID
    var secretSHA256: [UInt8]

    func bind(_ parameters: inout Parameters) {
        parameters.append(session)
        parameters.append(secretSHA256)
    }
}
