import Contracts
import JSON
import Postgres
import TestSupport
import Testing
import Values

@testable import Billing

@Suite(.database(schema: "billing", migrations: "Shared/Outbox/Migrations", "Services/billing/Migrations"), .serialized)
struct CheckoutTests {
    @Test func `a bought package brings its credits and its bonus once, whichever of session, payment and page is seen first`() async throws
    {
        try await BillingUnderTest.with { test in
            let user = try await test.user()
            let answer = try await test.ask("POST", "/api/payment/checkout/credits", #"{"credits_amount":100}"#, as: user)
            #expect(answer.status == 200)
            let session = try answer.string("session_id")
            #expect(try await test.ask("GET", "/api/payment/checkout/\(session)", as: user).string("status") == "open")
            try await test.stripe.pay(session)
            // A page that asks twice in a second gets the first answer twice.
            #expect(try await test.ask("GET", "/api/payment/checkout/\(session)", as: user).string("status") == "open")
            try await test.advance(seconds: 2)
            #expect(try await test.ask("GET", "/api/payment/checkout/\(session)", as: user).string("status") == "paid")
            try await test.deliver()
            let granted = try await test.granted(to: user)
            #expect(granted.map(\.kind) == [.purchase, .bonus])
            #expect(granted.map(\.amount) == [Credits(whole: 100), Credits(whole: 5)])
            #expect(granted.map(\.expiresAt) == [nil, nil])
            #expect(try await test.events(in: "received", "working", "retry", "dead").isEmpty)
            #expect(try await test.events(in: "done").map(\.type).contains("checkout.session.completed"))
        }
    }

    @Test func `a subscription whose payment takes days is not ordered again`() async throws {
        try await BillingUnderTest.with { test in
            let user = try await test.user()
            let path = "/api/payment/checkout/subscription"
            let session = try await test.ask("POST", path, #"{"plan":"pro"}"#, as: user).string("session_id")
            // Stripe's list of subscriptions may come later than the session.
            try await test.pool.withConnection {
                try await $0.script("UPDATE purchase SET status = 'awaiting_payment' WHERE session_id = '\(session)'")
            }
            let second = try await test.ask("POST", path, #"{"plan":"enterprise"}"#, as: user)
            #expect(second.errorCode == "already_subscribed")
            #expect(try await test.stripe.api("GET", "/v1/checkout/sessions").array("data").count == 1)
        }
    }

    @Test func `another order expires the page of an earlier one whose answer was lost`() async throws {
        try await BillingUnderTest.with { test in
            let user = try await test.user()
            let path = "/api/payment/checkout/subscription"
            let first = try await test.ask("POST", path, #"{"plan":"pro"}"#, as: user).string("session_id")
            try await test.pool.withConnection {
                try await $0.script(
                    """
                    UPDATE purchase SET status = 'creating', session_id = NULL, session_url = NULL WHERE user_id = '\(user)';
                    UPDATE stripe_operation SET state = 'pending', object_id = NULL, ended_at = NULL WHERE kind = 'checkout'
                    """)
            }
            let second = try await test.ask("POST", path, #"{"plan":"enterprise"}"#, as: user)
            #expect(second.status == 200)
            #expect(try await test.stripe.api("GET", "/v1/checkout/sessions/\(first)").string("status") == "expired")
        }
    }

    @Test func `a user has at most ten unpaid orders`() async throws {
        try await BillingUnderTest.with { test in
            let user = try await test.user()
            for credits in 20..<30 {
                let body = #"{"credits_amount":\#(credits)}"#
                #expect(try await test.ask("POST", "/api/payment/checkout/credits", body, as: user).status == 200)
            }
            let refused = try await test.ask("POST", "/api/payment/checkout/credits", #"{"credits_amount":30}"#, as: user)
            #expect((refused.status, refused.errorCode) == (429, "rate_limited"))
            // One that is open already is found again.
            #expect(try await test.ask("POST", "/api/payment/checkout/credits", #"{"credits_amount":29}"#, as: user).status == 200)
        }
    }

    @Test func `a user who asks for more than sixty answers of Stripe in a minute is slowed down, and others are not`() async throws {
        try await BillingUnderTest.with { test in
            let (user, other) = (try await test.user(), try await test.user())
            for _ in 0..<60 { #expect(try await test.ask("GET", "/api/payment/invoices", as: user).status == 200) }
            let refused = try await test.ask("GET", "/api/payment/payment-methods", as: user)
            #expect((refused.status, refused.errorCode) == (429, "rate_limited"))
            #expect(try await test.ask("GET", "/api/payment/invoices", as: other).status == 200)
            try await test.advance(seconds: 2)
            #expect(try await test.ask("GET", "/api/payment/invoices", as: user).status == 200)
        }
    }

    @Test func `clicks at once lead to one session`() async throws {
        try await BillingUnderTest.with { test in
            let user = try await test.user()
            let sessions = try await withThrowingTaskGroup(of: String.self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        try await test.ask("POST", "/api/payment/checkout/credits", #"{"credits_amount":250}"#, as: user).string(
                            "session_id")
                    }
                }
                return try await group.reduce(into: Set()) { $0.insert($1) }
            }
            #expect(sessions.count == 1)
            let listed = try await test.stripe.api("GET", "/v1/checkout/sessions?customer=\(try await test.stripeCustomer(of: user))")
            #expect(try listed.array("data").count == 1)
            #expect(try await test.stripe.api("GET", "/v1/customers").array("data").count == 1)
        }
    }
}
