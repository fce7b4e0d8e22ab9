import Contracts
import Values

/// The credits of one owner. `posted - held` can be spent; it never falls below `-(overdraft + owed)`.
struct Account: Equatable, Sendable {
    let id: AccountID
    /// Everything granted minus everything charged.
    var posted: Credits = .zero
    /// The sum of the account's open holds.
    var held: Credits = .zero
    /// How far below zero an operator lets this account go.
    var overdraft: Credits = .zero
    /// How far beyond the overdraft the account was pushed by what may do so: a clawback, or a charge that came after its hold
    /// expired. Nothing else raises it; whatever comes in lowers it first.
    var owed: Credits = .zero
    /// The number of the last journal entry that changed this row: gap-free from 1.
    var seq: Int64 = 0
    /// When the next lot that may have credits left expires; nil when none does.
    var lotsExpireAt: Instant?
    var limits = SpendingLimits()
    var spending = Spending()
    /// Some API key of the account has limits of its own: its spending is counted apart.
    var countsKeys = false
    /// The owner is told when the balance falls below it; nil leaves it to the service's default.
    var lowBalanceLevel: Credits?
    var alerted = Alerted.nothing

    /// Only a grant opens an account. A row that was never granted anything is a lock, or a place to keep limits in.
    var isOpen: Bool { seq > 0 }

    var balance: Credits { posted - held }

    /// The credits that a hold or a charge may take now.
    var available: Credits { max(.zero, posted - held + overdraft) }

    /// The last alert that was sent to the owner. Each crossing of a level sends one alert.
    enum Alerted: Int16, Comparable, Sendable {
        case nothing = 0
        case low = 1
        case exhausted = 2

        static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
    }
}

/// The credits reserved for one running call. The row exists from the hold until the charge ends.
struct OpenHold: Equatable, Sendable {
    let charge: ChargeID
    let account: AccountID
    var amount: Credits
    /// Usage so far as last reported: cumulative, never falls. An expired hold is settled at this.
    var reported: Credits = .zero
    /// The time at which the hold becomes overdue. The sweep then asks for its expiry. The hold
    /// counts as held until an expiry has ended it.
    var expiresAt: Instant
    /// True after an expiry has found the hold overdue. The next expiry ends the hold. A report or
    /// an extension clears the mark.
    var isOverdue = false
    /// The API key it counts against; nil for none, or one without limits.
    var key: APIKeyID?
}
