import Contracts
import LedgerCore
import Values

/// A decision, reduced to what tests of a rule compare.
enum Seen: Hashable {
    case applied(Int64)
    case refused(Reason)
    case duplicate(Int64)
    /// The question waits. The amount is what the account can spend.
    case awaiting(Int64)
    case conflict, noted, undecided
    case invalid(Decision.Flaw)

    /// The command is refused, with a row (a charge, a grant, a reversal) or without one (a hold,
    /// an extension).
    enum Reason: Hashable {
        case insufficientFunds, accountNotFound, outOfRange, superseded, alreadyResolved, notHeld
        case accountDailyLimit, accountMonthlyLimit, keyDailyLimit, keyMonthlyLimit
    }
}

func seen(_ decision: Decision) -> Seen {
    switch decision {
    case .decided(let entry, _):
        entry.status == .applied ? .applied(whole(entry.amount)) : .refused(reason(entry.status))
    case .duplicate(let entry, _): .duplicate(whole(entry.amount))
    case .conflict: .conflict
    case .refused(let refusal): .refused(reason(refusal))
    case .awaitingFunds(let funds): .awaiting(whole(funds.spendable))
    case .undecided: .undecided
    case .noted: .noted
    case .invalid(let flaw): .invalid(flaw)
    }
}

private func whole(_ amount: Credits) -> Int64 { amount.nano / Credits.nanoPerCredit }

private func reason(_ status: Entry.Status) -> Seen.Reason {
    switch status {
    case .applied: preconditionFailure("an applied entry has no reason")
    case .insufficientFunds: .insufficientFunds
    case .accountNotFound: .accountNotFound
    case .outOfRange: .outOfRange
    case .accountDailyLimit: .accountDailyLimit
    case .accountMonthlyLimit: .accountMonthlyLimit
    case .superseded: .superseded
    }
}

private func reason(_ refusal: Refusal) -> Seen.Reason {
    switch refusal {
    case .insufficientFunds: .insufficientFunds
    case .accountNotFound: .accountNotFound
    case .alreadyResolved: .alreadyResolved
    case .notHeld: .notHeld
    case .outOfRange: .outOfRange
    case .limit(let limit, _): reason(limit.scope, limit.period)
    }
}

func reason(_ scope: HoldReply.Limit.Scope, _ period: HoldReply.Limit.Period) -> Seen.Reason {
    switch (scope, period) {
    case (.account, .day): .accountDailyLimit
    case (.account, .month): .accountMonthlyLimit
    case (.apiKey, .day): .keyDailyLimit
    case (.apiKey, .month): .keyMonthlyLimit
    }
}
