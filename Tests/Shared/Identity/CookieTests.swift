import Contracts
import EventLoop
import HTTP
import HTTPWire
import TestSupport
import Testing
import Values

@testable import Identity

/// A browser's cookie as a credential.
@Suite struct CookieTests {
    private static let loop = EventLoop.spawn(name: "test-cookies")

    private func withAuthenticator(
        _ body: @escaping @Sendable (Authenticator, ScriptedSource, ManualClock) async throws -> Void
    ) async throws {
        let (source, clock) = (ScriptedSource(), ManualClock())
        try await Task(executorPreference: Self.loop) {
            let authenticator = Authenticator(
                service: "test", publicURL: "https://gateway.example", amqp: nil, source: source, clock: { clock.moment }, log: silentLog)
            try await body(authenticator, source, clock)
        }.value
    }

    private func cookie(_ text: String) -> HeaderBlock { ["cookie": "theme=dark; __Host-session=\(text); x=y"] }

    private func refusal(_ authenticator: Authenticator, _ headers: HeaderBlock, _ use: CookieUse = .accepted) async -> String? {
        do throws(Problem) {
            _ = try await authenticator.gate.caller(CallerDemand(.credential(), cookie: use), headers, body: [])
            return nil
        } catch {
            return error.code.rawValue
        }
    }

    @Test func `a cookie names its user, with what the pages need, and is asked about once`() async throws {
        try await withAuthenticator { authenticator, source, clock in
            let (session, user) = (SessionID.make(), UserID.make())
            let headers = cookie(source.addSession(session, user: user, clock: clock))
            let principal = try await authenticator.principal(headers, cookie: .accepted)
            #expect(principal.userID == user)
            #expect(principal.kind == .session(session))
            #expect((principal.locale, principal.timeZone) == ("th", "Asia/Bangkok"))
            #expect(principal.authenticatedAt == clock.now.seconds)
            #expect(principal.csrf != nil)
            #expect(authenticator.cached(headers, cookie: .accepted) == principal)
            #expect(source.questions == 1)
            #expect(!"\(principal)".contains("bytes"))
        }
    }

    @Test func `a cookie counts only where the row accepts it, and never next to a header`() async throws {
        try await withAuthenticator { authenticator, source, clock in
            let text = source.addSession(clock: clock)
            #expect(await refusal(authenticator, cookie(text)) == nil)
            #expect(await refusal(authenticator, cookie(text), .ignored) == "invalid_api_key")
            #expect(authenticator.cached(cookie(text)) == nil)
            for header: HeaderBlock in [["authorization": "Bearer x"], ["authorization": "Basic x"], ["x-api-key": "x"], ["x-api-key": ""]]
            {
                var headers = cookie(text)
                headers.add(header)
                #expect(authenticator.cached(headers, cookie: .accepted) == nil)
                #expect(await refusal(authenticator, headers) == "invalid_api_key")
            }
            let questions = source.questions
            // The text of a cookie is no bearer token, and other credentials are no cookies.
            #expect(await refusal(authenticator, bearer(text)) == "invalid_api_key")
            #expect(await refusal(authenticator, cookie(source.addKey())) == "invalid_api_key")
            #expect(await refusal(authenticator, cookie(source.token(clock: clock))) == "invalid_api_key")
            #expect(await refusal(authenticator, ["cookie": "session=\(text)"]) == "invalid_api_key")
            #expect(source.questions <= questions + 1)
        }
    }

    @Test func `a request that changes something needs the proof of a page, and a token needs none`() async throws {
        try await withAuthenticator { authenticator, source, clock in
            var headers = cookie(source.addSession(clock: clock))
            #expect(await refusal(authenticator, headers, .acceptedWithProof) == "csrf_failed")
            let csrf = try #require(try await authenticator.principal(headers, cookie: .accepted).csrf)
            headers.add("origin", "https://gateway.example")
            headers.add("x-csrf-token", csrf.token())
            #expect(await refusal(authenticator, headers, .acceptedWithProof) == nil)
            let elsewhere = cookie(source.addSession(clock: clock))
            headers.remove("cookie")
            headers.add(elsewhere)
            #expect(await refusal(authenticator, headers, .acceptedWithProof) == "csrf_failed")
            #expect(await refusal(authenticator, bearer(source.token(clock: clock)), .acceptedWithProof) == nil)
        }
    }

    @Test func `a revoked session ends its cookie at once, however short tokens live`() async throws {
        try await withAuthenticator { authenticator, source, clock in
            let session = SessionID.make()
            let headers = cookie(source.addSession(session, clock: clock))
            #expect(await refusal(authenticator, headers) == nil)
            authenticator.revoke(SessionRevoked(sessionID: session, tokensExpireAt: clock.now + .seconds(1)))
            #expect(await refusal(authenticator, headers) == "token_revoked")
            // More revocations than one sweep of the expired ones leaves.
            clock.advance(.seconds(200))
            for _ in 0..<2_000 { authenticator.revoke(SessionRevoked(sessionID: .make(), tokensExpireAt: clock.now)) }
            #expect(await refusal(authenticator, headers) == "token_revoked")
        }
    }

    @Test func `a cookie is asked about again after a change of its user, and expires with its session`() async throws {
        try await withAuthenticator { authenticator, source, clock in
            let user = UserID.make()
            let headers = cookie(source.addSession(user: user, clock: clock))
            #expect(await refusal(authenticator, headers) == nil)
            authenticator.learn(UserChanged(userID: user, tokenVersion: 1, isActive: true))
            #expect(await refusal(authenticator, headers) == nil)
            #expect(source.questions == 2)
            clock.advance(.seconds(86_400))
            #expect(await refusal(authenticator, headers) == "token_expired")
        }
    }

    @Test func `a cookie of five minutes ago is 503 while auth is unavailable`() async throws {
        try await withAuthenticator { authenticator, source, clock in
            #expect(await refusal(authenticator, bearer(source.token(clock: clock))) == nil)
            let headers = cookie(source.addSession(clock: clock))
            #expect(await refusal(authenticator, headers) == nil)
            source.isAway = true
            clock.advance(.seconds(299))
            #expect(await refusal(authenticator, headers) == nil)
            clock.advance(.seconds(1))
            #expect(await refusal(authenticator, headers) == "unavailable")
        }
    }
}
