import Contracts

extension Batch {
    mutating func settle(_ command: Command, _ amount: Credits) -> Decision {
        if let late = entry(command.id, .late) { return answer(command, from: late) }
        if let ended = ended(command.id) {
            guard ended.kind == .expire else { return answer(command, from: ended) }
            guard ended.account == command.account else { return .conflict(ended) }
            return settleLate(command, amount, after: ended)
        }
        if let refusal = refusalToEnd(command) { return refusal }
        return .decided(end(Entry(of: command, .capture, requested: amount, at: now, step: endStep(of: command)), key: command.key))
    }

    mutating func void(_ command: Command) -> Decision {
        if let ended = ended(command.id) {
            guard ended.kind == .expire, ended.account == command.account else { return answer(command, from: ended) }
            return .superseded(ended)
        }
        if let refusal = refusalToEnd(command) { return refusal }
        return .decided(end(Entry(of: command, .void, requested: .zero, at: now, step: endStep(of: command))))
    }

    /// Charges in one step, all or nothing. Credits that other holds keep are waited for; a refusal is written and stands for its id.
    mutating func charge(_ command: Command, _ amount: Credits) -> Decision {
        // A hold under this id belongs to another kind of charge: a conflict, as its fingerprint differs.
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

    /// The step of an end: after its hold, or the first step of a charge without one.
    private func endStep(of command: Command) -> Step { entry(command.id, .opening) == nil ? .opening : .terminal }

    /// Charges the difference to what the expiry took, or gives it back: the service was given and the provider paid.
    ///
    /// The amount that the hold had put aside is owed even if other calls spent it meanwhile: that far the balance may go below zero.
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
        // Credits that go back left their lot before: they become a lot of their own.
        settleBook(of: account.id)
        entry.grant = command.id
        let written = write(entry, chargedAt: chargedAt)
        addLot(of: written, -entry.amount)
        expireLots(of: entry.account)
        return .decided(written)
    }

    /// Ends a charge: releases its hold if there is one, takes what was used as far as credits reach, and writes the entry.
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
        // The held amount is there even if a clawback took the rest.
        take(min(entry.requested, max(released, account.balance + account.overdraft + released, .zero)), into: &entry)
        countSpent(entry.amount, chargedAt: now, released: hold?.key == nil ? .zero : released, of: counted(hold?.key ?? key, account))
        let written = write(entry)
        // Credits that the hold kept from expiring expire now.
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

    /// The reason why a charge that has not ended cannot be ended by this command.
    private func refusalToEnd(_ command: Command) -> Decision? {
        if let hold = state.holds[command.id] {
            return hold.account == command.account ? nil : misaddressed(command)
        }
        guard let opening = entry(command.id, .opening) else { return nil }
        return opening.kind == .hold && opening.account == command.account ? .invalid(.holdMissing) : .conflict(opening)
    }
}
