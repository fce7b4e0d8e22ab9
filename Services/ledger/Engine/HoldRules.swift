import Contracts

extension Batch {
    mutating func hold(
        _ command: Command, _ amount: Credits, _ leastUseful: Credits, _ timeToLive: Duration, _ awaitsFunds: Bool,
        _ keyLimits: SpendingLimits?
    ) -> Decision {
        if let stored = entry(command.id, .opening) { return answer(command, from: stored) }
        var entry = Entry(of: command, .hold, requested: amount, at: now)
        if self.entry(command.id, .terminal) != nil {
            entry.status = .alreadyResolved
        } else if let account = opened(command.account) {
            let key = keyCounted(command, keyLimits)
            let limit = tightestLimit(of: account, key)
            let granted = min(amount, account.available, limit?.room ?? amount)
            if granted >= leastUseful {
                entry.amount = granted
                entry.heldDelta = granted
                state.holds[command.id] = OpenHold(
                    charge: command.id, account: account.id, amount: granted, expiresAt: now + bounded(timeToLive), key: key?.id.key)
                countHeld(granted, of: key)
            } else if awaitsFunds, account.posted + account.overdraft >= leastUseful,
                limit.map({ $0.roomWithoutHolds >= leastUseful }) ?? true
            {
                return .awaitingFunds(available: account.available)
            } else {
                refuse(&entry, leastUseful, account, limit)
            }
        } else {
            entry.status = .accountNotFound
        }
        return .decided(write(entry))
    }

    mutating func extend(_ command: Command, _ amount: Credits, _ leastUseful: Credits, _ used: Credits, _ timeToLive: Duration) -> Decision
    {
        if let stored = entry(command.id, command.step) { return answer(command, from: stored) }
        var entry = Entry(of: command, .extend, requested: amount, at: now)
        if let stranger = strangerTo(command) { return .conflict(stranger) }
        guard var hold = running(command.id), let account = opened(command.account) else {
            entry.status = self.entry(command.id, .terminal) != nil ? .alreadyResolved : .holdNotFound
            return .decided(write(entry))
        }
        hold.report(used, until: now + bounded(timeToLive))
        let key = hold.key.flatMap { state.keys[KeySpending.ID(account: account.id, key: $0)] }
        let limit = tightestLimit(of: account, key)
        let granted = min(amount, account.available, limit?.room ?? amount)
        if hold.amount + amount > limits.amountMax {
            entry.status = .outOfRange
        } else if granted >= leastUseful {
            hold.amount += granted
            entry.amount = granted
            entry.heldDelta = granted
            countHeld(granted, of: key)
        } else {
            refuse(&entry, leastUseful, account, limit)
        }
        state.holds[command.id] = hold
        return .decided(write(entry))
    }

    mutating func report(_ command: Command, _ used: Credits, _ timeToLive: Duration) -> Decision {
        guard var hold = running(command.id) else { return .noted }
        guard hold.account == command.account else { return misaddressed(command) }
        hold.report(used, until: now + bounded(timeToLive))
        state.holds[command.id] = hold
        return .noted
    }

    /// What stands under the command's id and is no hold of its account; judged by the journal alone, which says the same whether an
    /// expired hold was swept or not.
    private func strangerTo(_ command: Command) -> Entry? {
        guard let stored = entry(command.id, .opening) ?? entry(command.id, .terminal) else { return nil }
        let isHold = stored.step == .terminal || stored.kind == .hold
        return isHold && stored.account == command.account ? nil : stored
    }

    /// A hold of an account that this batch does not touch may stand here expired.
    private func running(_ charge: ChargeID) -> OpenHold? {
        state.holds[charge].flatMap { $0.expiresAt > now || !expires ? $0 : nil }
    }

    private func bounded(_ timeToLive: Duration) -> Duration { min(timeToLive, limits.timeToLiveMax) }

    /// Short of both credits and limit: what cannot be paid whatever the limit is told first.
    private mutating func refuse(_ entry: inout Entry, _ leastUseful: Credits, _ account: Account, _ limit: SpendingLimit?) {
        if let limit, account.available >= leastUseful {
            entry.status = limit.status
        } else {
            refuseForFunds(&entry, leastUseful, account)
        }
    }

    mutating func refuseForFunds(_ entry: inout Entry, _ needed: Credits, _ account: Account) {
        entry.status = .insufficientFunds
        guard account.posted + account.overdraft < needed else { return }
        note(state.accounts[account.id]?.ranOut(at: now))
    }

    // MARK: Limits

    /// Of the account's limits and the key's; the one that leaves least now need not be the one that would without holds.
    func tightestLimit(of account: Account, _ key: KeySpending?) -> SpendingLimit? {
        let own = SpendingLimit.tightest(of: account.limits, .account, spent: account.spending, held: account.held, at: now)
        let keys = key.flatMap { SpendingLimit.tightest(of: $0.limits, .apiKey, spent: $0.spending, held: $0.held, at: now) }
        guard let own, let keys else { return own ?? keys }
        var tightest = own.room <= keys.room ? own : keys
        tightest.roomWithoutHolds = min(own.roomWithoutHolds, keys.roomWithoutHolds)
        return tightest
    }

    /// The key's sums, if it has limits or had when it was last used; nil for a key that is not counted.
    private mutating func keyCounted(_ command: Command, _ keyLimits: SpendingLimits?) -> KeySpending? {
        guard let id = command.key.map({ KeySpending.ID(account: command.account, key: $0) }) else { return nil }
        let limited = keyLimits.map { !$0.isUnlimited } ?? false
        guard limited || state.keys[id] != nil else { return nil }
        var key = state.keys[id] ?? KeySpending(id: id)
        key.limits = keyLimits ?? SpendingLimits()
        return key
    }

    private mutating func countHeld(_ amount: Credits, of key: KeySpending?) {
        guard var key else { return }
        key.held += amount
        state.keys[key.id] = key
        state.accounts[key.id.account]?.countsKeys = true
    }
}

extension OpenHold {
    fileprivate mutating func report(_ used: Credits, until expiry: Instant) {
        reported = max(reported, used)
        expiresAt = max(expiresAt, expiry)
    }
}
