import Crypto
import Identity
import JSON
import Postgres
import TestSupport
import Testing
import Text
import Values

@testable import Auth

@Suite(.authDatabase) struct LinkIdentityTests {
    private func person() -> FakeProvider.Person {
        let id = UUIDv7.make()
        return FakeProvider.Person("subject-\(id)", email: "other-\(id)@example.net", verified: true)
    }

    private func member(_ auth: AuthUnderTest) async throws -> (AuthUnderTest.Member, AuthUnderTest.Browser) {
        let member = try await auth.register()
        return (member, try await auth.signInByForm(member.email))
    }

    private func count(_ auth: AuthUnderTest, _ browser: AuthUnderTest.Browser) async throws -> Int {
        try await auth.identities(browser).array("data").count
    }

    // MARK: Linking

    @Test func `a callback offers the link, a button makes it, and the person signs in with it`() async throws {
        try await OpenIDUnderTest.with { auth, provider in
            let (member, browser) = try await member(auth)
            let person = person()
            let page = try await auth.offerLink(person, at: provider, to: browser)
            #expect(page.status == 200)
            #expect(page.page.contains("Acme (\(person.email?.replacing("\"", with: "") ?? ""))"))
            #expect(try await count(auth, browser) == 0, "nothing is linked yet")
            let form = ["token": page.field("token") ?? "", "csrf_token": page.field("csrf_token") ?? ""]
            let linked = try await auth.submit(
                "/settings/sign-in/link", form, headers: [("cookie", browser.text), ("origin", AuthUnderTest.publicURL)])
            #expect((linked.status, linked.header("location")) == (303, "/settings/password?done=connected"))
            let settings = try await auth.open("/settings/password?done=connected", browser)
            #expect(settings.page.contains("The account is connected. You can sign in with it from now on."))
            #expect(try await auth.identities(browser).bool("has_password"))
            #expect(try await auth.mailTemplates(to: member.email) == ["verify_email", "identity_linked"])
            let other = try #require(try await auth.openID(person, at: provider).signedIn)
            #expect(try await auth.me(other).string("id") == member.id.description)
            let events = try await auth.useCases.admin.audit(of: member.id, before: nil, limit: 2).rows
            #expect(events.map(\.event) == ["openid_login", "identity_linked"])
            #expect(events.last?.subject == "acme")
        }
    }

