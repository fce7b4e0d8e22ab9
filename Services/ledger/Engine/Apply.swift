package import Values

extension LedgerState {
    /// Applies the ledger's rules. Pure: the same state, commands and time give the same ruling; no
    /// command affects another except through the balances and holds it leaves behind, so a batch
    /// equals its commands one by one.
    ///
    /// Expires due lots before the first command is decided, so that no expired credit is spent.
    /// Only a command ends a hold.
    /// - Parameter now: the database's clock; no other clock counts.
    func apply(_ commands: [Command], now: Instant, limits: Limits = Limits()) -> Ruling {
        var builder = RulingBuilder(state: self, now: now, limits: limits)
        builder.expireLots()
        var decisions: [Decision] = []
        decisions.reserveCapacity(commands.count)
        for command in commands { decisions.append(builder.decide(command)) }
        return Ruling(state: builder.state, decisions: decisions, entries: builder.written, alerts: builder.alerts)
    }
}

/// A ruling in the making.
struct RulingBuilder {
    var state: LedgerState
    let now: Instant
    let limits: Limits
    private(set) var written: [Entry] = []
    private(set) var alerts: [BalanceAlert] = []

    init(state: LedgerState, now: Instant, limits: Limits) {
        (self.state, self.now, self.limits) = (state, now, limits)
    }

    mutating func decide(_ command: Command) -> Decision {
        if let flaw = command.flaw(limits, at: now) { return .invalid(flaw) }
        switch command.action {
        case .hold(let amounts, let takesShare, let timeToLive, let keyLimits):
            return hold(command, amounts, takesShare, timeToLive, keyLimits)
        case .extend(let step, let amounts, let used, let timeToLive): return extend(command, step, amounts, used, timeToLive)
        case .expire(let due): return expire(command, due)
        case .expireLots: return .noted
        case .report(let used, let timeToLive): return report(command, used, timeToLive)
        case .settle(let amount): return settle(command, amount)
        case .void: return void(command)
        case .charge(let amount): return charge(command, amount)
        case .grant(let grant, let amount, let expiresAt): return give(command, grant, amount, expiresAt)
        case .reverse(let grant, let target, let version): return reverse(command, grant, target, version)
        }
    }

    // MARK: The journal

    func entry(_ charge: ChargeID, _ step: Step) -> Entry? { state.entries[EntryKey(charge: charge, step: step)] }

    /// Returns the entry that ended the charge. It is at step 0 if the charge had no hold.
    func ended(_ charge: ChargeID) -> Entry? {
        entry(charge, .terminal) ?? entry(charge, .opening).flatMap { $0.kind.endsCharge ? $0 : nil }
    }

    /// Nil for an account that was never granted anything.
    func opened(_ id: AccountID) -> Account? { state.accounts[id].flatMap { $0.isOpen ? $0 : nil } }

    func answer(_ command: Command, from stored: Entry, left: FundsLeft = .none) -> Decision {
        stored.fingerprint == command.fingerprint ? .duplicate(stored, left: left) : .conflict(stored)
    }

    func misaddressed(_ command: Command) -> Decision {
        entry(command.id, .opening).map(Decision.conflict) ?? .invalid(.holdMissing)
    }

    /// Applies the entry's deltas to its account, numbers it, and keeps it.
    /// - Parameter chargedAt: of what the entry gives back.
    mutating func write(_ entry: Entry, chargedAt: Instant? = nil) -> Entry {
        var entry = entry
        if var account = state.accounts[entry.account] {
            if entry.postedDelta != .zero || entry.heldDelta != .zero {
                account.posted += entry.postedDelta
                account.held += entry.heldDelta
                account.seq += 1
                entry.seq = account.seq
                let short = max(.zero, -(account.posted - account.held + account.overdraft))
                account.debt = entry.kind.mayRaiseDebt ? short : min(account.debt, short)
                if entry.kind.charges { account.spending.add(entry.amount, at: now, chargedAt: chargedAt ?? now) }
                if entry.postedDelta < .zero {
                    note(account.crossing(from: account.posted - entry.postedDelta, at: now, defaultLevel: limits.lowBalanceLevel))
                }
                if entry.postedDelta > .zero { account.rearm(defaultLevel: limits.lowBalanceLevel) }
                state.accounts[entry.account] = account
            }
            entry.postedAfter = account.posted
            entry.heldAfter = account.held
        }
        state.entries[entry.key] = entry
        written.append(entry)
        return entry
    }

    mutating func note(_ alert: BalanceAlert?) {
        if let alert { alerts.append(alert) }
    }
}

extension Entry {
    package init(of command: Command, _ kind: Kind, requested: Credits, at now: Instant, step: Step = .opening) {
        self.init(
            charge: command.id, step: step, account: command.account, kind: kind, requested: requested,
            fingerprint: command.fingerprint, at: now, context: command.context)
    }
}
