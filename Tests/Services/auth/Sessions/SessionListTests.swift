import JSON
import TestSupport
import Testing
import Values

@testable import Auth

@Suite(.authDatabase) struct SessionListTests {
    private func signIn(_ auth: AuthUnderTest, _ email: String) async throws -> AuthUnderTest.Member {
        try auth.member(try await auth.ask("POST", "/api/auth/login", AuthUnderTest.credentials(email)))
    }

    @Test func `a user sees its sessions and ends one, which is refused at once`() async throws {
        try await AuthUnderTest.with { auth in
            let first = try await auth.register()
            let second = try await signIn(auth, first.email)
            let listed = try await auth.ask("GET", "/api/auth/sessions", token: first.accessToken)
            let sessions = try listed.json().array("data").compactMap(\.object)
            #expect(Set(try sessions.map { try $0.string("id") }) == [first.session.description, second.session.description])
            #expect(try sessions.filter { try $0.bool("current") }.map { try $0.string("id") } == [first.session.description])
            let ended = try await auth.ask("DELETE", "/api/auth/sessions/\(second.session)", token: first.accessToken)
            #expect(ended.status == 204)
            let refused = try await auth.ask("GET", "/api/auth/me", token: second.accessToken)
            #expect((refused.status, refused.errorCode) == (401, "token_revoked"))
            let again = try await auth.ask("DELETE", "/api/auth/sessions/\(second.session)", token: first.accessToken)
            #expect(again.status == 404)
        }
    }

    @Test func `a user ends all other sessions`() async throws {
        try await AuthUnderTest.with { auth in
            let first = try await auth.register()
            let others = [try await signIn(auth, first.email), try await signIn(auth, first.email)]
            #expect(try await auth.ask("DELETE", "/api/auth/sessions", token: first.accessToken).status == 204)
            for other in others { #expect(try await auth.ask("GET", "/api/auth/me", token: other.accessToken).status == 401) }
            #expect(try await auth.ask("GET", "/api/auth/sessions", token: first.accessToken).json().array("data").count == 1)
        }
    }

    @Test func `another user's session is not found, and no text is an error of ours`() async throws {
        try await AuthUnderTest.with { auth in
            let (owner, other) = (try await auth.register(), try await auth.register())
            for id in [owner.session.description, UUIDv7.make().description, "x", "'--"] {
                let answer = try await auth.ask("DELETE", "/api/auth/sessions/\(id)", token: other.accessToken)
                #expect((answer.status, answer.errorCode) == (404, "not_found"))
            }
            #expect(try await auth.ask("GET", "/api/auth/me", token: owner.accessToken).status == 200)
        }
    }

    @Test func `a user changes the profile, member by member`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            func change(_ body: String) async throws -> AuthUnderTest.Answer {
                try await auth.ask("PATCH", "/api/auth/me", body, token: member.accessToken)
            }
            let all = try await change(
                #"{"full_name":" Anna  Lee ","locale":"th","time_zone":"Asia/Bangkok","low_balance_mail":false}"#)
            #expect(all.status == 200)
            let one = try await change(#"{"locale":null}"#)
            let json = try one.json()
            #expect(try json.string("full_name") == "Anna Lee")
            #expect(try json.string("locale") == "en")
            #expect(try json.string("time_zone") == "Asia/Bangkok")
            #expect(try json.bool("low_balance_mail") == false)
            let flawed = [
                (#"{"locale":"xx"}"#, "locale"), (#"{"time_zone":"Mars/Base"}"#, "time_zone"), (#"{"time_zone":"X+3"}"#, "time_zone"),
                (#"{"low_balance_mail":"no"}"#, "low_balance_mail"), (#"{"full_name":7}"#, "full_name"),
                (#"{"time_zone":"\#(String(repeating: "x", count: 5_000))"}"#, "time_zone"),
            ]
            for (body, param) in flawed {
                let answer = try await change(body)
                #expect((answer.status, answer.errorParam) == (400, param), "\(body.prefix(60))")
            }
        }
    }
}
