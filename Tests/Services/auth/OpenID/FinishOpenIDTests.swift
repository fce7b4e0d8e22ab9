import Contracts
import HTTP
import HTTPWire
import Identity
import JSON
import Postgres
import TestSupport
import Testing
import Values

@testable import Auth

@Suite(.authDatabase) struct FinishOpenIDTests {
    private func person(verified: Bool? = true, name: String? = nil) -> FakeProvider.Person {
        let id = UUIDv7.make()
        return FakeProvider.Person("subject-\(id)", email: "person-\(id)@example.com", verified: verified, name: name)
    }

    private func address(_ person: FakeProvider.Person) -> String { person.email?.replacing("\"", with: "") ?? "" }

    // MARK: Accounts

    @Test func `a new person gets an account without a password, and is the same user the next time`() async throws {
        try await OpenIDUnderTest.with { auth, provider in
            let person = person(name: "Ada Lovelace")
            let first = try await auth.openID(person, at: provider, "?next=/usage%3Fdays%3D7")
            #expect((first.status, first.header("location"), first.header("cache-control")) == (303, "/usage?days=7", "no-store"))
            let set = first.headers.filter { $0.name.lowercased() == "set-cookie" }.map(\.value)
            #expect(set.allSatisfy { !$0.hasPrefix("__Host-oidc=") }, "the cookie of attempts stays for those of other tabs")
            #expect(set[1].hasPrefix("browser=ssb_"))
            let me = try await auth.me(try #require(first.signedIn))
            #expect(try me.string("email") == address(person))
            #expect(try me.string("full_name") == "Ada Lovelace")
            #expect(try me.bool("email_verified"))
            #expect(try await auth.outboxCount("user.verified.v1", about: address(person)) == 1)
            #expect(try await auth.mailTemplates(to: address(person)) == [])

            let second = try await auth.openID(person, at: provider)
            #expect((second.status, second.header("location")) == (303, "/"))
            #expect(try await auth.me(try #require(second.signedIn)).string("id") == me.string("id"))
            #expect(try await auth.outboxCount("user.verified.v1", about: address(person)) == 1)
            let list = try await auth.identities(try #require(second.signedIn))
            #expect(try !list.bool("has_password"))
            let identity = try #require(try list.array("data").first?.object)
            #expect(try identity.string("provider") == "acme" && identity.string("issuer") == provider.issuer)
            #expect(try identity.string("email") == address(person))
            let user = try #require(UserID(try me.string("id")))
            let events = try await auth.useCases.admin.audit(of: user, before: nil, limit: 10).rows
            #expect(events.first?.event == "openid_login")
            #expect(events.dropFirst().map(\.event).sorted() == ["identity_linked", "register"])
            #expect(events.first?.subject?.hasPrefix("acme 0") == true)
        }
    }

    @Test(arguments: [false, nil] as [Bool?])
    func `an address that the provider has not verified gets the usual mail`(verified: Bool?) async throws {
        try await OpenIDUnderTest.with { auth, provider in
            let person = person(verified: verified)
            let browser = try #require(try await auth.openID(person, at: provider).signedIn)
            #expect(try await !auth.me(browser).bool("email_verified"))
            #expect(try await auth.outboxCount("user.verified.v1", about: address(person)) == 0)
            #expect(try await auth.mailTemplates(to: address(person)) == ["verify_email"])
        }
    }

    @Test func `where the free credits come at registration, they come once`() async throws {
        try await OpenIDUnderTest.with(["REQUIRE_VERIFIED_EMAIL": "off"]) { auth, provider in
            for verified in [true, false] {
                let person = person(verified: verified)
                let answer = try await auth.openID(person, at: provider)
                #expect(answer.status == 303)
                #expect(try await auth.outboxCount("user.verified.v1", about: address(person)) == 1)
            }
        }
    }

    @Test func `an address that has an account is neither linked nor signed in, verified or not`() async throws {
        try await OpenIDUnderTest.with { auth, provider in
            let member = try await auth.register()
            for verified in [true, false] {
                let stranger = FakeProvider.Person("stranger-\(verified)", email: member.email.uppercased(), verified: verified)
                let answer = try await auth.openID(stranger, at: provider)
                #expect(answer.status == 409)
                #expect(answer.signedIn == nil)
                #expect(answer.page.contains("Sign in to it, then connect Acme in its settings."))
            }
            let list = try await auth.ask("GET", "/api/auth/identities", token: member.accessToken)
            #expect(try list.json().array("data").isEmpty)
            #expect(try await auth.ask("GET", "/api/auth/sessions", token: member.accessToken).json().array("data").count == 1)
        }
    }

    @Test func `a person who moves to the address of an account stays the own user`() async throws {
        try await OpenIDUnderTest.with { auth, provider in
            let member = try await auth.register()
            var person = person()
            let user = try await auth.me(try #require(try await auth.openID(person, at: provider).signedIn)).string("id")
            person.email = "\"\(member.email)\""
            let again = try #require(try await auth.openID(person, at: provider).signedIn)
            #expect(try await auth.me(again).string("id") == user)
            #expect(try await auth.identities(again).array("data").compactMap(\.object).map { try $0.string("email") } == [member.email])
            person.email = nil
            let third = try #require(try await auth.openID(person, at: provider).signedIn)
            #expect(try await auth.identities(third).array("data").compactMap(\.object).map { try $0.string("email") } == [member.email])
        }
    }

    @Test(arguments: [nil, "null", #""nobody""#, #""é@example.com""#] as [String?])
    func `a person without an address that we can use gets no account`(email: String?) async throws {
        try await OpenIDUnderTest.with { auth, provider in
            var person = person()
            person.email = email
            let before = try await auth.dump()
            let answer = try await auth.openID(person, at: provider)
            #expect((answer.status, answer.signedIn == nil) == (400, true))
            #expect(answer.page.contains("Acme did not share an email address that we can use"))
            #expect(try await auth.dump() == before)
        }
    }

    @Test func `the address comes from the UserInfo answer if the ID token has none`() async throws {
        try await OpenIDUnderTest.with { auth, provider in
            provider.change { $0.tokenHasProfile = false }
            let person = person(name: "Grace")
            let me = try await auth.me(try #require(try await auth.openID(person, at: provider).signedIn))
            #expect(try me.string("email") == address(person) && me.bool("email_verified") && me.string("full_name") == "Grace")
            provider.change { $0.userInfo = ["sub": #""somebody else""#] }
            let foreign = try await auth.openID(self.person(), at: provider)
            #expect((foreign.status, foreign.signedIn == nil) == (502, true))
            provider.change { $0.answers["/me"] = Response(status: 401) }
            #expect(try await auth.openID(self.person(), at: provider).status == 502)
            provider.change { $0.metadata["userinfo_endpoint"] = .some(nil) }
            auth.clock.advance(OpenIDClient.documentLife)
            #expect(try await auth.openID(self.person(), at: provider).status == 400, "no address")
        }
    }

    @Test func `a known person needs no UserInfo answer`() async throws {
        try await OpenIDUnderTest.with { auth, provider in
            provider.change { $0.tokenHasProfile = false }
            let person = person()
            let user = try await auth.me(try #require(try await auth.openID(person, at: provider).signedIn)).string("id")
            #expect(provider.count("/me") == 1)
            provider.change { $0.answers["/me"] = Response(status: 500) }
            let again = try #require(try await auth.openID(person, at: provider).signedIn)
            #expect(try await auth.me(again).string("id") == user)
            #expect(provider.count("/me") == 1)
        }
    }

    @Test func `only the address comes from the UserInfo answer, and the name if the ID token has none`() async throws {
        try await OpenIDUnderTest.with { auth, provider in
            provider.change { state in
                state.tokenHasProfile = false
                state.claims = ["name": #""Token""#, "email_verified": "true"]
            }
            let person = person(verified: false, name: "UserInfo")
            let me = try await auth.me(try #require(try await auth.openID(person, at: provider).signedIn))
            #expect(try (me.string("email"), me.bool("email_verified"), me.string("full_name")) == (address(person), false, "Token"))
        }
    }

    @Test(
        arguments: [
            ([("cookie", "language=th"), ("accept-language", "en")], "th"), ([("accept-language", "th-TH, en;q=0.5")], "th"),
            ([("cookie", "language=xx")], "en"), ([], "en"),
        ] as [([(name: String, value: String)], String)])
    func `a new account has the language of the browser`(headers: [(name: String, value: String)], locale: String) async throws {
        try await OpenIDUnderTest.with { auth, provider in
            let (begun, person) = (try await auth.beginOpenID(), person(verified: false))
            let query = try provider.signIn(person, at: begun.url)
            let answer = try await auth.ask("GET", "\(AuthUnderTest.callback)?\(query)", headers: [("cookie", begun.cookie)] + headers)
            #expect(try await auth.me(try #require(answer.signedIn)).string("locale") == locale)
        }
    }

    @Test func `ten arrivals of a new person at one time make one account`() async throws {
        try await OpenIDUnderTest.with { auth, provider in
            let person = person()
            var arrivals: [(AuthUnderTest.Begun, String)] = []
            for _ in 0..<10 {
                let begun = try await auth.beginOpenID()
                arrivals.append((begun, try provider.signIn(person, at: begun.url)))
            }
            let users = try await withThrowingTaskGroup(of: String.self) { group in
                for (begun, query) in arrivals {
                    group.addTask { try await auth.me(try #require(try await auth.finishOpenID(query, begun).signedIn)).string("id") }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(users.count == 10 && Set(users).count == 1)
            #expect(try await auth.outboxCount("user.verified.v1", about: address(person)) == 1)
        }
    }

    @Test func `an address that two persons bring at one time is one person's`() async throws {
        try await OpenIDUnderTest.with { auth, provider in
            let email = "shared-\(UUIDv7.make())@example.com"
            var arrivals: [(AuthUnderTest.Begun, String)] = []
            for number in 0..<10 {
                let begun = try await auth.beginOpenID()
                arrivals.append((begun, try provider.signIn(FakeProvider.Person("\(number) \(email)", email: email), at: begun.url)))
            }
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for (begun, query) in arrivals { group.addTask { try await auth.finishOpenID(query, begun).status } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(statuses.count { $0 == 303 } == 1)
            #expect(statuses.count { $0 == 409 } == 9)
        }
    }

    @Test func `registrations are limited, and sign-ins of users are not`() async throws {
        try await OpenIDUnderTest.with(["REGISTER_BURST": "1"]) { auth, provider in
            let known = person()
            #expect(try await auth.openID(known, at: provider).status == 303)
            let refused = try await auth.openID(person(), at: provider)
            #expect((refused.status, refused.signedIn == nil) == (429, true))
            #expect(refused.header("retry-after") != nil)
            #expect(try await auth.openID(known, at: provider).status == 303)
        }
    }

    @Test func `a deactivated user is refused`() async throws {
        try await OpenIDUnderTest.with { auth, provider in
            let person = person()
            let user = try await auth.me(try #require(try await auth.openID(person, at: provider).signedIn)).string("id")
            try await auth.pool.withConnection { try await $0.script("UPDATE users SET active = false WHERE id = '\(user)'") }
            let answer = try await auth.openID(person, at: provider)
            #expect((answer.status, answer.signedIn == nil) == (403, true))
            #expect(answer.page.contains("deactivated"))
            let events = try await auth.useCases.admin.audit(of: try #require(UserID(user)), before: nil, limit: 1).rows
            #expect(events.map { "\($0.event) \($0.outcome)" } == ["openid_login failure"])
        }
    }

    @Test func `a sign-in ends the session that the browser had`() async throws {
        try await OpenIDUnderTest.with { auth, provider in
            let member = try await auth.register()
            let former = try await auth.signInByForm(member.email)
            let begun = try await auth.beginOpenID()
            let answer = try await auth.finishOpenID(try provider.signIn(person(), at: begun.url), begun, cookies: former.text)
            #expect(answer.signedIn != nil)
            #expect(try await auth.ask("GET", "/api/auth/me", headers: [("cookie", former.text)]).status == 401)
        }
    }

    // MARK: Signing in again

    /// The time of the sign-in that the session of a browser has, in seconds before now.
    private func age(_ answer: AuthUnderTest.Answer, _ auth: AuthUnderTest) async throws -> Int64 {
        let browser = try #require(answer.signedIn)
        let caller = try await auth.authenticator.principal(["cookie": browser.text], cookie: .accepted)
        return auth.clock.now.seconds - (try #require(caller.authenticatedAt))
    }

    @Test func `a session has the time of the sign-in at the provider, if the provider reports it`() async throws {
        try await OpenIDUnderTest.with { auth, provider in
            let now = auth.clock.now.seconds
            let told: [(String?, Int64)] = [
                (nil, 1_800), ("\(now - 3_600)", 3_600), ("\(now + 3_600)", 0), ("\(Int64.max)", 0), ("\"\(now - 3_600)\"", 1_800),
                ("null", 1_800), ("0", now), ("\(Int64.min)", now),
            ]
            let person = person()
            for (time, expected) in told {
                provider.change { $0.claims["auth_time"] = .some(time) }
                let answer = try await auth.openID(person, at: provider)
                #expect(try await age(answer, auth) == expected, "\(time ?? "none")")
            }
        }
    }

    @Test func `a sign-in again counts only if the provider asked the person again`() async throws {
        try await OpenIDUnderTest.with { auth, provider in
            let person = person()
            let browser = try #require(try await auth.openID(person, at: provider).signedIn)
            func again(_ time: String?) async throws -> AuthUnderTest.Answer {
                let begun = try await auth.beginOpenID("?again=1&next=/admin/users%3Fq%3Da", headers: [("cookie", browser.text)])
                provider.change { $0.claims["auth_time"] = .some(time) }
                auth.clock.advance(.seconds(300))
                return try await auth.finishOpenID(try provider.signIn(person, at: begun.url), begun, cookies: browser.text)
            }
            for (offset, text) in [(nil, "none"), (-61, "before"), (nil, #""1""#)] as [(Int64?, String)] {
                let time = offset.map { "\(auth.clock.now.seconds + $0)" } ?? (text == "none" ? nil : text)
                let page = try await again(time)
                #expect((page.status, page.signedIn == nil) == (403, true), "\(text)")
                #expect(page.page.contains("Acme did not ask you to sign in again. Sign in with your password."))
                #expect(
                    page.page.contains(#"href="/login?again=1&amp;next=%2Fadmin%2Fusers%3Fq%3Da""#) && page.page.contains(#"href="/reset""#)
                )
                #expect(try await auth.me(browser).string("email") == address(person), "the session goes on")
            }
            let answer = try await again("\(auth.clock.now.seconds - 60)")
            #expect((answer.status, answer.header("location")) == (303, "/admin/users?q=a"))
            #expect(try await age(answer, auth) == 360)
            #expect(try await auth.ask("GET", "/api/auth/me", headers: [("cookie", browser.text)]).status == 401)
        }
    }

    @Test func `the page of a sign-in again passes this on to the provider`() async throws {
        try await OpenIDUnderTest.with { auth, _ in
            let start = #"href="/api/auth/oidc/acme/start?next=%2Fsettings"#
            let (again, plain) = (
                try await auth.ask("GET", "/login?again=1&next=/settings"), try await auth.ask("GET", "/login?next=/settings")
            )
            #expect(again.page.contains(start + #"&amp;again=1""#) && plain.page.contains(start + "\""))
        }
    }

    // MARK: Attempts

    @Test func `two tabs of a browser finish their sign-ins in any order, each once`() async throws {
        try await OpenIDUnderTest.with { auth, provider in
            let first = try await auth.beginOpenID()
            let second = try await auth.beginOpenID(headers: [("cookie", first.cookie)])
            let queries = try [second, first].map { try provider.signIn(person(), at: $0.url) }
            for status in [303, 400] {
                for query in queries {
                    let answer = try await auth.finishOpenID(query, second)
                    #expect(answer.status == status)
                }
            }
            let other = try await auth.beginOpenID()
            let third = try await auth.beginOpenID(headers: [("cookie", first.cookie)])
            let query = try provider.signIn(person(), at: third.url)
            #expect(try await auth.finishOpenID(query, other).status == 400, "another browser")
        }
    }

    @Test func `an answer counts once`() async throws {
        try await OpenIDUnderTest.with { auth, provider in
            let begun = try await auth.beginOpenID()
            let query = try provider.signIn(person(), at: begun.url)
            #expect(try await auth.finishOpenID(query, begun).status == 303)
            let replayed = try await auth.finishOpenID(query, begun)
            #expect((replayed.status, replayed.signedIn == nil) == (400, true))
            #expect(replayed.header("set-cookie") == nil)
            #expect(provider.count("/token") == 1)
        }
    }

    @Test func `the answer of another browser is refused, and does not end the attempt`() async throws {
        try await OpenIDUnderTest.with { auth, provider in
            let (begun, other) = (try await auth.beginOpenID(), try await auth.beginOpenID())
            let query = try provider.signIn(person(), at: begun.url)
            let cookies = ["", other.cookie, "__Host-oidc=", "__Host-oidc=x", "oidc=\(begun.cookie.dropFirst(12))", begun.cookie + "x"]
            for cookie in cookies {
                let answer = try await auth.ask("GET", "\(AuthUnderTest.callback)?\(query)", headers: [("cookie", cookie)])
                #expect((answer.status, answer.signedIn == nil) == (400, true), "\(cookie)")
            }
            #expect(provider.count("/token") == 0)
            #expect(try await auth.finishOpenID(query, begun).status == 303)
        }
    }

    @Test func `an answer without its state, or with another, is refused`() async throws {
        try await OpenIDUnderTest.with { auth, provider in
            let begun = try await auth.beginOpenID()
            let query = try provider.signIn(person(), at: begun.url)
            let code = try #require(query.split(separator: "&").first)
            for wrong in ["\(code)", "\(code)&state=", "\(code)&state=x", "", "state=", "error=access_denied"] {
                let answer = try await auth.finishOpenID(wrong, begun)
                #expect((answer.status, answer.signedIn == nil) == (400, true), "\(wrong)")
            }
            let twice = try await auth.finishOpenID("\(query)&state=x", begun)
            #expect(twice.status == 400)
            #expect(provider.count("/token") == 0)
        }
    }

    @Test func `an attempt expires after ten minutes`() async throws {
        try await OpenIDUnderTest.with { auth, provider in
            for (wait, status) in [(Duration.seconds(599), 303), (.seconds(600), 400)] {
                let begun = try await auth.beginOpenID()
                let query = try provider.signIn(person(), at: begun.url)
                auth.clock.advance(wait)
                #expect(try await auth.finishOpenID(query, begun).status == status)
            }
        }
    }

    @Test func `a refusal at the provider ends the attempt, and the page says so`() async throws {
        try await OpenIDUnderTest.with { auth, provider in
            let begun = try await auth.beginOpenID()
            let state = try Query(begun.url.split(separator: "?")[1].utf8).string("state")
            let refused = try await auth.finishOpenID("error=access_denied&error_description=provider-words&state=\(state)", begun)
            #expect((refused.status, refused.signedIn == nil) == (400, true))
            #expect(refused.page.contains("did not allow") && !refused.page.contains("provider-words"))
            #expect(try await auth.finishOpenID("code=x&state=\(state)", begun).status == 400)
            #expect(provider.count("/token") == 0)
        }
    }

    @Test(arguments: ["error=server_error", "error=login_required&code=x", "error=%3Cscript%3E", "code=", "x=1"])
    func `another error of the provider, or no code, is 502 without its words`(query: String) async throws {
        try await OpenIDUnderTest.with { auth, provider in
            let begun = try await auth.beginOpenID()
            let state = try Query(begun.url.split(separator: "?")[1].utf8).string("state")
            let answer = try await auth.finishOpenID("\(query)&error_description=provider-words&state=\(state)", begun)
            #expect((answer.status, answer.signedIn == nil) == (502, true))
            #expect(!answer.page.contains("provider-words") && !answer.page.contains("<script>"))
        }
    }

    @Test func `the issuer of an answer must be the provider's, and be there if the provider says so`() async throws {
        try await OpenIDUnderTest.with { auth, provider in
            func answer(_ more: String) async throws -> Int {
                let begun = try await auth.beginOpenID()
                return try await auth.finishOpenID(try provider.signIn(person(), at: begun.url, more: more), begun).status
            }
            let plain = try await answer("")
            #expect(plain == 303)
            #expect(try await answer("&iss=\(provider.issuer)") == 303)
            #expect(try await answer("&iss=https://evil.example") == 502)
            #expect(try await answer("&iss=") == 502)
            provider.change { $0.metadata["authorization_response_iss_parameter_supported"] = "true" }
            auth.clock.advance(OpenIDClient.documentLife)
            #expect(try await answer("&iss=\(provider.issuer)") == 303)
            #expect(try await answer("") == 502)
            #expect(provider.count("/token") == 3, "no code goes to a provider that did not send it")
        }
    }
}

extension AuthUnderTest {
    /// The profile of the user of a browser.
    func me(_ browser: Browser) async throws -> JSONObject {
        let answer = try await ask("GET", "/api/auth/me", headers: [("cookie", browser.text)])
        guard answer.status == 200 else { throw Unexpected(answer: answer) }
        return try answer.json()
    }

    func identities(_ browser: Browser) async throws -> JSONObject {
        try await ask("GET", "/api/auth/identities", headers: [("cookie", browser.text)]).json()
    }

    /// The mails that wait for an address, oldest first.
    func mailTemplates(to address: String) async throws -> [String] {
        try await pool.withConnection { try await $0.query(MailsTo(address: address)) }
    }
}

private struct MailsTo: Statement {
    static let sql = "SELECT template FROM mail WHERE recipient = $1 ORDER BY id"
    typealias Output = String
    var address: String
    func bind(_ parameters: inout Parameters) { parameters.append(address) }
}
