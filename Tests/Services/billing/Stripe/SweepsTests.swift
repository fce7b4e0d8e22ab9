import JSON
import Postgres
import TestSupport
import Testing
import Values

@testable import Billing

@Suite(.database(schema: "billing", migrations: "Shared/Outbox/Migrations", "Services/billing/Migrations"), .serialized)
struct SweepsTests {
    private func bought(_ test: BillingUnderTest) async throws -> UserID {
        let user = try await test.user()
        let session = try await test.ask("POST", "/api/payment/checkout/credits", #"{"credits_amount":100}"#, as: user).string("session_id")
        try await test.stripe.pay(session)
        return user
    }

    @Test func `events that no webhook brought are found in Stripe's list`() async throws {
        try await BillingUnderTest.with { test in
            try await test.billing.sweeps.sweepEvents()
            let user = try await bought(test)
            try await test.stripe.control("POST", "webhooks/drop", "{}")
            try await test.advance(hours: 1)
            try await test.billing.sweeps.sweepEvents()
            try await test.work()
            #expect(try await test.granted(to: user).count == 2)
            #expect(try await test.events(in: "done").contains { $0.foundBy == "sweep" })
        }
    }

    @Test func `payments whose events are lost are found in Stripe's lists, at each age that a list is walked for`() async throws {
        try await BillingUnderTest.with { test in
            try await test.billing.sweeps.sweepObjects()
            for age in ListWalk.ages {
                let user = try await bought(test)
                let subscriber = try await test.user()
                let wish = #"{"plan":"pro","interval":"month"}"#
                let order = try await test.ask("POST", "/api/payment/checkout/subscription", wish, as: subscriber)
                try await test.stripe.pay(try order.string("session_id"))
                try await test.stripe.control("POST", "webhooks/drop", "{}")
                try await test.pool.withConnection {
                    try await $0.script("DELETE FROM sweep WHERE name NOT LIKE '%+\(age.components.seconds / 3_600)h'")
                }
                try await test.billing.sweeps.sweepObjects()
                #expect(try await test.granted(to: user).isEmpty)
                #expect(try await test.granted(to: subscriber).isEmpty)
                try await test.advance(hours: age.components.seconds / 3_600)
                try await test.stripe.control("POST", "webhooks/drop", "{}")
                try await test.billing.sweeps.sweepObjects()
                #expect(try await test.granted(to: user).count == 2)
                #expect(try await test.granted(to: subscriber).count >= 1)
                let before = try await test.granted(to: subscriber).count
                try await test.billing.sweeps.sweepObjects()
                #expect(try await test.granted(to: user).count == 2)
                #expect(try await test.granted(to: subscriber).count == before)
            }
        }
    }

    @Test func `a walk that breaks off sees its slice again, and no slice before`() async throws {
        try await BillingUnderTest.with { test in
            try await test.billing.sweeps.sweepEvents()
            let user = try await bought(test)
            try await test.stripe.control("POST", "webhooks/drop", "{}")
            try await test.advance(hours: 10)
            try await test.stripe.control("POST", "faults", #"{"kind":"status","code":500,"method":"GET","path":"/v1/events","times":3}"#)
            await #expect(throws: StripeError.self) { try await test.billing.sweeps.sweepEvents() }
            try await test.billing.sweeps.sweepEvents()
            try await test.work()
            #expect(try await test.granted(to: user).count == 2)
            try await test.stripe.control("DELETE", "requests")
            try await test.billing.sweeps.sweepEvents()
            let asked = try await test.stripe.control("GET", "requests?path=/v1/events").array("requests")
            #expect(asked.count == (EventTask.types.count + 19) / 20)
        }
    }

    @Test func `an event of Stripe's list that cannot be read does not stop the others`() async throws {
        try await BillingUnderTest.with { test in
            try await test.billing.sweeps.sweepEvents()
            try await test.stripe.control("POST", "events", #"{"type":"charge.refunded","object":{"id":7}}"#)
            let user = try await bought(test)
            try await test.stripe.control("POST", "webhooks/drop", "{}")
            try await test.advance(hours: 1)
            try await test.billing.sweeps.sweepEvents()
            try await test.work()
            #expect(try await test.granted(to: user).count == 2)
        }
    }

    @Test func `an event that came by webhook and is listed again counts one delivery`() async throws {
        try await BillingUnderTest.with { test in
            _ = try await bought(test)
            try await test.deliver()
            try await test.advance(seconds: 60)
            try await test.billing.sweeps.sweepEvents()
            try await test.billing.sweeps.sweepEvents()
            let counts = try await test.events(in: "done").filter { $0.createdAt > test.clock.now - .seconds(120) }.map(\.deliveries)
            #expect(!counts.isEmpty && counts.allSatisfy { $0 == 1 })
        }
    }

    @Test func `an order that was never paid is deleted after ninety days, and a paid one stays`() async throws {
        try await BillingUnderTest.with { test in
            let payer = try await bought(test)
            try await test.deliver()
            let user = try await test.user()
            _ = try await test.ask("POST", "/api/payment/checkout/credits", #"{"credits_amount":50}"#, as: user)
            try await test.advance(hours: 3)
            try await test.deliver()
            try await test.pool.withConnection {
                try await $0.script("UPDATE purchase SET ended_at = ended_at - interval '91 days' WHERE ended_at IS NOT NULL")
            }
            try await test.billing.sweeps.cleanUp()
            let left = try await test.pool.withConnection { try await $0.query(PurchaseOwners()) }
            #expect(left.contains(payer) && !left.contains(user))
        }
    }

    @Test func `a dead event is worked on again when an administrator replays it`() async throws {
        try await BillingUnderTest.with { test in
            let user = try await bought(test)
            try await test.deliver()
            let event = try #require(try await test.events(in: "done").first)
            try await test.pool.withConnection { try await $0.script("UPDATE stripe_event SET state = 'dead' WHERE id = '\(event.id)'") }
            let path = "/api/admin/payments/events/\(event.id)/replay"
            #expect(try await test.ask("POST", path, "", as: user).status == 403)
            #expect(try await test.ask("POST", path, "", as: user, admin: true).status == 202)
            try await test.work()
            #expect(try await test.events(in: "done").contains { $0.id == event.id })
            #expect(try await test.granted(to: user).count == 2)
            #expect(try await test.ask("POST", "/api/admin/payments/events/evt_unknown/replay", "", as: user, admin: true).status == 404)
        }
    }

    @Test func `the flaws of the database are counted`() async throws {
        try await BillingUnderTest.with { test in
            let before = try await test.pool.one(CountFlaws(now: test.clock.now))
            let user = try await bought(test)
            try await test.deliver()
            try await test.pool.withConnection {
                try await $0.script("DELETE FROM effect WHERE account_id = '\(user)' AND effect_key NOT LIKE '%bonus'")
            }
            let after = try await test.pool.one(CountFlaws(now: test.clock.now))
            #expect(after.purchasesWithoutEffect == before.purchasesWithoutEffect + 1)
            let (_, id) = try await SubscriptionTests.subscribe(test)
            #expect(try await test.pool.one(CountFlaws(now: test.clock.now)).secondSubscriptions == before.secondSubscriptions)
            try await test.pool.withConnection {
                try await $0.script(
                    """
                    INSERT INTO subscription (
                        id, user_id, status, item_id, price_id, period_start, period_end, created_at, synced_at)
                    SELECT 'second-' || id, user_id, status, item_id, price_id, period_start, period_end, created_at, synced_at
                    FROM subscription WHERE id = '\(id)'
                    """)
            }
            #expect(try await test.pool.one(CountFlaws(now: test.clock.now)).secondSubscriptions == before.secondSubscriptions + 1)
        }
    }
}

private struct PurchaseOwners: Statement {
    static let sql = "SELECT user_id FROM purchase"

    static func decode(_ row: inout RowReader) throws(PostgresError) -> UserID { try row.next() }
}
