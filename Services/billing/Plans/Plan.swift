import Contracts
import Values

/// A plan, as the rule for its credits needs it.
struct Plan: Hashable, Sendable {
    /// The plan of users who pay nothing.
    static let freeID = "free"

    var name: String
    var monthlyCredits: Credits

    /// Decides what a user of the free plan gets for a month. The credits end with the month.
    func freeCredits(of user: UserID, for month: CalendarMonth, chargeID: ChargeID) -> Effect {
        Effect(
            key: .freeMonth(of: user, month), accountID: AccountID(user), kind: .planGrant, amount: monthlyCredits,
            description: "\(name) plan: credits of \(month)", expiresAt: month.end, chargeID: chargeID)
    }
}

extension Effect.Key {
    /// The free credits of a user in a month: `free:{user}:2026-11`.
    static func freeMonth(of user: UserID, _ month: CalendarMonth) -> Effect.Key { Effect.Key(text: "free:\(user):\(month)") }
}
