import Crypto
import HTTP
import HTTPWire
import Identity
import JSON
import Postgres
import Synchronization
import Telemetry
import TestSupport
import Values

@testable import Auth

/// An OpenID provider on a server of its own. It checks what it gets as a strict provider does, and
/// answers as a test says.
final class FakeProvider: Sendable {
    /// A person at the provider. The values are JSON.
    struct Person: Sendable {
        var subject: String
        var email: String?
        var emailVerified: String?
        var name: String?

        init(_ subject: String, email: String?, verified: Bool? = nil, name: String? = nil) {
            self.subject = "\"\(subject)\""
            self.email = email.map { "\"\($0)\"" }
            emailVerified = verified.map { "\($0)" }
            self.name = name.map { "\"\($0)\"" }
        }

        func members(withProfile: Bool = true) -> [(String, String?)] {
            [("sub", subject)] + (withProfile ? [("email", email), ("email_verified", emailVerified), ("name", name)] : [])
        }
    }

    struct State: Sendable {
        /// Members of the discovery document that differ; nil leaves a member out.
        var metadata: [String: String?] = [:]
        /// The key that signs, and the ids of all keys that are published.
        var signer = (id: "k1", pair: ES256KeyPair.generate())
        var published: [(id: String, key: ES256PublicKey)] = []
        /// Members of ID tokens that differ.
        var claims: [String: String?] = [:]
        /// False for a provider that has the profile in the UserInfo answer only.
        var tokenHasProfile = true
        /// Members of UserInfo answers that differ.
        var userInfo: [String: String?] = [:]
        /// The answer to a path instead of the right one.
        var answers: [String: Response] = [:]
        /// Requests by path.
        var counts: [String: Int] = [:]
        /// True if the endpoint takes the client secret from the form.
        var takesSecretFromForm = false
        fileprivate var codes: [String: Code] = [:]
        fileprivate var accessTokens: [String: Person] = [:]
    }

    fileprivate struct Code: Sendable {
        let person: Person
        let nonce: String
        let challenge: String
        let redirectURI: String
    }

    static let clientID = "gateway client"
    static let clientSecret = "a client-secret: with/special+chars"

    let issuer: String
    private let state: Mutex<State>
    private let clock: Mutex<@Sendable () -> Instant> = Mutex(Instant.now)

    func change(_ body: (inout State) -> Void) { state.withLock { body(&$0) } }
    func count(_ path: String) -> Int { state.withLock { $0.counts[path] ?? 0 } }

    static func with(_ body: @escaping @Sendable (FakeProvider) async throws -> Void) async throws {
        try await TestDatabase.onLoop {
            let routes = Mutex<FakeProvider?>(nil)
            var router = Router()
            for (method, path) in [(Method.get, "/.well-known/openid-configuration"), (.get, "/keys"), (.get, "/me"), (.post, "/token")] {
                router.on(method, path) { request in
                    guard let provider = routes.withLock({ $0 }) else { return Response(status: 500) }
                    return try provider.answer(path, request)
                }
            }
            let log = Logger(service: "provider", level: .error)
            let server = HTTPServer(
                loop: TestDatabase.loop, configuration: HTTPServerConfiguration(host: "127.0.0.1", port: 0),
                handler: router.handler(log: log, service: "provider"), log: log)
            try server.start()
            let provider = FakeProvider(issuer: "http://127.0.0.1:\(server.port)")
            routes.withLock { $0 = provider }
            let result: Result<Void, any Error>
            do { result = .success(try await body(provider)) } catch { result = .failure(error) }
            await server.drain(within: .seconds(5))
            try result.get()
        }
    }

    private init(issuer: String) {
        self.issuer = issuer
        var first = State()
        first.published = [(first.signer.id, first.signer.pair.publicKey)]
        state = Mutex(first)
    }

    /// Lets the provider's clock be another one.
    func follow(_ clock: @escaping @Sendable () -> Instant) { self.clock.withLock { $0 = clock } }

    /// Signs with another key from now on.
    /// - Parameter isPublished: false if the set of keys does not have it.
    func rotate(_ id: String, isPublished: Bool = true) {
        change { state in
            state.signer = (id, ES256KeyPair.generate())
            if isPublished { state.published = [(id, state.signer.pair.publicKey)] }
        }
    }

    // MARK: The person

