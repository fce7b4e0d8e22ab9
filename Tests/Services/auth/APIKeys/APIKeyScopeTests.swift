import JSON
import Postgres
import TestSupport
import Testing
import Values

@testable import Auth

@Suite(.authDatabase) struct APIKeyScopeTests {
    @Test func `a key without the scope credits sees no credits`() async throws {
        try await AuthUnderTest.with(credits: Credits(nano: 5_000_000_000)) { auth in
            let member = try await auth.register()
            for (scopes, credits) in [(#"["profile"]"#, nil), (#"["profile","credits"]"#, "5")] as [(String, String?)] {
                let made = try await auth.ask("POST", "/api/keys", #"{"name":"k","scopes":\#(scopes)}"#, token: member.accessToken)
                let me = try await auth.ask("GET", "/api/auth/me", token: try made.string("key"))
                #expect(me.status == 200)
                #expect(try me.json().optionalDecimalText("credits") == credits, "\(scopes)")
            }
            let me = try await auth.ask("GET", "/api/auth/me", token: member.accessToken)
            #expect(try me.json().optionalDecimalText("credits") == "5")
        }
    }

    @Test func `a key without the scope profile does not read its owner`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let made = try await auth.ask("POST", "/api/keys", #"{"name":"k","scopes":["storage"]}"#, token: member.accessToken)
            let me = try await auth.ask("GET", "/api/auth/me", token: try made.string("key"))
            #expect((me.status, me.errorCode) == (403, "insufficient_scope"))
        }
    }

    @Test func `the scopes of a key are written out when it is made`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let made = try await auth.ask("POST", "/api/keys", #"{"name":"k"}"#, token: member.accessToken)
            #expect(try made.json().array("scopes").compactMap(\.string) == ["credits", "llm", "models", "profile", "storage"])
        }
    }

    @Test func `an empty list of scopes is refused and makes no key`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let answer = try await auth.ask("POST", "/api/keys", #"{"name":"k","scopes":[]}"#, token: member.accessToken)
            #expect((answer.status, answer.errorCode, answer.errorParam) == (400, "invalid_request", "scopes"))
            let listed = try await auth.ask("GET", "/api/keys", token: member.accessToken)
            #expect(try listed.json().array("data").isEmpty)
            await #expect(throws: PostgresError.self) {
                try await auth.pool.withConnection {
                    try await $0.script(
                        """
                        INSERT INTO api_key (id, user_id, secret_sha256, last4, name, scopes, created_at, created_by_session)
                        SELECT 'abcdefghij', id, sha256('x'), 'wxyz', 'k', '{}', now(), id FROM users WHERE id = '\(member.id)'
                        """)
                }
            }
        }
    }
}
