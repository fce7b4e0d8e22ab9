import HTTPWire
import JSON
import Postgres
import TestSupport
import Testing
import Values

@testable import Auth

/// The questions of our own servers about tokens (RFC 7662).
@Suite(.authDatabase) struct TokenIntrospectionTests {
    private func ask(_ auth: AuthUnderTest, _ token: String, _ more: [(String, String)] = []) async throws -> AuthUnderTest.Answer {
        let answer = try await auth.post(
            "/oauth/introspect", [("token", token)] + more, headers: [("authorization", "Bearer \(AuthUnderTest.serviceToken)")])
        #expect(answer.status == 200)
        #expect((answer.header("cache-control"), answer.header("pragma")) == ("no-store", "no-cache"))
        return answer
    }

    private func isActive(_ auth: AuthUnderTest, _ token: String) async throws -> Bool {
        let answer = try await ask(auth, token)
        let isActive = try answer.json().bool("active")
        if !isActive { #expect(String(decoding: answer.body, as: UTF8.self) == #"{"active":false}"#) }
        return isActive
    }

    private func texts(_ json: JSONObject, _ names: String...) throws -> [String] { try names.map { try json.string($0) } }

    private func makeKey(_ auth: AuthUnderTest, _ member: AuthUnderTest.Member, _ body: String) async throws -> AuthUnderTest.Answer {
        let made = try await auth.ask("POST", "/api/keys", body, token: member.accessToken)
        guard made.status == 201 else { throw AuthUnderTest.Unexpected(answer: made) }
        return made
    }

    @Test func `an access token is described with its user, client, session and times`() async throws {
        try await AuthUnderTest.with { auth in
            let codes = try await auth.requestDeviceCode([("client_id", "smartspec-cli"), ("scope", "llm credits")])
            let member = try await auth.register()
            #expect(try await auth.decide(codes.userCode, "approve", member).status == 200)
            let tokens = try await auth.poll(codes.deviceCode, client: "smartspec-cli")
            let device = try auth.member(tokens)
            let found = try await ask(auth, device.accessToken).json()
            #expect(try found.bool("active"))
            #expect(try texts(found, "token_type", "token_use") == ["Bearer", "access_token"])
            #expect(try texts(found, "iss", "sub") == [AuthUnderTest.publicURL, member.id.description])
            #expect(try texts(found, "username", "client_id") == [member.email, "smartspec-cli"])
            #expect(try texts(found, "scope", "sid") == ["credits llm", device.session.description])
            #expect(try found.integer("iat") == auth.clock.now.seconds)
            #expect(try found.integer("exp") == auth.clock.now.seconds + 900)
        }
    }

    @Test func `a refresh token gives no access by itself, and its successor replaces it`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let found = try await ask(auth, member.refreshToken).json()
            #expect(try texts(found, "token_type", "token_use") == ["N_A", "refresh_token"])
            #expect(try texts(found, "client_id", "sid") == ["web", member.session.description])
            #expect(try found.integer("exp") == (auth.clock.now + Session.idleLife).seconds)
            #expect(try found.string("scope") == "credits llm models profile storage")
            let next = try await auth.ask("POST", "/api/auth/refresh", #"{"refresh_token":"\#(member.refreshToken)"}"#)
            #expect(try await isActive(auth, next.string("refresh_token")))
            #expect(try await !isActive(auth, member.refreshToken))
            auth.clock.advance(.seconds(31))
            #expect(try await !isActive(auth, member.refreshToken))
            #expect(try await isActive(auth, next.string("refresh_token")), "a question about a replaced token ended the session")
        }
    }

