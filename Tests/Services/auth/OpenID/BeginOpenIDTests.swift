import Crypto
import HTTP
import HTTPWire
import JSON
import Postgres
import TestSupport
import Testing
import Values

@testable import Auth

@Suite(.authDatabase) struct BeginOpenIDTests {
    @Test func `a browser is sent to the provider with a cookie of its own`() async throws {
        try await OpenIDUnderTest.with { auth, provider in
            let answer = try await auth.ask("GET", "/api/auth/oidc/acme/start?next=/usage")
            #expect(answer.status == 303)
            #expect(answer.header("cache-control") == "no-store")
            let cookie = try #require(answer.header("set-cookie"))
            #expect(cookie.contains(#/^__Host-oidc=[0-9A-Za-z]{43}; Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure$/#))
            let parts = try #require(answer.header("location")).split(separator: "?")
            #expect(parts[0] == provider.issuer + "/auth")
            let query = try Query(parts[1].utf8)
            #expect(try query.string("redirect_uri") == AuthUnderTest.publicURL + AuthUnderTest.callback)
            #expect(try query.string("client_id") == FakeProvider.clientID)
            #expect(try query.string("scope") == "openid email profile")
            let secrets = [try query.string("state"), try query.string("nonce"), String(cookie.dropFirst(12).prefix { $0 != ";" })]
            #expect(Set(secrets).count == 3 && secrets.allSatisfy { $0.utf8.count == 43 })
            let stored = try await auth.attempts().joined()
            #expect(stored.contains("/usage"))
            #expect(!stored.contains(secrets[0]) && !stored.contains(secrets[2]), "stored as digests")
            #expect(!answer.cookies.contains(secrets[0]))
        }
    }

    @Test func `no two attempts have a secret in common`() async throws {
        try await OpenIDUnderTest.with { auth, _ in
            var seen: Set<String> = []
            for _ in 0..<20 {
                let begun = try await auth.beginOpenID()
                let query = try Query(begun.url.split(separator: "?")[1].utf8)
                for text in [try query.string("state"), try query.string("nonce"), try query.string("code_challenge"), begun.cookie] {
                    #expect(seen.insert(text).inserted)
                }
            }
        }
    }

    @Test func `only a sign-in again asks the provider for a new sign-in`() async throws {
        try await OpenIDUnderTest.with { auth, _ in
            for (start, prompt, age) in [("?again=1", "login", "0"), ("?again=0", nil, nil), ("", nil, nil)] as [(String, String?, String?)]
            {
                let query = try Query(try await auth.beginOpenID(start).url.split(separator: "?")[1].utf8)
                #expect((query["prompt"], query["max_age"]) == (prompt, age), "\(start)")
            }
        }
    }

    @Test func `a browser keeps its cookie for further attempts, if the cookie is well-formed`() async throws {
        try await OpenIDUnderTest.with { auth, _ in
            func cookie(_ sent: String) async throws -> String {
                let answer = try await auth.ask("GET", "/api/auth/oidc/acme/start", headers: [("cookie", sent)])
                #expect(answer.header("set-cookie")?.contains("Max-Age=600;") == true)
                return answer.cookies
            }
            let first = try await auth.beginOpenID().cookie
            #expect(try await cookie(first) == first)
            for wrong in ["__Host-oidc=", first + "x", String(first.dropLast()), "\(first.dropLast())-"] {
                let other = try await cookie(wrong)
                #expect(other != wrong && other != first && other.utf8.count == first.utf8.count, "\(wrong)")
            }
        }
    }

