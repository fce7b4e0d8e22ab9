import Contracts
import Values

extension RulingBuilder {
    mutating func settle(_ command: Command, _ amount: Credits) -> Decision {
        if let decision = decideEnded(command, amount) ?? refusalToEnd(command) { return decision }
        return .decided(end(Entry(of: command, .capture, requested: amount, at: now, step: endStep(of: command)), key: command.key))
    }

    mutating func void(_ command: Command) -> Decision {
        if let decision = decideEnded(command, .zero) ?? refusalToEnd(command) { return decision }
        return .decided(end(Entry(of: command, .void, requested: .zero, at: now, step: endStep(of: command))))
    }

    /// Decides a settlement or a void of a charge that has ended. Nil if the charge has not ended.
    ///
    /// A void is a settlement at 0 here: if the hold has expired, it gives back what the expiry took.
    private mutating func decideEnded(_ command: Command, _ amount: Credits) -> Decision? {
        if let late = entry(command.id, .late) { return answer(command, from: late) }
        guard let ended = ended(command.id) else { return nil }
        guard ended.kind == .expire else { return answer(command, from: ended) }
        guard ended.account == command.account else { return .conflict(ended) }
        return settleLate(command, amount, after: ended)
    }

    /// Charges in one step, all or nothing. Decides nothing while other holds reserve the missing
    /// credits. A refusal is written and is final for its id.
    mutating func charge(_ command: Command, _ amount: Credits) -> Decision {
        // A hold under this id has another fingerprint, so the answer is a conflict.
        if let stored = entry(command.id, .opening) { return answer(command, from: stored) }
        var entry = Entry(of: command, .charge, requested: amount, at: now)
        guard let account = opened(command.account) else { return .decided(end(entry)) }
        let funds = Funds(account, spendingLimits(of: account, nil))
        guard funds.spendable < amount else { return .decided(end(entry)) }
        switch refuse(amount, account, funds) {
        case .refused(.limit(let limit, _)): entry.status = limit.period == .day ? .accountDailyLimit : .accountMonthlyLimit
        case .refused: entry.status = .insufficientFunds
        case let undecided: return undecided
        }
        return .decided(write(entry))
    }

    /// Returns the step of an end: ``Step/terminal`` after a hold, ``Step/opening`` without one.
    private func endStep(of command: Command) -> Step { entry(command.id, .opening) == nil ? .opening : .terminal }

    /// Charges the difference to the amount that the expiry took, or gives it back. The client got
    /// the answer, and the operator pays the provider for it.
    ///
    /// The charge may take the balance below zero, but only by the amount that the hold had
    /// reserved. Other calls may have spent those credits since.
    private mutating func settleLate(_ command: Command, _ amount: Credits, after expiry: Entry) -> Decision {
        var entry = Entry(of: command, .lateCapture, requested: amount - expiry.amount, at: now, step: .late)
        guard let account = opened(command.account) else {
            entry.status = .accountNotFound
            return .decided(write(entry))
        }
        let putAside = max(.zero, -expiry.heldDelta - expiry.amount)
        let due = min(entry.requested, max(putAside, account.balance + account.overdraft))
        take(min(max(due, account.posted - limits.balanceMax), account.balance + limits.balanceMax), into: &entry)
        let chargedAt = entry.amount < .zero ? expiry.at : now
        countSpent(entry.amount, chargedAt: chargedAt, released: .zero, of: counted(command.key, account))
        guard entry.amount < .zero else { return .decided(write(entry)) }
        // Returned credits become a lot of their own, because the expiry took them out of their old
        // lot.
        burnLots(of: account.id)
        entry.grant = command.id
        let written = write(entry, chargedAt: chargedAt)
        addLot(of: written, -entry.amount, kind: written.kind)
        expireLots(of: entry.account)
        return .decided(written)
    }

    /// Ends a charge: releases its hold if there is one, takes the used amount as far as credits
    /// reach, and writes the entry.
    /// - Parameter key: the API key that counts it, where no hold says so: it overtook its hold, or the key had no limits then.
    mutating func end(_ entry: Entry, key: APIKeyID? = nil) -> Entry {
        var entry = entry
        guard let account = opened(entry.account) else {
            entry.status = .accountNotFound
            return write(entry)
        }
        let hold = state.holds.removeValue(forKey: entry.charge)
        let released = hold?.amount ?? .zero
        entry.heldDelta = -released
        // The hold guarantees its amount, even if a clawback took the other credits.
        take(min(entry.requested, max(released, account.balance + account.overdraft + released, .zero)), into: &entry)
        countSpent(entry.amount, chargedAt: now, released: hold?.key == nil ? .zero : released, of: counted(hold?.key ?? key, account))
        let written = write(entry)
        // Credits that only this hold kept from expiring expire now.
        expireLots(of: entry.account)
        return written
    }

    private func take(_ amount: Credits, into entry: inout Entry) {
        entry.amount = amount
        entry.postedDelta = -amount
    }

    private func counted(_ key: APIKeyID?, _ account: Account) -> KeySpending? {
        key.flatMap { state.keys[KeySpending.ID(account: account.id, key: $0)] }
    }

    private mutating func countSpent(_ amount: Credits, chargedAt: Instant, released: Credits, of key: KeySpending?) {
        guard var key else { return }
        key.held -= released
        key.spending.add(amount, at: now, chargedAt: chargedAt)
        state.keys[key.id] = key
    }

    /// Returns the reason why this command cannot end the charge. Nil if the command can end it.
    private func refusalToEnd(_ command: Command) -> Decision? {
        if let hold = state.holds[command.id] {
            return hold.account == command.account ? nil : misaddressed(command)
        }
        guard let opening = entry(command.id, .opening) else { return nil }
        return opening.kind == .hold && opening.account == command.account ? .invalid(.holdMissing) : .conflict(opening)
    }
}
