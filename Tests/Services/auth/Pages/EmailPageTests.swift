import TestSupport
import Testing
import Values

@testable import Auth

@Suite(.authDatabase) struct EmailPageTests {
    private static func change(_ email: String, _ password: String = AuthUnderTest.password) -> [String: String] {
        ["action": "change", "email": email, "password": password]
    }

    @Test func `a user who knows the password gets a link at the new address, which changes it`() async throws {
        try await MailUnderTest.with { auth, sink in
            let (member, browser) = try await auth.person()
            let page = try await auth.open("/settings/email", browser)
            #expect(page.html.contains("<h1>Change the address</h1>"))
            #expect(page.html.contains("<dd>\(member.email)</dd>"))
            let sent = try await auth.send("/settings/email", Self.change(" Moved@Example.com "), browser)
            #expect((sent.status, sent.header("location")) == (303, "/settings?done=address"))
            let notice = try await auth.open("/settings?done=address", browser)
            #expect(notice.html.contains("A link is on its way to the new address."))
            #expect(notice.html.contains("<strong>\(member.email)</strong>"))
            let token = try await auth.token(to: "moved@example.com", sink)
            #expect(try await auth.ask("GET", "/verify?token=\(token)").html.contains("An account takes this as its new address."))
            #expect(try await auth.submit("/verify", ["token": token]).status == 303)
            #expect(try await auth.open("/settings", browser).html.contains("<strong>moved@example.com</strong>"))
        }
    }

    @Test func `a form with errors sends no mail, and keeps the address but no password`() async throws {
        try await AuthUnderTest.with { auth in
            let ((member, browser), other) = (try await auth.person(), try await auth.register())
            let mails = try await auth.mailCount()
            let long = String(repeating: "x", count: 1_025)
            let cases: [(fields: [String: String], status: Int, field: String, error: String)] = [
                (["action": "change"], 400, "email", "Enter the new address."),
                (["action": "change"], 400, "password", "Enter your current password."),
                (Self.change("nobody"), 400, "email", "Enter an email address like name@example.com."),
                (Self.change("\(long)@example.com"), 400, "email", "Enter an email address like name@example.com."),
                (Self.change(member.email), 400, "email", "Your account has this address already."),
                (Self.change(other.email), 409, "email", "Another account has this address."),
                (Self.change("new@example.com", "wrong"), 400, "password", "The password is wrong. You can try again now."),
                (Self.change("new@example.com", long), 400, "password", "The password is wrong. You can try again now."),
            ]
            for (fields, status, field, error) in cases {
                let answer = try await auth.send("/settings/email", fields, browser)
                #expect(answer.status == status)
                #expect(answer.error(of: field) == error)
                #expect(answer.html.contains(#"maxlength="254" value="\#(fields["email"] ?? "")""#))
                if let password = fields["password"] { #expect(!answer.html.contains(#"value="\#(password)""#)) }
            }
            #expect(try await auth.mailCount() == mails)
        }
    }

    @Test func `a user without a password changes the address soon after a sign-in`() async throws {
        try await OpenIDUnderTest.with { auth, provider in
            let person = FakeProvider.Person("subject-\(UUIDv7.make())", email: "p-\(UUIDv7.make())@example.net", verified: true)
            provider.change { $0.claims["auth_time"] = .some("\(auth.clock.now.seconds)") }
            let browser = try #require(try await auth.openID(person, at: provider).signedIn)
            #expect(!(try await auth.open("/settings/email", browser).html.contains("Password</label>")))
            let form = ["action": "change", "email": "moved-\(UUIDv7.make())@example.com"]
            let sent = try await auth.send("/settings/email", form, browser)
            #expect((sent.status, sent.header("location")) == (303, "/settings?done=address"))
            auth.clock.advance(.seconds(901))
            let late = try await auth.send("/settings/email", form, browser)
            #expect((late.status, late.header("location")) == (303, "/login?again=1&next=%2Fsettings%2Femail"))
        }
    }

    @Test func `wrong passwords are slowed down`() async throws {
        try await AuthUnderTest.with { auth in
            let browser = try await auth.person().browser
            for _ in 0..<5 { _ = try await auth.send("/settings/email", Self.change("new@example.com", "wrong"), browser) }
            let answer = try await auth.send("/settings/email", Self.change("new@example.com"), browser, in: "th")
            #expect(answer.status == 429)
            #expect(answer.header("retry-after") != nil)
            #expect(answer.error(of: "password")?.hasPrefix("ลองหลายครั้งเกินไป โปรดรอ ") == true)
        }
    }

    @Test func `an action that no form has is 400`() async throws {
        try await AuthUnderTest.with { auth in
            let browser = try await auth.person().browser
            for fields in [[:], ["action": "x"]] {
                #expect(try await auth.send("/settings/email", fields, browser).isError("This request cannot be read"))
            }
        }
    }
}
