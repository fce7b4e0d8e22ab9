import Contracts

/// What one owner of credits has. `posted - held` is what can be spent; it never falls below `-overdraft`.
struct Account: Equatable, Sendable {
    let id: AccountID
    /// Everything granted minus everything charged.
    var posted: Credits = .zero
    /// The sum of the account's open holds.
    var held: Credits = .zero
    /// How far below zero an operator lets this account go.
    var overdraft: Credits = .zero
    /// The number of the last journal entry that changed this row: gap-free from 1.
    var seq: Int64 = 0

    var balance: Credits { posted - held }

    /// What a hold or a charge may take now.
    var available: Credits { max(.zero, posted - held + overdraft) }
}

/// Credits put aside for one running call. The row exists from the hold to its one terminal step.
///
/// A lease will be a hold too: granted to a replica instead of a call, reported and settled the same way.
struct OpenHold: Equatable, Sendable {
    let charge: ChargeID
    let account: AccountID
    var amount: Credits
    /// Usage so far as last reported: cumulative, never falls. An expired hold is settled at this.
    var reported: Credits = .zero
    /// Moved on by each report. From this moment on the hold is expired for every decision, whenever the sweep comes by.
    var expiresAt: Instant
}
