import Contracts
import Identity
import Postgres
import TestSupport
import Testing
import Values

@testable import Billing

extension PagesTests {
    private func price(of package: String, _ test: BillingUnderTest) async throws -> Int64? {
        let packages = try await test.pool.query(ReadPackages())
        return packages.first { $0.id.text == package }?.priceCents
    }

    @Test func `a package is edited, its errors are named, and an older form is not saved over a newer one`() async throws {
        try await BillingUnderTest.with { test in
            let admin = test.browsers.signIn(.make(), isAdmin: true)
            let list = try await test.open("/admin/catalogue", admin)
            for text in ["Standard", "$20.00", "/admin/catalogue/plans/pro", "$313.20"] { #expect(list.text.contains(text), "\(text)") }
            let path = "/admin/catalogue/packages/basic"
            let page = try await test.open(path, admin)
            #expect(page.text.contains(#"value="9.00""#))
            let version = try #require(page.hidden("version"))
            var form = ["name": "Basic", "credits": "100", "bonus": "5", "price_usd": "9.5", "is_active": "on", "version": version]
            for (field, text, error) in [
                ("name", "", "Enter 1 to 100 visible characters."), ("credits", "0", "Enter a whole number from 1 to 100,000."),
                ("bonus", "x", "Enter a whole number from 0 to 100,000."),
                ("price_usd", "9.505", "Enter a price from $0.50 to $999,999.99, like 9 or 9.50."),
                ("price_usd", "0.49", "Enter a price from $0.50 to $999,999.99, like 9 or 9.50."),
            ] {
                let refused = try await test.send(path, form.merging([field: text]) { $1 }, admin)
                #expect(refused.status == 400)
                #expect(refused.error(of: field) == error)
            }
            let taken = try await test.send(path, form.merging(["credits": "250"]) { $1 }, admin)
            #expect((taken.status, taken.error(of: "credits")) == (409, "Another package that is sold has this size."))
            #expect(try await test.send(path, form, admin).leads == "/admin/catalogue?done=saved")
            #expect(try await price(of: "basic", test) == 950)

            form["price_usd"] = "1"
            let old = try await test.send(path, form, admin)
            #expect(old.status == 409)
            #expect(old.text.contains("The catalogue was changed meanwhile."))
            #expect(old.text.contains(#"value="1""#))
            #expect(try await price(of: "basic", test) == 950)
            form["version"] = old.hidden("version")
            form["price_usd"] = "9"
            #expect(try await test.send(path, form, admin).leads == "/admin/catalogue?done=saved")
            #expect(try await test.open("/admin/catalogue/packages/none", admin).status == 404)
            #expect(try await test.send(path, form.merging(["version": "x"]) { $1 }, admin).status == 400)
        }
    }

    @Test func `a plan is edited`() async throws {
        try await BillingUnderTest.with { test in
            let admin = test.browsers.signIn(.make(), isAdmin: true)
            let path = "/admin/catalogue/plans/free"
            let page = try await test.open(path, admin)
            #expect(page.text.contains(#"value="Image generation; Community support""#))
            #expect(page.text.contains(#"value="chat, embeddings, images, keys""#))
            let form = [
                "name": "Free", "monthly_credits": "10", "position": "1", "features": "Image generation; Community support",
                "endpoints": "chat, embeddings, images, keys", "requests_per_minute": "60", "tokens_per_minute": "100000",
                "concurrency": "8",
                "priority": "0", "is_active": "on", "version": try #require(page.hidden("version")),
            ]
            for (field, text, status) in [
                ("position", "2", 409), ("is_active", nil, 409), ("position", "-1", 400), ("endpoints", "Chat", 400),
                ("features", String(repeating: "x;", count: 21), 400), ("concurrency", "0", 400), ("monthly_credits", "1.5", 400),
            ] as [(String, String?, Int)] {
                var wrong = form
                wrong[field] = text
                let refused = try await test.send(path, wrong, admin)
                #expect(refused.status == status, "\(field)")
                if text != nil { #expect(refused.error(of: field) != nil, "\(field)") }
            }
            #expect(try await test.send(path, form.merging(["concurrency": ""]) { $1 }, admin).leads == "/admin/catalogue?done=saved")
            let saved = try #require(try await test.pool.first(ReadPlans(id: .free)))
            #expect(saved.limits.concurrency == nil)
        }
    }

    @Test func `an administrator finds a dead event, reads it, and replays it`() async throws {
        try await BillingUnderTest.with { test in
            let admin = test.browsers.signIn(.make(), isAdmin: true)
            let person = try await test.person()
            let session = try await test.checkOut("/buy", ["credits": "100"], person)
            try await test.stripe.pay(session)
            try await test.deliver()
            let event = try #require(try await test.events(in: "done").first { $0.type == "checkout.session.completed" })
            try await test.pool.execute(KillEvent(id: event.id))
            let list = try await test.open("/admin/payments", admin)
            #expect(list.text.contains("Some events are dead"))
            let dead = try await test.open("/admin/payments?state=dead", admin)
            #expect(dead.text.contains("/admin/payments/\(event.id)"))
            #expect(try await test.open("/admin/payments?state=none", admin).status == 400)
            #expect(try await test.open("/admin/payments?before=yesterday", admin).status == 400)
            let page = try await test.open("/admin/payments/\(event.id)", admin)
            #expect(page.text.contains("checkout.session.completed"))
            #expect(page.text.contains(session))
            #expect(try await test.send("/admin/payments/\(event.id)", [:], admin).leads == "/admin/payments/\(event.id)?done=replayed")
            try await test.work()
            #expect(try await test.events(in: "dead").isEmpty)
            #expect(try await test.granted(to: person.userID).count == 2)
            #expect(try await test.open("/admin/payments/evt_none", admin).status == 404)
            #expect(try await test.send("/admin/payments/evt_none", [:], admin).status == 404)
            try await test.pool.withConnection {
                try await $0.script(#"UPDATE stripe_event SET raw = '{"client_secret": "pi_1_secret_2"}'"#)
            }
            let masked = try await test.open("/admin/payments/\(event.id)", admin).text
            #expect(masked.contains("client_secret") && !masked.contains("pi_1_secret_2"))
        }
    }

    @Test func `a payment in review is listed with its reason`() async throws {
        try await BillingUnderTest.with { test in
            let admin = test.browsers.signIn(.make(), isAdmin: true)
            let person = try await test.person()
            let session = try await test.checkOut("/buy", ["credits": "500"], person)
            let order = try #require(try await test.pool.first(PurchaseOfSession(sessionID: session)))
            try await test.pool.execute(SetPurchaseStatus(id: order.id, status: .review, review: "paid 1 usd <b>"))
            let page = try await test.open("/admin/payments", admin)
            #expect(page.text.contains(order.id.description))
            #expect(page.text.contains("paid 1 usd &lt;b&gt;"))
            let review = "/admin/payments/reviews/\(order.id)"
            // Its page is open, so there is nothing to decide yet.
            #expect(try await test.send(review, [:], admin).leads == "/admin/payments?done=waits")
            try await test.stripe.pay(session)
            #expect(try await test.send(review, [:], admin).leads == "/admin/payments?done=decided")
            #expect(try await test.granted(to: person.userID).count == 2)
            try await test.pool.execute(SetPurchaseStatus(id: order.id, status: .review, review: "paid 1 usd"))
            #expect(try await test.send(review, ["act": "close"], admin).leads == "/admin/payments?done=closed")
            #expect(try await test.send(review, [:], admin).leads == "/admin/payments")
            #expect(try await test.granted(to: person.userID).count == 2)
        }
    }

    @Test func `an old sign-in edits and replays nothing`() async throws {
        try await BillingUnderTest.with { test in
            let admin = test.browsers.signIn(.make(), isAdmin: true, before: .seconds(901))
            for path in ["/admin/catalogue/packages/basic", "/admin/catalogue/plans/pro", "/admin/payments/evt_1"] {
                let answer = try await test.send(path, [:], admin)
                #expect(answer.leads?.hasPrefix("/login?again=1&next=") == true, "\(path)")
            }
        }
    }
}

/// Makes an event dead, as too many failures do.
private struct KillEvent: Statement {
    static let sql = "UPDATE stripe_event SET state = 'dead', last_error = 'too many failures' WHERE id = $1"
    var id: String

    func bind(_ parameters: inout Parameters) { parameters.append(id) }
}
