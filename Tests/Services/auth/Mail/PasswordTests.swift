import JSON
import TestSupport
import Testing
import Values

@testable import Auth

@Suite(.authDatabase, .serialized) struct PasswordTests {
    private static let new = "another long password"

    private func forgot(_ auth: AuthUnderTest, _ email: String, from address: String = "192.0.2.1") async throws -> AuthUnderTest.Answer {
        try await auth.ask(
            "POST", "/api/auth/password/forgot", #"{"email":"\#(email)"}"#, headers: [("x-forwarded-for", address)])
    }

    private func reset(_ auth: AuthUnderTest, _ token: String, _ password: String = new) async throws -> AuthUnderTest.Answer {
        try await auth.ask("POST", "/api/auth/password/reset", #"{"token":"\#(token)","new_password":"\#(password)"}"#)
    }

    @Test func `a forgotten password is replaced by a link, which ends all sessions`() async throws {
        try await MailUnderTest.with { auth, sink in
            let member = try await auth.register()
            let key = try await auth.ask("POST", "/api/keys", #"{"name":"k"}"#, token: member.accessToken).string("key")
            #expect(try await forgot(auth, member.email.uppercased()).status == 202)
            let token = try await auth.token(to: member.email, sink, page: "/reset")
            let weak = try await reset(auth, token, "short")
            #expect((weak.status, weak.errorParam) == (400, "new_password"))
            #expect(try await reset(auth, token).status == 204)
            #expect(try await reset(auth, token).status == 400)
            #expect(try await auth.ask("GET", "/api/auth/me", token: member.accessToken).status == 401)
            let refresh = try await auth.ask("POST", "/api/auth/refresh", #"{"refresh_token":"\#(member.refreshToken)"}"#)
            #expect(refresh.status == 401)
            #expect(try await auth.ask("POST", "/api/auth/login", AuthUnderTest.credentials(member.email)).status == 401)
            let signedIn = try await auth.ask("POST", "/api/auth/login", AuthUnderTest.credentials(member.email, Self.new))
            #expect(signedIn.status == 200)
            #expect(try await auth.mails(to: member.email, sink).map(\.subject).contains("Your password was changed"))
            // The mailbox was never proved before, so that the key may be of another person.
            #expect(try await auth.ask("GET", "/api/auth/me", token: key).status == 401)
            #expect(try await auth.ask("GET", "/api/auth/me", token: try signedIn.string("access_token")).json().bool("email_verified"))
        }
    }

    @Test func `the keys of a verified user stay when the password is reset`() async throws {
        try await MailUnderTest.with { auth, sink in
            let member = try await auth.register()
            let verify = try await auth.token(to: member.email, sink)
            _ = try await auth.ask("POST", "/api/auth/email/verify", #"{"token":"\#(verify)"}"#)
            let key = try await auth.ask("POST", "/api/keys", #"{"name":"k"}"#, token: member.accessToken).string("key")
            _ = try await forgot(auth, member.email)
            #expect(try await reset(auth, try await auth.token(to: member.email, sink, page: "/reset")).status == 204)
            #expect(try await auth.ask("GET", "/api/auth/me", token: key).status == 200)
        }
    }

    @Test func `a link for a password is not valid after its address was changed`() async throws {
        try await MailUnderTest.with { auth, sink in
            let member = try await auth.register()
            _ = try await forgot(auth, member.email)
            let old = try await auth.token(to: member.email, sink, page: "/reset")
            let moved = "moved-\(member.email)"
            _ = try await auth.ask(
                "POST", "/api/auth/email/change", #"{"email":"\#(moved)","password":"\#(AuthUnderTest.password)"}"#,
                token: member.accessToken)
            let confirmation = try await auth.token(to: moved, sink)
            #expect(try await auth.ask("POST", "/api/auth/email/verify", #"{"token":"\#(confirmation)"}"#).status == 204)
            let answer = try await reset(auth, old)
            #expect((answer.status, answer.errorParam) == (400, "token"))
            #expect(try await auth.ask("POST", "/api/auth/login", AuthUnderTest.credentials(moved)).status == 200)
        }
    }

    @Test func `fifty uses of a link at once change the password once`() async throws {
        try await MailUnderTest.with { auth, sink in
            let member = try await auth.register()
            _ = try await forgot(auth, member.email)
            let token = try await auth.token(to: member.email, sink, page: "/reset")
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for index in 0..<50 { group.addTask { try await reset(auth, token, "another long password \(index)").status } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(statuses.count { $0 == 204 } == 1)
            #expect(statuses.allSatisfy { [204, 400, 503].contains($0) }, "503: more passwords than the queue holds")
            var works = 0
            for index in 0..<50 {
                auth.clock.advance(.seconds(600))
                let login = AuthUnderTest.credentials(member.email, "another long password \(index)")
                if try await auth.ask("POST", "/api/auth/login", login).status == 200 { works += 1 }
            }
            #expect(works == 1)
        }
    }

    @Test func `an unknown address gets the same answer and no mail`() async throws {
        try await MailUnderTest.with { auth, sink in
            let member = try await auth.register()
            let unknown = "nobody-\(UUIDv7.make())@example.com"
            let (known, other) = (try await forgot(auth, member.email), try await forgot(auth, unknown))
            #expect((known.status, known.body) == (other.status, other.body))
            #expect(try await auth.mails(to: unknown, sink).isEmpty)
            #expect(try await auth.mailCount() == 0)
        }
    }

    @Test func `a network gets three mails an hour to an address, and another network its own`() async throws {
        try await MailUnderTest.with { auth, _ in
            let member = try await auth.register()
            var statuses: [Int] = []
            for _ in 0..<4 { statuses.append(try await forgot(auth, member.email).status) }
            statuses.append(try await forgot(auth, member.email, from: "192.0.2.2").status)
            #expect(statuses == [202, 202, 202, 429, 202])
        }
    }

    @Test func `a network gets thirty mails an hour to all addresses, known or not`() async throws {
        try await MailUnderTest.with { auth, _ in
            var statuses: [Int] = []
            for index in 0..<33 { statuses.append(try await forgot(auth, "nobody-\(index)-\(UUIDv7.make())@example.com").status) }
            #expect(statuses == Array(repeating: 202, count: 30) + [429, 429, 429])
            #expect(try await forgot(auth, "other@example.com", from: "192.0.2.2").status == 202)
        }
    }

    @Test func `a link for a password expires after an hour`() async throws {
        try await MailUnderTest.with { auth, sink in
            let member = try await auth.register()
            _ = try await forgot(auth, member.email)
            let token = try await auth.token(to: member.email, sink, page: "/reset")
            auth.clock.advance(.seconds(3_600))
            #expect(try await reset(auth, token).status == 400)
        }
    }

    @Test func `the page of a link replaces the password by a form`() async throws {
        try await MailUnderTest.with { auth, sink in
            let member = try await auth.register()
            _ = try await forgot(auth, member.email)
            let token = try await auth.token(to: member.email, sink, page: "/reset")
            let page = try await auth.ask("GET", "/reset?token=\(token)")
            #expect(String(decoding: page.body, as: UTF8.self).contains(#"name="new_password""#))
            let form = ("content-type", "application/x-www-form-urlencoded")
            let weak = try await auth.ask("POST", "/reset", "token=\(token)&new_password=short", headers: [form])
            #expect(weak.status == 400)
            let done = try await auth.ask("POST", "/reset", "token=\(token)&new_password=another+long+password", headers: [form])
            #expect(done.status == 303)
            #expect(try await auth.ask("POST", "/api/auth/login", AuthUnderTest.credentials(member.email, Self.new)).status == 200)
        }
    }

    @Test func `a changed password ends all sessions but the one that changed it`() async throws {
        try await MailUnderTest.with { auth, sink in
            let member = try await auth.register()
            let other = try auth.member(try await auth.ask("POST", "/api/auth/login", AuthUnderTest.credentials(member.email)))
            func change(_ old: String, _ new: String, _ token: String) async throws -> AuthUnderTest.Answer {
                try await auth.ask(
                    "POST", "/api/auth/password/change", #"{"current_password":"\#(old)","new_password":"\#(new)"}"#, token: token)
            }
            let wrong = try await change("wrong password", Self.new, member.accessToken)
            #expect((wrong.status, wrong.errorParam) == (400, "current_password"))
            let weak = try await change(AuthUnderTest.password, "short", member.accessToken)
            #expect((weak.status, weak.errorParam) == (400, "new_password"))
            let changed = try await change(AuthUnderTest.password, Self.new, member.accessToken)
            #expect(changed.status == 200)
            let next = try auth.member(changed)
            #expect(next.session == member.session)
            #expect(try await auth.ask("GET", "/api/auth/me", token: next.accessToken).json().array("sessions").count == 1)
            let stale = try await auth.ask("GET", "/api/auth/me", token: member.accessToken)
            #expect((stale.status, stale.errorCode) == (401, "token_expired"))
            let ended = try await auth.ask("GET", "/api/auth/me", token: other.accessToken)
            #expect(ended.status == 401)
            let refreshed = try await auth.ask("POST", "/api/auth/refresh", #"{"refresh_token":"\#(next.refreshToken)"}"#)
            #expect(refreshed.status == 200)
            #expect(try await auth.ask("POST", "/api/auth/login", AuthUnderTest.credentials(member.email)).status == 401)
            #expect(try await auth.mails(to: member.email, sink).map(\.subject).contains("Your password was changed"))
        }
    }

    @Test func `a stolen session guesses the password no faster than a sign-in`() async throws {
        try await MailUnderTest.with { auth, _ in
            let member = try await auth.register()
            var statuses: [Int] = []
            for index in 0..<7 {
                statuses.append(
                    try await auth.ask(
                        "POST", "/api/auth/password/change",
                        #"{"current_password":"wrong password \#(index)","new_password":"\#(Self.new)"}"#, token: member.accessToken
                    ).status)
            }
            #expect(statuses == [400, 400, 400, 400, 400, 429, 429])
        }
    }
}
