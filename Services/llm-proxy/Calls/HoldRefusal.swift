import Contracts
import Values

/// The reason why a call got no credits, or no more credits.
enum HoldRefusal: Error, Hashable {
    /// The balance would not pay `required` with no other call running.
    case insufficientCredits(balance: Credits, required: Credits)
    case limitReached(HoldReply.Limit)
    /// Other calls of the account held the credits for all of the wait.
    case creditsHeld
    /// The ledger did not decide.
    case ledgerUnavailable
    /// The hold ended before its call did.
    case holdGone
    /// The ledger and the proxy disagree about the question.
    case rejected

    /// Makes the refusal of a reply. Nil if the reply is a grant.
    init?(_ reply: HoldReply, least: Credits) {
        switch reply.status {
        case .granted: return nil
        case .insufficientFunds: self = .insufficientCredits(balance: reply.available, required: least)
        case .limitReached:
            self = reply.limit.map(Self.limitReached) ?? .insufficientCredits(balance: reply.available, required: least)
        case .awaitingFunds: self = .creditsHeld
        case .busy: self = .ledgerUnavailable
        case .notHeld, .alreadyResolved: self = .holdGone
        case .conflict, .invalid: self = .rejected
        }
    }

    /// The refusal in one word, for the log.
    var word: String {
        switch self {
        case .insufficientCredits: "insufficient_credits"
        case .limitReached: "spending_limit_reached"
        case .creditsHeld: "credits_held"
        case .ledgerUnavailable: "ledger_unavailable"
        case .holdGone: "hold_gone"
        case .rejected: "rejected"
        }
    }
}
