import HTTP
import HTTPWire
import Testing
import Values

@testable import Auth

/// Requests that no client of ours sends. Each gets a defined refusal and changes nothing.
@Suite(.authDatabase, .serialized) struct BadInputTests {
    // MARK: Bodies

    /// The operations that read a body, in the order of the table.
    private static let reading = [
        "POST /api/auth/register", "POST /register", "POST /api/auth/login", "POST /login", "POST /api/auth/refresh",
        "POST /api/auth/logout", "PATCH /api/auth/me", "POST /api/auth/email/verify", "POST /api/auth/email/change",
        "POST /api/auth/password/forgot", "POST /api/auth/password/reset", "POST /api/auth/password/change",
        "POST /api/keys", "POST /api/auth/device/code", "POST /api/auth/device/authorize", "POST /api/auth/device/token",
        "POST /oauth/device_authorization", "POST /oauth/token", "POST /oauth/revoke", "POST /oauth/introspect",
        "POST /api/admin/users/{id}/role",
    ]
    /// The operations whose body no handler reads.
    private static let ignoring = [
        "POST /api/auth/email/resend", "POST /api/admin/users/{id}/deactivate", "POST /api/admin/users/{id}/reactivate",
    ]

    @Test func `every operation that may have a body is in one of the lists`() {
        let rows = AuthUnderTest.programRows.filter { ![.get, .delete].contains($0.method) }
        #expect(Set(rows.flatMap(\.operations)) == Set(Self.reading + Self.ignoring))
    }

