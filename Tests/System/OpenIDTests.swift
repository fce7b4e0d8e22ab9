import Foundation
import HTTPClient
import JSON
import TestSupport
import Testing
import Values

extension SystemTests {
    /// Sign-in with OpenID providers: `oidc-provider-mock` from PyPI, and servers that are none.
    struct OpenIDTests {
        private static let start = "/api/auth/oidc/mock/start"

        /// Begins a sign-in in a browser, and lets a person sign in at the provider.
        /// - Returns: the address that the browser is sent back to.
        private static func arrive(
            _ subject: String, _ mock: OpenIDMock, _ browser: inout Browser, _ query: String = ""
        ) async throws -> String {
            let begun = try await browser.get(start + query)
            guard begun.status == 303, let url = begun.header("location") else { throw browser.gateway.unexpected(begun) }
            return try await mock.signIn(subject, at: url)
        }

        private static func me(_ browser: inout Browser) async throws -> JSONObject {
            let answer = try await browser.get("/api/auth/me")
            try browser.gateway.expect(answer, 200)
            return try JSONObject(answer.body)
        }

        private static func subjects(_ browser: inout Browser) async throws -> [String] {
            try JSONObject(try await browser.get("/api/auth/identities").body).array("data").compactMap(\.object).map {
                try $0.string("subject")
            }
        }

        private static func subjectsOfMails(to address: String, _ gateway: Gateway) async throws -> [String] {
            let answer = try await gateway.client.request(
                ClientRequest("GET", gateway.stack.mailSink + "/messages?to=" + address))
            return try MailSink.messages(in: answer.body).map(\.subject)
        }

        // MARK: Signing in

