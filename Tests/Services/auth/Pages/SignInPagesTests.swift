import JSON
import TestSupport
import Testing
import Values

@testable import Auth

/// `/login`, `/register`, sign-out and the language switch, as a browser without scripts uses them.
@Suite(.authDatabase) struct SignInPagesTests {
    // MARK: Sign-in

    @Test func `a sign-in without its fields names both, and keeps the address`() async throws {
        try await AuthUnderTest.with { auth in
            let empty = try await auth.submit("/login", [:])
            #expect(empty.status == 400)
            #expect(empty.error(of: "email") == "Enter your email address.")
            #expect(empty.error(of: "password") == "Enter your password.")
            #expect(empty.html.contains(##"<a href="#email">Enter your email address.</a>"##))
            let half = try await auth.submit("/login", ["email": "ada@example.com", "next": "/settings/keys"])
            #expect(half.html.contains(#"value="ada@example.com""#))
            #expect(half.hidden("next") == "/settings/keys")
        }
    }

    @Test func `a wrong password, an unknown address and texts that are too long get the same page`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let long = String(repeating: "x", count: 2_000)
            for form in [
                ["email": member.email, "password": "wrong password"], ["email": "nobody@example.com", "password": "wrong password"],
                ["email": "no address", "password": "wrong password"], ["email": member.email, "password": long],
            ] {
                let answer = try await auth.submit("/login", form)
                #expect(answer.status == 401)
                #expect(answer.error(of: "password") == "Email or password is wrong. You can try again now.")
                #expect(!answer.html.contains(form["password"] ?? ""), "a secret is not sent back")
            }
        }
    }

    @Test func `an account that may not sign in reads why`() async throws {
        try await AuthUnderTest.with { auth in
            let (member, admin) = (try await auth.register(), try await auth.administrator())
            let form = ["email": member.email, "password": AuthUnderTest.password]
            for _ in 0..<5 { _ = try await auth.submit("/login", ["email": member.email, "password": "wrong password"]) }
            let throttled = try await auth.submit("/login", form)
            #expect(throttled.status == 429)
            #expect(throttled.error(of: "password")?.hasPrefix("Too many failed attempts. Wait ") == true)
            #expect(try #require(throttled.header("retry-after").flatMap { Int($0) }) > 0)
            let path = "/api/admin/users/\(member.id)/deactivate"
            #expect(try await auth.ask("POST", path, token: admin.accessToken).status == 200)
            auth.clock.advance(.seconds(3_600))
            let refused = try await auth.submit("/login", form)
            #expect(refused.status == 403)
            #expect(refused.error(of: "email")?.hasPrefix("This account is deactivated.") == true)
        }
    }

    @Test func `a form that names a field twice, is cut or is no form gets a page`() async throws {
        try await AuthUnderTest.with { auth in
            let headers = [("origin", AuthUnderTest.publicURL), ("content-type", "application/x-www-form-urlencoded")]
            for body in ["email=a&email=b", "email=%zz", "email=%ff", "password=%00"] {
                let answer = try await auth.ask("POST", "/login", body, headers: headers)
                #expect(answer.status == 400, "\(body)")
                #expect(answer.html.contains("<h1>This request cannot be read</h1>"))
            }
            let foreign = try await auth.submit("/login", [:], headers: [("origin", "https://evil.example")])
            #expect(foreign.status == 403)
            #expect(foreign.html.contains("<h1>This address is not ours</h1>"))
        }
    }

    @Test func `a signed-in browser is led on, unless it must sign in again`() async throws {
        try await AuthUnderTest.with { auth in
            let (_, browser) = try await auth.person()
            for path in ["/login?next=/settings/keys", "/register?next=/settings/keys"] {
                let answer = try await auth.open(path, browser)
                #expect((answer.status, answer.header("location")) == (303, "/settings/keys"))
            }
            let again = try await auth.open("/login?again=1&next=/settings/keys", browser)
            #expect(again.status == 200)
            #expect(again.hidden("again") == "1")
            #expect((try await auth.open("/", browser)).header("location") == "/dashboard")
            #expect(try await auth.ask("GET", "/").header("location") == "/login")
        }
    }

    @Test func `a page for signed-in people leads to the sign-in and back`() async throws {
        try await AuthUnderTest.with { auth in
            let (_, browser) = try await auth.person()
            let out = try await auth.ask("GET", "/auth/device?user_code=WDJB-MJHT")
            #expect((out.status, out.header("location")) == (303, "/login?next=%2Fauth%2Fdevice%3Fuser_code%3DWDJB-MJHT"))
            auth.clock.advance(.seconds(13 * 3_600))
            let stale = try await auth.open("/auth/device", browser)
            #expect((stale.status, stale.header("location")) == (303, "/login?again=1&next=%2Fauth%2Fdevice"))
        }
    }

    @Test(arguments: ["/login", "/register"])
    func `text from outside is no markup`(path: String) async throws {
        try await AuthUnderTest.with { auth in
            let script = #""><script>alert(1)</script>"#
            let answer = try await auth.submit(path, ["email": script, "full_name": script, "next": script, "time_zone": script])
            #expect(answer.status == 400)
            #expect(!answer.html.contains("<script>"))
            #expect(answer.html.contains("&quot;&gt;&lt;script&gt;"))
        }
    }

    // MARK: Registration

    @Test func `a registration names every field that is wrong`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            func errors(_ form: [String: String]) async throws -> (Int, [String?]) {
                let answer = try await auth.submit("/register", form)
                #expect(answer.cookies.isEmpty)
                return (answer.status, ["full_name", "email", "password"].map { answer.error(of: $0) })
            }
            let good = AuthUnderTest.password
            #expect(try await errors([:]) == (400, [nil, "Enter your email address.", "Enter at least 8 characters."]))
            #expect(
                try await errors(["email": "ada", "password": "password"]) == (
                    400,
                    [
                        nil, "Enter an email address like name@example.com.",
                        "This password is easy to guess. Choose another.",
                    ]
                ))
            #expect(
                try await errors(["email": "ada@example.com", "password": "ada@example.com", "full_name": "a\u{7}"]) == (
                    400,
                    [
                        "Enter a name of at most 200 characters, all of them visible.", nil,
                        "Choose a password that is not your email address.",
                    ]
                ))
            let taken = try await errors(["email": member.email, "password": good])
            #expect(taken.0 == 409)
            #expect(taken.1[1]?.hasPrefix("An account has this address.") == true)
        }
    }

    @Test func `a new account has the language of the page and the zone of the browser`() async throws {
        try await AuthUnderTest.with { auth in
            for (zone, kept) in [("Asia/Bangkok", "Asia/Bangkok"), ("Moon/Base", "UTC"), ("", "UTC")] {
                let email = "user-\(UUIDv7.make())@example.com"
                let answer = try await auth.submit(
                    "/register", ["email": " \(email) ", "password": AuthUnderTest.password, "time_zone": zone],
                    headers: [("origin", AuthUnderTest.publicURL), ("accept-language", "th-TH,en;q=0.5")])
                #expect(answer.status == 303)
                let me = try await auth.ask("GET", "/api/auth/me", headers: [("cookie", answer.cookies)])
                #expect(try (me.string("locale"), me.string("time_zone"), me.string("email")) == ("th", kept, email))
            }
        }
    }

    // MARK: Sign-out and language

    @Test func `the button signs out, also where the session has ended before`() async throws {
        try await AuthUnderTest.with { auth in
            let (_, browser) = try await auth.person()
            let forged = try await auth.send("/logout", [:], browser, csrf: "x")
            #expect(forged.status == 403)
            for _ in 0..<2 {
                let answer = try await auth.send("/logout", [:], browser)
                #expect((answer.status, answer.header("location")) == (303, "/login?done=signed_out"))
                #expect(answer.header("set-cookie")?.contains("Max-Age=0") == true)
            }
            #expect(try await auth.ask("GET", "/login?done=signed_out").html.contains("You are signed out."))
        }
    }

    @Test func `the footer switches the language of the browser and of the account`() async throws {
        try await AuthUnderTest.with { auth in
            let (_, browser) = try await auth.person()
            let answer = try await auth.send("/language", ["language": "th", "next": "/login?again=1"], browser)
            #expect((answer.status, answer.header("location")) == (303, "/login?again=1"))
            #expect(answer.header("set-cookie")?.hasPrefix("language=th; ") == true)
            let me = try await auth.ask("GET", "/api/auth/me", headers: [("cookie", browser.text)])
            #expect(try me.string("locale") == "th")
            let page = try await auth.open("/login?again=1", browser, in: "th")
            #expect(page.html.contains(#"<html lang="th">"#))
            #expect(page.html.contains("เข้าสู่ระบบอีกครั้ง"))
            let out = try await auth.submit("/language", ["language": "th", "next": "https://evil.example"])
            #expect((out.status, out.header("location")) == (303, "/"))
            #expect(try await auth.submit("/language", ["language": "tlh"]).status == 400)
            #expect(try await auth.submit("/language", ["language": "en"], headers: [("origin", "https://evil.example")]).status == 403)
            // The pages of mails have no token of the session that a browser has.
            let without = try await auth.send("/language", ["language": "en", "next": "/verify?token=x"], browser, csrf: "")
            #expect((without.status, without.header("location")) == (303, "/verify?token=x"))
            #expect(without.header("set-cookie")?.hasPrefix("language=en; ") == true)
            let still = try await auth.ask("GET", "/api/auth/me", headers: [("cookie", browser.text)])
            #expect(try still.string("locale") == "th")
        }
    }

    @Test func `a sign-in gives the browser the language of the account`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            #expect(try await auth.ask("PATCH", "/api/auth/me", #"{"locale":"th"}"#, token: member.accessToken).status == 200)
            let form = ["email": member.email, "password": AuthUnderTest.password]
            let answer = try await auth.submit("/login", form, headers: [("origin", AuthUnderTest.publicURL), ("cookie", "language=en")])
            #expect(answer.cookies.contains("language=th"))
        }
    }

    @Test func `an address that takes forms only leads to the start`() async throws {
        try await AuthUnderTest.with { auth in
            for path in ["/logout", "/language"] {
                let answer = try await auth.ask("GET", path)
                #expect((answer.status, answer.header("location")) == (303, "/login"))
            }
        }
    }
}