    @Test func `another site begins nothing, and its visitor may go on by a button`() async throws {
        try await OpenIDUnderTest.with { auth, _ in
            let path = "/api/auth/oidc/acme/start"
            func ask(_ site: String, _ query: String) async throws -> AuthUnderTest.Answer {
                try await auth.ask("GET", path + query, headers: [("sec-fetch-site", site)])
            }
            for (query, link) in [
                ("", "?next=%2F"), ("?next=/usage%3Fdays%3D7&again=1", "?next=%2Fusage%3Fdays%3D7&amp;again=1"),
                ("?next=//evil.example&link=1", "?next=%2F&amp;link=1"),
            ] {
                let page = try await ask("cross-site", query)
                #expect((page.status, page.header("set-cookie"), page.header("location")) == (200, nil, nil))
                #expect(page.page.contains("href=\"\(path)\(link)\"") && page.page.contains("Continue with Acme"), "\(page.page)")
            }
            #expect(try await auth.attempts().isEmpty)
            for site in ["same-origin", "same-site", "none"] { #expect(try await ask(site, "").status == 303) }
            #expect(try await auth.ask("GET", "/api/auth/oidc/nobody/start", headers: [("sec-fetch-site", "cross-site")]).status == 404)
        }
    }

    @Test(arguments: ["nobody", "ACME", "acme%20", "acme%2Fx", "%00"])
    func `an unknown provider is 404`(id: String) async throws {
        try await OpenIDUnderTest.with { auth, _ in
            for path in ["start", "callback?state=x&code=y"] {
                let answer = try await auth.ask("GET", "/api/auth/oidc/\(id)/\(path)")
                #expect([404, 400].contains(answer.status), "\(answer.status)")
                #expect(answer.header("set-cookie") == nil)
            }
        }
    }

    @Test(arguments: [
        "https://evil.example/", "//evil.example", "/%5Cevil.example", "javascript:alert(1)", "/a%0d%0aset-cookie:%20a=b", "/%C3%A4",
    ])
    func `a sign-in leads to no other place than this host`(next: String) async throws {
        try await OpenIDUnderTest.with { auth, provider in
            let person = FakeProvider.Person("s-\(UUIDv7.make())", email: "p-\(UUIDv7.make())@example.com", verified: true)
            let answer = try await auth.openID(person, at: provider, "?next=\(next)")
            #expect((answer.status, answer.header("location")) == (303, "/"))
        }
    }

    @Test func `a network may begin a hundred sign-ins, and those that come back do not count`() async throws {
        try await OpenIDUnderTest.with { auth, provider in
            func begin(from address: String) async throws -> AuthUnderTest.Answer {
                try await auth.ask("GET", "/api/auth/oidc/acme/start", headers: [("x-forwarded-for", address)])
            }
            for _ in 0..<100 {
                let status = try await begin(from: "192.0.2.1").status
                #expect(status == 303)
            }
            let stopped = try await begin(from: "192.0.2.1")
            #expect((stopped.status, stopped.header("set-cookie")) == (429, nil))
            #expect(stopped.header("retry-after") != nil)
            #expect(try await begin(from: "192.0.2.2").status == 303)
            for number in 0..<110 {
                let person = FakeProvider.Person("s-\(number)", email: "back-\(number)-\(UUIDv7.make())@example.com")
                let status = try await auth.openID(person, at: provider).status
                #expect(status == 303)
            }
        }
    }

    @Test func `a provider without a good document is 502, without its text, until it has one`() async throws {
        try await OpenIDUnderTest.with { auth, provider in
            let path = "/.well-known/openid-configuration"
            let wrong = [
                Response(status: 500, body: Array("provider-words".utf8)), .text(200, "provider-words"),
                Response(status: 302, headers: ["location": "\(provider.issuer)/keys"]),
                .json(200) { $0.object { $0.field("issuer", "provider-words") } },
                Response(status: 200, body: [UInt8](repeating: 0x20, count: OpenIDClient.answerBytesMax)),
            ]
            for answer in wrong {
                provider.change { $0.answers[path] = answer }
                let begun = try await auth.ask("GET", "/api/auth/oidc/acme/start")
                #expect((begun.status, begun.header("set-cookie")) == (502, nil))
                #expect(begun.page.contains("Acme does not answer as expected"))
                #expect(!begun.page.contains("provider-words"))
            }
            #expect(try await auth.attempts().isEmpty)
            #expect(provider.count("/keys") == 0, "no redirect is followed")
            provider.change { $0.answers = [:] }
            #expect(try await auth.ask("GET", "/api/auth/oidc/acme/start").status == 303)
        }
    }

    @Test func `attempts that have expired are swept, and no other ones`() async throws {
        try await OpenIDUnderTest.with { auth, _ in
            _ = try await auth.beginOpenID()
            auth.clock.advance(.seconds(300))
            _ = try await auth.beginOpenID()
            auth.clock.advance(.seconds(300))
            try await auth.useCases.externalIdentities.sweep()
            #expect(try await auth.attempts().count == 1)
            auth.clock.advance(.seconds(300))
            try await auth.useCases.externalIdentities.sweep()
            #expect(try await auth.attempts().isEmpty)
        }
    }
}

extension AuthUnderTest {
    /// The rows of all attempts, as text.
    func attempts() async throws -> [String] { try await pool.withConnection { try await $0.query(AllAttempts()) } }
}

private struct AllAttempts: Statement {
    static let sql = "SELECT openid_attempt::text FROM openid_attempt"
    typealias Output = String
}
