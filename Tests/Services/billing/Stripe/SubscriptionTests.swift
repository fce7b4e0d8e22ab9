import Contracts
import JSON
import Postgres
import TestSupport
import Testing
import Values

@testable import Billing

@Suite(.database(schema: "billing", migrations: "Shared/Outbox/Migrations", "Services/billing/Migrations"), .serialized)
struct SubscriptionTests {
    /// Subscribes a new user, and delivers what follows.
    static func subscribe(_ test: BillingUnderTest, _ plan: String = "pro", _ interval: String = "month") async throws -> (UserID, String) {
        let user = try await test.user()
        let answer = try await test.ask(
            "POST", "/api/payment/checkout/subscription", #"{"plan":"\#(plan)","interval":"\#(interval)"}"#, as: user)
        try await test.stripe.pay(try answer.string("session_id"))
        try await test.deliver()
        let subscription = try #require(try await test.billing.subscriptions.current(of: user))
        return (user, subscription.subscription.id)
    }

    @Test func `a subscription brings its plan and its credits, once for the first payment and once for each renewal`() async throws {
        try await BillingUnderTest.with { test in
            let (user, _) = try await Self.subscribe(test)
            #expect(try await test.plan(of: user) == "pro")
            #expect(try await test.granted(to: user).map(\.amount) == [Credits(whole: 500)])
            try await test.advance(days: 32)
            try await test.deliver()
            try await test.billing.sweeps.settleDue()
            #expect(try await test.granted(to: user).map(\.amount) == [Credits(whole: 500), Credits(whole: 500)])
            #expect(try await test.plan(of: user) == "pro")
            let ends = try await test.granted(to: user).compactMap(\.expiresAt)
            #expect(ends.count == 2 && ends[0] < ends[1])
            #expect(try await test.events(in: "retry", "dead", "received", "working").isEmpty)
        }
    }

    @Test func `the page after the checkout brings plan and credits before any event`() async throws {
        try await BillingUnderTest.with { test in
            let user = try await test.user()
            let answer = try await test.ask("POST", "/api/payment/checkout/subscription", #"{"plan":"pro"}"#, as: user)
            let session = try answer.string("session_id")
            try await test.stripe.pay(session)
            #expect(try await test.ask("GET", "/api/payment/checkout/\(session)", as: user).string("status") == "paid")
            #expect(try await test.plan(of: user) == "pro")
            #expect(try await test.granted(to: user).map(\.amount) == [Credits(whole: 500)])
            let change = try await test.ask("POST", "/api/payment/subscription/change-plan", #"{"plan":"enterprise"}"#, as: user)
            #expect(change.status == 200)
            try await test.deliver()
            #expect(try await test.granted(to: user).count == 2)
        }
    }

    @Test func `a second subscription is refused`() async throws {
        try await BillingUnderTest.with { test in
            let (user, _) = try await Self.subscribe(test)
            let second = try await test.ask("POST", "/api/payment/checkout/subscription", #"{"plan":"enterprise"}"#, as: user)
            #expect(second.status == 409)
            #expect(second.errorCode == "already_subscribed")
        }
    }

    @Test func `an upgrade half way gives half of the difference at once, and a full period at the renewal`() async throws {
        try await BillingUnderTest.with { test in
            let (user, id) = try await Self.subscribe(test)
            let start = try #require(try await test.billing.subscriptions.current(of: user)).subscription
            let half = (start.periodEnd.seconds - start.periodStart.seconds) / 2
            _ = try await test.stripe.control("POST", "clock", #"{"advance":\#(half)}"#)
            try await test.advance()
            let changed = try await test.ask("POST", "/api/payment/subscription/change-plan", #"{"plan":"enterprise"}"#, as: user)
            #expect(changed.status == 200)
            #expect(try await test.plan(of: user) == "enterprise")
            try await test.deliver()
            let amounts = try await test.granted(to: user).map(\.amount)
            #expect(amounts.count == 2)
            // Some seconds of the half have passed.
            #expect(amounts[1] > Credits(whole: 2_245) && amounts[1] <= Credits(whole: 2_250), "\(amounts)")
            #expect(try await test.ask("POST", "/api/payment/subscription/change-plan", #"{"plan":"enterprise"}"#, as: user).status == 400)
            try await test.advance(days: 20)
            try await test.deliver()
            #expect(try await test.granted(to: user).last?.amount == Credits(whole: 5_000))
            _ = id
        }
    }

    @Test func `a downgrade keeps the paid plan until the renewal, and can be taken back without a payment`() async throws {
        try await BillingUnderTest.with { test in
            let (user, _) = try await Self.subscribe(test, "enterprise")
            let path = "/api/payment/subscription/change-plan"
            let down = try await test.ask("POST", path, #"{"plan":"pro"}"#, as: user)
            #expect(try down.string("plan") == "enterprise")
            #expect(try down.string("next_plan") == "pro")
            let back = try await test.ask("POST", path, #"{"plan":"enterprise"}"#, as: user)
            #expect(try back.string("next_plan") == "enterprise")
            #expect(try await test.ask("POST", path, #"{"plan":"pro"}"#, as: user).status == 200)
            try await test.deliver()
            #expect(try await test.plan(of: user) == "enterprise")
            #expect(try await test.granted(to: user).map(\.amount) == [Credits(whole: 5_000)])
            try await test.advance(days: 32)
            try await test.deliver()
            #expect(try await test.plan(of: user) == "pro")
            #expect(try await test.granted(to: user).map(\.amount) == [Credits(whole: 5_000), Credits(whole: 500)])
        }
    }

    @Test func `a yearly plan gives its credits month by month, and stops when it is cancelled at once`() async throws {
        try await BillingUnderTest.with { test in
            let (user, id) = try await Self.subscribe(test, "pro", "year")
            #expect(try await test.granted(to: user).count == 1)
            for month in 2...5 {
                try await test.advance(days: 31)
                try await test.billing.sweeps.settleDue()
                #expect(try await test.granted(to: user).count == month)
            }
            let cancelled = try await test.ask(
                "POST", "/api/payment/subscription/cancel", #"{"subscription_id":"\#(id)","at_period_end":false}"#, as: user)
            #expect(cancelled.status == 200)
            try await test.advance(days: 62)
            try await test.billing.sweeps.settleDue()
            #expect(try await test.granted(to: user).count == 5)
            #expect(try await test.plan(of: user) == "free")
        }
    }

    @Test func `monthly to yearly happens at once, and yearly to monthly is refused`() async throws {
        try await BillingUnderTest.with { test in
            let (user, _) = try await Self.subscribe(test)
            try await test.advance(days: 10)
            let path = "/api/payment/subscription/change-plan"
            #expect(try await test.ask("POST", path, #"{"plan":"pro","interval":"year"}"#, as: user).status == 200)
            try await test.deliver()
            // Ten of about thirty days have passed.
            let amounts = try await test.granted(to: user).map(\.amount)
            #expect(amounts.count == 2 && amounts[1] > Credits(whole: 150) && amounts[1] < Credits(whole: 180), "\(amounts)")
            let back = try await test.ask("POST", path, #"{"plan":"pro","interval":"month"}"#, as: user)
            #expect(back.status == 400)
            #expect(back.errorParam == "interval")
        }
    }

    @Test func `a subscription that changed at Stripe is shown so after fifteen minutes, and as it was while Stripe does not answer`()
        async throws
    {
        try await BillingUnderTest.with { test in
            let (user, id) = try await Self.subscribe(test)
            _ = try await test.stripe.api("POST", "/v1/subscriptions/\(id)", ["cancel_at_period_end": "true"])
            try await test.stripe.control("POST", "webhooks/drop", "{}")
            func isEnding() async throws -> Bool {
                try await test.ask("GET", "/api/payment/subscription", as: user).json().object("subscription").has("cancel_at")
            }
            #expect(try await isEnding() == false)
            try await test.advance(seconds: 1_000)
            try await test.stripe.control("POST", "faults", #"{"kind":"status","code":500,"method":"GET","times":3}"#)
            #expect(try await isEnding() == false)
            #expect(try await isEnding())
        }
    }

    @Test func `a cancel after a resume at Stripe that billing has not seen cancels again`() async throws {
        try await BillingUnderTest.with { test in
            let (user, id) = try await Self.subscribe(test)
            let path = "/api/payment/subscription/cancel"
            #expect(try await test.ask("POST", path, "{}", as: user).json().has("cancel_at"))
            _ = try await test.stripe.api("POST", "/v1/subscriptions/\(id)", ["cancel_at_period_end": "false"])
            try await test.stripe.control("POST", "webhooks/drop", "{}")
            #expect(try await test.ask("POST", path, "{}", as: user).json().has("cancel_at"))
            #expect(try await test.stripe.api("GET", "/v1/subscriptions/\(id)").bool("cancel_at_period_end"))
        }
    }

    @Test func `a plan whose bank debit failed can be ordered again`() async throws {
        try await BillingUnderTest.with { test in
            let user = try await test.user()
            let path = "/api/payment/checkout/subscription"
            let session = try await test.ask("POST", path, #"{"plan":"pro"}"#, as: user).string("session_id")
            try await test.stripe.control("POST", "checkout/\(session)/pay_later")
            try await test.deliver()
            #expect(try await test.ask("POST", path, #"{"plan":"pro"}"#, as: user).status == 409)
            try await test.stripe.control("POST", "checkout/\(session)/fail_async")
            let id = try await test.stripe.api("GET", "/v1/checkout/sessions/\(session)").string("subscription")
            _ = try? await test.stripe.api("DELETE", "/v1/subscriptions/\(id)")
            try await test.deliver()
            try await test.billing.sweeps.finishOrders()
            #expect(try await test.granted(to: user).isEmpty)
            let again = try await test.ask("POST", path, #"{"plan":"pro"}"#, as: user)
            #expect(again.status == 200)
            try await test.stripe.pay(try again.string("session_id"))
            try await test.deliver()
            #expect(try await test.plan(of: user) == "pro")
        }
    }

    @Test func `a subscription that is cancelled at its end runs to it, and can be resumed before`() async throws {
        try await BillingUnderTest.with { test in
            let (user, id) = try await Self.subscribe(test)
            let path = "/api/payment/subscription"
            #expect(try await test.ask("POST", "\(path)/cancel", "{}", as: user).json().has("cancel_at"))
            #expect(try await test.ask("POST", "\(path)/resume", "{}", as: user).json().has("cancel_at") == false)
            #expect(try await test.ask("POST", "\(path)/cancel", "{}", as: user).status == 200)
            #expect(try await test.plan(of: user) == "pro")
            try await test.advance(days: 32)
            try await test.deliver()
            #expect(try await test.plan(of: user) == "free")
            #expect(try await test.ask("POST", "\(path)/resume", #"{"subscription_id":"\#(id)"}"#, as: user).status == 404)
        }
    }

    @Test func `a subscription of another system is left alone`() async throws {
        try await BillingUnderTest.with { test in
            let customer = try await test.stripe.api("POST", "/v1/customers", ["email": "other@example.com"]).string("id")
            let product = try await test.stripe.api("POST", "/v1/products", ["name": "Other"]).string("id")
            var form: StripeForm = ["mode": "subscription", "customer": customer, "success_url": "https://other.example/"]
            // Two items, which no subscription of this service has.
            for index in 0..<2 {
                form.append("line_items[\(index)][price_data][product]", product)
                form.append("line_items[\(index)][price_data][currency]", "usd")
                form.append("line_items[\(index)][price_data][unit_amount]", "700")
                form.append("line_items[\(index)][price_data][recurring][interval]", "month")
                form.append("line_items[\(index)][quantity]", "1")
            }
            let session = try await test.stripe.api("POST", "/v1/checkout/sessions", form).string("id")
            try await test.stripe.pay(session)
            try await test.deliver()
            let charges = try await test.stripe.api("GET", "/v1/charges?customer=\(customer)").array("data")
            try await test.stripe.api("POST", "/v1/refunds", ["charge": try #require(charges.first?.object).string("id")])
            try await test.deliver()
            let events = try await test.pool.query(ListEvents(state: nil, before: nil, limit: 1_000))
            #expect(events.contains { $0.type == "customer.subscription.created" && $0.objectID?.hasPrefix("sub_") == true })
            #expect(events.filter { $0.state != "done" }.map(\.type) == [])
        }
    }

    @Test func `a subscription of another user is not found`() async throws {
        try await BillingUnderTest.with { test in
            let (_, id) = try await Self.subscribe(test)
            let other = try await test.user()
            for (path, more) in [
                ("cancel", ""), ("resume", ""), ("change-plan", #","plan":"enterprise""#), ("preview", #","plan":"enterprise""#),
            ] {
                let answer = try await test.ask(
                    "POST", "/api/payment/subscription/\(path)", #"{"subscription_id":"\#(id)"\#(more)}"#, as: other)
                #expect(answer.status == 404, "\(path)")
            }
        }
    }

    @Test func `a failed renewal ends the plan, keeps the credits, and a later payment brings both`() async throws {
        try await BillingUnderTest.with { test in
            let (user, _) = try await Self.subscribe(test)
            let customer = try await test.stripeCustomer(of: user)
            try await test.stripe.control("POST", "customers/\(customer)/card", #"{"number":"4000000000000341"}"#)
            try await test.advance(days: 32)
            try await test.deliver()
            try await test.billing.sweeps.settleDue()
            #expect(try await test.granted(to: user).count == 1)
            #expect(try await test.plan(of: user) == "free")
            let open = try await test.stripe.api("GET", "/v1/invoices?customer=\(customer)&status=open").array("data")
            let invoice = try #require(open.first?.object).string("id")
            try await test.stripe.control("POST", "invoices/\(invoice)/pay", #"{"card":"4242424242424242"}"#)
            try await test.deliver()
            #expect(try await test.granted(to: user).count == 2)
            #expect(try await test.plan(of: user) == "pro")
        }
    }
}
