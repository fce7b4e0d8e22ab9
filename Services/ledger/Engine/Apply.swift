import Contracts

extension LedgerState {
    /// The ledger's rules. Pure: the same state, commands and time give the same ruling; no command affects another except
    /// through the balances and holds it leaves behind, so a batch equals its commands one by one.
    ///
    /// Holds that have expired by `now` are settled before the first command is looked at: they never cause a refusal.
    /// - Parameters:
    ///   - now: the database's clock; no other clock counts.
    ///   - expires: false while an outage is made up for: then a hold whose time is over lives on, until its call is heard of.
    func apply(_ commands: [Command], now: Instant, limits: Limits = Limits(), expires: Bool = true) -> Ruling {
        var ruling = Batch(state: self, now: now, limits: limits, expires: expires)
        if expires { ruling.expireHolds() }
        var decisions: [Decision] = []
        decisions.reserveCapacity(commands.count)
        for command in commands { decisions.append(ruling.decide(command)) }
        return Ruling(state: ruling.state, decisions: decisions, entries: ruling.written)
    }
}

private struct Batch {
    var state: LedgerState
    let now: Instant
    let limits: Limits
    let expires: Bool
    var written: [Entry] = []

    mutating func decide(_ command: Command) -> Decision {
        if let flaw = flaw(in: command) { return .invalid(flaw) }
        switch command.action {
        case .hold(let amount, let leastUseful, let timeToLive, let awaitsFunds):
            return hold(command, amount, leastUseful, min(timeToLive, limits.timeToLiveMax), awaitsFunds)
        case .report(let used, let timeToLive): return report(command, used, min(timeToLive, limits.timeToLiveMax))
        case .settle(let amount): return settle(command, amount)
        case .void: return void(command)
        case .charge(let amount): return charge(command, amount)
        case .grant(let grant, let amount): return give(command, grant, amount)
        }
    }

    // MARK: Hold

    private mutating func hold(_ command: Command, _ amount: Credits, _ leastUseful: Credits, _ timeToLive: Duration, _ awaitsFunds: Bool)
        -> Decision
    {
        if let stored = entry(command.id, .opening) { return answer(command, from: stored) }
        var entry = Entry(of: command, .opening, .hold, requested: amount, at: now)
        if self.entry(command.id, .terminal) != nil {
            entry.status = .alreadyResolved
        } else if let account = state.accounts[command.account] {
            let granted = min(amount, account.available)
            if granted >= leastUseful {
                entry.amount = granted
                entry.heldDelta = granted
                state.holds[command.id] = OpenHold(
                    charge: command.id, account: command.account, amount: granted, expiresAt: now + timeToLive)
            } else if awaitsFunds, account.posted + account.overdraft >= leastUseful {
                return .awaitingFunds(available: account.available)
            } else {
                entry.status = .insufficientFunds
            }
        } else {
            entry.status = .accountNotFound
        }
        return .decided(write(entry))
    }

    private mutating func report(_ command: Command, _ used: Credits, _ timeToLive: Duration) -> Decision {
        // A hold of an account that this batch does not touch may stand here expired.
        guard var hold = state.holds[command.id], hold.expiresAt > now || !expires else { return .noted }
        guard hold.account == command.account else { return misaddressed(command) }
        hold.reported = max(hold.reported, used)
        hold.expiresAt = max(hold.expiresAt, now + timeToLive)
        state.holds[command.id] = hold
        return .noted
    }

    // MARK: The end of a charge

    private mutating func settle(_ command: Command, _ amount: Credits) -> Decision {
        if let late = entry(command.id, .late) { return answer(command, from: late) }
        if let ended = entry(command.id, .terminal) {
            guard ended.kind == .expire else { return answer(command, from: ended) }
            guard ended.account == command.account else { return .conflict(ended) }
            return settleLate(command, amount, after: ended)
        }
        if let refusal = refusalToEnd(command) { return refusal }
        return .decided(end(Entry(of: command, .terminal, .capture, requested: amount, at: now)))
    }

    /// The service was given and the provider paid: what the expiry did not take is taken now; what it took too much goes back.
    private mutating func settleLate(_ command: Command, _ amount: Credits, after expiry: Entry) -> Decision {
        .decided(end(Entry(of: command, .late, .lateCapture, requested: amount - expiry.amount, at: now)))
    }

    private mutating func void(_ command: Command) -> Decision {
        if let ended = entry(command.id, .terminal) {
            guard ended.kind == .expire, ended.account == command.account else { return answer(command, from: ended) }
            return .superseded(ended)
        }
        if let refusal = refusalToEnd(command) { return refusal }
        return .decided(end(Entry(of: command, .terminal, .void, requested: .zero, at: now)))
    }

