import Values

/// A subscription, as Stripe last described it.
struct PlanSubscription: Hashable, Sendable {
    var id: String
    var userID: UserID
    var status: String
    var itemID: String
    var priceID: String
    var periodStart: Instant
    var periodEnd: Instant
    /// The end that was ordered; nil: it renews.
    var cancelAt: Instant?
    var createdAt: Instant

    /// True until Stripe has ended it. A user has at most one such subscription.
    var isRunning: Bool { !["canceled", "incomplete_expired"].contains(status) }
    /// True if Stripe expects the next payment to succeed.
    var isInGoodStanding: Bool { ["active", "trialing"].contains(status) }
}

/// A period that an invoice paid for.
struct PaidPeriod: Hashable, Sendable {
    var subscriptionID: String
    var plan: String
    var position: Int64
    var end: Instant
    var paidAt: Instant
    /// False for the rest of a period that another payment began.
    var isWhole: Bool
    /// True if the money was given back.
    var isReturned: Bool
}

extension PaidPeriod {
    /// The last payment of a subscription that counts. One for the rest of a period counts only with the payment for the period.
    static func last(of subscriptionID: String, in paid: [PaidPeriod]) -> PaidPeriod? {
        let own = paid.filter { $0.subscriptionID == subscriptionID && !$0.isReturned }
        let counting = own.filter { period in own.contains { $0.isWhole && $0.end >= period.end } }
        return counting.max { ($0.end, $0.paidAt, $0.position) < ($1.end, $1.paidAt, $1.position) }
    }
}

/// The plan that a user has, and its end unless another payment comes.
struct Entitlement: Hashable, Sendable {
    var plan: String
    /// Nil for the free plan, which has no end.
    var until: Instant?

    static let free = Entitlement(plan: Plan.ID.free.text, until: nil)

    /// A subscription in good standing keeps its plan for this time while Stripe collects the next payment.
    static let renewalTime = Duration.seconds(3 * 86_400)

    /// The plan of the last paid period of a subscription counts, not the plan that it will have next.
    init(_ subscriptions: [PlanSubscription], _ paid: [PaidPeriod], now: Instant) {
        let terms = subscriptions.filter(\.isRunning).compactMap { subscription -> (Int64, Entitlement)? in
            guard let last = PaidPeriod.last(of: subscription.id, in: paid) else { return nil }
            let renews = subscription.isInGoodStanding && subscription.cancelAt.map { $0 > last.end } ?? true
            let until = renews ? last.end + Self.renewalTime : last.end
            return until > now ? (last.position, Entitlement(plan: last.plan, until: until)) : nil
        }
        self = terms.max { $0.0 < $1.0 }?.1 ?? .free
    }

    private init(plan: String, until: Instant?) { (self.plan, self.until) = (plan, until) }
}
