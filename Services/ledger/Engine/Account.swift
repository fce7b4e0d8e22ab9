package import Contracts
package import Values

/// The credits of one owner. `posted - held` can be spent; it never falls below `-(overdraft + debt)`.
package struct Account: Equatable, Sendable {
    package let id: AccountID
    /// Everything granted minus everything charged.
    package var posted: Credits = .zero
    /// The sum of the account's open holds.
    package var held: Credits = .zero
    /// How far below zero an operator lets this account go.
    package var overdraft: Credits = .zero
    /// How far beyond the overdraft the account was pushed by what may do so: a clawback, or a charge that came after its hold
    /// expired. Nothing else raises it; whatever comes in lowers it first.
    package var debt: Credits = .zero
    /// The number of the last journal entry that changed this row: gap-free from 1.
    package var seq: Int64 = 0
    /// When the next lot that may have credits left expires; nil when none does.
    package var lotsExpireAt: Instant?
    package var limits = SpendingLimits()
    package var spending = Spending()
    /// Some API key of the account has limits of its own: its spending is counted apart.
    package var countsKeys = false
    /// The owner is told when the balance falls below it; nil leaves it to the service's default.
    package var lowBalanceLevel: Credits?
    package var alerted = Alerted.nothing

    package init(
        id: AccountID, posted: Credits = .zero, held: Credits = .zero, overdraft: Credits = .zero, debt: Credits = .zero, seq: Int64 = 0,
        lotsExpireAt: Instant? = nil, limits: SpendingLimits = SpendingLimits(), spending: Spending = Spending(), countsKeys: Bool = false,
        lowBalanceLevel: Credits? = nil, alerted: Alerted = Alerted.nothing
    ) {
        self.id = id
        self.posted = posted
        self.held = held
        self.overdraft = overdraft
        self.debt = debt
        self.seq = seq
        self.lotsExpireAt = lotsExpireAt
        self.limits = limits
        self.spending = spending
        self.countsKeys = countsKeys
        self.lowBalanceLevel = lowBalanceLevel
        self.alerted = alerted
    }

    /// Only a grant opens an account. A row that was never granted anything is a lock, or a place to keep limits in.
    package var isOpen: Bool { seq > 0 }

    package var balance: Credits { posted - held }

    /// The credits that a hold or a charge may take now.
    package var available: Credits { max(.zero, posted - held + overdraft) }

    /// The last alert that was sent to the owner. Each crossing of a level sends one alert.
    package enum Alerted: Int16, Comparable, Sendable {
        case nothing = 0
        case low = 1
        case exhausted = 2

        package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
    }
}

/// The credits reserved for one running call. The row exists from the hold until the charge ends.
package struct OpenHold: Equatable, Sendable {
    package let charge: ChargeID
    package let account: AccountID
    package var amount: Credits
    /// Usage so far as last reported: cumulative, never falls. An expired hold is settled at this.
    package var usedSoFar: Credits = .zero
    /// The time at which the hold becomes overdue. The sweep then asks for its expiry. The hold
    /// counts as held until an expiry has ended it.
    package var expiresAt: Instant
    /// True after an expiry has found the hold overdue. The next expiry ends the hold. A report or
    /// an extension clears the mark.
    package var isOverdue = false
    /// The API key it counts against; nil for none, or one without limits.
    package var key: APIKeyID?

    package init(
        charge: ChargeID, account: AccountID, amount: Credits, usedSoFar: Credits = .zero, expiresAt: Instant, isOverdue: Bool = false,
        key: APIKeyID? = nil
    ) {
        self.charge = charge
        self.account = account
        self.amount = amount
        self.usedSoFar = usedSoFar
        self.expiresAt = expiresAt
        self.isOverdue = isOverdue
        self.key = key
    }
}