    @Test func `an API key is described without a client or a session, and its use is noted`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let endless = try await makeKey(auth, member, #"{"name":"k","scopes":["llm"]}"#)
            let found = try await ask(auth, endless.string("key")).json()
            #expect(try texts(found, "token_type", "token_use") == ["Bearer", "api_key"])
            #expect(try texts(found, "sub", "scope") == [member.id.description, "llm"])
            #expect(try found.integer("iat") == auth.clock.now.seconds)
            for name in ["exp", "client_id", "sid"] { #expect(found.member(name) == nil) }
            let listed = try await auth.ask("GET", "/api/keys", token: member.accessToken).json().array("data").first?.object
            #expect(listed?.has("last_used_at") == true)
            let ending = try await makeKey(auth, member, #"{"name":"k","expires_at":"2099-01-31T12:00:00Z"}"#)
            #expect(try await ask(auth, ending.string("key")).json().integer("exp") == 4_073_544_000)
        }
    }

    @Test func `the hint changes nothing, and a server may send JSON or name a user`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            for hint in ["access_token", "refresh_token", "nonsense", ""] {
                #expect(try await ask(auth, member.accessToken, [("token_type_hint", hint)]).json().bool("active"))
            }
            let json = try await auth.ask(
                "POST", "/oauth/introspect", #"{"token":"\#(member.accessToken)","token_type_hint":null}"#,
                token: AuthUnderTest.serviceToken, headers: [("x-on-behalf-of", "nobody")])
            #expect(json.status == 200)
            #expect(try json.json().bool("active"))
        }
    }

    @Test func `a token of an ended session, a changed user or the past is not active`() async throws {
        try await AuthUnderTest.with { auth in
            func refused(_ what: String, _ end: (AuthUnderTest.Member) async throws -> Void) async throws {
                let member = try await auth.register()
                for token in [member.accessToken, member.refreshToken] { #expect(try await isActive(auth, token)) }
                try await end(member)
                for token in [member.accessToken, member.refreshToken] { #expect(try await !isActive(auth, token), "\(what)") }
            }
            try await refused("logout") { member in _ = try await auth.ask("POST", "/api/auth/logout", token: member.accessToken) }
            try await refused("deactivated") { member in try await auth.change(member.id, isActive: false) }
            try await refused("absolute end") { _ in auth.clock.advance(Session.absoluteLife) }
            let member = try await auth.register()
            try await auth.change(member.id)
            #expect(try await !isActive(auth, member.accessToken), "a token from before a change of its user")
            #expect(try await isActive(auth, member.refreshToken), "a refresh gives a token from after the change")
            let fresh = try await auth.register()
            auth.clock.advance(.seconds(899))
            #expect(try await isActive(auth, fresh.accessToken))
            auth.clock.advance(.seconds(1))
            #expect(try await !isActive(auth, fresh.accessToken))
        }
    }

    @Test func `a deleted or expired API key, or one of a deactivated user, is not active`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let (deleted, ending) = (
                try await makeKey(auth, member, #"{"name":"k"}"#),
                try await makeKey(auth, member, #"{"name":"k","expires_at":"\#(auth.clock.now + .seconds(60))"}"#)
            )
            for key in [deleted, ending] { #expect(try await isActive(auth, key.string("key"))) }
            #expect(try await auth.ask("DELETE", "/api/keys/\(deleted.string("id"))", token: member.accessToken).status == 204)
            auth.clock.advance(.seconds(60))
            for key in [deleted, ending] { #expect(try await !isActive(auth, key.string("key"))) }
            let owner = try await auth.register()
            let key = try await makeKey(auth, owner, #"{"name":"k"}"#).string("key")
            try await auth.change(owner.id, isActive: false)
            #expect(try await !isActive(auth, key))
        }
    }

    @Test func `a text of another kind is not active, and none is an error of ours`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let cookie = try await auth.signInByForm(member.email).value
            let forged = try #require(auth.token(of: member.session, user: .make()))
            let otherSession = try #require(auth.token(of: .make(), user: member.id))
            let texts = [
                cookie, AuthUnderTest.serviceToken, forged, otherSession, member.accessToken + ".x", String(member.accessToken.dropLast()),
                String(member.refreshToken.dropLast()), "ssk_", "ssr_", "sss_", "a.b.c", "..", "\u{1}", "🔑", "' OR 1=1 --",
                String(repeating: "x", count: 2_000), String(repeating: ".", count: 2_000),
            ]
            for text in texts { #expect(try await !isActive(auth, text), "\(text.prefix(40))") }
        }
    }

    @Test func `a caller without a service token is 401 and learns nothing`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let key = try await makeKey(auth, member, #"{"name":"k"}"#).string("key")
            let callers: [[(name: String, value: String)]] = [
                [], [("authorization", "Bearer \(member.accessToken)")], [("authorization", "Bearer \(key)")], [("x-api-key", key)],
                [("authorization", "Bearer \(AuthUnderTest.serviceToken)x")], [("authorization", "Bearer ")],
                [("authorization", "Basic \(AuthUnderTest.serviceToken)")], [("authorization", AuthUnderTest.serviceToken)],
            ]
            for headers in callers {
                for fields in [[("token", member.accessToken)], []] {
                    let answer = try await auth.post("/oauth/introspect", fields, headers: headers)
                    #expect((answer.status, answer.oauthError) == (401, "invalid_client"), "\(headers)")
                    #expect(answer.header("www-authenticate")?.hasPrefix("Bearer") == true)
                }
            }
        }
    }

    @Test(
        arguments: [
            ("", "form"), ("token=", "form"), ("token=a&token=b", "form"), ("token=%zz", "form"), ("token=%00", "form"),
            ("token_type_hint=access_token", "form"),
            ("{}", "json"), (#"{"token":5}"#, "json"), (#"{"token":null}"#, "json"), (#"{"token":"a","token":"b"}"#, "json"),
            (#"{"token":"a","token_type_hint":5}"#, "json"), ("[]", "json"), ("{", "json"), ("token=a", "text/plain"),
        ])
    func `a bad question is 400 in the shape of OAuth`(body: String, type: String) async throws {
        try await AuthUnderTest.with { auth in
            let types = ["form": "application/x-www-form-urlencoded", "json": "application/json"]
            let answer = try await auth.ask(
                "POST", "/oauth/introspect", body, token: AuthUnderTest.serviceToken, headers: [("content-type", types[type] ?? type)])
            #expect((answer.status, answer.oauthError) == (400, "invalid_request"))
        }
    }

    @Test func `a question leaves no audit row`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            func rows() async throws -> Int64 { try await auth.pool.withConnection { try await $0.one(CountAuditRows()) } }
            let before = try await rows()
            #expect(before > 0)
            #expect(try await isActive(auth, member.accessToken))
            #expect(try await rows() == before)
        }
    }
}

private struct CountAuditRows: Statement {
    static let sql = "SELECT count(*) FROM audit"
    typealias Output = Int64
}
