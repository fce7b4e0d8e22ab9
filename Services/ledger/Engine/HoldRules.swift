import Contracts
import Values

extension RulingBuilder {
    mutating func hold(
        _ command: Command, _ amounts: HoldAmounts, _ takesShare: Bool, _ timeToLive: Duration, _ keyLimits: SpendingLimits?
    ) -> Decision {
        if let stored = entry(command.id, .opening) {
            return stored.kind.endsCharge && stored.account == command.account
                ? .refused(.alreadyResolved) : answer(command, from: stored, left: left(to: command))
        }
        guard !command.isRedelivered else { return .undecided }
        guard let account = opened(command.account) else { return .refused(.accountNotFound) }
        let key = keyCounted(command, keyLimits)
        let funds = Funds(account, spendingLimits(of: account, key))
        guard let granted = funds.granted(amounts, takesShare: takesShare) else { return refuse(amounts.least, account, funds) }
        var entry = Entry(of: command, .hold, requested: amounts.most, at: now)
        entry.amount = granted
        entry.heldDelta = granted
        state.holds[command.id] = OpenHold(
            charge: command.id, account: account.id, amount: granted, expiresAt: now + bounded(timeToLive), key: key?.id.key)
        countHeld(granted, of: key)
        return .decided(write(entry), left: funds.left(after: granted))
    }

    mutating func extend(
        _ command: Command, _ step: Int64, _ amounts: HoldAmounts, _ used: Credits, _ timeToLive: Duration
    ) -> Decision {
        let step = Step(rawValue: Int16(clamping: step))
        if let stored = entry(command.id, step) { return answer(command, from: stored, left: left(to: command)) }
        if let stranger = strangerTo(command) { return .conflict(stranger) }
        guard var hold = state.holds[command.id], let account = opened(command.account) else {
            return .refused(ended(command.id) == nil ? .notHeld : .alreadyResolved)
        }
        guard !command.isRedelivered else { return .undecided }
        hold.report(used, for: bounded(timeToLive), at: now)
        state.holds[command.id] = hold
        guard hold.amount + amounts.most <= limits.amountMax else { return .refused(.outOfRange) }
        let key = hold.key.flatMap { state.keys[KeySpending.ID(account: account.id, key: $0)] }
        let funds = Funds(account, spendingLimits(of: account, key), own: hold.amount)
        guard let granted = funds.granted(amounts, takesShare: false) else { return refuse(amounts.least, account, funds) }
        var entry = Entry(of: command, .extend, requested: amounts.most, at: now, step: step)
        entry.amount = granted
        entry.heldDelta = granted
        state.holds[command.id]?.amount += granted
        countHeld(granted, of: key)
        return .decided(write(entry), left: funds.left(after: granted))
    }

    /// Returns the credits that the account can still reserve for other calls.
    private func left(to command: Command) -> FundsLeft {
        guard let account = opened(command.account) else { return .none }
        let key = state.holds[command.id]?.key.flatMap { state.keys[KeySpending.ID(account: account.id, key: $0)] }
        return Funds(account, spendingLimits(of: account, key)).left(after: .zero)
    }

    mutating func report(_ command: Command, _ used: Credits, _ timeToLive: Duration) -> Decision {
        guard var hold = state.holds[command.id] else { return .noted }
        guard hold.account == command.account else { return misaddressed(command) }
        hold.report(used, for: bounded(timeToLive), at: now)
        state.holds[command.id] = hold
        return .noted
    }

    /// Marks an overdue hold and gives its proxy ``Limits/expiryGrace`` to report. Ends a hold that
    /// is already marked, at its largest report. Does not change a hold that is not overdue since
    /// `due`: after a redelivery, messages from before the mark may still be queued.
    mutating func expire(_ command: Command, _ due: Instant) -> Decision {
        guard var hold = state.holds[command.id], hold.account == command.account, hold.expiresAt == due, due <= now else { return .noted }
        guard hold.isOverdue else {
            hold.isOverdue = true
            hold.expiresAt = now + limits.expiryGrace
            state.holds[command.id] = hold
            return .noted
        }
        return .decided(end(Entry(of: command, .expire, requested: hold.usedSoFar, at: now, step: .terminal)))
    }

    /// Returns the entry under the command's id if it belongs to another account or to another kind
    /// of charge.
    private func strangerTo(_ command: Command) -> Entry? {
        guard let stored = entry(command.id, .opening) else { return nil }
        return (stored.kind == .hold || stored.kind.endsCharge) && stored.account == command.account ? nil : stored
    }

    private func bounded(_ timeToLive: Duration) -> Duration { min(timeToLive, limits.timeToLiveMax) }

    /// Refuses a command that could not be paid with no other hold open. Any other command waits
    /// for other holds to end.
    mutating func refuse(_ least: Credits, _ account: Account, _ funds: Funds) -> Decision {
        guard funds.spendableAlone < least else { return .awaitingFunds(funds) }
        if let limit = funds.limitAlone, funds.availableAlone >= least { return .refused(.limit(limit.reply(at: now), funds)) }
        note(state.accounts[account.id]?.ranOut(at: now))
        return .refused(.insufficientFunds(funds))
    }

    // MARK: Limits

    /// Returns the limits of the account and, if it is given, of the key.
    func spendingLimits(of account: Account, _ key: KeySpending?) -> [SpendingLimit] {
        let own = SpendingLimit.of(account.limits, .account, spent: account.spending, held: account.held, at: now)
        guard let key else { return own }
        return own + SpendingLimit.of(key.limits, .apiKey, spent: key.spending, held: key.held, at: now)
    }

    /// The key's sums, if it has limits or had when it was last used; nil for a key that is not counted.
    private func keyCounted(_ command: Command, _ keyLimits: SpendingLimits?) -> KeySpending? {
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
    /// Takes a report. Prolongs the hold only when less than half of the time to live is left, so
    /// that most reports change no indexed column.
    fileprivate mutating func report(_ used: Credits, for timeToLive: Duration, at now: Instant) {
        usedSoFar = max(usedSoFar, used)
        guard isOverdue || expiresAt - now < timeToLive / 2 else { return }
        isOverdue = false
        expiresAt = max(expiresAt, now + timeToLive)
    }
}