    @Test func `a link that is made twice is made once, and that of another user is refused`() async throws {
        try await OpenIDUnderTest.with { auth, provider in
            let ((mine, browser), (_, other), person) = (try await member(auth), try await member(auth), person())
            for _ in 0..<2 { #expect(try await auth.link(person, at: provider, to: browser).status == 303) }
            #expect(try await count(auth, browser) == 1)
            let refused = try await auth.link(person, at: provider, to: other)
            #expect(refused.status == 409)
            #expect(try await count(auth, other) == 0)
            let signedIn = try #require(try await auth.openID(person, at: provider).signedIn)
            #expect(try await auth.me(signedIn).string("id") == mine.id.description)
        }
    }

    @Test func `two users who link one person at one time do not both have it`() async throws {
        try await OpenIDUnderTest.with { auth, provider in
            let person = person()
            var forms: [(AuthUnderTest.Browser, String)] = []
            for _ in 0..<6 {
                let (_, browser) = try await member(auth)
                forms.append((browser, try #require(try await auth.offerLink(person, at: provider, to: browser).field("token"))))
            }
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for (browser, token) in forms {
                    group.addTask { try await auth.submit("/settings/sign-in/link", ["token": token], headers: browser.pageHeaders).status }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(statuses.sorted() == [303, 409, 409, 409, 409, 409])
        }
    }

    @Test func `an account has at most ten identities, also if they come at one time`() async throws {
        try await OpenIDUnderTest.with { auth, provider in
            let (_, browser) = try await member(auth)
            var tokens: [String] = []
            for _ in 0..<12 { tokens.append(try #require(try await auth.offerLink(person(), at: provider, to: browser).field("token"))) }
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for token in tokens {
                    group.addTask { try await auth.submit("/settings/sign-in/link", ["token": token], headers: browser.pageHeaders).status }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(statuses.count { $0 == 303 } == 10)
            #expect(statuses.count { $0 == 409 } == 2)
            #expect(try await count(auth, browser) == 10)
        }
    }

    @Test func `only the session that began a link finishes it`() async throws {
        try await OpenIDUnderTest.with { auth, provider in
            let ((member, browser), (_, other)) = (try await member(auth), try await member(auth))
            let again = try await auth.signInByForm(member.email)
            for cookies in ["", other.text, again.text] {
                let begun = try await auth.beginOpenID("?link=1", headers: [("cookie", browser.text)])
                let answer = try await auth.finishOpenID(try provider.signIn(person(), at: begun.url), begun, cookies: cookies)
                #expect((answer.status, answer.field("token"), answer.signedIn == nil) == (400, nil, true))
            }
            #expect(provider.count("/token") == 0)
            let token = try #require(try await auth.offerLink(person(), at: provider, to: browser).field("token"))
            for wrong in [other, again] {
                #expect(try await auth.submit("/settings/sign-in/link", ["token": token], headers: wrong.pageHeaders).status == 400)
            }
            for wrong in ["", "x", String(token.dropLast()), token + "A", String(token.reversed())] {
                #expect(try await auth.submit("/settings/sign-in/link", ["token": wrong], headers: browser.pageHeaders).status == 400)
            }
            #expect(try await auth.submit("/settings/sign-in/link", ["token": token], headers: browser.pageHeaders).status == 303)
        }
    }

    @Test func `an offer expires after ten minutes`() async throws {
        try await OpenIDUnderTest.with { auth, provider in
            for (wait, status) in [(Duration.seconds(598), 303), (.seconds(600), 400)] {
                let (_, browser) = try await member(auth)
                let token = try #require(try await auth.offerLink(person(), at: provider, to: browser).field("token"))
                auth.clock.advance(wait)
                #expect(try await auth.submit("/settings/sign-in/link", ["token": token], headers: browser.pageHeaders).status == status)
            }
        }
    }

    @Test func `a link needs a cookie, and a sign-in of the last twelve hours`() async throws {
        try await OpenIDUnderTest.with { auth, provider in
            let (member, browser) = try await member(auth)
            func start(_ headers: [(name: String, value: String)]) async throws -> Int {
                try await auth.ask("GET", "/api/auth/oidc/acme/start?link=1", headers: headers).status
            }
            #expect(try await start([]) == 403)
            #expect(try await start([("authorization", "Bearer \(member.accessToken)")]) == 403)
            #expect(try await start([("cookie", "__Host-session=x")]) == 303, "to the sign-in")
            #expect(try await start([("cookie", browser.text)]) == 303)
            let token = try #require(try await auth.offerLink(person(), at: provider, to: browser).field("token"))
            let forged = try await auth.submit(
                "/settings/sign-in/link", ["token": token], headers: [("cookie", browser.text), ("origin", "https://evil.example")])
            #expect(forged.status == 403)
            auth.clock.advance(.seconds(12 * 3_600 + 1))
            let late = try await auth.submit("/settings/sign-in/link", ["token": token], headers: browser.pageHeaders)
            #expect((late.status, late.header("location")) == (303, "/login?again=1&next=%2Fsettings%2Fsign-in%2Flink"))
            let again = try await auth.ask("GET", "/api/auth/oidc/acme/start?link=1", headers: [("cookie", browser.text)])
            #expect(again.header("location")?.hasPrefix("/login?again=1&next=") == true)
            #expect(try await count(auth, browser) == 0)
        }
    }

    @Test func `a session that has ended links nothing`() async throws {
        try await OpenIDUnderTest.with { auth, provider in
            let (member, browser) = try await member(auth)
            let token = try #require(try await auth.offerLink(person(), at: provider, to: browser).field("token"))
            let linker = OpenIDAttempt.Linker(userID: member.id, sessionID: browser.cookie.sessionID)
            #expect(try await auth.ask("DELETE", "/api/auth/sessions", token: member.accessToken).status == 204)
            // The database decides, also where a replica has not heard of the end.
            #expect(try await auth.useCases.externalIdentities.link(token, for: linker, client: .itself) == .sessionEnded)
            let list = try await auth.ask("GET", "/api/auth/identities", token: member.accessToken).json()
            #expect(try list.array("data").isEmpty)
        }
    }

    // MARK: Unlinking

    /// The page that asks before an identity is unlinked.
    private func page(_ issuer: String, _ subject: String) -> String {
        let subject = PercentEncoding.encode(subject.replacing("\"", with: ""))
        return "/settings/sign-in/unlink?issuer=\(PercentEncoding.encode(issuer))&subject=\(subject)"
    }

    private func unlink(
        _ auth: AuthUnderTest, _ provider: FakeProvider, _ subject: String, _ browser: AuthUnderTest.Browser
    ) async throws -> AuthUnderTest.Answer {
        try await auth.submit(page(provider.issuer, subject), [:], headers: browser.pageHeaders)
    }

    @Test func `an identity that is unlinked signs its person in no longer`() async throws {
        try await OpenIDUnderTest.with { auth, provider in
            let ((member, browser), person) = (try await member(auth), person())
            #expect(try await auth.link(person, at: provider, to: browser).status == 303)
            #expect(try await unlink(auth, provider, person.subject, browser).status == 303)
            #expect(try await count(auth, browser) == 0)
            #expect(try await auth.mailTemplates(to: member.email).last == "identity_unlinked")
            #expect(try await auth.useCases.admin.audit(of: member.id, before: nil, limit: 1).rows.map(\.event) == ["identity_unlinked"])
            let stranger = try #require(try await auth.openID(person, at: provider).signedIn)
            #expect(try await auth.me(stranger).string("id") != member.id.description)
            #expect(try await unlink(auth, provider, person.subject, browser).status == 404)
        }
    }

    @Test func `the settings list the providers, with a button that connects or disconnects each`() async throws {
        try await OpenIDUnderTest.with { auth, provider in
            let ((_, browser), person) = (try await member(auth), person())
            let connect = #"href="/api/auth/oidc/acme/start?link=1" class="button" aria-label="Connect: Acme""#
            #expect(try await auth.open("/settings/password", browser).page.contains(connect))
            #expect(try await auth.link(person, at: provider, to: browser).status == 303)
            let page = try await auth.open("/settings/password", browser)
            #expect(!page.page.contains(connect))
            let address = person.email?.replacing("\"", with: "") ?? ""
            #expect(page.page.contains("\(address) · connected "))
            #expect(page.page.contains(#"aria-label="Disconnect: Acme \#(address)""#))
            let link = self.page(provider.issuer, person.subject)
            #expect(page.page.contains("href=\"\(link.replacing("&", with: "&amp;"))\""))
            let question = try await auth.open(link, browser)
            #expect(question.page.contains("Disconnect Acme?") && question.page.contains("Acme (\(address))"))
            #expect(question.page.contains("action=\"\(link.replacing("&", with: "&amp;"))\""))
            #expect(question.page.contains(#"href="/settings/password""#), "a way back")
            #expect(try await count(auth, browser) == 1, "the page unlinks nothing")
            let done = try await unlink(auth, provider, person.subject, browser)
            #expect((done.status, done.header("location")) == (303, "/settings/password?done=disconnected"))
            let after = try await auth.open("/settings/password?done=disconnected", browser).page
            #expect(after.contains(connect) && after.contains("The account is disconnected. You can no longer sign in with it."))
        }
    }

    @Test func `the question before an unlink needs an identity of the user, and a sign-in of the last twelve hours`() async throws {
        try await OpenIDUnderTest.with { auth, provider in
            let ((_, browser), (_, other), person) = (try await member(auth), try await member(auth), person())
            #expect(try await auth.link(person, at: provider, to: browser).status == 303)
            let link = page(provider.issuer, person.subject)
            for (path, browser) in [(link, other), (page(provider.issuer, "x"), browser), ("/settings/sign-in/unlink", browser)] {
                let answer = try await auth.ask("GET", path, headers: [("cookie", browser.text)])
                #expect((answer.status, answer.header("location")) == (303, "/settings/password"), "\(path)")
            }
            auth.clock.advance(.seconds(12 * 3_600 + 1))
            let signIn = "/login?again=1&next=\(PercentEncoding.encode(link))"
            let asked = try await auth.ask("GET", link, headers: [("cookie", browser.text)])
            #expect((asked.status, asked.header("location")) == (303, signIn))
            let sent = try await unlink(auth, provider, person.subject, browser)
            #expect((sent.status, sent.header("location")) == (303, signIn), "and from there back to the question")
            #expect(try await count(auth, browser) == 1)
        }
    }

    @Test func `settings without providers say nothing of them`() async throws {
        try await AuthUnderTest.with { auth in
            let browser = try await auth.person().browser
            #expect(!(try await auth.open("/settings/password", browser).html.contains("Other ways to sign in")))
        }
    }

    @Test func `the identity of another user is not found`() async throws {
        try await OpenIDUnderTest.with { auth, provider in
            let ((_, mine), (_, other), person) = (try await member(auth), try await member(auth), person())
            #expect(try await auth.link(person, at: provider, to: mine).status == 303)
            #expect(try await unlink(auth, provider, person.subject, other).status == 404)
            #expect(try await count(auth, mine) == 1)
        }
    }

    @Test func `the last way in of an account without a password stays, also if both go at one time`() async throws {
        try await OpenIDUnderTest.with { auth, provider in
            let (first, second) = (person(), person())
            let browser = try #require(try await auth.openID(first, at: provider).signedIn)
            #expect(try await unlink(auth, provider, first.subject, browser).status == 409)
            #expect(try await auth.link(second, at: provider, to: browser).status == 303)
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for person in [first, second] { group.addTask { try await unlink(auth, provider, person.subject, browser).status } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(statuses.sorted() == [303, 409])
            #expect(try await count(auth, browser) == 1)
        }
    }

    @Test func `an identity of a provider that is configured no longer is no way in`() async throws {
        try await OpenIDUnderTest.with { auth, provider in
            let person = person()
            let browser = try #require(try await auth.openID(person, at: provider).signedIn)
            try await auth.pool.withConnection {
                try await $0.script(
                    """
                    INSERT INTO external_identity
                    SELECT 'https://gone.example', 'x', user_id, 'gone', NULL, created_at, last_used_at
                    FROM external_identity WHERE subject = '\(person.subject.replacing("\"", with: ""))'
                    """)
            }
            #expect(try await count(auth, browser) == 2)
            #expect(try await unlink(auth, provider, person.subject, browser).status == 409)
            let gone = page("https://gone.example", "x")
            #expect(try await auth.open(gone, browser).page.contains("Disconnect gone?"))
            #expect(try await auth.submit(gone, [:], headers: browser.pageHeaders).status == 303)
        }
    }
}
