import Contracts
import JSON
import Postgres
import Testing
import Values

@testable import Auth

/// Tests the requests of our own servers to auth.
@Suite(.authDatabase) struct ServiceTokenTests {
    private static let credits = Credits(nano: 5_000_000_000)

    private func ask(_ auth: AuthUnderTest, _ method: String, _ path: String, _ body: String? = nil, for users: String...) async throws
        -> AuthUnderTest.Answer
    {
        try await auth.ask(method, path, body, token: AuthUnderTest.serviceToken, headers: users.map { ("x-on-behalf-of", $0) })
    }

    @Test func `a server reads the user that it names, with credits and without sessions`() async throws {
        try await AuthUnderTest.with(credits: Self.credits) { auth in
            let member = try await auth.register()
            for path in ["/api/auth/me", "/me"] {
                let me = try await ask(auth, "GET", path, for: member.id.description)
                #expect(me.status == 200)
                #expect(try me.string("id") == member.id.description)
                #expect(try me.string("plan") == "free")
                #expect(try me.json().optionalDecimalText("credits") == "5")
                #expect(try me.json().array("sessions").isEmpty)
                let credential = try me.json().object("auth")
                #expect(try credential.string("type") == "service_token")
                #expect(try credential.string("service") == "web-gateway")
                #expect(!credential.has("session_id") && !credential.has("api_key_id"))
            }
        }
    }

    @Test func `a user that does not exist is 404, and a deactivated user is 403`() async throws {
        try await AuthUnderTest.with(credits: Self.credits) { auth in
            let unknown = try await ask(auth, "GET", "/api/auth/me", for: UserID.make().description)
            #expect((unknown.status, unknown.errorCode, unknown.errorParam) == (404, "not_found", "x-on-behalf-of"))
            let member = try await auth.register()
            try await auth.pool.withConnection { try await $0.script("UPDATE users SET active = false WHERE id = '\(member.id)'") }
            let deactivated = try await ask(auth, "GET", "/api/auth/me", for: member.id.description)
            #expect((deactivated.status, deactivated.errorCode) == (403, "user_deactivated"))
        }
    }

    @Test func `a first snapshot has every deactivated user, and a later one every change since`() async throws {
        try await AuthUnderTest.with { auth in
            let (gone, back) = (try await auth.register().id, try await auth.register().id)
            func change(_ user: UserID, isActive: Bool) async throws {
                try await auth.pool.withConnection {
                    try await $0.script(
                        """
                        UPDATE users SET active = \(isActive), token_version = token_version + 1, changed_at = '\(auth.clock.now)'
                        WHERE id = '\(user)'
                        """)
                }
            }
            for user in [gone, back] { try await change(user, isActive: false) }
            auth.clock.advance(.seconds(30 * 86_400))
            let first = try await auth.useCases.identities.signingKeys(QuerySigningKeys()).changedUsers
            for user in [gone, back] { #expect(first.contains { $0.userID == user && !$0.isActive }) }
            let heardAt = auth.clock.now
            try await change(back, isActive: true)
            auth.clock.advance(.seconds(86_400))
            let later = try await auth.useCases.identities.signingKeys(QuerySigningKeys(revokedSince: heardAt)).changedUsers
            #expect(later.map(\.userID) == [back])
            #expect(later.map(\.isActive) == [true])
        }
    }

    @Test func `a server that names no user, no UUID or two users is 400 and the answer names the header`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register().id.description
            for users in [[], [""], ["alice"], [member, member]] {
                let headers = users.map { (name: "x-on-behalf-of", value: $0) }
                let me = try await auth.ask("GET", "/api/auth/me", token: AuthUnderTest.serviceToken, headers: headers)
                #expect((me.status, me.errorCode, me.errorParam) == (400, "invalid_request", "x-on-behalf-of"), "\(users)")
            }
        }
    }

    @Test func `a server makes, reads and deletes no keys of its user, and signs the user out of nothing`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            for (method, path, body) in [
                ("GET", "/api/keys", nil), ("POST", "/api/keys", #"{"name":"k"}"#), ("DELETE", "/api/keys/abcdefghij", nil),
                ("POST", "/api/auth/logout", nil),
            ] as [(String, String, String?)] {
                let answer = try await ask(auth, method, path, body, for: member.id.description)
                #expect((answer.status, answer.errorCode) == (403, "session_required"), "\(method) \(path)")
            }
            #expect(try await auth.ask("GET", "/api/auth/me", token: member.accessToken).status == 200)
        }
    }
}
