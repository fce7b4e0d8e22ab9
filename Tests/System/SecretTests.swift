import Contracts
import Foundation
import HTTPClient
import Identity
import JSON
import Postgres
import TestSupport
import Testing
import Values

extension SystemTests {
    /// The secrets of users, which stand in no log and in no stored message.
    struct SecretTests {
        @Test func `no log and no stored message holds a secret of a user, also of requests that fail`() async throws {
            try await Gateway.run { gateway in
                var visitor = Visitor(gateway)
                try await OpenIDMock.with(gateway) { mock in
                    try await visitor.signInByPassword()
                    try await visitor.changeAddressAndPasswordByLinks()
                    try await visitor.connectDevice()
                    try await visitor.makeKey()
                    try await visitor.useCookie()
                    try await visitor.useProvider(mock)
                    try await visitor.askAsServer()
                    for secret in visitor.secrets { try await visitor.misplace(secret.text) }
                }
                #expect(visitor.secrets.count >= 30)

                // A search that finds what must be there finds the secrets, too.
                let mark = "mark-\(UUIDv7.make())"
                let refused = try await gateway.get("/\(mark)", token: nil, headers: [("x-request-id", mark)])
                #expect(refused.status == 404)
                _ = try await gateway.get("/api/auth/me", token: visitor.access, headers: [("x-request-id", mark)])
                try await gateway.until("the last requests are logged") {
                    try await Set(Self.logs(with: mark, gateway.stack)).isSuperset(of: ["auth.log", "edge-refusals.log"])
                }
                let stored = try await gateway.database.query(RowsWith(texts: [visitor.userID]))
                #expect(Set(stored.map(\.place)).isSuperset(of: ["auth.audit", "auth.outbox"]))

                for secret in visitor.secrets {
                    #expect(try await Self.logs(with: secret.text, gateway.stack) == [], "\(secret.name)")
                }
                for row in try await gateway.database.query(RowsWith(texts: visitor.secrets.map(\.text))) {
                    Issue.record("\(row.place): \(visitor.secrets[row.index].name)")
                }
            }
        }

        /// Returns the names of the logs that hold a text.
        private static func logs(with text: String, _ stack: Stack) async throws -> [String] {
            let found = try await ChildProcess.run("/usr/bin/env", ["grep", "-rlaF", "-e", text, stack.directory + "/log"])
            guard found.status <= 1 else { throw Stack.Failure(description: "grep: \(found.output)") }
            return found.output.split(separator: "\n").compactMap { $0.split(separator: "/").last.map(String.init) }
        }

        // MARK: The user

        /// A user who goes every way in, and keeps the secrets that it sends and receives.
        private struct Visitor {
            let gateway: Gateway
            private(set) var secrets: [(name: String, text: String)] = []
            private(set) var userID = ""
            /// The newest access token.
            private(set) var access = ""
            private var refresh = ""
            private var email = "secrets-\(UUIDv7.make())@example.com"
            private var password = "log-canary-\(UUIDv7.make())"

            init(_ gateway: Gateway) { self.gateway = gateway }

            private mutating func keep(_ name: String, _ text: String) -> String {
                #expect(text.utf8.count >= 8, "\(name)")
                secrets.append((name, text))
                return text
            }

            private mutating func keepTokens(_ name: String, _ answer: ClientResponse) throws {
                let json = try JSONObject(answer.body)
                access = keep("access token of \(name)", try json.string("access_token"))
                refresh = keep("refresh token of \(name)", try json.string("refresh_token"))
            }

            private func post(_ path: String, _ body: String, token: String? = nil, _ status: Int) async throws -> ClientResponse {
                let answer = try await gateway.post(path, token: token, body)
                try gateway.expect(answer, status)
                return answer
            }

            private func form(
                _ path: String, _ body: String, _ headers: [(name: String, value: String)] = []
            ) async throws -> ClientResponse {
                let headers = headers + [("content-type", "application/x-www-form-urlencoded")]
                return try await gateway.client.request(
                    ClientRequest("POST", try gateway.stack.edge + path, headers: headers, body: Array(body.utf8)))
            }