    /// An object whose members all have the value.
    private static func members(_ value: String) -> String {
        let names = [
            "email", "password", "full_name", "refresh_token", "token", "new_password", "current_password", "locale", "time_zone", "name",
            "scopes", "client_id", "device_name", "scope", "user_code", "action", "grant_type", "device_code", "role", "issuer",
            "subject",
        ]
        return "{" + names.map { #""\#($0)":\#(value)"# }.joined(separator: ",") + "}"
    }

    /// Bodies that no handler can use.
    private static let malformed: [(name: String, bytes: [UInt8])] =
        [
            ("null", "null"), ("array", "[]"), ("string", #""x""#), ("number", "7"), ("cut off", "{"), ("not closed", #"{"email":"a"#),
            ("trailing text", #"{"email":"a@example.com"} x"#), ("deep arrays", String(repeating: "[", count: 8_000)),
            ("deep objects", String(repeating: #"{"a":"#, count: 1_600)), ("byte order mark", "\u{FEFF}{}"),
            ("repeated name", #"{"email":"a@example.com","email":"b@example.com"}"#), ("lone surrogate", members(#""\ud800""#)),
            ("half an escape", #"{"email":"\u00"}"#), ("no number", #"{"limit":1e400x}"#), ("NaN", #"{"limit":NaN}"#),
            ("a form", "email=a%40example.com&password=long+enough+pw"), ("numbers", members("7")), ("huge numbers", members("1e400")),
            ("negative numbers", members("-1")), ("booleans", members("true")), ("arrays", members("[]")), ("objects", members("{}")),
        ].map { ($0.0, Array($0.1.utf8)) } + [
            ("invalid UTF-8", Array(#"{"email":""#.utf8) + [0xFF, 0xFE] + Array(#""}"#.utf8)),
            ("overlong UTF-8", Array(#"{"email":""#.utf8) + [0xC0, 0x80] + Array(#""}"#.utf8)),
            // The bytes of `{}` as gzip has them. They are not inflated.
            ("gzip", [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3, 0xAB, 0xAE, 5, 0, 0x43, 0xBF, 0xA6, 0xA3, 2, 0, 0, 0]),
        ]

    /// Texts that a database or a mail server could misread.
    private static let hostile = [#""\u0000""#, #""'; DROP TABLE users; --""#, #""x\r\nBcc: a@example.com""#, #""%00%0d%0a${x}{{x}}""#]

    /// The credential that an operation needs, so that its body is read.
    private struct Credentials {
        let member: AuthUnderTest.Member
        let admin: AuthUnderTest.Member

        init(_ auth: AuthUnderTest) async throws { (member, admin) = (try await auth.register(), try await auth.administrator()) }

        func token(for access: Access) -> String? {
            switch access {
            case .public, .sessionOrBody: nil
            case .serviceWithoutUser, .caller(.service): AuthUnderTest.serviceToken
            case .caller(.admin): admin.accessToken
            case .caller: member.accessToken
            }
        }
    }

    /// Fails unless an answer is a refusal in the shape of its row, or a page.
    private static func expectRefusal(_ answer: AuthUnderTest.Answer, _ row: RouteRow, _ what: String) {
        #expect((400..<500).contains(answer.status), "\(row.operations) \(what): \(answer.status)")
        if answer.header("content-type")?.hasPrefix("text/html") == true { return }
        let error = row.errors == .oauth ? answer.oauthError : answer.errorCode
        #expect(!error.hasPrefix("not in the shape"), "\(row.operations) \(what): \(error)")
    }

    @Test(arguments: reading)
    func `a body that is no request is refused in the shape of its route, and changes nothing`(operation: String) async throws {
        try await AuthUnderTest.with { auth in
            let row = try #require(Routes.table.map(\.row).first { $0.operations.contains(operation) })
            let credentials = try await Credentials(auth)
            let path = String(operation.split(separator: " ")[1]).replacing("{id}", with: credentials.member.id.description)
            func send(_ bytes: [UInt8]) async throws -> AuthUnderTest.Answer {
                try await auth.ask(row.method.rawValue, path, bytes: bytes, token: credentials.token(for: row.access))
            }
            let before = try await Self.state(auth)
            for body in Self.malformed { Self.expectRefusal(try await send(body.bytes), row, body.name) }
            for text in Self.hostile {
                let answer = try await send(Array(Self.members(text).utf8))
                // A sign-out with an unknown token is 204, and a question about one is {"active":false}.
                if ![200, 204].contains(answer.status) { Self.expectRefusal(answer, row, text) }
            }
            let long = try await send([UInt8](repeating: UInt8(ascii: " "), count: row.bodyBytesMax + 1))
            Self.expectRefusal(long, row, "a long body")
            #expect(long.status == 413)
            #expect(try await Self.state(auth) == before)
        }
    }

    /// The rows of the database, without the audit rows of failed sign-ins.
    private static func state(_ auth: AuthUnderTest) async throws -> [Substring] {
        try await auth.dump().split(separator: "\n").filter { !$0.contains(",failure,") }
    }

    // MARK: Paths and methods

    @Test func `another spelling of a path is another path`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let paths = [
                "//api/auth/me", "/api//auth/me", "/api/auth/me/", "/API/auth/me", "/api/auth/%6De", "/api/auth/me;a", "/api/auth/me%2F",
            ]
            for path in paths {
                let answer = try await auth.ask("GET", path, token: member.accessToken)
                #expect((answer.status, answer.errorCode) == (404, "not_found"), "\(path)")
            }
        }
    }

    @Test func `no field changes the method of a request`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let other = try auth.member(try await auth.ask("POST", "/api/auth/login", AuthUnderTest.credentials(member.email)))
            for name in ["x-http-method-override", "x-http-method", "x-method-override"] {
                let answer = try await auth.ask(
                    "GET", "/api/auth/sessions?_method=DELETE", token: member.accessToken, headers: [(name, "DELETE")])
                #expect(answer.status == 200)
            }
            #expect(try await auth.ask("GET", "/api/auth/me", token: other.accessToken).status == 200)
        }
    }

    // MARK: Credentials

    @Test func `a row refuses every credential that it does not accept`() async throws {
        try await AuthUnderTest.with { auth in
            let (member, admin) = (try await auth.register(), try await auth.administrator())
            func key(_ body: String) async throws -> String {
                try await auth.ask("POST", "/api/keys", body, token: admin.accessToken).string("key")
            }
            func device(_ scope: String) async throws -> String {
                let codes = try await auth.requestDeviceCode([("client_id", "smartspec-cli"), ("scope", scope)])
                #expect(try await auth.decide(codes.userCode, "approve", admin).status == 200)
                return try await auth.poll(codes.deviceCode, client: "smartspec-cli").string("access_token")
            }
            let narrowKey = try await key(#"{"name":"k","scopes":["storage"]}"#)
            let (wideKey, narrowDevice, wideDevice) = (try await key(#"{"name":"k"}"#), try await device("storage"), try await device(""))
            // The first use of a key is noted, and no other one for five minutes.
            for key in [narrowKey, wideKey] { _ = try await auth.ask("GET", "/api/auth/me", token: key) }
            let before = try await auth.dump()
            for row in Routes.table.map(\.row) {
                func refused(_ status: Int, _ token: String?, onBehalfOf user: UserID? = nil) async throws {
                    let headers = user.map { [(name: "x-on-behalf-of", value: $0.description)] } ?? []
                    for path in row.paths {
                        let path = path.replacing("{id}", with: member.id.description).replacing("{act}", with: "deactivate")
                        let answer = try await auth.ask(row.method.rawValue, path, token: token, headers: headers)
                        // A page leads to the sign-in.
                        let expected = row.isPage && status == 401 ? 303 : status
                        #expect(answer.status == expected, "\(row.operations)")
                    }
                }
                switch row.access {
                case .public, .sessionOrBody: continue
                case .serviceWithoutUser:
                    for token in [nil, "x", member.accessToken, admin.accessToken, wideKey] { try await refused(401, token) }
                case .caller(let access):
                    for token in [nil, "x", AuthUnderTest.serviceToken + "x"] { try await refused(401, token) }
                    switch access {
                    case .session, .admin:
                        for token in [narrowKey, wideKey, narrowDevice, wideDevice] { try await refused(403, token) }
                        try await refused(403, AuthUnderTest.serviceToken, onBehalfOf: admin.id)
                        if case .admin = access {
                            for token in [member.accessToken, wideDevice] { try await refused(403, token) }
                        }
                    case .credential:
                        for token in [narrowKey, narrowDevice] { try await refused(403, token) }
                    case .service:
                        for token in [member.accessToken, wideKey] { try await refused(403, token) }
                    }
                }
            }
            #expect(try await auth.dump() == before)
        }
    }

    @Test func `a credential of one kind is not accepted as another kind`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let key = try await auth.ask("POST", "/api/keys", #"{"name":"k"}"#, token: member.accessToken).string("key")
            let codes = try await auth.requestDeviceCode()
            #expect(try await auth.decide(codes.userCode, "approve", member).status == 200)
            let cookie = try await auth.signInByForm(member.email).value
            for token in [member.refreshToken, codes.deviceCode, codes.userCode, cookie, AuthUnderTest.password] {
                for headers in [[("authorization", "Bearer \(token)")], [("x-api-key", token)]] {
                    let answer = try await auth.ask("GET", "/api/auth/me", headers: headers)
                    #expect((answer.status, answer.errorCode) == (401, "invalid_api_key"), "\(token)")
                }
            }
            for token in [member.accessToken, key, codes.deviceCode, cookie, AuthUnderTest.serviceToken] {
                let refresh = try await auth.ask("POST", "/api/auth/refresh", #"{"refresh_token":"\#(token)"}"#)
                #expect((refresh.status, refresh.errorCode) == (401, "invalid_refresh_token"))
                let grant = [("grant_type", "refresh_token"), ("client_id", "smartspec-cli"), ("refresh_token", token)]
                #expect(try await auth.post("/oauth/token", grant).oauthError == "invalid_grant")
                for path in ["/api/auth/email/verify", "/api/auth/password/reset"] {
                    let link = try await auth.ask("POST", path, #"{"token":"\#(token)","new_password":"another long password"}"#)
                    #expect((link.status, link.errorParam) == (400, "token"))
                }
            }
            for token in [member.accessToken, member.refreshToken, key, cookie] {
                #expect(try await auth.poll(token).oauthError == "invalid_grant")
            }
            #expect(try await auth.ask("GET", "/api/auth/me", token: member.accessToken).status == 200)
        }
    }

    // MARK: Answers

    @Test func `an answer with a secret is stored by no cache, and no answer opens itself to another origin`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let credentials = AuthUnderTest.credentials(member.email)
            let codes = try await auth.requestDeviceCode()
            #expect(try await auth.decide(codes.userCode, "approve", member).status == 200)
            let grant = "urn:ietf:params:oauth:grant-type:device_code"
            let poll = #"{"grant_type":"\#(grant)","device_code":"\#(codes.deviceCode)","client_id":"smartspec-desktop"}"#
            let change = #"{"current_password":"\#(AuthUnderTest.password)","new_password":"another long password"}"#
            let asked: [(String, String, token: String?)] = [
                ("/api/auth/register", AuthUnderTest.credentials("headers-\(UUIDv7.make())@example.com"), nil),
                ("/api/auth/login", credentials, nil), ("/login", credentials, nil),
                ("/api/auth/refresh", #"{"refresh_token":"\#(member.refreshToken)"}"#, nil),
                ("/api/keys", #"{"name":"k"}"#, member.accessToken), ("/api/auth/device/code", "{}", nil), ("/oauth/token", poll, nil),
                ("/api/auth/password/change", change, member.accessToken),
            ]
            for (path, body, token) in asked {
                let answer = try await auth.ask("POST", path, body, token: token, headers: [("origin", "https://elsewhere.example")])
                #expect((200...201).contains(answer.status), "\(path)")
                #expect(answer.header("cache-control") == "no-store", "\(path)")
                for (name, _) in answer.headers {
                    #expect(!name.lowercased().hasPrefix("access-control-") && name.lowercased() != "server", "\(path) \(name)")
                }
            }
        }
    }
}
