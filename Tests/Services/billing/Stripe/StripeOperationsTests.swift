import JSON
import Postgres
import TestSupport
import Testing
import Values

@testable import Billing

@Suite(.database(schema: "billing", migrations: "Shared/Outbox/Migrations", "Services/billing/Migrations"), .serialized)
struct StripeOperationsTests {
    private static let path = "/api/payment/checkout/credits"

    private func sessions(_ test: BillingUnderTest, of user: UserID) async throws -> Int {
        try await test.stripe.api("GET", "/v1/checkout/sessions?customer=\(try await test.stripeCustomer(of: user))").array("data").count
    }

    /// Buys once, so that Stripe's customer exists and the next fault meets the session.
    private func userWithCustomer(_ test: BillingUnderTest) async throws -> UserID {
        let user = try await test.user()
        _ = try await StripeCustomers(operations: test.billing.operations).ensure(try await test.pool.one(FindCustomer(userID: user)))
        return user
    }

    @Test func `an act that was decided before another one ended is not made`() async throws {
        try await BillingUnderTest.with { test in
            let (_, id) = try await SubscriptionTests.subscribe(test)
            let operations = test.billing.operations
            func act(_ kind: StripeOperation.Kind, _ form: StripeForm, _ acts: Int64) async throws {
                _ = try await operations.perform(kind, subject: id, path: "/v1/subscriptions/\(id)", form: form, acts: acts)
            }
            let before = try await operations.acts(on: id)
            try await act(.cancel, ["cancel_at_period_end": "true"], before)
            await #expect(throws: StripeOperations.OldDecision.self) {
                try await act(.resume, ["cancel_at_period_end": "false"], before)
            }
            #expect(try await test.stripe.api("GET", "/v1/subscriptions/\(id)").bool("cancel_at_period_end"))
            try await act(.resume, ["cancel_at_period_end": "false"], try await operations.acts(on: id))
            #expect(try await test.stripe.api("GET", "/v1/subscriptions/\(id)").bool("cancel_at_period_end") == false)
        }
    }

    @Test func `an answer that is lost after Stripe made the session leads to the same session`() async throws {
        try await BillingUnderTest.with { test in
            let user = try await userWithCustomer(test)
            try await test.stripe.control(
                "POST", "faults", #"{"kind":"cut_after_effect","method":"POST","path":"/v1/checkout/sessions","times":3}"#)
            // The client repeats the call under its key; if that does not help, the user does.
            _ = try await test.ask("POST", Self.path, #"{"credits_amount":100}"#, as: user)
            #expect(try await test.stripe.calls("POST", "/v1/checkout/sessions") > 1)
            #expect(try await sessions(test, of: user) == 1)
            #expect(try await test.ask("POST", Self.path, #"{"credits_amount":100}"#, as: user).status == 200)
            #expect(try await sessions(test, of: user) == 1)
        }
    }

    @Test func `a process that dies before it stores the session finds the same one`() async throws {
        try await BillingUnderTest.with { test in
            let user = try await userWithCustomer(test)
            let first = try await test.ask("POST", Self.path, #"{"credits_amount":100}"#, as: user).string("session_id")
            // The state after a kill between Stripe's answer and the commit.
            try await test.pool.withConnection {
                try await $0.script(
                    """
                    UPDATE purchase SET status = 'creating', session_id = NULL, session_url = NULL WHERE user_id = '\(user)';
                    UPDATE stripe_operation SET state = 'pending', object_id = NULL, ended_at = NULL WHERE kind = 'checkout'
                    """)
            }
            let second = try await test.ask("POST", Self.path, #"{"credits_amount":100}"#, as: user).string("session_id")
            #expect(first == second)
            #expect(try await sessions(test, of: user) == 1)
        }
    }

    @Test func `a job finds the paid session of an order whose answer was lost`() async throws {
        try await BillingUnderTest.with { test in
            let user = try await userWithCustomer(test)
            let session = try await test.ask("POST", Self.path, #"{"credits_amount":100}"#, as: user).string("session_id")
            try await test.stripe.pay(session)
            try await test.pool.withConnection {
                try await $0.script(
                    """
                    UPDATE purchase SET status = 'creating', session_id = NULL, session_url = NULL WHERE user_id = '\(user)';
                    UPDATE stripe_operation SET state = 'pending', object_id = NULL, ended_at = NULL, created_at = now() - interval '24 hours'
                    WHERE kind = 'checkout'
                    """)
            }
            try await test.billing.sweeps.finishOrders()
            #expect(try await test.granted(to: user).count == 2)
        }
    }

    @Test func `a job writes the customer that a call made whose answer was lost`() async throws {
        try await BillingUnderTest.with { test in
            let user = try await userWithCustomer(test)
            let customer = try await test.stripeCustomer(of: user)
            try await test.pool.withConnection {
                try await $0.script(
                    """
                    UPDATE customer SET stripe_customer_id = NULL WHERE user_id = '\(user)';
                    UPDATE stripe_operation
                    SET state = 'pending', object_id = NULL, ended_at = NULL, created_at = now() - interval '1 hour'
                    WHERE kind = 'customer' AND subject = '\(user)'
                    """)
            }
            try await test.billing.sweeps.finishOrders()
            #expect(try await test.pool.one(FindCustomer(userID: user)).stripeCustomerID == customer)
        }
    }

    @Test(arguments: ["/v1/customers", "/v1/checkout/sessions"], [true, false])
    func `a key whose answer is 500 for ever is given up, and the next click has another one`(path: String, effect: Bool) async throws {
        try await BillingUnderTest.with { test in
            let user = try await test.user()
            try await test.stripe.control(
                "POST", "faults", #"{"kind":"replayed_500","effect":\#(effect),"method":"POST","path":"\#(path)","times":1}"#)
            #expect(try await test.ask("POST", Self.path, #"{"credits_amount":100}"#, as: user).status == 503)
            #expect(try await test.ask("POST", Self.path, #"{"credits_amount":100}"#, as: user).status == 200)
        }
    }

    @Test func `an act whose answer was lost is not repeated later`() async throws {
        try await BillingUnderTest.with { test in
            let (user, id) = try await SubscriptionTests.subscribe(test)
            let now = test.clock.now
            try await test.pool.execute(
                InsertOperation(
                    operation: StripeOperation(
                        id: .make(), kind: .cancel, subject: id, path: "/v1/subscriptions/\(id)", parameters: "cancel_at_period_end=true",
                        idempotencyKey: "lost-\(id)", createdAt: now - .seconds(3_600))))
            try await test.billing.sweeps.finishOrders()
            #expect(
                try await test.ask("GET", "/api/payment/subscription", as: user).json().object("subscription").has("cancel_at") == false)
            #expect(try await test.pool.first(PendingOperation(kind: .resume, subject: id)) == nil)
        }
    }

    @Test func `two changes of a plan at once do not both happen`() async throws {
        try await BillingUnderTest.with { test in
            let (user, id) = try await SubscriptionTests.subscribe(test)
            try await test.pool.execute(
                InsertOperation(
                    operation: StripeOperation(
                        id: .make(), kind: .changePlan, subject: id, path: "/v1/subscriptions/\(id)", parameters: "items[0][price]=other",
                        idempotencyKey: "running-\(id)", createdAt: test.clock.now)))
            let second = try await test.ask("POST", "/api/payment/subscription/change-plan", #"{"plan":"enterprise"}"#, as: user)
            #expect(second.status == 503)
            #expect(try await test.plan(of: user) == "pro")
        }
    }

    @Test func `an order that Stripe refuses to a job makes room for another one`() async throws {
        try await BillingUnderTest.with { test in
            let user = try await userWithCustomer(test)
            _ = try await test.ask("POST", Self.path, #"{"credits_amount":100}"#, as: user)
            try await test.pool.withConnection {
                try await $0.script(
                    """
                    UPDATE purchase SET status = 'creating', session_id = NULL, session_url = NULL WHERE user_id = '\(user)';
                    UPDATE stripe_operation
                    SET state = 'pending', object_id = NULL, parameters = 'mode=unknown', created_at = now() - interval '1 hour'
                    WHERE kind = 'checkout' AND subject IN (SELECT id::text FROM purchase WHERE user_id = '\(user)')
                    """)
            }
            try await test.billing.sweeps.finishOrders()
            #expect(try await test.ask("POST", Self.path, #"{"credits_amount":100}"#, as: user).status == 200)
        }
    }

    @Test func `another amount is another order, and a changed price replaces an open one`() async throws {
        try await BillingUnderTest.with { test in
            let user = try await userWithCustomer(test)
            let first = try await test.ask("POST", Self.path, #"{"credits_amount":100}"#, as: user).string("session_id")
            let other = try await test.ask("POST", Self.path, #"{"credits_amount":250}"#, as: user).string("session_id")
            #expect(first != other)
            try await test.pool.withConnection { try await $0.script("UPDATE package SET price_cents = 950 WHERE id = 'basic'") }
            let dearer = try await test.ask("POST", Self.path, #"{"credits_amount":100}"#, as: user).string("session_id")
            try await test.pool.withConnection { try await $0.script("UPDATE package SET price_cents = 900 WHERE id = 'basic'") }
            #expect(dearer != first)
            #expect(try await test.stripe.api("GET", "/v1/checkout/sessions/\(first)").string("status") == "expired")
        }
    }

    @Test(arguments: [
        (#"{"credits_amount":9}"#, "credits_amount"), (#"{"credits_amount":100001}"#, "credits_amount"),
        (#"{"credits_amount":-100}"#, "credits_amount"), (#"{"credits_amount":1000000000}"#, "credits_amount"),
        (#"{"credits_amount":100.5}"#, "credits_amount"), (#"{"credits_amount":"100"}"#, "credits_amount"),
        (#"{"credits_amount":9223372036854775807}"#, "credits_amount"), (#"{}"#, "credits_amount"),
        (#"{"credits_amount":100,"price":1}"#, "price"),
        (#"{"credits_amount":100,"success_url":"https://evil.example/"}"#, "success_url"),
        (#"{"credits_amount":100,"success_url":"https://gateway.example.evil.example/"}"#, "success_url"),
        (#"{"credits_amount":100,"success_url":"https://gateway.example@evil.example/"}"#, "success_url"),
        (#"{"credits_amount":100,"success_url":"https://gateway.example\\@evil.example/"}"#, "success_url"),
        (#"{"credits_amount":100,"success_url":"javascript:alert(1)"}"#, "success_url"),
        (#"{"credits_amount":100,"cancel_url":"//evil.example/"}"#, "cancel_url"),
        (#"{"credits_amount":100,"cancel_url":"http://gateway.example/"}"#, "cancel_url"),
    ])
    func `a bad order is refused, names its field, and asks Stripe nothing`(body: String, param: String) async throws {
        try await BillingUnderTest.with { test in
            let user = try await test.user()
            let answer = try await test.ask("POST", Self.path, body, as: user)
            #expect(answer.status == 400, "\(answer.errorCode)")
            #expect(answer.errorParam == param)
            #expect(try await test.stripe.calls("POST", "/v1/checkout") == 0)
        }
    }

    @Test func `an order of a user without a confirmed address is refused with its reason`() async throws {
        try await BillingUnderTest.with { test in
            let answer = try await test.ask("POST", Self.path, #"{"credits_amount":100}"#, as: .make())
            #expect(answer.status == 403)
            #expect(answer.errorCode == "email_not_verified")
        }
    }

    @Test func `an order of another user is not found`() async throws {
        try await BillingUnderTest.with { test in
            let session = try await test.ask("POST", Self.path, #"{"credits_amount":100}"#, as: test.user()).string("session_id")
            #expect(try await test.ask("GET", "/api/payment/checkout/\(session)", as: test.user()).status == 404)
            #expect(try await test.ask("GET", "/api/payment/checkout/cs_test_unknown", as: test.user()).status == 404)
        }
    }
}
