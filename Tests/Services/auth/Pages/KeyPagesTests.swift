import JSON
import TestSupport
import Testing
import Values

@testable import Auth

@Suite(.authDatabase) struct KeyPagesTests {
    private static let scopes = ["credits", "llm", "models", "profile", "storage"]

    /// The fields of a form with all boxes ticked.
    private func form(_ auth: AuthUnderTest, _ browser: AuthUnderTest.Browser, name: String = "k") async throws -> [String: String] {
        let id = try #require(try await auth.open("/settings/keys/new", browser).hidden("form_id"))
        return Dictionary(uniqueKeysWithValues: [("form_id", id), ("name", name)] + Self.scopes.map { ("scope_\($0)", "on") })
    }

    private func keys(_ auth: AuthUnderTest, _ member: AuthUnderTest.Member) async throws -> [JSONObject] {
        try await auth.ask("GET", "/api/keys", token: member.accessToken).json().array("data").compactMap(\.object)
    }

    /// The texts that a page shows to be copied.
    private func codes(_ page: AuthUnderTest.Answer) -> [String] {
        page.html.matches(of: /<p class="code-display"><code>([^<]*)<\/code>/).map { String($0.output.1) }
    }

    // MARK: The list

    @Test func `a user without a key is led to the first one`() async throws {
        try await AuthUnderTest.with { auth in
            let page = try await auth.open("/settings/keys", try await auth.person().browser)
            #expect(page.html.contains("You have no API key yet."))
            #expect(page.html.contains(#"<a href="/settings/keys/new" class="button primary">Create a key</a>"#))
        }
    }