    /// Lets a person sign in at the address that a browser was sent to.
    /// - Returns: the query that the browser brings back.
    func signIn(_ person: Person, at url: String, more: String = "") throws -> String {
        let query = try Query(url.split(separator: "?").last.map { Array($0.utf8) } ?? [])
        let code = Base62.random(20)
        let asked = Code(
            person: person, nonce: try query.string("nonce"), challenge: try query.string("code_challenge"),
            redirectURI: try query.string("redirect_uri"))
        change { $0.codes[code] = asked }
        return "code=\(code)&state=\(try query.string("state"))\(more)"
    }

    // MARK: Answers

    private func answer(_ path: String, _ request: Request) throws -> Response {
        let forced = state.withLock { state in
            state.counts[path, default: 0] += 1
            return state.answers[path]
        }
        if let forced { return forced }
        switch path {
        case "/keys": return Self.json(keys)
        case "/me": return userInfo(request)
        case "/token": return try token(request)
        default: return Self.json(metadata)
        }
    }

    private static func json(_ text: String) -> Response {
        Response(status: 200, headers: ["content-type": "application/json"], body: Array(text.utf8))
    }

    private static func object(_ members: [(String, String?)], _ changes: [String: String?]) -> String {
        let kept = members.map { ($0.0, changes[$0.0] ?? $0.1) }
        let added = changes.filter { change in !members.contains { $0.0 == change.key } }.map { ($0.key, $0.value) }
        return "{" + (kept + added).compactMap { name, json in json.map { #""\#(name)":\#($0)"# } }.joined(separator: ",") + "}"
    }

    private var metadata: String {
        let (changes, isForm) = state.withLock { ($0.metadata, $0.takesSecretFromForm) }
        return Self.object(
            [
                ("issuer", "\"\(issuer)\""), ("authorization_endpoint", "\"\(issuer)/auth\""), ("token_endpoint", "\"\(issuer)/token\""),
                ("jwks_uri", "\"\(issuer)/keys\""), ("userinfo_endpoint", "\"\(issuer)/me\""),
                ("token_endpoint_auth_methods_supported", isForm ? #"["client_secret_post"]"# : nil),
            ], changes)
    }

    private var keys: String {
        let list = state.withLock(\.published).map { id, key in
            #"{"kty":"EC","crv":"P-256","use":"sig","kid":"\#(id)","x":"\#(Base64.url.encode(key.x))","y":"\#(Base64.url.encode(key.y))"}"#
        }
        return #"{"keys":[\#(list.joined(separator: ","))]}"#
    }

    private func userInfo(_ request: Request) -> Response {
        let token = request.headers.string(for: "authorization").map { String($0.dropFirst("Bearer ".count)) } ?? ""
        let (person, changes) = state.withLock { ($0.accessTokens[token], $0.userInfo) }
        guard let person else { return Response(status: 401) }
        return Self.json(Self.object(person.members(), changes))
    }

    private func token(_ request: Request) throws -> Response {
        let form = try Query(request.body)
        guard try isClient(request.headers, form), try form.string("grant_type") == "authorization_code",
            let code = state.withLock({ $0.codes.removeValue(forKey: form["code"] ?? "") }),
            try form.string("redirect_uri") == code.redirectURI,
            Base64.url.encode(sha256(try form.string("code_verifier")).bytes) == code.challenge
        else { return .json(400) { $0.object { $0.field("error", "invalid_grant") } } }
        let access = Base62.random(30)
        let now = clock.withLock { $0 }()
        let (signer, changes, hasProfile) = state.withLock { state in
            state.accessTokens[access] = code.person
            return (state.signer, state.claims, state.tokenHasProfile)
        }
        let claims = Self.object(
            [
                ("iss", "\"\(issuer)\""), ("aud", "\"\(Self.clientID)\""), ("exp", "\(now.seconds + 300)"), ("iat", "\(now.seconds)"),
                ("nonce", "\"\(code.nonce)\""),
                ("at_hash", "\"\(Base64.url.encode(Array(sha256(access).bytes.prefix(16))))\""),
            ] + code.person.members(withProfile: hasProfile), changes)
        let body = IDTokenTests.encoded(#"{"alg":"ES256","kid":"\#(signer.id)"}"#) + "." + IDTokenTests.encoded(claims)
        return .json(200) { json in
            json.object { json in
                json.field("id_token", "\(body).\(Base64.url.encode(signer.pair.sign(Array(body.utf8))))")
                json.field("access_token", access)
                json.field("token_type", "Bearer")
            }
        }
    }

    private func isClient(_ headers: HeaderBlock, _ form: Query) throws -> Bool {
        guard !state.withLock(\.takesSecretFromForm) else {
            return form["client_id"] == Self.clientID && form["client_secret"] == Self.clientSecret && !headers.contains("authorization")
        }
        guard let text = headers.string(for: "authorization"), let pair = Base64.standard.decode(text.dropFirst("Basic ".count)) else {
            return false
        }
        let parts = try pair.split(separator: UInt8(ascii: ":"), maxSplits: 1).map { try Query([0x78, 0x3D] + $0)["x"] }
        return parts == [Self.clientID, Self.clientSecret] && form["client_secret"] == nil
    }
}

/// Auth with a provider `acme`.
enum OpenIDUnderTest {
    static func with(
        _ variables: [String: String] = [:], _ body: @escaping @Sendable (AuthUnderTest, FakeProvider) async throws -> Void
    ) async throws {
        try await FakeProvider.with { provider in
            let settings = [
                "OIDC_PROVIDERS": "acme", "OIDC_ACME_ISSUER": provider.issuer, "OIDC_ACME_CLIENT_ID": FakeProvider.clientID,
                "OIDC_ACME_CLIENT_SECRET": FakeProvider.clientSecret, "REQUIRE_VERIFIED_EMAIL": "on",
            ]
            try await AuthUnderTest.with(variables: settings.merging(variables) { $1 }) { auth in
                provider.follow { auth.clock.now }
                // The tests of a suite share their database.
                try await auth.pool.withConnection { try await $0.script("DELETE FROM openid_attempt") }
                try await body(auth, provider)
            }
        }
    }
}

extension AuthUnderTest {
    /// A sign-in that a browser has begun.
    struct Begun {
        /// The address of the provider.
        var url: String
        /// `name=value` of the cookie.
        var cookie: String
    }

    static let callback = "/api/auth/oidc/acme/callback"

    func beginOpenID(_ query: String = "", headers: [(name: String, value: String)] = []) async throws -> Begun {
        let answer = try await ask("GET", "/api/auth/oidc/acme/start\(query)", headers: headers)
        guard answer.status == 303, let url = answer.header("location") else { throw Unexpected(answer: answer) }
        return Begun(url: url, cookie: answer.cookies)
    }

    /// Brings a provider's answer to auth.
    func finishOpenID(_ query: String, _ begun: Begun, cookies: String = "") async throws -> Answer {
        try await ask("GET", "\(Self.callback)?\(query)", headers: [("cookie", begun.cookie + (cookies.isEmpty ? "" : "; " + cookies))])
    }

    /// Signs a person in as one browser does.
    func openID(_ person: FakeProvider.Person, at provider: FakeProvider, _ query: String = "") async throws -> Answer {
        let begun = try await beginOpenID(query)
        return try await finishOpenID(try provider.signIn(person, at: begun.url), begun)
    }

    /// Returns the page of a callback that offers a signed-in browser to link a person.
    func offerLink(_ person: FakeProvider.Person, at provider: FakeProvider, to browser: Browser) async throws -> Answer {
        let begun = try await beginOpenID("?link=1", headers: [("cookie", browser.text)])
        return try await finishOpenID(try provider.signIn(person, at: begun.url), begun, cookies: browser.text)
    }

    /// Links a person to the user of a browser.
    func link(_ person: FakeProvider.Person, at provider: FakeProvider, to browser: Browser) async throws -> Answer {
        let page = try await offerLink(person, at: provider, to: browser)
        guard page.status == 200, let token = page.field("token") else { throw Unexpected(answer: page) }
        return try await submit("/settings/sign-in/link", ["token": token], headers: browser.pageHeaders)
    }
}

extension AuthUnderTest.Answer {
    /// The text of a page.
    var page: String { String(decoding: body, as: UTF8.self) }

    /// The value of a hidden field of a page.
    func field(_ name: String) -> String? {
        (try? Regex<(Substring, Substring)>(#"name="\#(name)" value="([^"]*)""#)).flatMap { page.firstMatch(of: $0) }.map {
            String($0.output.1)
        }
    }

    /// The browser that an answer has signed in; nil if it has not.
    var signedIn: AuthUnderTest.Browser? {
        let pair = cookies.split(separator: "; ").first { $0.hasPrefix("__Host-session=") }
        guard let value = pair?.dropFirst("__Host-session=".count), let cookie = SessionCookie(Array(value.utf8)) else { return nil }
        return AuthUnderTest.Browser(cookie: cookie, value: String(value), all: cookies)
    }
}
