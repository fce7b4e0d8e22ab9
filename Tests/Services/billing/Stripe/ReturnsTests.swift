import Contracts
import JSON
import Postgres
import TestSupport
import Testing
import Values

@testable import Billing

@Suite(.database(schema: "billing", migrations: "Shared/Outbox/Migrations", "Services/billing/Migrations"), .serialized)
struct ReturnsTests {
    /// A bought package of 100 credits and 5 more for 9 USD.
    private func bought(_ test: BillingUnderTest, delivering: Bool = true) async throws -> (UserID, payment: String) {
        let user = try await test.user()
        let session = try await test.ask("POST", "/api/payment/checkout/credits", #"{"credits_amount":100}"#, as: user).string("session_id")
        try await test.stripe.pay(session)
        if delivering { try await test.deliver() }
        let payment = try await test.stripe.api("GET", "/v1/checkout/sessions/\(session)").string("payment_intent")
        return (user, payment)
    }

    @Test func `refunds take back in proportion, and one that fails gives back`() async throws {
        try await BillingUnderTest.with { test in
            let (user, payment) = try await bought(test)
            #expect(try await test.balance(of: user) == Credits(whole: 105))
            let first = try await test.stripe.api("POST", "/v1/refunds", ["payment_intent": payment, "amount": "450"]).string("id")
            try await test.deliver()
            #expect(try await test.balance(of: user) == Credits(nano: 52_500_000_000))
            try await test.stripe.api("POST", "/v1/refunds", ["payment_intent": payment])
            try await test.deliver()
            #expect(try await test.balance(of: user) == .zero)
            try await test.stripe.control("POST", "refunds/\(first)/fail")
            try await test.deliver()
            #expect(try await test.balance(of: user) == Credits(nano: 52_500_000_000))
            #expect(try await test.reversed(of: user).map(\.version).max() == 3)
        }
    }

    @Test func `the news of a refund may come before the news of the payment`() async throws {
        try await BillingUnderTest.with { test in
            let (user, payment) = try await bought(test, delivering: false)
            try await test.stripe.api("POST", "/v1/refunds", ["payment_intent": payment, "amount": "450"])
            try await test.stripe.deliverAll(order: "newest")
            try await test.work()
            #expect(try await test.balance(of: user) == Credits(nano: 52_500_000_000))
            #expect(try await test.granted(to: user).count == 2)
            #expect(try await test.reversed(of: user).count == 2)
        }
    }

    @Test func `a withdrawn dispute takes credits back, an open one stops purchases, and a won one gives the credits back`() async throws {
        try await BillingUnderTest.with { test in
            let (user, payment) = try await bought(test)
            let dispute = try await test.stripe.control("POST", "disputes", #"{"payment_intent":"\#(payment)"}"#).string("id")
            try await test.deliver()
            let refused = try await test.ask("POST", "/api/payment/checkout/credits", #"{"credits_amount":100}"#, as: user)
            #expect(refused.errorCode == "purchases_suspended")
            try await test.stripe.control("POST", "disputes/\(dispute)/withdraw")
            try await test.deliver()
            #expect(try await test.balance(of: user) == .zero)
            try await test.stripe.control("POST", "disputes/\(dispute)/win")
            try await test.deliver()
            #expect(try await test.balance(of: user) == Credits(whole: 105))
            #expect(try await test.ask("POST", "/api/payment/checkout/credits", #"{"credits_amount":100}"#, as: user).status == 200)
            try await test.stripe.api("POST", "/v1/refunds", ["payment_intent": payment])
            try await test.deliver()
            #expect(try await test.balance(of: user) == .zero)
        }
    }

    @Test func `a dispute that is won at another rate of exchange gives the credits back`() async throws {
        try await BillingUnderTest.with { test in
            let (user, payment) = try await bought(test)
            try await test.stripe.control("POST", "settlement", #"{"currency":"eur","rate":0.9}"#)
            let dispute = try await test.stripe.control("POST", "disputes", #"{"payment_intent":"\#(payment)"}"#).string("id")
            try await test.stripe.control("POST", "disputes/\(dispute)/withdraw")
            try await test.deliver()
            #expect(try await test.balance(of: user) == .zero)
            try await test.stripe.control("POST", "settlement", #"{"currency":"eur","rate":0.8}"#)
            try await test.stripe.control("POST", "disputes/\(dispute)/win")
            try await test.deliver()
            #expect(try await test.balance(of: user) == Credits(whole: 105))
        }
    }

    @Test func `an open dispute expires the pages on which the user could still pay`() async throws {
        try await BillingUnderTest.with { test in
            let (user, payment) = try await bought(test)
            let path = "/api/payment/checkout"
            let credits = try await test.ask("POST", "\(path)/credits", #"{"credits_amount":250}"#, as: user).string("session_id")
            let plan = try await test.ask("POST", "\(path)/subscription", #"{"plan":"pro"}"#, as: user).string("session_id")
            try await test.stripe.control("POST", "disputes", #"{"payment_intent":"\#(payment)"}"#)
            try await test.deliver()
            for session in [credits, plan] {
                #expect(try await test.stripe.api("GET", "/v1/checkout/sessions/\(session)").string("status") == "expired")
                #expect(try await test.ask("GET", "\(path)/\(session)", as: user).string("status") == "expired")
            }
        }
    }

    @Test func `a dispute of a payment that waits for an administrator stops purchases too`() async throws {
        try await BillingUnderTest.with { test in
            let (user, payment) = try await bought(test, delivering: false)
            try await test.pool.withConnection { try await $0.script("UPDATE purchase SET amount_cents = 800 WHERE user_id = '\(user)'") }
            try await test.deliver()
            try await test.stripe.control("POST", "disputes", #"{"payment_intent":"\#(payment)"}"#)
            try await test.deliver()
            let refused = try await test.ask("POST", "/api/payment/checkout/credits", #"{"credits_amount":250}"#, as: user)
            #expect(refused.errorCode == "purchases_suspended")
            #expect(try await test.events(in: "received", "working", "retry", "dead").isEmpty)
        }
    }

    @Test func `an inquiry takes nothing and stops nothing`() async throws {
        try await BillingUnderTest.with { test in
            let (user, payment) = try await bought(test)
            try await test.stripe.control("POST", "disputes", #"{"payment_intent":"\#(payment)","status":"warning_needs_response"}"#)
            try await test.deliver()
            #expect(try await test.balance(of: user) == Credits(whole: 105))
            #expect(try await test.ask("POST", "/api/payment/checkout/credits", #"{"credits_amount":100}"#, as: user).status == 200)
        }
    }

    @Test func `a refund of a yearly plan cancels the months to come first`() async throws {
        try await BillingUnderTest.with { test in
            let (user, _) = try await SubscriptionTests.subscribe(test, "pro", "year")
            let customer = try await test.stripeCustomer(of: user)
            let charges = try await test.stripe.api("GET", "/v1/charges?customer=\(customer)").array("data")
            let charge = try #require(charges.first?.object)
            let half = try charge.integer("amount") / 2
            let payment = try charge.string("payment_intent")
            try await test.stripe.api("POST", "/v1/refunds", ["payment_intent": payment, "amount": "\(half)"])
            try await test.deliver()
            #expect(try await test.balance(of: user) == Credits(whole: 500))
            for _ in 0..<8 {
                try await test.advance(days: 31)
                try await test.billing.sweeps.settleDue()
            }
            #expect(try await test.balance(of: user) == Credits(whole: 3_000))
            try await test.stripe.api("POST", "/v1/refunds", ["payment_intent": payment])
            try await test.deliver()
            #expect(try await test.balance(of: user) == .zero)
            #expect(try await test.plan(of: user) == "free")
        }
    }

    @Test func `months that a won dispute gives back get as much time as they had, if their own is over`() async throws {
        try await BillingUnderTest.with { test in
            let (user, _) = try await SubscriptionTests.subscribe(test, "pro", "year")
            let customer = try await test.stripeCustomer(of: user)
            let charges = try await test.stripe.api("GET", "/v1/charges?customer=\(customer)").array("data")
            let payment = try #require(charges.first?.object).string("payment_intent")
            let start = try #require(try await test.billing.subscriptions.current(of: user)).subscription.periodStart
            try await test.advance(days: 31)
            try await test.billing.sweeps.settleDue()
            let dispute = try await test.stripe.control("POST", "disputes", #"{"payment_intent":"\#(payment)"}"#).string("id")
            try await test.stripe.control("POST", "disputes/\(dispute)/withdraw")
            try await test.deliver()
            #expect(try await test.balance(of: user) == .zero)
            for _ in 0..<2 {
                try await test.advance(days: 31)
                try await test.billing.sweeps.settleDue()
            }
            #expect(try await test.granted(to: user).count == 2)
            try await test.stripe.control("POST", "disputes/\(dispute)/win")
            try await test.deliver()
            #expect(try await test.balance(of: user) == Credits(whole: 2_000))
            let won = test.clock.now
            let ends = try await test.granted(to: user).sorted { $0.description < $1.description }.map(\.expiresAt)
            let month = { start.adding(months: $0) }
            let expected = [
                month(1) + InvoiceCredits.renewalTime, month(2) + InvoiceCredits.renewalTime,
                won + (month(3) - month(2)) + InvoiceCredits.renewalTime, month(4) + InvoiceCredits.renewalTime,
            ]
            #expect(ends == expected)
        }
    }
}
