import Identity
import TestSupport
import Testing
import Values

@testable import Auth

/// The rules that all forms of the settings have.
@Suite(.authDatabase) struct SettingsFormTests {
    @Test func `the settings have these forms`() {
        #expect(AuthUnderTest.settingsForms.count == 9)
    }

    @Test(arguments: AuthUnderTest.settingsForms)
    func `a form of another session, of another site or without a token changes nothing`(path: String) async throws {
        try await AuthUnderTest.with { auth in
            let (person, other) = (try await auth.person().browser, try await auth.person().browser)
            _ = try await auth.open("/settings", person)
            let before = try await auth.dump()
            for token in [other.cookie.csrf.token(), "", "x"] {
                let answer = try await auth.send(path, [:], person, csrf: token)
                #expect(answer.status == 403)
                #expect(answer.isError("This form is out of date"))
            }
            let form = ["csrf_token": person.cookie.csrf.token()]
            for headers in [[("origin", "https://evil.example")], []] {
                #expect(try await auth.submit(path, form, headers: headers + [("cookie", person.text)]).status == 403)
            }
            #expect(try await auth.dump() == before)
        }
    }

    @Test(arguments: AuthUnderTest.settingsForms)
    func `a form of a session that has ended leads to the sign-in, and from there back to its page`(path: String) async throws {
        try await AuthUnderTest.with { auth in
            let (member, browser) = try await auth.person()
            #expect(try await auth.ask("DELETE", "/api/auth/sessions", token: member.accessToken).status == 204)
            for answer in [try await auth.send(path, [:], browser), try await auth.open(path, browser)] {
                #expect(answer.status == 303)
                #expect(answer.header("location") == "/login?next=\(path.replacing("/", with: "%2F"))")
            }
        }
    }

    @Test(arguments: AuthUnderTest.settingsForms)
    func `a body that is no form of ours gets a page`(path: String) async throws {
        try await AuthUnderTest.with { auth in
            let browser = try await auth.person().browser
            let json = try await auth.ask("POST", path, "{}", headers: browser.pageHeaders)
            if !path.contains("sessions/"), !path.contains("keys/0"), !path.hasSuffix("/unlink") {
                #expect(json.status == 400)
                #expect(json.isError("This request cannot be read"))
                let token = browser.cookie.csrf.token()
                let twice = try await auth.ask(
                    "POST", path, "csrf_token=\(token)&name=a&name=b",
                    headers: browser.pageHeaders + [("content-type", "application/x-www-form-urlencoded")])
                #expect(twice.status == 400)
            }
            let long = try await auth.send(path, ["name": String(repeating: "x", count: 9_000)], browser)
            #expect(long.status == 413)
            #expect(long.isError("This request cannot be read"))
        }
    }

    @Test(arguments: ["/settings", "/settings/email", "/settings/sessions", "/settings/keys", "/settings/keys/new", "/settings/password"])
    func `a page has the tabs with its own one marked, and the balance if the ledger answers`(path: String) async throws {
        let tab = path == "/settings/email" ? "/settings" : path == "/settings/keys/new" ? "/settings/keys" : path
        try await AuthUnderTest.with(credits: Credits(nano: 182_470_000_000)) { auth in
            let page = try await auth.open(path, try await auth.person().browser)
            #expect(page.status == 200)
            #expect(page.html.contains(#"<nav class="tabs" aria-label="Settings">"#))
            #expect(page.html.matches(of: /<a href="([^"]*)" aria-current="page">/).map(\.output.1) == ["/settings", tab[...]])
            #expect(page.html.contains(#"<span class="amount" title="182.47 credits">182.47 credits</span>"#))
            #expect(page.header("cache-control") == "no-store")
        }
        try await AuthUnderTest.with { auth in
            let page = try await auth.open(path, try await auth.person().browser, in: "th")
            #expect(!page.html.contains("pill"))
            #expect(page.html.contains(#"<html lang="th">"#))
            for text in ["โปรไฟล์", "เซสชัน", "คีย์ API", "การเข้าสู่ระบบ"] { #expect(page.html.contains(">\(text)</a>"), "\(text)") }
        }
    }
}
