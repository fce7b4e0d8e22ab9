import Contracts
import LedgerCore
import Values

extension HoldReply {
    /// Answers a question; a repetition gets the first answer again.
    init(_ decision: Decision, to command: Command) {
        switch decision {
        case .decided(let entry, let left), .duplicate(let entry, let left):
            self.init(
                chargeID: command.id, status: .granted, granted: entry.amount, available: left.available, spendable: left.spendable)
        case .refused(let refusal): self.init(refusal, to: command)
        case .awaitingFunds(let funds):
            self.init(chargeID: command.id, status: .awaitingFunds, available: funds.available, spendable: funds.spendable)
        case .undecided: self.init(chargeID: command.id, status: .busy)
        case .conflict: self.init(chargeID: command.id, status: .conflict)
        case .invalid(let flaw): self = .invalid(flaw.rawValue, command)
        case .noted: self = .invalid("not a hold", command)
        }
    }

    private init(_ refusal: Refusal, to command: Command) {
        switch refusal {
        case .insufficientFunds(let funds):
            self.init(chargeID: command.id, status: .insufficientFunds, available: funds.available, spendable: funds.spendable)
        case .accountNotFound: self.init(chargeID: command.id, status: .insufficientFunds)
        case .limit(let limit, let funds):
            self.init(
                chargeID: command.id, status: .limitReached, available: funds.available, spendable: funds.spendable, limit: limit)
        case .alreadyResolved: self.init(chargeID: command.id, status: .alreadyResolved)
        case .notHeld: self.init(chargeID: command.id, status: .notHeld)
        case .outOfRange: self = .invalid("amount_too_large", command)
        }
    }

    static func invalid(_ message: String, _ command: Command) -> HoldReply {
        HoldReply(chargeID: command.id, status: .invalid, message: message)
    }
}
