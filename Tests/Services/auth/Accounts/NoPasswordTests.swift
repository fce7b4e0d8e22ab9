import JSON
import Postgres
import TestSupport
import Testing
import Values

@testable import Auth

/// Users who sign in with a provider and have no password.
@Suite(.authDatabase) struct NoPasswordTests {
    private static let new = "a first long password"

    private struct Arrival {
        var email: String
        var person: FakeProvider.Person
        var browser: AuthUnderTest.Browser
    }

    private func arrive(_ auth: AuthUnderTest, _ provider: FakeProvider, verified: Bool = true) async throws -> Arrival {
        let id = UUIDv7.make()
        let email = "person-\(id)@example.com"
        let person = FakeProvider.Person("subject-\(id)", email: email, verified: verified)
        return Arrival(email: email, person: person, browser: try #require(try await auth.openID(person, at: provider).signedIn))
    }

    @Test func `a sign-in by password is refused like that of an unknown address, after the same work`() async throws {
        try await OpenIDUnderTest.with { auth, provider in
            let arrival = try await arrive(auth, provider)
            var answers: [AuthUnderTest.Answer] = []
            for email in [arrival.email, "nobody-\(UUIDv7.make())@example.com"] {
                for password in [AuthUnderTest.password, ""] {
                    let before = auth.passwords.hashesComputed
                    answers.append(try await auth.ask("POST", "/api/auth/login", AuthUnderTest.credentials(email, password)))
                    #expect(auth.passwords.hashesComputed == before + 1)
                }
            }
            #expect(answers.allSatisfy { ($0.status, $0.errorCode) == (401, "invalid_credentials") })
            #expect(Set(answers.map(\.body)).count == 1)
            let taken = try await auth.ask("POST", "/api/auth/register", AuthUnderTest.credentials(arrival.email))
            #expect((taken.status, taken.errorCode) == (409, "email_taken"))
        }
    }

    @Test func `a change of password or address says that there is no password, and counts as no failure`() async throws {
        try await OpenIDUnderTest.with { auth, provider in
            let arrival = try await arrive(auth, provider)
            for _ in 0..<7 {
                for (path, body) in [
                    ("/api/auth/password/change", #"{"current_password":"x","new_password":"\#(Self.new)"}"#),
                    ("/api/auth/email/change", #"{"email":"moved@example.com","password":"x"}"#),
                ] {
                    let answer = try await auth.ask("POST", path, body, headers: arrival.browser.pageHeaders)
                    #expect((answer.status, answer.errorCode) == (409, "conflict"), "\(path)")
                }
            }
            #expect(try await auth.mailTemplates(to: "moved@example.com").isEmpty)
        }
    }

    @Test func `a link of a mail sets the first password, and a verified user keeps the identity`() async throws {
        try await with { auth, provider, sink in
            let arrival = try await arrive(auth, provider)
            #expect(try await auth.ask("POST", "/api/auth/password/forgot", #"{"email":"\#(arrival.email)"}"#).status == 202)
            let token = try await auth.token(to: arrival.email, sink, page: "/reset")
            let reset = try await auth.ask("POST", "/api/auth/password/reset", #"{"token":"\#(token)","new_password":"\#(Self.new)"}"#)
            #expect(reset.status == 204)
            #expect(try await auth.ask("GET", "/api/auth/me", headers: [("cookie", arrival.browser.text)]).status == 401)
            let login = try await auth.ask("POST", "/api/auth/login", AuthUnderTest.credentials(arrival.email, Self.new))
            #expect(login.status == 200)
            let again = try #require(try await auth.openID(arrival.person, at: provider).signedIn)
            #expect(try await auth.me(again).string("id") == auth.member(login).id.description)
            #expect(try await auth.identities(again).bool("has_password"))
        }
    }

    @Test func `the owner of a mailbox takes an account from a stranger whose provider did not check the address`() async throws {
        try await with { auth, provider, sink in
            let stranger = try await arrive(auth, provider, verified: false)
            #expect(try await auth.ask("POST", "/api/auth/password/forgot", #"{"email":"\#(stranger.email)"}"#).status == 202)
            let token = try await auth.token(to: stranger.email, sink, page: "/reset")
            let reset = try await auth.ask("POST", "/api/auth/password/reset", #"{"token":"\#(token)","new_password":"\#(Self.new)"}"#)
            #expect(reset.status == 204)
            let login = try await auth.ask("POST", "/api/auth/login", AuthUnderTest.credentials(stranger.email, Self.new))
            #expect(login.status == 200)
            let list = try await auth.ask("GET", "/api/auth/identities", token: try login.string("access_token")).json()
            #expect(try list.array("data").isEmpty)
            let back = try await auth.openID(stranger.person, at: provider)
            #expect((back.status, back.signedIn == nil) == (409, true))
        }
    }

    @Test func `the first administrator takes the address from a stranger who came from a provider`() async throws {
        try await OpenIDUnderTest.with { auth, provider in
            let stranger = try await arrive(auth, provider)
            let email = try #require(EmailAddress(stranger.email))
            #expect(try await auth.accounts.bootstrapAdmin(email: email, password: "operator's word"))
            #expect(try await auth.openID(stranger.person, at: provider).status == 409)
            #expect(try await auth.ask("GET", "/api/auth/me", headers: [("cookie", stranger.browser.text)]).status == 401)
            try await auth.pool.withConnection { try await $0.script("DELETE FROM first_admin") }
        }
    }

    private func with(_ body: @escaping @Sendable (AuthUnderTest, FakeProvider, MailSink) async throws -> Void) async throws {
        let sink = try MailSink()
        try await OpenIDUnderTest.with(["SMTP_URL": "smtp://127.0.0.1:\(sink.smtpPort)"]) { auth, provider in
            try await body(auth, provider, sink)
        }
    }
}
