import Testing
import Values

@testable import Billing

struct EntitlementTests {
    private static func moment(_ day: String) throws -> Instant { try #require(Instant(day + "T00:00:00Z")) }

    private static func subscription(_ status: String, id: String = "sub_1", cancelAt: Instant? = nil) throws -> PlanSubscription {
        PlanSubscription(
            id: id, userID: .make(), status: status, itemID: "si_1", priceID: "price_1", periodStart: try moment("2026-11-10"),
            periodEnd: try moment("2026-12-10"), cancelAt: cancelAt, createdAt: try moment("2026-11-10"))
    }

    private static func paid(
        _ plan: String, _ position: Int64, paidAt: String = "2026-11-10", whole: Bool = true, returned: Bool = false
    ) throws -> PaidPeriod {
        PaidPeriod(
            subscriptionID: "sub_1", plan: plan, position: position, end: try moment("2026-12-10"), paidAt: try moment(paidAt),
            isWhole: whole, isReturned: returned)
    }

    private static func plan(_ subscriptions: [PlanSubscription], _ paid: [PaidPeriod], on day: String) throws -> Entitlement {
        Entitlement(subscriptions, paid, now: try moment(day))
    }

    @Test func `a paid period has its plan, and three days more while Stripe collects the next payment`() throws {
        let found = try Self.plan([Self.subscription("active")], [Self.paid("pro", 2)], on: "2026-11-20")
        #expect(found.plan == "pro")
        #expect(found.until == (try Self.moment("2026-12-13")))
        #expect(try Self.plan([Self.subscription("active")], [Self.paid("pro", 2)], on: "2026-12-12").plan == "pro")
        #expect(try Self.plan([Self.subscription("active")], [Self.paid("pro", 2)], on: "2026-12-13") == .free)
    }

    @Test func `a failed payment or an ordered end leaves the plan until the paid period ends`() throws {
        for subscription in [
            try Self.subscription("past_due"), try Self.subscription("unpaid"),
            try Self.subscription("active", cancelAt: Self.moment("2026-12-10")),
        ] {
            #expect(try Self.plan([subscription], [Self.paid("pro", 2)], on: "2026-12-09").plan == "pro")
            #expect(try Self.plan([subscription], [Self.paid("pro", 2)], on: "2026-12-10") == .free)
        }
    }

    @Test func `an end that lies beyond the paid period leaves the time for the renewal`() throws {
        let subscription = try Self.subscription("active", cancelAt: Self.moment("2027-02-10"))
        #expect(try Self.plan([subscription], [Self.paid("pro", 2)], on: "2026-12-11").plan == "pro")
    }

    @Test func `an ended subscription, an unpaid one and one whose money went back have no plan`() throws {
        #expect(try Self.plan([Self.subscription("canceled")], [Self.paid("pro", 2)], on: "2026-11-20") == .free)
        #expect(try Self.plan([Self.subscription("incomplete")], [], on: "2026-11-20") == .free)
        #expect(try Self.plan([Self.subscription("active")], [Self.paid("pro", 2, returned: true)], on: "2026-11-20") == .free)
        #expect(try Self.plan([Self.subscription("active", id: "sub_2")], [Self.paid("pro", 2)], on: "2026-11-20") == .free)
    }

    @Test func `the last payment for a period decides`() throws {
        let payments = [try Self.paid("pro", 2), try Self.paid("enterprise", 3, paidAt: "2026-11-20", whole: false)]
        #expect(try Self.plan([Self.subscription("active")], payments, on: "2026-11-21").plan == "enterprise")
        #expect(try Self.plan([Self.subscription("active")], payments.reversed(), on: "2026-11-21").plan == "enterprise")
    }

    @Test func `the rest of a period counts only with the payment for the period`() throws {
        let payments = [try Self.paid("pro", 2, returned: true), try Self.paid("enterprise", 3, paidAt: "2026-11-20", whole: false)]
        #expect(try Self.plan([Self.subscription("active")], payments, on: "2026-11-21") == .free)
    }
}
