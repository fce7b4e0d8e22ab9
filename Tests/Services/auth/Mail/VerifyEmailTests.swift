import JSON
import TestSupport
import Testing
import Values

@testable import Auth

@Suite(.authDatabase, .serialized) struct VerifyEmailTests {
    private func verify(_ auth: AuthUnderTest, _ token: String) async throws -> AuthUnderTest.Answer {
        try await auth.ask("POST", "/api/auth/email/verify", #"{"token":"\#(token)"}"#)
    }

    @Test func `a new user gets a link, and pressing the button of its page verifies the address once`() async throws {
        try await MailUnderTest.with { auth, sink in
            let member = try await auth.register()
            let mails = try await auth.mails(to: member.email, sink)
            #expect(mails.map(\.subject) == ["Confirm your email address"])
            let link = try #require(mails.first?.links.first)
            #expect(link.hasPrefix("https://gateway.example/verify?token=sso_"))
            let path = String(link.dropFirst("https://gateway.example".count))
            for _ in 0..<3 {
                let page = try await auth.ask("GET", path)
                #expect(page.status == 200)
                #expect(String(decoding: page.body, as: UTF8.self).contains("<button type=\"submit\""))
                #expect(page.header("content-security-policy")?.contains("frame-ancestors 'none'") == true)
                #expect(page.header("referrer-policy") == "no-referrer")
            }
            #expect(try await auth.ask("GET", "/api/auth/me", token: member.accessToken).json().bool("email_verified") == false)
            #expect(try await auth.outboxCount("user.verified.v1", about: member.email) == 0)
            let token = try #require(link.split(separator: "=").last)
            let form = ("content-type", "application/x-www-form-urlencoded")
            let pressed = try await auth.ask("POST", "/verify", "token=\(token)", headers: [form])
            #expect(pressed.status == 303)
            let again = try await auth.ask("POST", "/verify", "token=\(token)", headers: [form])
            #expect(again.status == 400)
            #expect(try await auth.ask("GET", "/api/auth/me", token: member.accessToken).json().bool("email_verified"))
            #expect(try await auth.outboxCount("user.verified.v1", about: member.email) == 1)
        }
    }

    @Test func `without the requirement the event leaves at registration, and once`() async throws {
        try await MailUnderTest.with(["REQUIRE_VERIFIED_EMAIL": "off"]) { auth, sink in
            let member = try await auth.register()
            #expect(try await auth.outboxCount("user.verified.v1", about: member.email) == 1)
            #expect(try await verify(auth, try await auth.token(to: member.email, sink)).status == 204)
            #expect(try await auth.outboxCount("user.verified.v1", about: member.email) == 1)
        }
    }

    @Test func `a newer mail replaces the link of an older one`() async throws {
        try await MailUnderTest.with { auth, sink in
            let member = try await auth.register()
            let first = try await auth.token(to: member.email, sink)
            auth.clock.advance(.seconds(60))
            #expect(try await auth.ask("POST", "/api/auth/email/resend", token: member.accessToken).status == 202)
            let second = try await auth.token(to: member.email, sink)
            #expect(first != second)
            let old = try await verify(auth, first)
            #expect((old.status, old.errorCode, old.errorParam) == (400, "invalid_request", "token"))
            #expect(try await verify(auth, second).status == 204)
            #expect(try await auth.ask("POST", "/api/auth/email/resend", token: member.accessToken).status == 202)
            #expect(try await auth.mails(to: member.email, sink).count == 2)
        }
    }

    @Test func `a link expires after a day`() async throws {
        try await MailUnderTest.with { auth, sink in
            let member = try await auth.register()
            let token = try await auth.token(to: member.email, sink)
            auth.clock.advance(.seconds(86_400))
            #expect(try await verify(auth, token).status == 400)
        }
    }

    @Test func `no text is a link, and none is an error of ours`() async throws {
        try await MailUnderTest.with { auth, _ in
            for token in ["", "x", "sso_", "sso_" + String(repeating: "0", count: 43), "'; DROP TABLE users; --", "😀"] {
                let answer = try await verify(auth, token)
                #expect(answer.status == 400, "\(token)")
            }
            let page = try await auth.ask("GET", "/verify?token=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
            #expect(!String(decoding: page.body, as: UTF8.self).contains("<script>"))
        }
    }

    @Test func `a link for a password does not verify, and stays good`() async throws {
        try await MailUnderTest.with { auth, sink in
            let member = try await auth.register()
            _ = try await auth.mails(to: member.email, sink)
            _ = try await auth.ask("POST", "/api/auth/password/forgot", #"{"email":"\#(member.email)"}"#)
            let token = try await auth.token(to: member.email, sink, page: "/reset")
            #expect(try await verify(auth, token).status == 400)
            let reset = try await auth.ask(
                "POST", "/api/auth/password/reset", #"{"token":"\#(token)","new_password":"another long password"}"#)
            #expect(reset.status == 204)
        }
    }

    @Test func `fifty uses of a link at once verify once`() async throws {
        try await MailUnderTest.with { auth, sink in
            let member = try await auth.register()
            let token = try await auth.token(to: member.email, sink)
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<50 { group.addTask { try await verify(auth, token).status } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(statuses.count { $0 == 204 } == 1)
            #expect(statuses.count { $0 == 400 } == 49)
            #expect(try await auth.outboxCount("user.verified.v1", about: member.email) == 1)
        }
    }

    @Test func `a link to a new address changes it, and a mail to the old address says so`() async throws {
        try await MailUnderTest.with { auth, sink in
            let (member, other) = (try await auth.register(), try await auth.register())
            let new = "new-\(UUIDv7.make())@example.com"
            func ask(_ email: String, _ password: String) async throws -> AuthUnderTest.Answer {
                try await auth.ask(
                    "POST", "/api/auth/email/change", #"{"email":"\#(email)","password":"\#(password)"}"#, token: member.accessToken)
            }
            let wrong = try await ask(new, "not the password")
            #expect((wrong.status, wrong.errorParam) == (400, "password"))
            let taken = try await ask(other.email, AuthUnderTest.password)
            #expect((taken.status, taken.errorCode) == (409, "email_taken"))
            #expect(try await ask(new, AuthUnderTest.password).status == 202)
            let token = try await auth.token(to: new, sink)
            #expect(try await auth.ask("POST", "/api/auth/login", AuthUnderTest.credentials(member.email)).status == 200)
            #expect(try await verify(auth, token).status == 204)
            #expect(try await auth.ask("POST", "/api/auth/login", AuthUnderTest.credentials(member.email)).status == 401)
            #expect(try await auth.ask("POST", "/api/auth/login", AuthUnderTest.credentials(new)).status == 200)
            #expect(try await auth.mails(to: member.email, sink).map(\.subject).contains("Your email address was changed"))
            #expect(try await auth.ask("GET", "/api/auth/me", token: member.accessToken).json().bool("email_verified"))
        }
    }

    @Test func `an address that was taken meanwhile is not changed to`() async throws {
        try await MailUnderTest.with { auth, sink in
            let member = try await auth.register()
            let new = "new-\(UUIDv7.make())@example.com"
            _ = try await auth.ask(
                "POST", "/api/auth/email/change", #"{"email":"\#(new)","password":"\#(AuthUnderTest.password)"}"#,
                token: member.accessToken)
            let token = try await auth.token(to: new, sink)
            _ = try await auth.register(new)
            let answer = try await verify(auth, token)
            #expect((answer.status, answer.errorCode) == (409, "email_taken"))
            #expect(try await auth.ask("POST", "/api/auth/login", AuthUnderTest.credentials(member.email)).status == 200)
        }
    }
}