    private mutating func charge(_ command: Command, _ amount: Credits) -> Decision {
        if let stored = entry(command.id, .terminal) { return answer(command, from: stored) }
        // A running hold is settled, never charged beside: the id belongs to another kind of charge.
        if let opening = entry(command.id, .opening) { return .conflict(opening) }
        var entry = Entry(of: command, .terminal, .charge, requested: amount, at: now)
        guard let account = state.accounts[command.account], account.available < amount else {
            return .decided(end(entry))
        }
        entry.status = .insufficientFunds
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

    /// Releases the hold if there is one, takes what was used as far as credits reach, and writes the entry.
    private mutating func end(_ entry: Entry) -> Entry {
        var entry = entry
        guard let account = state.accounts[entry.account] else {
            entry.status = .accountNotFound
            return write(entry)
        }
        let hold = entry.step == .terminal ? state.holds.removeValue(forKey: entry.charge) : nil
        let released = hold?.amount ?? .zero
        entry.amount = min(entry.requested, max(.zero, account.balance + account.overdraft + released))
        entry.heldDelta = -released
        entry.postedDelta = -entry.amount
        return write(entry)
    }

    // MARK: Grants

    private mutating func give(_ command: Command, _ grant: Command.Grant, _ amount: Credits) -> Decision {
        if let stored = entry(command.id, .opening) { return answer(command, from: stored) }
        var entry = Entry(of: command, .opening, grant.kind, requested: amount, at: now)
        let account = state.accounts[command.account] ?? Account(id: command.account)
        if amount < .zero, account.available < -amount {
            entry.status = .insufficientFunds
        } else if account.posted + amount > limits.balanceMax {
            entry.status = .outOfRange
        } else {
            state.accounts[command.account] = account
            entry.amount = amount
            entry.postedDelta = amount
        }
        return .decided(write(entry))
    }

    // MARK: The journal

    private func entry(_ charge: ChargeID, _ step: Step) -> Entry? { state.entries[EntryKey(charge: charge, step: step)] }

    private func answer(_ command: Command, from stored: Entry) -> Decision {
        stored.fingerprint == command.fingerprint ? .duplicate(stored) : .conflict(stored)
    }

    private func misaddressed(_ command: Command) -> Decision {
        entry(command.id, .opening).map(Decision.conflict) ?? .invalid(.holdMissing)
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

    /// Applies the entry's deltas to its account, numbers it, and keeps it.
    private mutating func write(_ entry: Entry) -> Entry {
        var entry = entry
        if var account = state.accounts[entry.account] {
            if entry.postedDelta != .zero || entry.heldDelta != .zero {
                account.posted += entry.postedDelta
                account.held += entry.heldDelta
                account.seq += 1
                entry.seq = account.seq
                state.accounts[entry.account] = account
            }
            entry.postedAfter = account.posted
            entry.heldAfter = account.held
        }
        state.entries[entry.key] = entry
        written.append(entry)
        return entry
    }

    // MARK: Content

    private func flaw(in command: Command) -> Decision.Flaw? {
        switch command.action {
        case .hold(let amount, let leastUseful, let timeToLive, _):
            if amount <= .zero { return .amountNotPositive }
            if amount > limits.amountMax { return .amountTooLarge }
            if leastUseful <= .zero || leastUseful > amount { return .leastUsefulOutOfRange }
            if timeToLive <= .zero { return .timeToLiveNotPositive }
        case .report(let amount, let timeToLive):
            if amount < .zero { return .amountNegative }
            if amount > limits.amountMax { return .amountTooLarge }
            if timeToLive <= .zero { return .timeToLiveNotPositive }
        case .settle(let amount):
            if amount < .zero { return .amountNegative }
            if amount > limits.amountMax { return .amountTooLarge }
        case .charge(let amount):
            if amount <= .zero { return .amountNotPositive }
            if amount > limits.amountMax { return .amountTooLarge }
        case .grant(.adjustment, let amount):
            if amount == .zero { return .amountNotPositive }
            if amount > limits.amountMax || amount < -limits.amountMax { return .amountTooLarge }
        case .grant(_, let amount):
            if amount <= .zero { return .amountNotPositive }
            if amount > limits.amountMax { return .amountTooLarge }
        case .void: break
        }
        let made = Instant(microseconds: command.id.rawValue.milliseconds * 1_000)
        return made < limits.journalStart || made > now + limits.clockAhead ? .idOutOfRange : nil
    }
}

extension Entry {
    fileprivate init(of command: Command, _ step: Step, _ kind: Kind, requested: Credits, at now: Instant) {
        self.init(
            charge: command.id, step: step, account: command.account, kind: kind, requested: requested,
            fingerprint: command.fingerprint, at: now, context: command.context)
    }
}
