import Identity
import TestSupport
import Testing
import Values

@testable import Auth

@Suite(.authDatabase) struct SessionPagesTests {
    private static let firefox = "Mozilla/5.0 (Windows NT 10.0; rv:133.0) Gecko/20100101 Firefox/133.0"

    private func signIn(_ auth: AuthUnderTest, _ email: String, agent: String) async throws -> AuthUnderTest.Member {
        let headers = [(name: "user-agent", value: agent), (name: "x-forwarded-for", value: "203.0.113.7")]
        return try auth.member(try await auth.ask("POST", "/api/auth/login", AuthUnderTest.credentials(email), headers: headers))
    }

    private func connect(_ auth: AuthUnderTest, _ member: AuthUnderTest.Member, client: String, name: String?) async throws {
        let codes = try await auth.requestDeviceCode([("client_id", client)] + (name.map { [("device_name", $0)] } ?? []))
        #expect(try await auth.decide(codes.userCode, "approve", member).status == 200)
        #expect(try await auth.poll(codes.deviceCode, client: client, headers: [("user-agent", "Tool/1 (Linux)")]).status == 200)
    }

    private func names(_ page: AuthUnderTest.Answer) -> [String] {
        page.html.matches(of: /<strong><span(?: title="[^"]*")?>([^<]*)<\/span><\/strong>/).map { String($0.output.1) }
    }

    @Test func `a user sees each session by a name, this browser first, and the raw text of a program in a title`() async throws {
        try await AuthUnderTest.with { auth in
            let (member, browser) = try await auth.person()
            _ = try await signIn(auth, member.email, agent: Self.firefox)
            try await connect(auth, member, client: "smartspec-desktop", name: "Anna's ThinkPad")
            try await connect(auth, member, client: "smartspec-cli", name: nil)
            try await connect(auth, member, client: "smartspec-cli", name: AuthUnderTest.scriptName)
            _ = try await signIn(auth, member.email, agent: "\u{E01}")
            let page = try await auth.open("/settings/sessions", browser)
            #expect(page.status == 200)
            let found = names(page)
            #expect(found.count == 7)
            #expect(page.html.matches(of: /this browser<\/span>/).count == 1)
            #expect(
                Set(found.dropFirst()) == [
                    "Unknown program", "Firefox on Windows", "SmartSpec Desktop · Anna&#39;s ThinkPad", "SmartSpec command line",
                    "SmartSpec command line · &quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;",
                ])
            #expect(!page.html.contains("<script>"))
            #expect(page.html.contains(#"<span title="\#(Self.firefox)">Firefox on Windows</span>"#))
            #expect(page.html.contains("Tool on Linux · 127.0.0.1 · last used"))
            #expect(page.html.contains("203.0.113.7 · last used"))
            #expect(page.html.contains(#"aria-label="End session: Firefox on Windows""#))
            let thai = try await auth.open("/settings/sessions", browser, in: "th")
            #expect(names(thai).contains("Firefox บน Windows"))
            #expect(thai.html.contains("เบราว์เซอร์นี้</span>"))
        }
    }

    @Test func `a session ends once its end is confirmed`() async throws {
        try await AuthUnderTest.with { auth in
            let (member, browser) = try await auth.person()
            let other = try await signIn(auth, member.email, agent: Self.firefox)
            let path = "/settings/sessions/\(other.session)"
            #expect(try await auth.open("/settings/sessions", browser).html.contains(#"href="\#(path)""#))
            let asked = try await auth.open(path, browser)
            #expect(asked.html.contains("<h1>End this session?</h1>"))
            #expect(asked.html.contains("Firefox on Windows") && asked.html.contains("203.0.113.7"))
            #expect(try await auth.ask("GET", "/api/auth/me", token: other.accessToken).status == 200, "a GET ends nothing")
            let ended = try await auth.send(path, [:], browser)
            #expect((ended.status, ended.header("location")) == (303, "/settings/sessions?done=ended"))
            #expect(try await auth.ask("GET", "/api/auth/me", token: other.accessToken).status == 401)
            #expect(try await auth.open("/settings/sessions?done=ended", browser).notices("The session has ended."))
            for answer in [try await auth.send(path, [:], browser), try await auth.open(path, browser)] {
                #expect(answer.status == 404)
                #expect(answer.isError("This page does not exist"))
            }
        }
    }

    @Test func `all other sessions end once that is confirmed, also twice`() async throws {
        try await AuthUnderTest.with { auth in
            let (member, browser) = try await auth.person()
            let other = try await signIn(auth, member.email, agent: Self.firefox)
            let asked = try await auth.open("/settings/sessions/others", browser)
            #expect(asked.html.contains("<li>Firefox on Windows</li>"))
            for _ in 0..<2 {
                let ended = try await auth.send("/settings/sessions/others", [:], browser)
                #expect((ended.status, ended.header("location")) == (303, "/settings/sessions?done=others"))
            }
            for token in [member.accessToken, other.accessToken] {
                #expect(try await auth.ask("GET", "/api/auth/me", token: token).status == 401)
            }
            let page = try await auth.open("/settings/sessions?done=others", browser)
            #expect(page.notices("All other sessions have ended."))
            #expect(page.html.contains("You are signed in nowhere else."))
            #expect(!page.html.contains("/settings/sessions/others"))
        }
    }

    @Test func `the session of another person is not found, and no text is an error of ours`() async throws {
        try await AuthUnderTest.with { auth in
            let (owner, browser) = (try await auth.register(), try await auth.person().browser)
            for id in [owner.session.description, UUIDv7.make().description, "x", "'--"] {
                for answer in [
                    try await auth.open("/settings/sessions/\(id)", browser), try await auth.send("/settings/sessions/\(id)", [:], browser),
                ] {
                    #expect(answer.status == 404, "\(id)")
                    #expect(answer.isError("This page does not exist"))
                }
            }
            #expect(try await auth.ask("GET", "/api/auth/me", token: owner.accessToken).status == 200)
        }
    }

    @Test func `the end of the own session leads to the sign-in`() async throws {
        try await AuthUnderTest.with { auth in
            let browser = try await auth.person().browser
            let path = "/settings/sessions/\(browser.cookie.sessionID)"
            #expect(try await auth.open(path, browser).status == 200)
            #expect(try await auth.send(path, [:], browser).status == 303)
            let next = try await auth.open("/settings/sessions?done=ended", browser)
            #expect(next.header("location")?.hasPrefix("/login?next=") == true)
        }
    }
}
