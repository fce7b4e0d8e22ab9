import Contracts

extension Batch {
    mutating func settle(_ command: Command, _ amount: Credits) -> Decision {
        if let late = entry(command.id, .late) { return answer(command, from: late) }
        if let ended = entry(command.id, .terminal) {
            guard ended.kind == .expire else { return answer(command, from: ended) }
            guard ended.account == command.account else { return .conflict(ended) }
            return settleLate(command, amount, after: ended)
        }
        if let refusal = refusalToEnd(command) { return refusal }
        return .decided(end(Entry(of: command, .capture, requested: amount, at: now), key: command.key))
    }

    mutating func void(_ command: Command) -> Decision {
        if let ended = entry(command.id, .terminal) {
            guard ended.kind == .expire, ended.account == command.account else { return answer(command, from: ended) }
            return .superseded(ended)
        }
        if let refusal = refusalToEnd(command) { return refusal }
        return .decided(end(Entry(of: command, .void, requested: .zero, at: now)))
    }

    mutating func charge(_ command: Command, _ amount: Credits) -> Decision {
        if let stored = entry(command.id, .terminal) { return answer(command, from: stored) }
        // A running hold is settled, never charged beside: the id belongs to another kind of charge.
        if let opening = entry(command.id, .opening) { return .conflict(opening) }
        var entry = Entry(of: command, .charge, requested: amount, at: now)
        guard let account = opened(command.account) else { return .decided(end(entry)) }
        let limit = tightestLimit(of: account, nil)
        if account.available < amount {
            refuseForFunds(&entry, amount, account)
        } else if let limit, limit.room < amount {
            entry.status = limit.status
        } else {
            return .decided(end(entry))
        }
        return .decided(write(entry))
    }

    /// Settles every hold that is expired by now at the usage last reported, oldest first.
    mutating func expireHolds() {
        let expired = state.holds.values.filter { $0.expiresAt <= now }
            .sorted { ($0.expiresAt, $0.charge.rawValue) < ($1.expiresAt, $1.charge.rawValue) }
        for hold in expired where state.accounts[hold.account] != nil {
            let entry = Entry(
                charge: hold.charge, step: .terminal, account: hold.account, kind: .expire, requested: hold.reported, fingerprint: 0,
                at: now)
            _ = end(entry)
        }
    }

    /// The service was given and the provider paid: what the expiry did not take is taken now; what it took too much goes back.
    ///
    /// What the hold had put aside for this call is owed even if it was spent on others meanwhile: so far the balance may go below zero.
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
        // What goes back has left its lot long ago: it becomes a lot of its own.
        settleBook(of: account.id)
        entry.grant = command.id
        let written = write(entry, chargedAt: chargedAt)
        addLot(of: written, -entry.amount)
        expireLots(of: entry.account)
        return .decided(written)
    }

    /// Releases the hold if there is one, takes what was used as far as credits reach, and writes the entry.
    /// - Parameter key: the API key that counts it, where no hold says so: it overtook its hold, or the key had no limits then.
    private mutating func end(_ entry: Entry, key: APIKeyID? = nil) -> Entry {
        var entry = entry
        guard let account = opened(entry.account) else {
            entry.status = .accountNotFound
            return write(entry)
        }
        let hold = state.holds.removeValue(forKey: entry.charge)
        let released = hold?.amount ?? .zero
        entry.heldDelta = -released
        // What was put aside is there whatever a clawback left of the rest.
        take(min(entry.requested, max(released, account.balance + account.overdraft + released, .zero)), into: &entry)
        countSpent(entry.amount, chargedAt: now, released: hold?.key == nil ? .zero : released, of: counted(hold?.key ?? key, account))
        let written = write(entry)
        // What the hold kept from expiring expires when the hold lets go of it.
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

    /// Why a charge that has not ended cannot be ended by this command.
    private func refusalToEnd(_ command: Command) -> Decision? {
        if let hold = state.holds[command.id] {
            return hold.account == command.account ? nil : misaddressed(command)
        }
        guard let opening = entry(command.id, .opening) else { return nil }
        guard opening.kind == .hold, opening.account == command.account else { return .conflict(opening) }
        return opening.status == .applied ? .invalid(.holdMissing) : nil
    }
}
