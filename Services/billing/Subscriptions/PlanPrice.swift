import Values

extension Plan.Interval {
    var months: Int64 { self == .month ? 1 : 12 }
}

/// A price at Stripe, with the plan and the interval that it pays for.
struct PlanPrice: Hashable, Sendable {
    var priceID: String
    /// The id of the plan.
    var plan: String
    var interval: Plan.Interval
    var amountCents: Int64
    var currency: String
    /// Credits of the plan in a month.
    var monthlyCredits: Credits
    /// A plan with a greater position is an upgrade.
    var position: Int64
    /// True for the price that new subscriptions get.
    var isCurrent: Bool
}
