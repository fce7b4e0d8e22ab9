import Contracts
import Values

/// A plan and the credits that it gives each month. The free plan is the only one.
struct Plan: Hashable, Sendable {
    var name: String
    var displayName: String
    var monthlyCredits: Credits

    static let free = Plan(name: "free", displayName: "Free", monthlyCredits: Credits(whole: 10))
}

/// One period of a plan: 30 days from registration on, so that every period is worth the same.
struct PlanPeriod: Hashable, Sendable {
    var start: Instant
    var end: Instant

    static func first(startingAt start: Instant) -> PlanPeriod {
        PlanPeriod(start: start, end: start + .seconds(30 * 86_400))
    }
}

/// Decides what a new person is given.
func firstGrant(for user: UserVerified, chargeID: ChargeID) -> PlanGrant? {
    guard user.plan == Plan.free.name else { return nil }
    let period = PlanPeriod.first(startingAt: user.verifiedAt)
    return PlanGrant(userID: user.userID, plan: .free, period: period, chargeID: chargeID)
}

/// A month's credits of one person.
struct PlanGrant: Hashable, Sendable {
    var userID: UserID
    var plan: Plan
    var period: PlanPeriod
    var chargeID: ChargeID

    var fulfilment: PurchaseFulfilled {
        PurchaseFulfilled(
            chargeID: chargeID, accountID: AccountID(userID), kind: .planGrant, amount: plan.monthlyCredits,
            description: "\(plan.displayName) plan: monthly credits", expiresAt: period.end)
    }
}