    @Test func `the list has the facts of each key, and not the key`() async throws {
        try await AuthUnderTest.with { auth in
            let (member, browser) = try await auth.person()
            let end = auth.clock.now + .seconds(3_600)
            let narrow = try await auth.ask(
                "POST", "/api/keys",
                #"{"name":"laptop","scopes":["llm","models"],"expires_at":"\#(end)","limit":1000,"daily_limit":12.5}"#,
                token: member.accessToken)
            let wide = try await auth.ask("POST", "/api/keys", #"{"name":"website"}"#, token: member.accessToken)
            #expect(try await auth.ask("GET", "/api/auth/me", token: wide.string("key")).status == 200)
            auth.clock.advance(.seconds(600))
            let page = try await auth.open("/settings/keys", browser)
            for key in [narrow, wide] {
                #expect(page.html.contains("<code>ssk_…\(try key.string("last4"))</code>"))
                #expect(!page.html.contains(try key.string("key")))
                #expect(page.html.contains(#"<a href="/settings/keys/\#(try key.string("id"))" class="button""#))
            }
            #expect(page.html.contains("May call models with your credits, list models and prices<"))
            #expect(page.html.contains("1,000 credits</span> a month · "))
            #expect(page.html.contains(">12.50 credits</span> a day"))
            #expect(page.html.contains("never used") && page.html.contains("expires <time"))
            #expect(page.html.contains("last used <time") && page.html.contains(">10 minutes ago</time>"))
            #expect(page.html.contains("does not expire") && page.html.contains("No limit of its own"))
            auth.clock.advance(.seconds(3_600))
            #expect(try await auth.open("/settings/keys", browser).html.contains(#"<span class="tag warning">expired</span>"#))
            let thai = try await auth.open("/settings/keys", browser, in: "th")
            #expect(thai.html.contains("ยังไม่เคยใช้") && thai.html.contains("หมดอายุแล้ว") && thai.html.contains("ต่อเดือน"))
        }
    }

    // MARK: A new key

    @Test func `a new key is shown once, with an example, and works`() async throws {
        try await AuthUnderTest.with { auth in
            let (member, browser) = try await auth.person()
            let form = try await auth.open("/settings/keys/new", browser)
            for scope in Self.scopes { #expect(form.html.contains(#"name="scope_\#(scope)" value="on" checked"#)) }
            let made = try await auth.send("/settings/keys/new", try await self.form(auth, browser, name: " my  laptop "), browser)
            #expect(made.status == 200)
            #expect(made.header("cache-control") == "no-store")
            #expect(made.html.contains("<h2>my laptop</h2>"))
            #expect(made.notices("Copy the key now. It is shown only this once."))
            let shown = codes(made)
            let key = try #require(shown.first)
            #expect(shown.last == "curl https://gateway.example/v1/models -H &quot;Authorization: Bearer \(key)&quot;")
            let me = try await auth.ask("GET", "/api/auth/me", token: key)
            #expect(try me.string("id") == member.id.description)
            #expect(try await !auth.open("/settings/keys", browser).html.contains(key))
            let record = try #require(try await keys(auth, member).first)
            #expect(try record.optionalString("expires_at") == nil)
            #expect(try record.array("scopes").compactMap(\.string) == Self.scopes)
        }
    }

    @Test func `a key has the scopes, the limits and the last day of its form`() async throws {
        try await AuthUnderTest.with { auth in
            let (member, browser) = try await auth.person()
            let zone = #"{"time_zone":"America/New_York"}"#
            #expect(try await auth.ask("PATCH", "/api/auth/me", zone, token: member.accessToken).status == 200)
            var fields = try await form(auth, browser)
            for scope in ["credits", "models", "profile"] { fields["scope_\(scope)"] = nil }
            fields.merge(["last_day": "2099-07-04", "limit": " 1000 ", "daily_limit": "12.5"]) { $1 }
            let made = try await auth.send("/settings/keys/new", fields, browser, in: "th")
            #expect(made.notices("คัดลอกคีย์ตอนนี้ คีย์จะแสดงเพียงครั้งเดียวเท่านั้น"))
            #expect(codes(made).count == 1, "no example fits the scopes")
            let record = try #require(try await keys(auth, member).first)
            #expect(try record.array("scopes").compactMap(\.string) == ["llm", "storage"])
            #expect(try record.string("expires_at") == "2099-07-05T03:59:59.000000Z", "the end of the day in New York")
            #expect(try record.decimalText("limit") == "1000")
            #expect(try record.decimalText("daily_limit") == "12.5")
        }
    }

    @Test func `a form that is sent twice makes one key, and the second answer says so`() async throws {
        try await AuthUnderTest.with { auth in
            let (member, browser) = try await auth.person()
            let fields = try await form(auth, browser, name: AuthUnderTest.scriptName)
            let answers = try await withThrowingTaskGroup(of: AuthUnderTest.Answer.self) { group in
                for _ in 0..<4 { group.addTask { try await auth.send("/settings/keys/new", fields, browser) } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(answers.map(\.status).sorted() == [200, 409, 409, 409])
            let record = try #require(try await keys(auth, member).first)
            #expect(try await keys(auth, member).count == 1)
            let id = try record.string("id")
            for answer in answers where answer.status == 409 {
                #expect(answer.html.contains("<h1>This key was created already</h1>"))
                #expect(answer.html.contains("<dd>&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;</dd>"))
                #expect(answer.html.contains("ssk_…\(try record.string("last4"))"))
                #expect(answer.html.contains(#"href="/settings/keys/\#(id)""#))
                #expect(codes(answer).isEmpty)
            }
            #expect(try await auth.send("/settings/keys/\(id)", [:], browser).status == 303)
            #expect(try await auth.send("/settings/keys/new", fields, browser).status == 409, "also once the key is revoked")
            #expect(try await keys(auth, member).isEmpty)
            let other = try await auth.person().browser
            #expect(try await auth.send("/settings/keys/new", fields, other).status == 200, "the form of another person is another form")
        }
    }

    @Test func `a form with errors makes no key, keeps what was typed, and makes one once mended`() async throws {
        try await AuthUnderTest.with { auth in
            let (member, browser) = try await auth.person()
            let fields = try await form(auth, browser)
            let name = "Enter a name of 1 to 64 characters, all of them visible."
            let limit = "Enter a number greater than 0, like 1000 or 12.5, with at most 9 fraction digits."
            let yesterday = String((auth.clock.now + .seconds(-86_400)).description.prefix(10))
            let cases: [(field: String, value: String, error: String)] =
                [("name", "", name), ("name", "  ", name), ("name", String(repeating: "x", count: 65), name), ("name", "a\u{7}", name)]
                + ["0", "-1", "x", "1e3", "1,000", "0.0000000001", "99999999999"].flatMap {
                    [("limit", $0, limit), ("daily_limit", $0, limit)]
                }
                + [yesterday, "2026-02-30", "tomorrow", "1", "2099-1-1"].map { ("last_day", $0, "Enter today or a later day.") }
            for (field, value, error) in cases {
                let answer = try await auth.send("/settings/keys/new", fields.merging([field: value]) { $1 }, browser)
                #expect(answer.status == 400, "\(field) \(value)")
                #expect(answer.error(of: field) == error, "\(field) \(value)")
                #expect(answer.html.contains(#"value="\#(value)""#), "\(field) \(value)")
                #expect(answer.hidden("form_id") == fields["form_id"])
            }
            let none = try await auth.send("/settings/keys/new", fields.filter { !$0.key.hasPrefix("scope_") }, browser)
            #expect(none.error(of: "scopes") == "Tick at least one box.")
            #expect(!none.html.contains("checked"))
            let foreign = try await auth.send("/settings/keys/new", ["scope_admin": "on"].merging(fields) { $1 }, browser)
            #expect(foreign.status == 200, "a box that we do not know adds nothing")
            #expect(try await keys(auth, member).count == 1)
        }
    }

    @Test(arguments: [nil, "", "x", "0192d3b0-0000-7000-8000"])
    func `a form without its id makes no key`(id: String?) async throws {
        try await AuthUnderTest.with { auth in
            let (member, browser) = try await auth.person()
            var fields = try await form(auth, browser)
            fields["form_id"] = id
            #expect(try await auth.send("/settings/keys/new", fields, browser).isError("This request cannot be read"))
            #expect(try await keys(auth, member).isEmpty)
        }
    }

    @Test func `the key after the most that an account may have is refused`() async throws {
        try await AuthUnderTest.with { auth in
            let (member, browser) = try await auth.person()
            for _ in 0..<20 { _ = try await auth.ask("POST", "/api/keys", #"{"name":"k"}"#, token: member.accessToken) }
            let answer = try await auth.send("/settings/keys/new", try await form(auth, browser), browser)
            #expect(answer.status == 409)
            #expect(answer.error(of: "name") == "Your account has 20 keys, the most it may have. Revoke one first.")
        }
    }

    // MARK: The end of a key

    @Test func `a key ends once its end is confirmed`() async throws {
        try await AuthUnderTest.with { auth in
            let (member, browser) = try await auth.person()
            let key = try await auth.ask("POST", "/api/keys", #"{"name":"website"}"#, token: member.accessToken)
            let path = "/settings/keys/\(try key.string("id"))"
            let asked = try await auth.open(path, browser)
            #expect(asked.html.contains("<h1>Revoke this key?</h1>") && asked.html.contains("<dd>website</dd>"))
            #expect(asked.html.contains("<dd>never</dd>"))
            #expect(try await auth.ask("GET", "/api/auth/me", token: key.string("key")).status == 200, "a GET ends nothing")
            let revoked = try await auth.send(path, [:], browser)
            #expect((revoked.status, revoked.header("location")) == (303, "/settings/keys?done=revoked"))
            #expect(try await auth.ask("GET", "/api/auth/me", token: key.string("key")).status == 401)
            #expect(try await auth.open("/settings/keys?done=revoked", browser).notices("The key is revoked."))
            for answer in [try await auth.send(path, [:], browser), try await auth.open(path, browser, in: "th")] {
                #expect(answer.status == 404)
            }
        }
    }

    @Test func `the key of another person is not found, and no text is an error of ours`() async throws {
        try await AuthUnderTest.with { auth in
            let (owner, browser) = (try await auth.register(), try await auth.person().browser)
            let key = try await auth.ask("POST", "/api/keys", #"{"name":"k"}"#, token: owner.accessToken)
            for id in [try key.string("id"), "0123456789", "x", "'--"] {
                for answer in [
                    try await auth.open("/settings/keys/\(id)", browser), try await auth.send("/settings/keys/\(id)", [:], browser),
                ] {
                    #expect(answer.status == 404, "\(id)")
                    #expect(answer.isError("This page does not exist"))
                }
            }
            #expect(try await auth.ask("GET", "/api/auth/me", token: key.string("key")).status == 200)
        }
    }
}
