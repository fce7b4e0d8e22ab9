import Identity
import JSON
import TestSupport
import Testing
import Text
import Values

@testable import Auth

@Suite(.authDatabase) struct BrowserSignInTests {
    @Test func `a form signs in with cookies that scripts and other sites do not get`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let answer = try await auth.submit(
                "/login", ["email": member.email, "password": AuthUnderTest.password, "next": "/usage?days=7"])
            #expect(answer.status == 303)
            #expect(answer.header("location") == "/usage?days=7")
            #expect(answer.header("cache-control") == "no-store")
            let cookies = answer.headers.filter { $0.name.lowercased() == "set-cookie" }.map(\.value)
            #expect(cookies.count == 3)
            #expect(cookies[0].hasPrefix("__Host-session=sss_"))
            #expect(cookies[0].hasSuffix("; Path=/; Max-Age=7776000; HttpOnly; SameSite=Lax; Secure"))
            #expect(cookies[1].hasPrefix("browser=ssb_"))
            #expect(cookies[1].hasSuffix("; Path=/; Max-Age=34560000; HttpOnly; SameSite=Lax; Secure"))
            #expect(cookies[2].hasPrefix("language=en; "))
            let me = try await auth.ask("GET", "/api/auth/me", headers: [("cookie", answer.cookies)])
            #expect(try me.string("id") == member.id.description)
            let sessions = try await auth.ask("GET", "/api/auth/sessions", headers: [("cookie", answer.cookies)]).json()
            #expect(try sessions.array("data").compactMap(\.object).map { try $0.string("client_id") }.sorted() == ["browser", "web"])
        }
    }

    @Test func `a form registers and signs in`() async throws {
        try await AuthUnderTest.with { auth in
            let email = "user-\(UUIDv7.make())@example.com"
            let form = ["email": email, "password": AuthUnderTest.password, "full_name": "Ada"]
            let answer = try await auth.submit("/register", form)
            #expect((answer.status, answer.header("location")) == (303, "/"))
            let me = try await auth.ask("GET", "/api/auth/me", headers: [("cookie", answer.cookies)])
            #expect(try me.string("full_name") == "Ada")
            let again = try await auth.submit("/register", form)
            #expect(again.status == 409)
            #expect(again.cookies.isEmpty)
        }
    }

    @Test func `the form of another site is refused`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let form = ["email": member.email, "password": AuthUnderTest.password]
            for headers in [[("origin", "https://evil.example")], [("origin", "null")], [("sec-fetch-site", "cross-site")], []] {
                let answer = try await auth.submit("/login", form, headers: headers)
                #expect(answer.status == 403, "\(headers)")
                #expect(answer.cookies.isEmpty)
            }
            #expect(try await auth.submit("/login", form, headers: [("sec-fetch-site", "same-origin")]).status == 303)
        }
    }

    @Test(arguments: ["https://evil.example/", "//evil.example", #"/\evil.example"#, "evil", "", "/a\r\nset-cookie: a=b", "/ä"])
    func `a sign-in leads to no other place than this host`(next: String) async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let answer = try await auth.submit("/login", ["email": member.email, "password": AuthUnderTest.password, "next": next])
            #expect((answer.status, answer.header("location")) == (303, "/"))
        }
    }

    @Test func `a form that fails gets a page and no cookie`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let wrong = try await auth.submit("/login", ["email": member.email, "password": "wrong password"])
            let missing = try await auth.submit("/login", ["email": member.email])
            let malformed = try await auth.submit("/register", ["email": "nobody", "password": AuthUnderTest.password])
            #expect([wrong.status, missing.status, malformed.status] == [401, 400, 400])
            for answer in [wrong, missing, malformed] {
                #expect(answer.header("content-type") == "text/html; charset=utf-8")
                #expect(answer.cookies.isEmpty)
            }
        }
    }

    @Test func `logout ends the session of the cookie and removes the cookie`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let cookie = try await auth.signInByForm(member.email)
            let forged = try await auth.ask("POST", "/api/auth/logout", headers: [("cookie", cookie.text)])
            #expect((forged.status, forged.errorCode) == (403, "csrf_failed"))
            let answer = try await auth.ask("POST", "/api/auth/logout", headers: cookie.pageHeaders)
            #expect(answer.status == 204)
            #expect(answer.header("set-cookie") == "__Host-session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure")
            #expect(try await auth.ask("GET", "/api/auth/me", headers: [("cookie", cookie.text)]).status == 401)
            #expect(try await auth.ask("GET", "/api/auth/me", token: member.accessToken).status == 200)
        }
    }

    @Test func `logout removes a cookie whose session has ended before`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let ended = try await auth.signInByForm(member.email)
            #expect(try await auth.ask("DELETE", "/api/auth/sessions", token: member.accessToken).status == 204)
            let forged = SessionCookie.make(for: .make())
            for cookie in [ended.text, "__Host-session=\(forged.text)"] {
                let answer = try await auth.ask(
                    "POST", "/api/auth/logout", headers: [("cookie", cookie), ("origin", AuthUnderTest.publicURL)])
                #expect(answer.status == 204)
                #expect(answer.header("set-cookie")?.contains("Max-Age=0") == true)
            }
        }
    }

    @Test func `logout by a refresh token leaves the cookie alone`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let browser = try await auth.signInByForm(member.email)
            let answer = try await auth.ask("POST", "/api/auth/logout", #"{"refresh_token":"x"}"#, headers: [("cookie", browser.text)])
            #expect((answer.status, answer.header("set-cookie")) == (204, nil))
            #expect(try await auth.ask("GET", "/api/auth/me", headers: [("cookie", browser.text)]).status == 200)
        }
    }

    @Test func `a second sign-in of a browser ends its first session`() async throws {
        try await AuthUnderTest.with { auth in
            let (member, other) = (try await auth.register(), try await auth.register())
            let first = try await auth.signInByForm(member.email)
            let form = ["email": other.email, "password": AuthUnderTest.password]
            let second = try await auth.submit("/login", form, headers: Self.page + [("cookie", first.text)])
            #expect(second.status == 303)
            #expect(try await auth.ask("GET", "/api/auth/me", headers: [("cookie", first.text)]).status == 401)
            #expect(try await auth.ask("GET", "/api/auth/me", headers: [("cookie", second.cookies)]).status == 200)
        }
    }

    @Test func `a password change by cookie replaces the cookies and gives no tokens to scripts`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let cookie = try await auth.signInByForm(member.email)
            let answer = try await auth.ask(
                "POST", "/api/auth/password/change",
                #"{"current_password":"\#(AuthUnderTest.password)","new_password":"another long password"}"#, headers: cookie.pageHeaders)
            #expect((answer.status, answer.body) == (204, []))
            #expect(try await auth.ask("GET", "/api/auth/me", headers: [("cookie", answer.cookies)]).status == 200)
            #expect(try await auth.ask("GET", "/api/auth/me", headers: [("cookie", cookie.text)]).status == 401, "a thief may have it")
            #expect(answer.browserID != nil)
            #expect(answer.browserID != Self.browserID(cookie.all))
            #expect(try await auth.ask("GET", "/api/auth/me", token: member.accessToken).status == 401)
        }
    }

    // MARK: Known browsers

    private func guess(_ auth: AuthUnderTest, _ email: String, from address: String, browser: String = "") async throws -> Int {
        try await auth.submit(
            "/login", ["email": email, "password": "wrong password"],
            headers: Self.page + [("x-forwarded-for", address), ("cookie", browser)]
        ).status
    }

    private static let page = [("origin", AuthUnderTest.publicURL)]

    @Test func `a known browser signs in at the first try next to guesses in its own network`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let form = ["email": member.email, "password": AuthUnderTest.password]
            let here = ("x-forwarded-for", "192.0.2.1")
            let browser = try await auth.submit("/login", form, headers: Self.page + [here]).cookies
            for _ in 0..<200 { _ = try await guess(auth, member.email, from: "192.0.2.1") }
            #expect(try await auth.submit("/login", form, headers: Self.page + [here]).status == 429)
            let answer = try await auth.submit("/login", form, headers: Self.page + [here, ("cookie", browser)])
            #expect(answer.status == 303)
            #expect(answer.browserID == Self.browserID(browser), "the browser keeps its id")
        }
    }

    @Test func `guesses from a known browser are slowed down too`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let browser = try await auth.signInByForm(member.email).all
            var statuses: [Int] = []
            for host in 1...7 { statuses.append(try await guess(auth, member.email, from: "192.0.2.\(host)", browser: browser)) }
            #expect(statuses == [401, 401, 401, 401, 401, 429, 429])
        }
    }

    @Test func `the browser cookie of another account, or a forged one, is worth nothing`() async throws {
        try await AuthUnderTest.with { auth in
            let (member, other) = (try await auth.register(), try await auth.register())
            let foreign = try await auth.signInByForm(other.email).all
            let forged = "browser=ssb_\(String(repeating: "0", count: 22))_\(String(repeating: "A", count: 43))"
            for (network, browser) in [(1, foreign), (2, forged), (3, "browser=ssb_"), (4, "browser=")] {
                let address = "198.51.100.\(network)"
                for _ in 0..<5 { _ = try await guess(auth, member.email, from: address) }
                #expect(try await guess(auth, member.email, from: address, browser: browser) == 429)
            }
        }
    }

    private static func browserID(_ cookies: String) -> String? { cookies.firstMatch(of: #/ssb_[0-9A-Za-z]{22}/#).map { String($0.0) } }
}

extension AuthUnderTest {
    /// A browser that has signed in.
    struct Browser {
        /// The session's cookie.
        var cookie: SessionCookie
        var value: String
        /// `name=value` of the session's cookie.
        var text: String { "__Host-session=\(value)" }
        /// `name=value` of all cookies.
        var all: String

        /// The headers of a request that a page of ours sends.
        var pageHeaders: [(name: String, value: String)] {
            [("cookie", text), ("origin", AuthUnderTest.publicURL), ("x-csrf-token", cookie.csrf.token())]
        }
    }

    func signInByForm(_ email: String) async throws -> Browser {
        let answer = try await submit("/login", ["email": email, "password": Self.password])
        let value = answer.cookies.prefix { $0 != ";" }.split(separator: "=").last.map(String.init) ?? ""
        guard let cookie = SessionCookie(Array(value.utf8)) else { throw Unexpected(answer: answer) }
        return Browser(cookie: cookie, value: value, all: answer.cookies)
    }

    /// Submits a form, as a page of ours does.
    func submit(
        _ path: String, _ form: [String: String], headers: [(name: String, value: String)] = [("origin", publicURL)]
    ) async throws -> Answer {
        let body = form.map { "\(PercentEncoding.encode($0.key))=\(PercentEncoding.encode($0.value))" }.joined(separator: "&")
        return try await ask("POST", path, body, headers: headers + [("content-type", "application/x-www-form-urlencoded")])
    }
}

extension AuthUnderTest.Answer {
    /// The cookies that it sets, as a browser sends them back.
    var cookies: String {
        headers.filter { $0.name.lowercased() == "set-cookie" }.map { String($0.value.prefix { $0 != ";" }) }.joined(separator: "; ")
    }

    fileprivate var browserID: String? { cookies.firstMatch(of: #/ssb_[0-9A-Za-z]{22}/#).map { String($0.0) } }
}
