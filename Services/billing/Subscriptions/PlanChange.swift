import Values

/// The way from a subscription's price to another one.
enum PlanChange: Hashable, Sendable {
    /// The difference for the rest of the period is paid now.
    case upgrade
    /// The next invoice has the lower price. Until then the user keeps the plan that is paid.
    case downgradeAtRenewal
    /// A downgrade that has not begun is taken back. Nothing is paid.
    case keepPaidPlan
    /// A year begins now; unused time of the month is credited.
    case payYearly
    case refused(Refusal)

    enum Refusal: Hashable, Sendable {
        case alreadySo
        /// A year ends as a year.
        case yearlyToMonthly
        /// One change at a time.
        case planAndInterval
        /// A change waits for its payment.
        case pending
        /// An end was ordered.
        case ending
        /// A failed payment comes first.
        case unpaid
        /// The present price is none that this service sells.
        case unknownPrice
        /// A downgrade is ordered.
        case downgradeOrdered
    }

    /// - Parameters:
    ///   - paidPosition: the position of the plan that is paid for the running period.
    init(
        of subscription: PlanSubscription, from current: PlanPrice, to target: PlanPrice, paidPosition: Int64, hasPendingUpdate: Bool
    ) {
        self =
            if hasPendingUpdate { .refused(.pending) } else if !subscription.isInGoodStanding {
                .refused(.unpaid)
            } else if subscription.cancelAt != nil { .refused(.ending) } else { Self.change(current, target, paidPosition) }
    }

    private static func change(_ current: PlanPrice, _ target: PlanPrice, _ paidPosition: Int64) -> PlanChange {
        if current.plan == target.plan, current.interval == target.interval { return .refused(.alreadySo) }
        if current.interval == .year, target.interval == .month { return .refused(.yearlyToMonthly) }
        if current.interval != target.interval {
            if current.position < paidPosition { return .refused(.downgradeOrdered) }
            return target.position < current.position ? .refused(.planAndInterval) : .payYearly
        }
        if target.position < current.position { return .downgradeAtRenewal }
        if target.position <= paidPosition { return .keepPaidPlan }
        return current.position < paidPosition ? .refused(.downgradeOrdered) : .upgrade
    }
}
