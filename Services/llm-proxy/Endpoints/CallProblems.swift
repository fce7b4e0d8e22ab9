import Contracts
import HTTP
import Values

extension HoldRefusal {
    func problem(topUpURL: String) -> Problem {
        switch self {
        case .insufficientCredits(let balance, let required):
            .insufficientCredits(balance: balance.description, required: required.description, topUpURL: topUpURL)
        case .limitReached(let limit):
            .spendingLimitReached(
                limit.period == .day ? .daily : .monthly, of: limit.scope == .account ? .account : .apiKey,
                resetsAt: limit.resetsAt.description)
        case .creditsHeld: .creditsHeld
        case .ledgerUnavailable, .holdGone: .ledgerUnavailable
        case .rejected: .internalError
        }
    }
}
