import Contracts
import Identity
import JSON
import Postgres
import TestSupport
import Testing
import Values

@testable import Billing

extension PagesTests {
    /// A user with a subscription, and what follows from it.
    private static func subscriber(
        _ test: BillingUnderTest, _ plan: String = "pro", _ interval: String = "month"
    ) async throws -> Principal {
        let person = try await test.person()
        try await test.stripe.pay(try await test.checkOut("/plans", ["plan": plan, "interval": interval], person))
        try await test.deliver()
        // Stripe computes no price for a moment before the period.
        try await test.advance()
        return person
    }

    @Test func `a plan is subscribed to, and the page after the payment waits for its first credits`() async throws {
        try await BillingUnderTest.with { test in
            let person = try await test.person()
            let page = try await test.open("/plans", person)
            for text in ["$29<", "$199<", "500 credits a month · $0.058 each", "All generation types", "Yearly · 10% off", "Your plan"] {
                #expect(page.text.contains(text), "\(text)")
            }
            let yearly = try await test.open("/plans?interval=year", person)
            for text in ["$313.20<", "$26.10 a month"] { #expect(yearly.text.contains(text), "\(text)") }
            #expect(try await test.open("/plans?interval=week", person).status == 400)

            let session = try await test.checkOut("/plans", ["plan": "pro", "interval": "month"], person)
            try await test.stripe.pay(session)
            // No event has come yet.
            let done = try await test.open("/buy/done?session_id=\(session)", person)
            #expect(done.title == "Your plan is Pro")
            #expect(done.text.contains("500 credits of your first month were added."))
            let after = try await test.open("/plans", person)
            #expect(after.text.contains(#"<li class="card chosen"><div class="head"><h2><bdi>Pro</bdi></h2><span class="tag">Your plan"#))
            #expect(after.text.contains("Cancel on "))
            #expect(after.text.contains(#"href="/plans/change?plan=enterprise&amp;interval=month""#))
            let again = try await test.send("/plans", ["plan": "pro", "interval": "month"], person)
            #expect(again.leads == "/plans?done=subscribed")
            #expect(try await test.send("/plans", ["plan": "free", "interval": "month"], person).status == 404)
            #expect(try await test.send("/plans", ["plan": "pro"], person).status == 404)
        }
    }

    @Test func `an upgrade names its price, costs just that, and happens once`() async throws {
        try await BillingUnderTest.with { test in
            let person = try await Self.subscriber(test)
            let path = "/plans/change?plan=enterprise&interval=month"
            let page = try await test.open(path, person)
            #expect(page.title == "Upgrade to Enterprise?")
            let due = try #require(page.text(after: "<dt>You pay now</dt><dd><strong>", before: "</strong>"))
            #expect(due.hasPrefix("$1"))
            #expect(page.text.contains("Upgrade for \(due) now"))
            let at = try #require(page.hidden("at"))
            let form = ["plan": "enterprise", "interval": "month", "at": at]
            // Without the moment of a price, with an old one and with a future one, nothing is bought.
            for wrong in [
                "", "1", "x", "99999999999999999999", String(try #require(Int64(at)) - 901), String(try #require(Int64(at)) + 3_600),
            ] {
                let asked = try await test.send("/plans/change", form.merging(["at": wrong]) { $1 }, person)
                #expect(asked.title == "Upgrade to Enterprise?", "\(wrong)")
            }
            #expect(try await test.plan(of: person.userID) == "pro")
            #expect(try await test.send("/plans/change", form, person).leads == "/plans?done=changed")
            #expect(try await test.plan(of: person.userID) == "enterprise")
            #expect(try await test.send("/plans/change", form, person).leads == "/plans?done=changed")
            try await test.deliver()
            let invoices = try await test.open("/billing", person)
            #expect(invoices.text.contains(">\(due)</span>"))
            #expect(try await test.open("/plans?done=changed", person).text.contains("Your plan is changed."))
        }
    }

    @Test func `a downgrade says when it begins, and can be taken back`() async throws {
        try await BillingUnderTest.with { test in
            let person = try await Self.subscriber(test, "enterprise")
            let page = try await test.open("/plans/change?plan=pro&interval=month", person)
            #expect(page.title == "Change to Pro?")
            #expect(page.text.contains("<dt>You pay now</dt><dd><strong>nothing</strong>"))
            #expect(page.text.contains("You keep Enterprise until"))
            let pro = ["plan": "pro", "interval": "month"]
            #expect(try await test.send("/plans/change", pro, person).leads == "/plans?done=ordered")
            #expect(try await test.plan(of: person.userID) == "enterprise")
            let plans = try await test.open("/plans?done=ordered", person)
            #expect(plans.text.contains("The change is ordered for "))
            #expect(plans.text.contains("Keep Enterprise"))
            #expect(try await test.open("/billing", person).text.contains("<dt>Next plan</dt><dd><bdi>Pro, from "))
            let back = try await test.open("/plans/change?plan=enterprise&interval=month", person)
            #expect(back.title == "Keep Enterprise?")
            #expect(
                try await test.send("/plans/change", ["plan": "enterprise", "interval": "month"], person).leads == "/plans?done=kept")
            #expect(try await !test.open("/billing", person).text.contains("Next plan"))
        }
    }

    @Test func `a plan is cancelled at the end of its period, and kept again`() async throws {
        try await BillingUnderTest.with { test in
            let person = try await Self.subscriber(test)
            let asked = try await test.open("/plans/cancel", person)
            #expect(asked.title == "Cancel Pro?")
            #expect(asked.text.contains("Bought credits, API keys and your settings stay."))
            for _ in 0..<2 { #expect(try await test.send("/plans/cancel", [:], person).leads == "/plans?done=cancelled") }
            let page = try await test.open("/plans?done=cancelled", person)
            #expect(page.text.contains("Your plan ends on "))
            #expect(page.text.contains("Keep the plan"))
            #expect(try await test.open("/plans/cancel", person).leads == "/plans")
            let refused = try await test.open("/plans/change?plan=enterprise&interval=month", person)
            #expect((refused.status, refused.title) == (409, "This change is not possible now"))
            for _ in 0..<2 { #expect(try await test.send("/plans", ["act": "resume"], person).leads == "/plans?done=resumed") }
            #expect(try await test.open("/plans", person).text.contains("Cancel on "))
            #expect(try await test.plan(of: person.userID) == "pro")
        }
    }

    @Test func `a declined upgrade changes nothing, and says what the bank says`() async throws {
        try await BillingUnderTest.with { test in
            let person = try await Self.subscriber(test)
            let customer = try await test.stripeCustomer(of: person.userID)
            try await test.stripe.control("POST", "customers/\(customer)/card", #"{"number":"4000000000000341"}"#)
            let page = try await test.open("/plans/change?plan=enterprise&interval=month", person)
            let form = ["plan": "enterprise", "interval": "month", "at": try #require(page.hidden("at"))]
            let answer = try await test.send("/plans/change", form, person)
            // A payment that is declined leaves the change pending at Stripe, with an open invoice.
            #expect(answer.status == 402 || answer.leads == "/billing?done=pending", "\(answer.status)")
            #expect(try await test.plan(of: person.userID) == "pro")
        }
    }

    @Test func `a user without a plan is led from the pages of changes to the plans`() async throws {
        try await BillingUnderTest.with { test in
            let person = try await test.person()
            #expect(try await test.open("/plans/change?plan=pro&interval=month", person).leads == "/plans")
            #expect(try await test.open("/plans/change?plan=none&interval=month", person).status == 404)
            #expect(try await test.open("/plans/change?plan=pro", person).status == 400)
            #expect(try await test.send("/plans/change", ["plan": "pro", "interval": "month"], person).leads == "/plans")
            #expect(try await test.open("/plans/cancel", person).leads == "/plans")
            #expect(try await test.send("/plans/cancel", [:], person).leads == "/plans")
            #expect(try await test.send("/plans", ["act": "resume"], person).leads == "/plans")
        }
    }

    @Test func `billing shows the plan, the cards, the invoices and the bought credits`() async throws {
        try await BillingUnderTest.with { test in
            let person = try await test.person()
            let empty = try await test.open("/billing", person)
            for text in ["You pay for no plan.", "No card is stored.", "The invoices of your plan", "You have not bought credits yet."] {
                #expect(empty.text.contains(text), "\(text)")
            }
            #expect(try await test.send("/billing", [:], person).leads == "/billing")
            try await test.stripe.pay(try await test.checkOut("/plans", ["plan": "pro", "interval": "month"], person))
            try await test.deliver()
            let session = try await test.checkOut("/buy", ["credits": "100"], person)
            try await test.stripe.pay(session)
            try await test.deliver()
            let page = try await test.open("/billing", person)
            for text in [
                "<dt>Plan</dt><dd><bdi>Pro</bdi>", "$29 a month", "<dt>Next payment</dt>", "ending in 4242", ">$29.00</span>",
                "100 credits and 5 credits as a bonus", ">$9.00</span>", "/buy/done?session_id=\(session)", ">PDF</a>",
            ] {
                #expect(page.text.contains(text), "\(text)")
            }
            let portal = try await test.send("/billing", [:], person)
            #expect(portal.leads?.hasPrefix("\(test.stripe.url)/p/session/") == true)
            #expect(try await test.open("/billing?after=x", person).status == 404)
            #expect(try await test.open("/billing?after=in_none", person).status == 404)
        }
    }

    @Test func `the pages are shown while Stripe does not answer`() async throws {
        try await BillingUnderTest.with { test in
            let person = try await Self.subscriber(test)
            try await test.stripe.control("POST", "faults", #"{"kind":"status","code":503,"times":1000,"stripe_should_retry":false}"#)
            let page = try await test.open("/billing", person)
            #expect(page.status == 200)
            #expect(page.text.contains("Our payment provider does not answer at the moment."))
            #expect(page.text.contains("<dt>Next payment</dt>"))
            #expect(try await test.open("/plans", person).status == 200)
            let refused = try await test.send("/buy", ["credits": "100"], person)
            #expect((refused.status, refused.title) == (503, "This does not work at the moment"))
            #expect(refused.text.contains("Send the form again"))
        }
    }

    @Test func `a failed payment is said with the way to mend it`() async throws {
        try await BillingUnderTest.with { test in
            let person = try await Self.subscriber(test)
            let subscription = try #require(try await test.billing.subscriptions.current(of: person.userID)).subscription
            var due = subscription
            due.status = "past_due"
            try await test.pool.execute(UpsertSubscription(subscription: due, now: test.clock.now))
            for path in ["/billing", "/plans"] {
                let page = try await test.open(path, person)
                #expect(page.text.contains("Your last payment failed."), "\(path)")
                #expect(page.text.contains("Manage cards and payment details"), "\(path)")
            }
        }
    }
}
