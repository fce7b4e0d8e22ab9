import HTTP
import HTTPWire
import JSON
import TestSupport
import Testing
import Values

@testable import Auth

@Suite(.authDatabase) struct OpenIDClientTests {
    private static let document = "/.well-known/openid-configuration"

    private func signIn(
        _ auth: AuthUnderTest, _ provider: FakeProvider, expecting status: Int, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let id = UUIDv7.make()
        let answer = try await auth.openID(FakeProvider.Person("s-\(id)", email: "c-\(id)@example.com"), at: provider)
        #expect(answer.status == status, sourceLocation: sourceLocation)
        #expect((answer.signedIn != nil) == (status == 303), sourceLocation: sourceLocation)
    }

    @Test func `documents are read once an hour`() async throws {
        try await OpenIDUnderTest.with { auth, provider in
            for _ in 0..<3 { try await signIn(auth, provider, expecting: 303) }
            #expect((provider.count(Self.document), provider.count("/keys")) == (1, 1))
            auth.clock.advance(.seconds(3_599))
            try await signIn(auth, provider, expecting: 303)
            #expect((provider.count(Self.document), provider.count("/keys")) == (1, 1))
            auth.clock.advance(.seconds(1))
            try await signIn(auth, provider, expecting: 303)
            #expect((provider.count(Self.document), provider.count("/keys")) == (2, 2))
        }
    }

    @Test func `documents that cannot be read again are good for a day`() async throws {
        try await OpenIDUnderTest.with { auth, provider in
            try await signIn(auth, provider, expecting: 303)
            for path in [Self.document, "/keys"] { provider.change { $0.answers[path] = Response(status: 500) } }
            auth.clock.advance(.seconds(3_600))
            for _ in 0..<3 { try await signIn(auth, provider, expecting: 303) }
            #expect((provider.count(Self.document), provider.count("/keys")) == (2, 2), "one request in thirty seconds")
            auth.clock.advance(.seconds(30))
            try await signIn(auth, provider, expecting: 303)
            #expect((provider.count(Self.document), provider.count("/keys")) == (3, 3))
            auth.clock.advance(.seconds(86_400 - 3_631))
            try await signIn(auth, provider, expecting: 303)
            auth.clock.advance(.seconds(1))
            #expect(try await auth.ask("GET", "/api/auth/oidc/acme/start").status == 502)
            provider.change { $0.answers = [:] }
            try await signIn(auth, provider, expecting: 303)
        }
    }

    @Test func `a key that old keys do not have is refused, and looked for after thirty seconds`() async throws {
        try await OpenIDUnderTest.with { auth, provider in
            try await signIn(auth, provider, expecting: 303)
            auth.clock.advance(.seconds(3_600))
            provider.rotate("k2")
            provider.change { $0.answers["/keys"] = Response(status: 500) }
            for _ in 0..<3 { try await signIn(auth, provider, expecting: 502) }
            #expect(provider.count("/keys") == 2)
            provider.change { $0.answers = [:] }
            auth.clock.advance(.seconds(30))
            try await signIn(auth, provider, expecting: 303)
        }
    }

    @Test func `many sign-ins at one time read a document once`() async throws {
        try await OpenIDUnderTest.with { auth, provider in
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<40 { group.addTask { try await auth.ask("GET", "/api/auth/oidc/acme/start").status } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(statuses == Array(repeating: 303, count: 40))
            #expect(provider.count(Self.document) == 1)
        }
    }

    @Test func `a new key of the provider is read once, and then not for thirty seconds`() async throws {
        try await OpenIDUnderTest.with { auth, provider in
            try await signIn(auth, provider, expecting: 303)
            auth.clock.advance(.seconds(30))
            provider.rotate("k2")
            try await signIn(auth, provider, expecting: 303)
            #expect(provider.count("/keys") == 2)
            provider.rotate("k3", isPublished: false)
            auth.clock.advance(.seconds(29))
            for _ in 0..<3 { try await signIn(auth, provider, expecting: 502) }
            #expect(provider.count("/keys") == 2)
            auth.clock.advance(.seconds(1))
            for _ in 0..<3 { try await signIn(auth, provider, expecting: 502) }
            #expect(provider.count("/keys") == 3)
        }
    }

    @Test func `the client secret may go into the form`() async throws {
        try await OpenIDUnderTest.with { auth, provider in
            provider.change { $0.takesSecretFromForm = true }
            try await signIn(auth, provider, expecting: 303)
        }
    }

    @Test(arguments: [
        ("iss", #""https://evil.example""#), ("aud", #""another client""#), ("exp", "1"), ("iat", "99999999999"), ("nonce", #""n""#),
        ("at_hash", #""AAAAAAAAAAAAAAAAAAAAAA""#), ("sub", "null"),
    ])
    func `a wrong claim of the ID token reaches no account`(name: String, json: String) async throws {
        try await OpenIDUnderTest.with { auth, provider in
            provider.change { $0.claims[name] = json }
            let before = try await auth.dump()
            try await signIn(auth, provider, expecting: 502)
            #expect(try await auth.dump() == before)
        }
    }

    @Test(arguments: ["/token", "/keys"])
    func `garbage of the provider is 502 without its words, and the next sign-in works`(path: String) async throws {
        try await OpenIDUnderTest.with { auth, provider in
            let wrong = [
                Response(status: 500, body: Array("provider-words".utf8)), .text(200, "provider-words"), Response(status: 204),
                Response(status: 302, headers: ["location": "\(provider.issuer)/me"]),
                .json(200) { $0.object { $0.field("id_token", "x.y.z") } },
                Response(status: 200, body: [UInt8](repeating: 0x20, count: OpenIDClient.answerBytesMax)),
            ]
            for answer in wrong {
                provider.change { $0.answers[path] = answer }
                let id = UUIDv7.make()
                let page = try await auth.openID(FakeProvider.Person("s-\(id)", email: "c-\(id)@example.com"), at: provider)
                #expect((page.status, page.signedIn == nil) == (502, true))
                #expect(!page.page.contains("provider-words"))
            }
            #expect(provider.count("/me") == 0)
            provider.change { $0.answers = [:] }
            try await signIn(auth, provider, expecting: 303)
        }
    }

    @Test func `a provider that is silent is given up after five seconds`() async throws {
        let silent = ScriptedServer { peer in _ = peer.waitForHangup() }
        let variables = [
            "OIDC_PROVIDERS": "acme", "OIDC_ACME_ISSUER": "http://127.0.0.1:\(silent.port)", "OIDC_ACME_CLIENT_ID": "x",
            "OIDC_ACME_CLIENT_SECRET": "y",
        ]
        try await AuthUnderTest.with(variables: variables) { auth in
            let answer = try await auth.ask("GET", "/api/auth/oidc/acme/start")
            #expect(answer.status == 502)
        }
        #expect(silent.connections == 1)
    }
}
