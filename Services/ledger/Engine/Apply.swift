import Contracts

extension LedgerState {
    /// The ledger's rules. Pure: the same state, commands and time give the same ruling; no command affects another except
    /// through the balances and holds it leaves behind, so a batch equals its commands one by one.
    ///
    /// Holds that have expired by `now` are settled before the first command is looked at, then lots: a hold that is over never causes a
    /// refusal, a credit that is over is never spent.
    /// - Parameters:
    ///   - now: the database's clock; no other clock counts.
    ///   - expires: false while an outage is made up for: then a hold whose time is over lives on, until its call is heard of.
    func apply(_ commands: [Command], now: Instant, limits: Limits = Limits(), expires: Bool = true) -> Ruling {
        var batch = Batch(state: self, now: now, limits: limits, expires: expires)
        if expires { batch.expireHolds() }
        batch.expireLots()
        var decisions: [Decision] = []
        decisions.reserveCapacity(commands.count)
        for command in commands { decisions.append(batch.decide(command)) }
        return Ruling(state: batch.state, decisions: decisions, entries: batch.written, alerts: batch.alerts)
    }

    /// Settles the holds in it that are over, oldest first, and nothing else: for when there are more of them than one batch should
    /// load. The lots of their accounts end only after all of them, since what a hold still takes burns a lot that is over first.
    func expireHolds(now: Instant, limits: Limits = Limits()) -> Ruling {
        var batch = Batch(state: self, now: now, limits: limits, expires: true)
        batch.expireHolds()
        return Ruling(state: batch.state, decisions: [], entries: batch.written, alerts: batch.alerts)
    }
}

/// A ruling in the making.
struct Batch {
    var state: LedgerState
    let now: Instant
    let limits: Limits
    let expires: Bool
    private(set) var written: [Entry] = []
    private(set) var alerts: [BalanceAlert] = []

    init(state: LedgerState, now: Instant, limits: Limits, expires: Bool) {
        (self.state, self.now, self.limits, self.expires) = (state, now, limits, expires)
    }

    mutating func decide(_ command: Command) -> Decision {
        if let flaw = command.flaw(limits, at: now) { return .invalid(flaw) }
        switch command.action {
        case .hold(let amount, let leastUseful, let timeToLive, let awaitsFunds, let keyLimits):
            return hold(command, amount, leastUseful, timeToLive, awaitsFunds, keyLimits)
        case .extend(_, let amount, let leastUseful, let used, let timeToLive):
            return extend(command, amount, leastUseful, used, timeToLive)
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

    /// Nil for an account that was never granted anything.
    func opened(_ id: AccountID) -> Account? { state.accounts[id].flatMap { $0.isOpen ? $0 : nil } }

    func answer(_ command: Command, from stored: Entry) -> Decision {
        stored.fingerprint == command.fingerprint ? .duplicate(stored) : .conflict(stored)
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
                account.owed = entry.kind.mayOwe ? short : min(account.owed, short)
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
    init(of command: Command, _ kind: Kind, requested: Credits, at now: Instant, step: Step? = nil) {
        self.init(
            charge: command.id, step: step ?? command.step, account: command.account, kind: kind, requested: requested,
            fingerprint: command.fingerprint, at: now, context: command.context)
    }
}
