import JSON
import TestSupport
import Testing

@testable import Auth

/// `/verify` and `/reset`, as a browser without scripts uses them.
@Suite(.authDatabase, .serialized) struct LinkPagesTests {
    @Test func `a link that is not valid leads to another mail, and shows no text of its own`() async throws {
        try await AuthUnderTest.with { auth in
            #expect(try await auth.ask("GET", "/verify").status == 400)
            for (path, status) in [("/verify", 400), ("/reset", 200)] {
                let shown = try await auth.ask("GET", "\(path)?token=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
                #expect(shown.status == status)
                #expect(!shown.html.contains("<script>"))
                #expect(shown.header("referrer-policy") == "no-referrer")
                let answer = try await auth.submit(path, ["token": "sso_x", "new_password": "another long password"])
                #expect(answer.status == 400)
                #expect(answer.html.contains("<h1>This link is not valid</h1>"))
                #expect(answer.html.contains("Ask for a new mail"))
            }
        }
    }

    @Test func `a forgotten password leads through the mailbox to a new one`() async throws {
        try await MailUnderTest.with { auth, sink in
            let member = try await auth.register()
            _ = try await auth.mails(to: member.email, sink)
            let missing = try await auth.submit("/reset", [:])
            #expect((missing.status, missing.error(of: "email")) == (400, "Enter your email address."))
            #expect(try await auth.submit("/reset", ["email": member.email], headers: [("origin", "https://evil.example")]).status == 403)
            let asked = try await auth.submit("/reset", ["email": member.email])
            #expect((asked.status, asked.header("location")) == (303, "/reset?done=sent"))
            #expect(try await auth.ask("GET", "/reset?done=sent").html.contains("Check your email"))
            let token = try await auth.token(to: member.email, sink, page: "/reset")
            let weak = try await auth.submit("/reset", ["token": token, "new_password": "short"])
            #expect((weak.status, weak.error(of: "new_password")) == (400, "Enter at least 8 characters."))
            #expect(weak.hidden("token") == token, "the link is not lost")
            let changed = try await auth.submit("/reset", ["token": token, "new_password": "another long password"])
            #expect((changed.status, changed.header("location")) == (303, "/reset?done=changed"))
            #expect(try await auth.ask("GET", "/reset?done=changed").html.contains("<h1>Your password is changed</h1>"))
            #expect(try await auth.submit("/login", ["email": member.email, "password": "another long password"]).status == 303)
            #expect(try await auth.submit("/reset", ["token": token, "new_password": "another long password"]).status == 400)
        }
    }

    @Test func `a person confirms an address once, and reads which account has it`() async throws {
        try await MailUnderTest.with { auth, sink in
            let member = try await auth.register()
            let token = try await auth.token(to: member.email, sink)
            for _ in 0..<2 {
                let page = try await auth.ask("GET", "/verify?token=\(token)")
                #expect(page.status == 200)
                #expect(page.html.contains("<dd>\(member.email)</dd>"))
                #expect(page.html.contains("Confirm only if you made this account yourself."))
                #expect(page.html.contains("<dt>Account of</dt><dd><time"))
            }
            let confirmed = try await auth.submit("/verify", ["token": token, "action": "confirm"])
            #expect((confirmed.status, confirmed.header("location")) == (303, "/verify?done=confirmed"))
            #expect(try await auth.ask("GET", "/verify?done=confirmed").html.contains("<h1>Your email address is confirmed</h1>"))
            #expect(try await auth.ask("GET", "/verify?token=\(token)").status == 400)
            for action in ["confirm", "refuse"] {
                #expect(try await auth.submit("/verify", ["token": token, "action": action]).status == 400)
            }
        }
    }

    @Test func `a person who does not know the account voids the link`() async throws {
        try await MailUnderTest.with { auth, sink in
            let member = try await auth.register()
            let token = try await auth.token(to: member.email, sink)
            let refused = try await auth.submit("/verify", ["token": token, "action": "refuse"])
            #expect((refused.status, refused.header("location")) == (303, "/verify?done=refused"))
            #expect(try await auth.ask("GET", "/verify?done=refused").html.contains("<h1>Nothing is confirmed</h1>"))
            #expect(try await auth.submit("/verify", ["token": token]).status == 400)
            #expect(try await auth.useCases.admin.audit(of: member.id, before: nil, limit: 1).rows.map(\.event) == ["link_refused"])
            let me = try await auth.ask("GET", "/api/auth/me", token: member.accessToken).json()
            #expect(try !me.bool("email_verified"))
        }
    }

    @Test func `too many mails are refused next to the field`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            var last = try await auth.submit("/reset", ["email": member.email])
            for _ in 0..<30 where last.status == 303 { last = try await auth.submit("/reset", ["email": member.email]) }
            #expect(last.status == 429)
            #expect(last.error(of: "email")?.hasPrefix("Too many mails. Wait ") == true)
            #expect(last.html.contains(#"value="\#(member.email)""#))
        }
    }
}
