import Identity
import Postgres
import TestSupport
import Testing
import Values

@testable import Auth

@Suite(.authDatabase) struct PasswordPageTests {
    private static let new = "another long password"

    private static func change(_ old: String = AuthUnderTest.password, to new: String = new) -> [String: String] {
        ["current_password": old, "new_password": new]
    }

    @Test func `a changed password replaces the cookies and ends all other sessions`() async throws {
        try await AuthUnderTest.with { auth in
            let (member, browser) = try await auth.person()
            let other = try await auth.signInByForm(member.email)
            let answer = try await auth.send("/settings/password", Self.change(), browser)
            #expect((answer.status, answer.header("location")) == (303, "/settings/password?done=changed"))
            #expect(answer.cookies.contains("__Host-session=sss_") && answer.cookies.contains("browser=ssb_"))
            let value = answer.cookies.prefix { $0 != ";" }.split(separator: "=").last.map(String.init) ?? ""
            let cookie = try #require(SessionCookie(Array(value.utf8)))
            let renewed = AuthUnderTest.Browser(cookie: cookie, value: value, all: answer.cookies)
            let page = try await auth.open("/settings/password?done=changed", renewed)
            #expect(page.notices("Your password is changed. All other sessions have ended; this browser stays signed in."))
            for ended in [browser, other] { #expect(try await auth.open("/settings/password", ended).status == 303) }
            let form = ["email": member.email, "password": Self.new]
            #expect(try await auth.submit("/login", form).status == 303)
        }
    }

    @Test func `a form with errors changes nothing and shows no password`() async throws {
        try await AuthUnderTest.with { auth in
            let (member, browser) = try await auth.person()
            let long = String(repeating: "x", count: 1_025)
            let cases: [(fields: [String: String], field: String, error: String)] = [
                ([:], "current_password", "Enter your current password."), ([:], "new_password", "Enter at least 8 characters."),
                (Self.change("wrong"), "current_password", "The password is wrong. You can try again now."),
                (Self.change(long), "current_password", "The password is wrong. You can try again now."),
                (Self.change(to: "short"), "new_password", "Enter at least 8 characters."),
                (Self.change(to: long), "new_password", "This password is too long."),
                (Self.change(to: "password"), "new_password", "This password is easy to guess. Choose another."),
                (Self.change(to: member.email), "new_password", "Choose a password that is not your email address."),
            ]
            for (fields, field, error) in cases {
                let answer = try await auth.send("/settings/password", fields, browser)
                #expect(answer.status == 400)
                #expect(answer.error(of: field) == error)
                for (_, value) in fields where !value.isEmpty { #expect(!answer.html.contains(#"value="\#(value)""#)) }
                #expect(answer.cookies.isEmpty)
            }
            #expect(try await auth.open("/settings/password", browser).status == 200)
            let thai = try await auth.send("/settings/password", [:], browser, in: "th")
            #expect(thai.error(of: "current_password") == "กรอกรหัสผ่านปัจจุบันของคุณ")
        }
    }

    @Test func `wrong passwords are slowed down, and a second form finds the password changed`() async throws {
        try await AuthUnderTest.with { auth in
            let (slow, (_, twice)) = (try await auth.person().browser, try await auth.person())
            for _ in 0..<5 { _ = try await auth.send("/settings/password", Self.change("wrong"), slow) }
            let throttled = try await auth.send("/settings/password", Self.change(), slow)
            #expect(throttled.status == 429)
            #expect(throttled.header("retry-after") != nil)
            #expect(throttled.error(of: "current_password")?.hasPrefix("Too many attempts. Wait ") == true)
            #expect(try await auth.send("/settings/password", Self.change(), twice).status == 303)
            let again = try await auth.send("/settings/password", Self.change(), twice)
            #expect((again.status, again.header("location")) == (303, "/login?next=%2Fsettings%2Fpassword"))
        }
    }

    @Test func `a program with an access token gets no cookie`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let answer = try await auth.submit(
                "/settings/password", Self.change(), headers: [("authorization", "Bearer \(member.accessToken)")])
            #expect((answer.status, answer.cookies) == (303, ""))
            #expect(try await auth.ask("POST", "/api/auth/login", AuthUnderTest.credentials(member.email, Self.new)).status == 200)
        }
    }

    @Test func `an account without a password gets one by a mail`() async throws {
        try await MailUnderTest.with { auth, sink in
            let (member, browser) = try await auth.person()
            _ = try await auth.pool.withConnection { try await $0.execute(DeletePassword(userID: member.id)) }
            let page = try await auth.open("/settings/password", browser)
            #expect(page.html.contains("Your account has no password, because you sign in by a provider."))
            #expect(!page.html.contains("current_password"))
            #expect(page.html.contains("Confirm your email address first."))
            let confirm = try await auth.token(to: member.email, sink)
            #expect(try await auth.submit("/verify", ["token": confirm]).status == 303)
            #expect(!(try await auth.open("/settings/password", browser).html.contains("Confirm your email address first.")))
            let sent = try await auth.send("/settings/password", ["action": "mail"], browser)
            #expect((sent.status, sent.header("location")) == (303, "/settings/password?done=mail"))
            #expect(
                try await auth.open("/settings/password?done=mail", browser).notices(
                    "A link is on its way to \(member.email). It works for one hour. Look into the spam folder too."))
            let token = try await auth.token(to: member.email, sink, page: "/reset")
            #expect(try await auth.submit("/reset", ["token": token, "new_password": Self.new]).status == 303)
            let again = try await auth.submit("/login", ["email": member.email, "password": Self.new])
            #expect(again.status == 303)
            for _ in 0..<2 { _ = try await auth.ask("POST", "/api/auth/password/forgot", #"{"email":"\#(member.email)"}"#) }
            let value = again.cookies.prefix { $0 != ";" }.split(separator: "=").last.map(String.init) ?? ""
            let cookie = try #require(SessionCookie(Array(value.utf8)))
            let late = try await auth.send(
                "/settings/password", ["action": "mail"], AuthUnderTest.Browser(cookie: cookie, value: value, all: again.cookies))
            #expect(late.status == 429)
            #expect(late.html.contains(/<p>Too many mails. Wait \d+ minutes, then try again.<\/p>/))
        }
    }
}

private struct DeletePassword: Statement {
    static let sql = "DELETE FROM password_credential WHERE user_id = $1"
    var userID: UserID
    func bind(_ parameters: inout Parameters) { parameters.append(userID) }
}
