import Identity
import TestSupport
import Testing
import Values

@testable import Ledger
@testable import LedgerCore

extension PagesTests {
    private static func path(_ person: Principal) -> String { "/admin/credits/\(person.userID)/adjust" }

    private static func form(_ change: [String: String] = [:]) -> [String: String] {
        let form = ["form_id": UUIDv7.make().description, "type": "topup", "amount": "12.5", "reason": "Goodwill", "last_day": ""]
        return form.merging(change) { $1 }
    }

    // MARK: An account

    @Test func `an account is found by the id of its user`() async throws {
        try await withServer { server in
            let (admin, person) = (server.browser(isAdmin: true), server.browser())
            #expect(try await server.open("/admin/credits", admin).status == 200)
            let found = try await server.open("/admin/credits?q=%20\(person.userID)%20", admin)
            #expect((found.status, found.header("location")) == (303, "/admin/credits/\(person.userID)"))
            for text in ["ada@example.com", "12", "x"] {
                let page = try await server.open("/admin/credits?q=\(text)", admin)
                #expect(page.status == 400)
                #expect(page.error(of: "q") == "Enter the whole id of a user.")
                #expect(page.text.contains("value=\"\(text)\""))
            }
            for id in ["x", "0"] { #expect(try await server.open("/admin/credits/\(id)", admin).status == 404) }
        }
    }

    @Test func `the page of an account shows its balance and its history, and leads to the user`() async throws {
        try await withServer { server in
            let (admin, person) = (server.browser(isAdmin: true), server.browser())
            let charge = try await server.grant(.topup, 20, to: person)
            try await server.call(person, cost: credits(3), model: "gpt-5.4")
            _ = try await server.send("/settings/limits", ["monthly": "400"], person)
            let page = try await server.open("/admin/credits/\(person.userID)", admin)
            for fact in [
                "<dt>Balance</dt><dd><span class=\"amount\" title=\"17 credits\">",
                "<dt>Monthly limit</dt><dd><span class=\"amount\" title=\"400 credits\">",
                "<dt>Daily limit</dt><dd>none</dd>", "<dt>Journal entries</dt><dd>3</dd>", "href=\"/admin/users/\(person.userID)\"",
                "href=\"/admin/credits/\(person.userID)/transactions\"", "href=\"/admin/credits/\(person.userID)/transactions/\(charge)\"",
            ] {
                #expect(page.text.contains(fact), "\(fact)")
            }
            let history = try await server.open("/admin/credits/\(person.userID)/transactions?type=usage", admin)
            #expect(history.text.contains("<bdi>gpt-5.4</bdi>") && !history.text.contains("Top-up</span>"))
            let file = "/api/admin/credits/history?format=csv&amp;user_id=\(person.userID)&amp;type=usage&amp;tz=UTC"
            #expect(history.text.contains("href=\"\(file)\""))
            #expect(try await server.open(file.replacing("&amp;", with: "&"), admin).status == 200)
            let unknown = try await server.open("/admin/credits/\(UserID.make())", admin)
            #expect(unknown.text.contains("This account never had credits."))
        }
    }

    // MARK: Adjustments

    @Test func `an adjustment asks once, names amount and account, and is made once for its form`() async throws {
        try await withServer { server in
            let (admin, person) = (server.browser(isAdmin: true), server.browser())
            try await server.grant(.topup, 20, to: person)
            let blank = try await server.open(Self.path(person), admin)
            let form = Self.form(["form_id": try #require(blank.hidden("form_id")), "type": "bonus", "last_day": "2199-12-31"])
            let question = try await server.send(Self.path(person), form, admin)
            #expect(question.status == 200)
            for fact in [
                "<h1>Adjust the credits of this user?</h1>", "title=\"+12.5 credits\">+12.50</span>", "<code>\(person.userID)</code>",
                "<dt>Type</dt><dd>Bonus</dd>", "<dt>Reason</dt><dd><bdi>Goodwill</bdi></dd>", "31 Dec 2199",
                "<dt>Available now</dt><dd><span class=\"amount\" title=\"20 credits\">",
            ] {
                #expect(question.text.contains(fact), "\(fact)")
            }
            #expect(try await server.balance(of: person) == "20")
            for _ in 0..<2 {
                let done = try await server.send(Self.path(person), form.merging(["step": "confirm"]) { $1 }, admin)
                #expect((done.status, done.header("location")) == (303, "/admin/credits/\(person.userID)?done=adjusted"))
            }
            #expect(try await server.balance(of: person) == "32.5")
            #expect(
                try await server.open("/admin/credits/\(person.userID)?done=adjusted", admin).text.contains("The credits are adjusted."))
        }
    }

    @Test func `the question leads back to the form with everything kept`() async throws {
        try await withServer { server in
            let (admin, person) = (server.browser(isAdmin: true), server.browser())
            let form = Self.form(["step": "change"])
            let page = try await server.send(Self.path(person), form, admin)
            #expect(page.status == 200)
            #expect(page.hidden("form_id") == form["form_id"])
            #expect(page.text.contains(#"value="12.5""#) && page.text.contains(#"value="Goodwill""#))
            #expect(try await server.balance(of: person) == "0")
        }
    }

    @Test func `each type adjusts, and only an adjustment takes`() async throws {
        try await withServer { server in
            let (admin, person) = (server.browser(isAdmin: true), server.browser())
            for (name, amount, expected) in [
                ("topup", "5", "5"), ("bonus", "1", "6"), ("refund", "2", "8"), ("adjustment", "-3.5", "4.5"), ("adjustment", "1", "5.5"),
            ] {
                let form = Self.form(["type": name, "amount": amount, "step": "confirm"])
                let (done, balance) = (try await server.send(Self.path(person), form, admin), try await server.balance(of: person))
                #expect(done.status == 303, "\(name)")
                #expect(balance == expected, "\(name)")
            }
        }
    }

    @Test(arguments: [
        (["amount": ""], "amount"), (["amount": "0"], "amount"), (["amount": "-1"], "amount"), (["amount": "x"], "amount"),
        (["amount": "1000000000.000000001"], "amount"), (["amount": "0.0000000001"], "amount"),
        (["type": "adjustment", "amount": "0"], "amount"), (["type": "adjustment", "amount": "-1000000001"], "amount"),
        (["reason": ""], "reason"), (["reason": "  "], "reason"), (["reason": "a\u{07}"], "reason"),
        (["reason": String(repeating: "a", count: 501)], "reason"), (["last_day": "2020-01-01"], "last_day"),
        (["last_day": "x"], "last_day"),
        (["last_day": "2200-01-01"], "last_day"), (["type": "refund", "last_day": "2199-01-01"], "last_day"),
    ])
    func `a bad adjustment is named next to its field and changes nothing, also when it is confirmed`(
        change: [String: String], field: String
    ) async throws {
        try await withServer { server in
            let (admin, person) = (server.browser(isAdmin: true), server.browser())
            for step in ["", "confirm"] {
                let form = Self.form(change).merging(["step": step]) { $1 }
                let page = try await server.send(Self.path(person), form, admin)
                #expect(page.status == 400)
                #expect(page.error(of: field) != nil)
                #expect(page.hidden("form_id") == form["form_id"])
            }
            #expect(try await server.balance(of: person) == "0")
        }
    }

    @Test func `a form that no page of ours makes is refused`() async throws {
        try await withServer { server in
            let (admin, person) = (server.browser(isAdmin: true), server.browser())
            for change in [["form_id": ""], ["form_id": "x"], ["type": ""], ["type": "purchase"]] {
                let page = try await server.send(Self.path(person), Self.form(change), admin)
                #expect(page.status == 400)
                #expect(page.isError("This request cannot be read"))
            }
            #expect(try await server.send("/admin/credits/x/adjust", Self.form(), admin).status == 404)
        }
    }

    @Test func `an account cannot be adjusted below what it has`() async throws {
        try await withServer { server in
            let (admin, person) = (server.browser(isAdmin: true), server.browser())
            try await server.grant(.topup, 5, to: person)
            let form = Self.form(["type": "adjustment", "amount": "-6", "step": "confirm"])
            let page = try await server.send(Self.path(person), form, admin)
            #expect(page.status == 402)
            #expect(page.error(of: "amount") == "The account has only 5 credits.")
            // A refusal is final for its form, so the page has a new one.
            #expect(page.hidden("form_id") != form["form_id"])
            #expect(try await server.balance(of: person) == "5")
        }
    }

    @Test func `a form that was used for something else is refused`() async throws {
        try await withServer { server in
            let (admin, person) = (server.browser(isAdmin: true), server.browser())
            let form = Self.form(["step": "confirm"])
            #expect(try await server.send(Self.path(person), form, admin).status == 303)
            let page = try await server.send(Self.path(person), form.merging(["amount": "99"]) { $1 }, admin)
            #expect(page.status == 409)
            #expect(page.error(of: "amount")?.hasPrefix("This form was already used for another adjustment.") == true)
            #expect(try await server.balance(of: person) == "12.5")
        }
    }
}

extension RouteServer {
    fileprivate func balance(of person: Principal) async throws -> String? {
        try await ask("GET", "/v1/credits", as: person).json?.text(of: "balance")
    }
}