        @Test func `a person signs in with a provider, and is the same user the next time`() async throws {
            try await Gateway.run { gateway in
                try await OpenIDMock.with(gateway, ["REQUIRE_VERIFIED_EMAIL=on"]) { mock in
                    let file = gateway.stack.directory + "/run/secrets/auth/OIDC_MOCK_CLIENT_SECRET"
                    #expect(try String(contentsOfFile: file, encoding: .utf8) == OpenIDMock.clientSecret, "not in the environment")
                    for isVerified in [true, false] {
                        let (subject, email) = ("person-\(UUIDv7.make())", "openid-\(UUIDv7.make())@example.com")
                        try await mock.put(subject, #"{"email":"\#(email)","email_verified":\#(isVerified),"name":"Ada"}"#)
                        var browser = Browser(gateway)
                        let back = try await Self.arrive(subject, mock, &browser, "?next=/usage%3Fdays%3D7")
                        #expect(back.hasPrefix("\(try gateway.stack.edge)/api/auth/oidc/mock/callback?"))
                        let answer = try await browser.get(back)
                        #expect((answer.status, answer.header("location")) == (303, "/usage?days=7"), "\(answer.text)")
                        let me = try await Self.me(&browser)
                        #expect(try me.string("email") == email && me.string("full_name") == "Ada")
                        #expect(try me.bool("email_verified") == isVerified)
                        let id = try me.string("id")
                        if isVerified {
                            try await gateway.until("the free plan's credits are there") {
                                try await Self.me(&browser).optionalDecimalText("credits") == "10"
                            }
                        } else {
                            try await gateway.until("the mail is there") {
                                try await Self.subjectsOfMails(to: email, gateway) == ["Confirm your email address"]
                            }
                        }
                        #expect(browser.cookies.keys.sorted() == ["browser", "language", "oidc", "session"])

                        var second = Browser(gateway)
                        let again = try await second.get(try await Self.arrive(subject, mock, &second))
                        #expect((again.status, again.header("location")) == (303, "/"))
                        #expect(try await Self.me(&second).string("id") == id)
                        #expect(try await Self.subjects(&second) == [subject])
                    }
                }
            }
        }

        @Test func `an answer counts once, in its own browser, and leads to this host`() async throws {
            try await Gateway.run { gateway in
                try await OpenIDMock.with(gateway) { mock in
                    let subject = "person-\(UUIDv7.make())"
                    try await mock.put(subject, #"{"email":"\#(subject)@example.com"}"#)
                    var (browser, other) = (Browser(gateway), Browser(gateway))
                    let back = try await Self.arrive(subject, mock, &browser, "?next=//evil.example/")
                    _ = try await Self.arrive(subject, mock, &other)
                    for _ in 0..<2 { #expect(try await other.get(back).status == 400) }
                    #expect(other.cookies["session"] == nil)
                    let answer = try await browser.get(back)
                    #expect((answer.status, answer.header("location")) == (303, "/"))
                    let replayed = try await browser.get(back)
                    #expect(replayed.status == 400)

                    var third = Browser(gateway)
                    let begun = try await third.get(Self.start)
                    let url = try #require(begun.header("location"))
                    let state = try #require(url.firstMatch(of: /[?&](state=[^&]+)/)).output.1
                    // The mock leaves the state out, against RFC 6749 §4.1.2.1.
                    let refused = try await third.get("\(try await mock.refuse(at: url))&\(state)")
                    #expect(refused.status == 400)
                    #expect(refused.text.contains("You did not allow Mock"))
                    #expect(third.cookies["session"] == nil)
                }
            }
        }

        // MARK: Linking

        @Test func `a taken address is linked by its user only, and unlinked again`() async throws {
            try await Gateway.run { gateway in
                try await OpenIDMock.with(gateway) { mock in
                    let account = try await gateway.register()
                    let subject = "person-\(UUIDv7.make())"
                    try await mock.put(subject, #"{"email":"\#(account.email)","email_verified":true}"#)
                    var stranger = Browser(gateway)
                    let taken = try await stranger.get(try await Self.arrive(subject, mock, &stranger))
                    #expect((taken.status, stranger.cookies["session"]) == (409, nil))

                    var browser = Browser(gateway)
                    let login = try await browser.post("/login", [("email", account.email), ("password", Gateway.password)])
                    try gateway.expect(login, 303)
                    let page = try await browser.get(try await Self.arrive(subject, mock, &browser, "?link=1"))
                    #expect(page.status == 200)
                    #expect(try await Self.subjects(&browser).isEmpty, "the callback links nothing by itself")
                    let token = try #require(page.field("token"))
                    let forged = try await browser.post("/settings/sign-in/link", [("token", token)])
                    #expect(forged.status == 403, "without the token of the page")
                    let proof = (name: "csrf_token", value: try #require(page.field("csrf_token")))
                    for _ in 0..<2 { try gateway.expect(try await browser.post("/settings/sign-in/link", [("token", token), proof]), 303) }
                    #expect(try await Self.subjects(&browser) == [subject])

                    var another = Browser(gateway)
                    try gateway.expect(try await another.get(try await Self.arrive(subject, mock, &another)), 303)
                    #expect(try await Self.me(&another).string("email") == account.email)
                    let gone = try await another.post(
                        "/settings/sign-in/unlink?issuer=\(mock.issuer)&subject=\(subject)",
                        [("csrf_token", try #require(another.csrfToken))])
                    try gateway.expect(gone, 303)
                    #expect(try await Self.subjects(&another).isEmpty)
                    let after = try await stranger.get(try await Self.arrive(subject, mock, &stranger))
                    #expect(after.status == 409)
                    try await gateway.until("the mails are there") {
                        try await Set(Self.subjectsOfMails(to: account.email, gateway)).isSuperset(of: [
                            "Mock is connected to your account", "Mock is disconnected from your account",
                        ])
                    }
                }
            }
        }

        // MARK: Servers that are no provider

        @Test func `a provider that is away or answers garbage fails its own sign-ins only`() async throws {
            let garbage = ScriptedServer { peer in
                while peer.request() != nil {
                    peer.send("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 14\r\n\r\nprovider-words")
                }
            }
            let endless = ScriptedServer { peer in
                _ = peer.request()
                peer.send("HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n" + String(repeating: " ", count: 1 << 20))
                _ = peer.waitForHangup()
            }
            let closed = try freePorts(1)[0]
            let ports = ["garbage": garbage.port, "endless": endless.port, "away": Int(closed)]
            try await Gateway.run { gateway in
                let variables = ports.flatMap { id, port in
                    [
                        "OIDC_\(id.uppercased())_ISSUER=http://127.0.0.1:\(port)", "OIDC_\(id.uppercased())_CLIENT_ID=x",
                        "OIDC_\(id.uppercased())_CLIENT_SECRET=y",
                    ]
                }
                // Auth starts although no one of the three answers.
                try await OpenIDMock.with(gateway, providers: ports.keys.sorted(), variables) { mock in
                    for id in ports.keys.sorted() {
                        var browser = Browser(gateway)
                        let answer = try await browser.get("/api/auth/oidc/\(id)/start")
                        #expect(answer.status == 502, "\(id)")
                        #expect(answer.text.contains("does not answer as expected") && !answer.text.contains("provider-words"))
                        #expect(browser.cookies.isEmpty)
                    }
                    let subject = "person-\(UUIDv7.make())"
                    try await mock.put(subject, #"{"email":"\#(subject)@example.com"}"#)
                    var browser = Browser(gateway)
                    try gateway.expect(try await browser.get(try await Self.arrive(subject, mock, &browser)), 303)
                    let log = try gateway.stack.log(of: .auth).filter { $0.contains("openid provider failed") }
                    for reason in ["malformed metadata", "answer too large", "unreachable"] {
                        #expect(log.contains { $0.contains("\"reason\":\"\(reason)\"") }, "\(reason)")
                    }
                    #expect(!log.contains { $0.contains("provider-words") })
                }
            }
        }
    }
}
