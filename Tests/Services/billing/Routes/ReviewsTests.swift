import Contracts
import JSON
import Postgres
import TestSupport
import Testing
import Values

@testable import Billing

@Suite(.database(schema: "billing", migrations: "Shared/Outbox/Migrations", "Services/billing/Migrations"), .serialized)
struct ReviewsTests {
    private static let path = "/api/admin/payments/reviews"

    /// The rows of a user that wait for an administrator.
    private func reviews(_ test: BillingUnderTest, of user: UserID) async throws -> [JSONObject] {
        try await test.ask("GET", Self.path, as: .make(), admin: true).json().array("reviews").compactMap(\.object)
            .filter { try $0.string("user_id") == "\(user)" }
    }

    private func act(_ test: BillingUnderTest, _ act: String, on id: String) async throws -> BillingUnderTest.Answer {
        try await test.ask("POST", "\(Self.path)/\(id)/\(act)", "", as: .make(), admin: true)
    }

    /// A paid package whose order does not have the amount that was paid.
    private func unfit(_ test: BillingUnderTest) async throws -> (UserID, review: String) {
        let user = try await test.user()
        let session = try await test.ask("POST", "/api/payment/checkout/credits", #"{"credits_amount":100}"#, as: user).string("session_id")
        try await test.pool.withConnection { try await $0.script("UPDATE purchase SET amount_cents = 800 WHERE session_id = '\(session)'") }
        try await test.stripe.pay(session)
        try await test.deliver()
        let review = try #require(try await reviews(test, of: user).first)
        #expect(try review.string("kind") == "purchase")
        return (user, try review.string("id"))
    }

    @Test func `an administrator has a payment decided again`() async throws {
        try await BillingUnderTest.with { test in
            let (user, id) = try await unfit(test)
            #expect(try await test.granted(to: user).isEmpty)
            #expect(try await test.events(in: "received", "working", "retry", "dead").isEmpty)
            #expect(try await act(test, "decide", on: id).string("review").contains("paid 900 usd"))
            try await test.pool.withConnection { try await $0.script("UPDATE purchase SET amount_cents = 900 WHERE id = '\(id)'") }
            #expect(try await test.ask("POST", "\(Self.path)/\(id)/decide", "", as: user).status == 403)
            let decided = try await act(test, "decide", on: id)
            #expect(decided.status == 200)
            #expect(try decided.json().has("review") == false)
            #expect(try await test.granted(to: user).count == 2)
            #expect(try await reviews(test, of: user).isEmpty)
            #expect(try await act(test, "decide", on: id).status == 404)
            #expect(try await act(test, "decide", on: "in_unknown").status == 404)
        }
    }

    @Test func `a closed review gives nothing, and stays closed`() async throws {
        try await BillingUnderTest.with { test in
            let (user, id) = try await unfit(test)
            #expect(try await act(test, "close", on: id).status == 200)
            try await test.billing.sweeps.sweepObjects()
            #expect(try await reviews(test, of: user).isEmpty)
            #expect(try await test.granted(to: user).isEmpty)
            #expect(try await act(test, "close", on: id).status == 404)
        }
    }

    @Test func `a subscription with an unknown price is seen, and its invoice is decided again less what was refunded`() async throws {
        try await BillingUnderTest.with { test in
            let user = try await test.user()
            let order = try await test.ask("POST", "/api/payment/checkout/subscription", #"{"plan":"pro"}"#, as: user)
            try await test.pool.withConnection { try await $0.script("DELETE FROM plan_price WHERE plan = 'pro'") }
            try await test.stripe.pay(try order.string("session_id"))
            try await test.deliver()
            let found = try await reviews(test, of: user)
            #expect(try Set(found.map { try $0.string("kind") }) == ["subscription", "invoice"])
            let seen = try await test.ask("GET", "/api/payment/subscription", as: user).json().object("subscription")
            #expect(try seen.string("status") == "active")
            #expect(seen.has("price") == false)
            for (act, status) in [("cancel", 200), ("resume", 200), ("change-plan", 409)] {
                let body = act == "change-plan" ? #"{"plan":"enterprise"}"# : "{}"
                #expect(try await test.ask("POST", "/api/payment/subscription/\(act)", body, as: user).status == status, "\(act)")
            }

            let charges = try await test.stripe.api("GET", "/v1/charges?customer=\(try await test.stripeCustomer(of: user))")
            let payment = try #require(try charges.array("data").first?.object).string("payment_intent")
            try await test.stripe.api("POST", "/v1/refunds", ["payment_intent": payment, "amount": "1450"])
            try await test.deliver()
            try await test.billing.prices.run()
            let invoice = try #require(try found.first { try $0.string("kind") == "invoice" }).string("id")
            #expect(try await act(test, "decide", on: invoice).status == 200)
            #expect(try await test.balance(of: user) == Credits(whole: 250))
            #expect(try await test.plan(of: user) == "pro")
            #expect(try await reviews(test, of: user).isEmpty)
            #expect(try await test.events(in: "received", "working", "retry", "dead").isEmpty)
        }
    }

    @Test(arguments: [true, false])
    func `a payment of a user without an order is seen`(wasOrdered: Bool) async throws {
        try await BillingUnderTest.with { test in
            let user = try await test.user()
            let session: String
            if wasOrdered {
                session = try await test.ask("POST", "/api/payment/checkout/credits", #"{"credits_amount":100}"#, as: user)
                    .string("session_id")
                // The state after a restored backup.
                try await test.pool.withConnection { try await $0.script("DELETE FROM purchase WHERE session_id = '\(session)'") }
            } else {
                session = try await test.stripe.api(
                    "POST", "/v1/checkout/sessions",
                    [
                        "mode": "payment", "client_reference_id": "\(user)", "success_url": "https://other.example/",
                        "line_items[0][price_data][currency]": "usd", "line_items[0][price_data][unit_amount]": "900",
                        "line_items[0][price_data][product_data][name]": "By hand", "line_items[0][quantity]": "1",
                    ]
                ).string("id")
            }
            try await test.stripe.pay(session)
            try await test.deliver()
            try await test.billing.sweeps.sweepObjects()
            let found = try await reviews(test, of: user)
            #expect(found.count == 1)
            let review = try #require(found.first)
            #expect(try review.string("reason").contains(session))
            #expect(try await act(test, "decide", on: try review.string("id")).string("review").contains("no order"))
            #expect(try await act(test, "close", on: try review.string("id")).status == 200)
            #expect(try await reviews(test, of: user).isEmpty)
            #expect(try await test.granted(to: user).isEmpty)
            #expect(try await test.events(in: "received", "working", "retry", "dead").isEmpty)
        }
    }
}
