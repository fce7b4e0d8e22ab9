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
    /// True if the money was given back.
    var isReturned: Bool
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
            let periods = paid.filter { $0.subscriptionID == subscription.id && !$0.isReturned }
            guard let last = periods.max(by: { ($0.end, $0.paidAt, $0.position) < ($1.end, $1.paidAt, $1.position) }) else { return nil }
            let renews = subscription.isInGoodStanding && subscription.cancelAt == nil
            let until = renews ? last.end + Self.renewalTime : last.end
            return until > now ? (last.position, Entitlement(plan: last.plan, until: until)) : nil
        }
        self = terms.max { $0.0 < $1.0 }?.1 ?? .free
    }

    private init(plan: String, until: Instant?) { (self.plan, self.until) = (plan, until) }
}
