import Testing
import Values

@testable import Billing

struct PlanChangeTests {
    private static func price(_ plan: String, _ interval: Plan.Interval) -> PlanPrice {
        PlanPrice(
            priceID: "\(plan)_\(interval)", plan: plan, interval: interval, amountCents: 1, currency: "usd", monthlyCredits: .zero,
            position: plan == "pro" ? 2 : 3, isCurrent: true)
    }

    private static func change(
        _ from: (String, Plan.Interval), _ to: (String, Plan.Interval), paid: Int64? = nil, status: String = "active",
        pending: Bool = false,
        ending: Bool = false
    ) -> PlanChange {
        let moment = Instant(microseconds: 0)
        let current = price(from.0, from.1)
        return PlanChange(
            of: PlanSubscription(
                id: "sub", userID: .make(), status: status, itemID: "si", priceID: current.priceID, periodStart: moment, periodEnd: moment,
                cancelAt: ending ? moment : nil, createdAt: moment),
            from: current, to: price(to.0, to.1), paidPosition: paid ?? current.position, hasPendingUpdate: pending)
    }

    @Test func `a change follows from plan, interval and what is paid`() {
        #expect(Self.change(("pro", .month), ("enterprise", .month)) == .upgrade)
        #expect(Self.change(("pro", .year), ("enterprise", .year)) == .upgrade)
        #expect(Self.change(("enterprise", .month), ("pro", .month)) == .downgradeAtRenewal)
        #expect(Self.change(("pro", .month), ("enterprise", .month), paid: 3) == .keepPaidPlan)
        #expect(Self.change(("pro", .month), ("pro", .year)) == .payYearly)
        #expect(Self.change(("pro", .month), ("enterprise", .year)) == .payYearly)
    }

    @Test func `a change that cannot be is refused with its reason`() {
        #expect(Self.change(("pro", .month), ("pro", .month)) == .refused(.alreadySo))
        #expect(Self.change(("pro", .year), ("enterprise", .month)) == .refused(.yearlyToMonthly))
        #expect(Self.change(("enterprise", .month), ("pro", .year)) == .refused(.planAndInterval))
        #expect(Self.change(("pro", .month), ("pro", .year), paid: 3) == .refused(.downgradeOrdered))
        #expect(Self.change(("pro", .month), ("enterprise", .month), pending: true) == .refused(.pending))
        #expect(Self.change(("pro", .month), ("enterprise", .month), status: "past_due") == .refused(.unpaid))
        #expect(Self.change(("pro", .month), ("enterprise", .month), ending: true) == .refused(.ending))
    }
}
