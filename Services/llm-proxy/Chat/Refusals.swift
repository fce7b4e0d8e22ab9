import Contracts
import HTTP

extension HoldReply {
    /// Why no more credits were set aside, as the caller is told.
    /// - Parameter required: what would have been enough.
    func refusal(required: Credits, topUpURL: String) -> Problem {
        switch (status, limit) {
        case (.limitReached, let limit?):
            .spendingLimitReached(
                limit.period == .day ? .daily : .monthly, of: limit.scope == .account ? .account : .apiKey,
                resetsAt: limit.resetsAt.description)
        case (.granted, _), (.insufficientFunds, _), (.awaitingFunds, _), (.limitReached, nil):
            .insufficientCredits(balance: available.description, required: required.description, topUpURL: topUpURL)
        case (.notHeld, _), (.alreadyResolved, _), (.conflict, _), (.invalid, _), (.busy, _):
            .internalError
        }
    }
}