            mutating func signInByPassword() async throws {
                _ = keep("first password", password)
                let credentials = #"{"email":"\#(email)","password":"\#(password)"}"#
                let registered = try await post("/api/auth/register", credentials, 201)
                userID = try JSONObject(registered.body).object("user").string("id")
                try keepTokens("the registration", registered)
                try keepTokens("the sign-in", try await post("/api/auth/login", credentials, 200))
                let used = refresh
                try keepTokens("the refresh", try await post("/api/auth/refresh", #"{"refresh_token":"\#(used)"}"#, 200))
                let guess = keep("wrong password", "wrong-guess-\(UUIDv7.make())")
                _ = try await post("/api/auth/login", #"{"email":"\#(email)","password":"\#(guess)"}"#, 401)
                _ = try await post("/api/auth/register", credentials, 409)
            }

            /// Returns the token of the newest link to a page in the mails to the user.
            private mutating func link(to page: String, at address: String) async throws -> String {
                var mail: JSONObject?
                try await gateway.until("a mail with a link to \(page)") {
                    let answer = try await gateway.client.request(
                        ClientRequest("GET", gateway.stack.mailSink + "/messages?to=" + address))
                    mail = try JSONValue(answer.body).array?.compactMap(\.object).last {
                        try $0.string("text").contains(page + "?token=")
                    }
                    return mail != nil
                }
                let text = try #require(mail).string("text")
                let sentence = try #require(text.split(separator: "\n").first { $0.contains("within") })
                _ = keep("text of the mail for \(page)", String(sentence))
                let found = try #require(text.firstMatch(of: /token=(\w+)/))
                return keep("link token for \(page)", String(found.output.1))
            }

            mutating func changeAddressAndPasswordByLinks() async throws {
                let address = "moved-\(email)"
                _ = try await post(
                    "/api/auth/email/change", #"{"email":"\#(address)","password":"\#(password)"}"#, token: access, 202)
                let confirmation = try await link(to: "/verify", at: address)
                try gateway.expect(try await gateway.get("/verify?token=\(confirmation)", token: nil), 200)
                for status in [204, 400] { _ = try await post("/api/auth/email/verify", #"{"token":"\#(confirmation)"}"#, status) }
                email = address
                _ = try await post("/api/auth/password/forgot", #"{"email":"\#(email)"}"#, 202)
                let reset = try await link(to: "/reset", at: email)
                try gateway.expect(try await gateway.get("/reset?token=\(reset)", token: nil), 200)
                password = keep("second password", "log-canary-\(UUIDv7.make())")
                for status in [303, 400] {
                    try gateway.expect(try await form("/reset", "token=\(reset)&new_password=\(password)"), status)
                }
                try keepTokens(
                    "the sign-in after the reset",
                    try await post("/api/auth/login", #"{"email":"\#(email)","password":"\#(password)"}"#, 200))
                let next = keep("third password", "log-canary-\(UUIDv7.make())")
                try keepTokens(
                    "the change of the password",
                    try await post(
                        "/api/auth/password/change", #"{"current_password":"\#(password)","new_password":"\#(next)"}"#, token: access, 200))
                password = next
            }

            mutating func connectDevice() async throws {
                let codes = try JSONObject(try await post("/oauth/device_authorization", #"{"client_id":"smartspec-cli"}"#, 200).body)
                let deviceCode = keep("device code", try codes.string("device_code"))
                let userCode = keep("user code", try codes.string("user_code"))
                _ = keep("user code with a dash", "\(userCode.prefix(4))-\(userCode.suffix(4))")
                let grant = "urn:ietf:params:oauth:grant-type:device_code"
                let poll = #"{"grant_type":"\#(grant)","device_code":"\#(deviceCode)","client_id":"smartspec-cli"}"#
                _ = try await post("/oauth/token", poll, 400)
                let seen = try await gateway.get("/api/auth/device/verify?user_code=\(userCode)", token: access)
                try gateway.expect(seen, 200)
                _ = try await post(
                    "/api/auth/device/authorize", #"{"user_code":"\#(userCode)","action":"approve"}"#, token: access, 200)
                let tokens = try JSONObject(try await post("/oauth/token", poll, 200).body)
                let device = keep("refresh token of the device", try tokens.string("refresh_token"))
                _ = keep("access token of the device", try tokens.string("access_token"))
                _ = try await post("/oauth/token", poll, 400)
                _ = try await post("/oauth/revoke", #"{"token":"\#(device)","client_id":"smartspec-cli"}"#, 200)
            }

            mutating func makeKey() async throws {
                let made = try JSONObject(try await post("/api/keys", #"{"name":"secrets"}"#, token: access, 201).body)
                let key = keep("API key", try made.string("key"))
                _ = keep("secret part of the API key", String(try #require(key.split(separator: "_").dropFirst(2).first)))
                for path in ["/v1/models", "/v1/credits", "/api/auth/me"] {
                    try gateway.expect(try await gateway.get(path, token: key), 200)
                }
                _ = try await gateway.post("/v1/chat/completions", token: key, Gateway.chatBody(model: "sim-fast", stream: false))
            }

            /// Signs in by the form of a page.
            mutating func useCookie() async throws {
                let origin = [(name: "origin", value: try gateway.stack.edge)]
                let answer = try await form("/login", "email=\(email)&password=\(password)", origin)
                try gateway.expect(answer, 303)
                let cookies = answer.headers.filter { $0.name.lowercased() == "set-cookie" }.map { String($0.value.prefix { $0 != ";" }) }
                for cookie in cookies where !cookie.hasPrefix("language=") {
                    _ = keep("cookie", String(cookie.drop { $0 != "=" }.dropFirst()))
                }
                let name = SessionCookie.name(publicURL: try gateway.stack.edge) + "="
                let session = try #require(cookies.first { $0.hasPrefix(name) })
                let browser = [(name: "cookie", value: cookies.joined(separator: "; "))]
                for path in ["/api/auth/me", "/api/credits/balance"] {
                    try gateway.expect(try await gateway.get(path, token: nil, headers: browser), 200)
                }
                let read = try #require(SessionCookie(Array(session.dropFirst(name.count).utf8)))
                let proof = [(name: "x-csrf-token", value: keep("CSRF token", read.csrf.token()))]
                let changed = try await gateway.post("/api/auth/email/resend", token: nil, "{}", headers: browser + proof + origin)
                try gateway.expect(changed, 202)
            }

            /// Links an identity of a provider, and signs in with it.
            mutating func useProvider(_ mock: OpenIDMock) async throws {
                _ = keep("client secret of the provider", OpenIDMock.clientSecret)
                let subject = "secrets-\(UUIDv7.make())"
                try await mock.put(subject, #"{"email":"\#(subject)@example.com"}"#)
                var browser = Browser(gateway)
                try gateway.expect(try await browser.post("/login", [("email", email), ("password", password)]), 303)
                let page = try await arrive(subject, mock, &browser, "?link=1")
                try gateway.expect(page, 200)
                let form = ["token", "csrf_token"].compactMap { name in page.field(name).map { (name, keep("\(name) of a link", $0)) } }
                for _ in 0..<2 { try gateway.expect(try await browser.post("/settings/sign-in/link", form), 303) }
                var second = Browser(gateway)
                try gateway.expect(try await arrive(subject, mock, &second), 303)
                for (name, text) in second.cookies where name != "language" { _ = keep("\(name) of a sign-in with a provider", text) }
                // A code that the provider does not know.
                let begun = try await second.get("/api/auth/oidc/mock/start")
                let state = try parameter("state", of: begun.header("location"))
                let code = keep("made-up code", "made-up-code-\(UUIDv7.make())")
                try gateway.expect(try await second.get("/api/auth/oidc/mock/callback?state=\(state)&code=\(code)"), 502)
            }

            /// Brings a person back from the provider, and the same answer once more.
            private mutating func arrive(
                _ subject: String, _ mock: OpenIDMock, _ browser: inout Browser, _ query: String = ""
            ) async throws -> ClientResponse {
                let begun = try await browser.get("/api/auth/oidc/mock/start\(query)")
                let url = try #require(begun.header("location"))
                for name in ["state", "nonce"] { _ = try parameter(name, of: url) }
                _ = keep("cookie of an attempt", try #require(browser.cookies["oidc"]))
                let back = try await mock.signIn(subject, at: url)
                _ = try parameter("code", of: back)
                var other = Browser(gateway)
                try gateway.expect(try await other.get(back), 400)
                let answer = try await browser.get(back)
                try gateway.expect(try await browser.get(back), 400)
                return answer
            }

            /// Returns a parameter of an address, as a secret.
            private mutating func parameter(_ name: String, of url: String?) throws -> String {
                let (url, pattern) = (try #require(url), try Regex<(Substring, Substring)>("[?&]\(name)=([^&]+)"))
                let found = try #require(url.firstMatch(of: pattern))
                return keep(name, String(found.output.1))
            }

            mutating func askAsServer() async throws {
                let headers = [(name: "x-on-behalf-of", value: userID)]
                try gateway.expect(try await gateway.get("/api/auth/me", token: Stack.serviceToken, headers: headers), 200)
                for (_, text) in secrets {
                    _ = try await post("/oauth/introspect", #"{"token":"\#(text)"}"#, token: Stack.serviceToken, 200)
                }
                _ = keep("service token", Stack.serviceToken)
            }

            /// Sends a secret in places where no secret belongs. A client that does so is refused, or ignored.
            func misplace(_ secret: String) async throws {
                let encoded = secret.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
                for path in ["/api/auth/me", "/v1/models", "/v1/credits", "/api/nothing", "/oauth/token"] {
                    let answer = try await gateway.get("\(path)?access_token=\(encoded)&\(encoded)=1", token: nil)
                    #expect((400..<500).contains(answer.status))
                }
                for query in ["state=\(encoded)&code=\(encoded)", "state=x&error=\(encoded)&iss=\(encoded)"] {
                    let answer = try await gateway.get(
                        "/api/auth/oidc/mock/callback?\(query)", token: nil, headers: [("cookie", "oidc=\(encoded)")])
                    #expect(answer.status == 400)
                }
                for value in [secret, "Token \(secret)", "Basic \(secret)", "Basic \(Data(":\(secret)".utf8).base64EncodedString())"] {
                    for path in ["/api/auth/me", "/v1/credits", "/v1/models"] {
                        let answer = try await gateway.get(path, token: nil, headers: [("authorization", value)])
                        #expect(answer.status == 401, "\(path)")
                    }
                }
                // A password in a path cannot be told from a path.
                if secret.contains(/^(ss[a-z]_|eyJ)/) {
                    for path in ["/api/keys/\(secret)", "/\(secret)", "/v1/\(secret)/x"] {
                        #expect((400..<500).contains(try await gateway.get(path, token: nil).status))
                    }
                }
                let bodies = [
                    #"{"email":"\#(secret)","password":"x","\#(secret)":1}"#, #"{"email":{"\#(secret)":"\#(secret)"}}"#,
                    #"{"password":"\#(secret)"#,
                ]
                for path in ["/api/auth/register", "/api/auth/login", "/api/auth/password/forgot", "/api/auth/password/reset"] {
                    for body in bodies {
                        let answer = try await gateway.post(path, token: nil, body)
                        #expect((400..<500).contains(answer.status), "\(path)")
                    }
                }
                for name in ["client_id", "grant_type", "scope", "device_code", encoded] {
                    for path in ["/oauth/token", "/oauth/device_authorization", "/oauth/revoke"] {
                        let answer = try await form(path, "\(name)=\(encoded)")
                        #expect((400..<500).contains(answer.status), "\(path)")
                    }
                }
            }
        }
    }
}

/// The rows of stored messages, mails and audit trails that hold one of the texts, one row a text.
private struct RowsWith: Statement {
    static let sql = """
        WITH stored AS (
            \(places.joined(separator: "\n    UNION ALL "))
        )
        SELECT place, (wanted.number - 1)::bigint
        FROM unnest($1::text[]) WITH ORDINALITY AS wanted (text, number)
        JOIN stored ON strpos(stored.text, wanted.text) > 0
        GROUP BY place, wanted.number
        ORDER BY wanted.number, place
        """
    private static let places =
        ["auth", "ledger", "llm_proxy", "billing"].flatMap { schema in
            ["outbox", "dead_letter"].map { table in
                "SELECT '\(schema).\(table)' AS place, \(table)::text || encode(body, 'escape') AS text FROM \(schema).\(table)"
            }
        } + ["SELECT 'auth.audit', audit::text FROM auth.audit", "SELECT 'auth.mail', mail::text FROM auth.mail"]

    struct Output: Sendable {
        var place: String
        var index: Int
    }
    var texts: [String]

    func bind(_ parameters: inout Parameters) { parameters.append(texts) }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Output {
        Output(place: try row.next(), index: Int(try row.next(Int64.self)))
    }
}
