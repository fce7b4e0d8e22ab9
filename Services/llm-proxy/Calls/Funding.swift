import Contracts
import Identity
import Values

/// The payer of one call. All messages of the call to the ledger go through it.
enum Funding: Sendable {
    /// The account of the call's user pays: the ledger holds its credits and charges them.
    case account(HoldQuestions)
    /// No account pays for the call of one of our servers. The ledger gets no message about it.
    case skipped(ChargeID)

    /// The id of the charge, or of the receipt of a skipped call.
    var charge: ChargeID {
        switch self {
        case .account(let questions): questions.asker.charge
        case .skipped(let id): id
        }
    }

    /// Nil for a skipped call.
    private var questions: HoldQuestions? {
        if case .account(let questions) = self { questions } else { nil }
    }

    var isSkipped: Bool {
        if case .skipped = self { true } else { false }
    }

    // MARK: Before and during the call

    /// Asks for the hold of a new call. A skipped call is granted the most of one charge, so that
    /// no credits limit its answer.
    /// - Returns: nil if the client left before the ledger decided.
    func place(_ amounts: HoldAmounts, takesShare: Bool, hasLeft: () -> Bool) async throws -> HoldReply? {
        if let questions { return try await questions.place(amounts, takesShare: takesShare, hasLeft: hasLeft) }
        return hasLeft() ? nil : HoldReply(chargeID: charge, status: .granted, granted: CallBound.amountMax)
    }

    /// Asks for more credits while the stream runs. The grant of a skipped call is never extended.
    /// - Returns: nil if the ledger did not decide.
    func extend(by more: StreamHold.Extension, usedSoFar: Credits, while isNeeded: () -> Bool) async -> HoldReply? {
        await questions?.extend(by: more, usedSoFar: usedSoFar, while: isNeeded)
    }

    /// The time between two usage reports. Nil for a skipped call.
    var reportEvery: Duration? { questions?.services.ledger.timing.reportEvery }

    func report(usedSoFar: Credits) {
        guard let questions else { return }
        questions.services.ledger.report(charge, of: questions.principal.accountID, usedSoFar: usedSoFar, in: questions.context)
    }

    /// Wakes a question that waits for credits, because the call needs no answer any more.
    func leave() {
        guard let questions else { return }
        questions.services.shared.funds.leave(questions.asker)
    }

    // MARK: After the call

    /// Settles the hold at `price`.
    /// - Returns: the credits that the caller pays; nil if neither the broker nor the outbox
    ///   certainly has the charge.
    func settle(_ price: Credits, _ call: CallFacts) async -> Credits? {
        guard let questions else { return .zero }
        let message = SettleCharge(chargeID: charge, accountID: questions.principal.accountID, amount: price, call: call)
        return await questions.services.ledger.settle(message, in: questions.context) ? price : nil
    }

    /// Frees the hold.
    /// - Returns: false if neither the broker nor the outbox certainly has the message.
    func void(because reason: String) async -> Bool {
        guard let questions else { return true }
        return await questions.services.ledger.void(charge, for: questions.principal, because: reason, in: questions.context)
    }

    /// Makes the lines of the account ask for the credits that the end of the call may have freed.
    func freed() {
        guard let questions else { return }
        questions.services.shared.funds.freed(by: questions.asker, on: questions.services.loop)
    }
}
