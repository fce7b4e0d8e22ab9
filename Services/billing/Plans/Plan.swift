import Contracts
import Values

/// A plan of the catalogue. A user has one plan at a time.
struct Plan: Hashable, Sendable {
    struct ID: Hashable, Sendable {
        let text: String

        /// The plan of users who pay nothing.
        static let free = ID(text: "free")
    }

    /// The period of a subscription.
    enum Interval: String, CaseIterable, Sendable { case month, year }

    var id: ID
    var name: String
    /// A plan with a greater position is an upgrade.
    var position: Int64
    /// A whole number.
    var monthlyCredits: Credits
    /// The lines that the page of plans shows.
    var features: [String]
    var isPopular: Bool
    /// False if a user cannot choose the plan any more. A user who has it keeps it.
    var isActive: Bool
    /// The limits that services enforce.
    var limits: PlanFeatures

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
