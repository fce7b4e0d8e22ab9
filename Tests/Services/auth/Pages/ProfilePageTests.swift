import JSON
import TestSupport
import Testing
import Values

@testable import Auth

@Suite(.authDatabase) struct ProfilePageTests {
    private static let fields = [
        "full_name": "Anna Lee", "language": "th", "time_zone": "Asia/Bangkok", "low_balance_mail": "on",
    ]

    @Test func `a user sees the profile, changes it, and sees the change in its language`() async throws {
        try await AuthUnderTest.with { auth in
            let (member, browser) = try await auth.person()
            let first = try await auth.open("/settings", browser)
            #expect(first.status == 200)
            #expect(first.html.contains("<title>Profile · SmartSpec</title>"))
            #expect(first.html.contains(#"<option value="UTC" selected>UTC</option>"#))
            #expect(first.html.contains(#"<optgroup label="Asia">"#))
            #expect(first.html.contains(#"<option value="Asia/Bangkok">Bangkok</option>"#))
            #expect(first.html.contains(#"name="low_balance_mail" value="on" checked"#))
            let saved = try await auth.send("/settings", Self.fields.filter { $0.key != "low_balance_mail" }, browser)
            #expect((saved.status, saved.header("location")) == (303, "/settings?done=saved"))
            #expect(saved.header("set-cookie") == "language=th; Path=/; Max-Age=34560000; HttpOnly; SameSite=Lax; Secure")
            let me = try await auth.ask("GET", "/api/auth/me", token: member.accessToken).json()
            #expect(try me.string("full_name") == "Anna Lee")
            #expect(try me.string("locale") == "th")
            #expect(try me.string("time_zone") == "Asia/Bangkok")
            #expect(try me.bool("low_balance_mail") == false)
            let second = try await auth.open("/settings?done=saved", browser, in: "th")
            #expect(second.notices("บันทึกโปรไฟล์แล้ว"))
            #expect(second.html.contains(#"value="Anna Lee""#))
            #expect(second.html.contains(#"<option value="th" selected>ภาษาไทย</option>"#))
            #expect(second.html.contains(#"<option value="Asia/Bangkok" selected lang="en">Bangkok</option>"#))
            #expect(second.html.contains(#"name="low_balance_mail" value="on""#))
            #expect(!second.html.contains(#"name="low_balance_mail" value="on" checked"#))
        }
    }

    @Test func `a form with errors changes nothing and keeps what was typed`() async throws {
        try await AuthUnderTest.with { auth in
            let (member, browser) = try await auth.person()
            let long = String(repeating: "x", count: 201)
            let cases: [(field: String, value: String?, error: String)] = [
                ("full_name", long, "Enter a name of at most 200 characters, all of them visible."),
                ("full_name", "Ann\u{202E}a", "Enter a name of at most 200 characters, all of them visible."),
                ("full_name", "a\u{7}b", "Enter a name of at most 200 characters, all of them visible."),
                ("language", "xx", "Choose one of the languages."), ("language", nil, "Choose one of the languages."),
                ("time_zone", "Mars/Base", "Choose one of the time zones."), ("time_zone", "X+3", "Choose one of the time zones."),
                ("time_zone", nil, "Choose one of the time zones."), ("time_zone", long, "Choose one of the time zones."),
            ]
            for (field, value, error) in cases {
                var fields = Self.fields
                fields[field] = value
                let answer = try await auth.send("/settings", fields, browser)
                #expect(answer.status == 400)
                #expect(answer.error(of: field) == error)
                #expect(answer.html.contains(##"<a href="#\##(field)">\##(error)</a>"##), "the summary leads to the field")
                #expect(answer.html.contains(#"value="\#(fields["full_name"] ?? "")""#))
                #expect(answer.header("set-cookie") == nil)
            }
            let me = try await auth.ask("GET", "/api/auth/me", token: member.accessToken).json()
            #expect(try me.string("time_zone") == "UTC")
        }
    }

    @Test func `a name shows as it was typed`() async throws {
        try await AuthUnderTest.with { auth in
            let browser = try await auth.person().browser
            var fields = Self.fields
            fields["full_name"] = AuthUnderTest.scriptName
            #expect(try await auth.send("/settings", fields, browser).status == 303)
            let page = try await auth.open("/settings", browser)
            #expect(page.html.contains(#"value="&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;""#))
            #expect(!page.html.contains("<script>"))
        }
    }

    @Test func `a zone that no region has stays the zone of the account`() async throws {
        try await AuthUnderTest.with { auth in
            let (member, browser) = try await auth.person()
            let changed = try await auth.ask("PATCH", "/api/auth/me", #"{"time_zone":"Etc/GMT+7"}"#, token: member.accessToken)
            #expect(changed.status == 200)
            let page = try await auth.open("/settings", browser)
            #expect(page.html.contains(#"<option value="Etc/GMT+7" selected>Etc/GMT+7</option>"#))
        }
    }

    // MARK: The address

    @Test func `a user whose address is not confirmed gets the mail again, and then no more`() async throws {
        try await MailUnderTest.with { auth, sink in
            let (member, browser) = try await auth.person()
            let before = try await auth.open("/settings", browser)
            #expect(before.html.contains(">not confirmed</span>"))
            #expect(before.html.contains("Look into your mailbox"))
            // Two mails that are due at once come in any order.
            #expect(try await auth.mails(to: member.email, sink).count == 1)
            let sent = try await auth.send("/settings/email", ["action": "resend"], browser)
            #expect((sent.status, sent.header("location")) == (303, "/settings?done=mail"))
            #expect(
                try await auth.open("/settings?done=mail", browser).notices(
                    "The mail is on its way. Its link works for one day, and older links do not work any more."))
            let token = try await auth.token(to: member.email, sink)
            #expect(try await auth.submit("/verify", ["token": token]).status == 303)
            let after = try await auth.open("/settings?done=mail", browser)
            #expect(after.html.contains(">confirmed</span>"))
            #expect(!after.html.contains("Send the mail again"))
            #expect(!after.html.contains("on its way"))
        }
    }

    @Test func `too many mails are refused with the time to wait`() async throws {
        try await AuthUnderTest.with { auth in
            let browser = try await auth.person().browser
            for _ in 0..<3 { #expect(try await auth.send("/settings/email", ["action": "resend"], browser).status == 303) }
            let mails = try await auth.mailCount()
            let answer = try await auth.send("/settings/email", ["action": "resend"], browser)
            #expect(answer.status == 429)
            #expect(answer.header("retry-after") != nil)
            #expect(answer.html.contains(/<p>Too many mails. Wait \d+ minutes, then try again.<\/p>/))
            #expect(try await auth.mailCount() == mails)
            let thai = try await auth.send("/settings/email", ["action": "resend"], browser, in: "th")
            #expect(thai.html.contains(/<p>ส่งอีเมลมากเกินไป โปรดรอ \d+ นาที แล้วลองอีกครั้ง<\/p>/))
        }
    }
}
