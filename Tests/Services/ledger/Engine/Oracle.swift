import Contracts
import LedgerCore
import Values

/// A second statement of the ledger's rules, in another form. It keeps no balance, lot or sum: it
/// answers each question from the list of all events. Slow, and written from the rules, not from
/// the engine.
struct Oracle {
    /// The commands of one id, and their results.
    struct Charge {
        var opening: (command: Command, isApplied: Bool, amount: Credits)?
        var extensions: [Int64: (command: Command, amount: Credits)] = [:]
        var reported = Credits.zero
        var expiresAt = Instant(microseconds: 0)
        /// The API key whose sums the hold is in.
        var key: APIKeyID?
        /// True if an expiry has found the hold overdue since the last report.
        var isOverdue = false
        var end: (command: Command?, account: AccountID, took: Credits, putAside: Credits, at: Instant)?
        var late: (command: Command, took: Credits)?

        var isHold: Bool { if case .hold = opening?.command.action { true } else { false } }
        var isHeld: Bool { isHold && end == nil }
        var isExpired: Bool { end != nil && end?.command == nil }
    }

    /// The settings of the owner or an operator.
    struct Settings {
        var limits = SpendingLimits()
        var level: Credits?
        var overdraft = Credits.zero
    }

    /// One line of the rollups.
    struct Counted {
        let account: AccountID
        let at: Instant
        let type: String
        let usage: Usage?
        let credits: Credits
        let overage: Credits
    }

    var charges: [ChargeID: Charge] = [:]
    var memories: [AccountID: OracleMemory] = [:]
    var settings: [AccountID: Settings] = [:]
    /// The limits of API keys, from the last granted hold under limits of each.
    var keyLimits: [KeySpending.ID: SpendingLimits] = [:]
    var reversals: [(account: AccountID, grant: ChargeID, target: Credits, version: Int64)] = []
    var counted: [Counted] = []
    let limits: Limits
    private var now = Instant(microseconds: 0)

    init(limits: Limits = Limits()) { self.limits = limits }

    // MARK: Questions

    func memory(_ account: AccountID) -> OracleMemory { memories[account] ?? OracleMemory(account: account) }
    func posted(_ account: AccountID) -> Credits { memory(account).posted }
    func held(_ account: AccountID) -> Credits { memory(account).held }

    /// The credits that a new hold or charge may take, without limits; below zero while the account
    /// owes.
    private func free(_ account: AccountID, without hold: Credits = .zero) -> Credits {
        posted(account) - held(account) + hold + (settings[account]?.overdraft ?? .zero)
    }

    private struct Room {
        let reason: Seen.Reason
        let now: Credits
        /// The same with no other hold open.
        let atBest: Credits
    }

    /// The credits that the balance and each limit leave. The balance comes first, then the
    /// account's limits, then the key's; of these the day's before the month's.
    private func rooms(_ account: AccountID, _ key: APIKeyID?, _ limitsOfKey: SpendingLimits?, own: Credits = .zero) -> [Room] {
        let memory = memory(account)
        let credits = memory.posted + (settings[account]?.overdraft ?? .zero)
        var rooms = [Room(reason: .insufficientFunds, now: max(.zero, credits - memory.held), atBest: credits - own)]
        func add(_ limit: Credits?, _ reason: Seen.Reason, spent: Credits, held: Credits) {
            guard let limit = limit.map({ min($0, limits.balanceMax) }) else { return }
            rooms.append(Room(reason: reason, now: limit - spent - held, atBest: limit - spent - own))
        }
        let mine = settings[account]?.limits
        add(mine?.daily, .accountDailyLimit, spent: memory.spent(inDayOf: now), held: memory.held)
        add(mine?.monthly, .accountMonthlyLimit, spent: memory.spent(inMonthOf: now), held: memory.held)
        if let key {
            let held = memory.held(by: key)
            add(limitsOfKey?.daily, .keyDailyLimit, spent: memory.spent(key, inDayOf: now), held: held)
            add(limitsOfKey?.monthly, .keyMonthlyLimit, spent: memory.spent(key, inMonthOf: now), held: held)
        }
        return rooms
    }

    private enum Answer {
        case granted(Credits)
        case not(Seen)
    }

    /// Returns the amount that a hold or an extension of `account` is given, word for word by SPEC
    /// §2.
    private mutating func ask(
        _ amounts: HoldAmounts, share: Bool, _ account: AccountID, _ rooms: [Room], own: Credits = .zero
    ) -> Answer {
        let there = max(.zero, rooms.map(\.now).min() ?? .zero)
        let atBest = rooms.map(\.atBest).min() ?? .zero
        let othersRun = held(account) > own
        var wanted = amounts.most
        if share {
            let part = Credits(nano: there.nano / (othersRun ? 16 : 4))
            wanted = min(wanted, part < amounts.usual ? amounts.usual : part)
        }
        let gets = min(wanted, there)
        // Other holds reserve the rest. Only the last question takes less than the usual amount, or
        // than all there could be.
        let waitsFor = min(amounts.usual, max(atBest, amounts.least))
        if gets >= amounts.least, !othersRun || amounts.isLastQuestion || gets >= waitsFor { return .granted(gets) }
        return .not(whyNot(account, amounts.least, rooms, there))
    }

    /// Refuses a command that could not be paid with no other call running. Missing credits are the
    /// first reason.
    private mutating func whyNot(_ account: AccountID, _ needed: Credits, _ rooms: [Room], _ there: Credits) -> Seen {
        guard let least = rooms.map(\.atBest).min(), least < needed else { return .awaiting(whole(there)) }
        guard rooms[0].atBest >= needed else {
            note(account, .ranOut)
            return .refused(.insufficientFunds)
        }
        let limits = rooms.dropFirst()
        let tightest = limits.map(\.atBest).min()
        return .refused(limits.first { $0.atBest == tightest }!.reason)
    }

    // MARK: What happens

    private mutating func note(_ account: AccountID, _ what: OracleMemory.What) {
        let level = settings[account]?.level ?? limits.lowBalanceLevel
        memories[account, default: OracleMemory(account: account)].facts.append(.init(at: now, level: level, what: what))
    }

    private mutating func count(_ account: AccountID, _ type: String, _ credits: Credits, overage: Credits = .zero, _ usage: Usage? = nil) {
        counted.append(Counted(account: account, at: now, type: type, usage: usage, credits: credits, overage: overage))
    }

    /// Applies the effects of time to these accounts: expired lots end.
    mutating func tick(_ now: Instant, _ accounts: Set<AccountID>) {
        self.now = now
        for account in accounts { endLots(account) }
    }

    /// Records that the alert level of the account was set.
    mutating func levelSet(_ account: AccountID, at now: Instant) {
        self.now = now
        note(account, .levelSet)
    }

    /// Expires every due lot, except credits that open holds reserve.
    private mutating func endLots(_ account: AccountID) {
        while let lot = memory(account).firstOver(at: now) {
            let gone = min(lot.remaining, posted(account) - held(account))
            guard gone > .zero else { return }
            note(account, .ended(of: lot.id, gone))
            count(account, "expiry", -gone)
        }
    }

    /// Lets the hold go, if there is one, and takes what there is of what was asked: all that was put aside for it, and what is free.
    @discardableResult
    private mutating func end(_ id: ChargeID, _ command: Command?, _ account: AccountID, asked: Credits) -> Seen {
        let charge = charges[id] ?? Charge()
        let putAside = charge.isHeld ? memory(account).heldByCharge[id] ?? .zero : .zero
        guard memory(account).isOpen else {
            charges[id, default: Charge()].end = (command, account, .zero, .zero, now)
            return .refused(.accountNotFound)
        }
        let took = min(asked, max(putAside, free(account, without: putAside), .zero))
        if putAside > .zero { note(account, .letGo(id)) }
        if took > .zero { note(account, .used(took, charge.key ?? counting(command?.key, account))) }
        if command?.action != .void { count(account, "usage", -took, overage: asked - took, command?.context.usage) }
        charges[id, default: Charge()].end = (command, account, took, putAside, now)
        endLots(account)
        return .applied(whole(took))
    }

    private func counting(_ key: APIKeyID?, _ account: AccountID) -> APIKeyID? {
        key.flatMap { keyLimits[KeySpending.ID(account: account, key: $0)] == nil ? nil : $0 }
    }

    private func whole(_ amount: Credits) -> Int64 { amount.nano / Credits.nanoPerCredit }

    /// Answers a repeated command as a duplicate, and another one of the id as a conflict.
    private func again(_ command: Command, _ stored: Command, _ amount: Credits) -> Seen {
        asks(command) == asks(stored) ? .duplicate(whole(amount)) : .conflict
    }

    /// Returns the content of a command without the parts that may differ between repetitions.
    private func asks(_ command: Command) -> Command {
        let action: Command.Action =
            switch command.action {
            case .hold(let amounts, _, let timeToLive, _): .hold(plain(amounts), timeToLive: timeToLive)
            case .extend(let step, let amounts, _, _): .extend(step: step, plain(amounts), usedSoFar: .zero, timeToLive: .zero)
            default: command.action
            }
        func plain(_ amounts: HoldAmounts) -> HoldAmounts {
            HoldAmounts(most: amounts.most, usual: amounts.usual, least: amounts.least)
        }
        return Command(id: command.id, account: command.account, action: action)
    }

    // MARK: Commands

    /// After ``tick(_:_:)`` for the accounts of the batch.
    mutating func decide(_ command: Command) -> Seen {
        switch command.action {
        case .hold(let amounts, let share, let timeToLive, let limitsOfKey): hold(command, amounts, share, timeToLive, limitsOfKey)
        case .extend(let step, let amounts, let used, let timeToLive): extend(command, step, amounts, used, timeToLive)
        case .expire(let due): expire(command, due)
        case .expireLots: .noted
        case .report(let used, let timeToLive): report(command, used, timeToLive)
        case .settle(let amount): settle(command, amount)
        case .void: void(command)
        case .charge(let amount): charge(command, amount)
        case .grant(let grant, let amount, let until): give(command, grant, amount, until)
        case .reverse(let grant, let target, let version): reverse(command, grant, target, version)
        }
    }

    private mutating func hold(
        _ command: Command, _ amounts: HoldAmounts, _ share: Bool, _ timeToLive: Duration, _ limitsOfKey: SpendingLimits?
    ) -> Seen {
        let (id, account) = (command.id, command.account)
        let charge = charges[id] ?? Charge()
        if let opening = charge.opening { return again(command, opening.command, opening.amount) }
        if let end = charge.end { return end.account == account ? .refused(.alreadyResolved) : .conflict }
        if command.isRedelivered { return .undecided }
        guard memory(account).isOpen else { return .refused(.accountNotFound) }

        let isLimited = limitsOfKey.map { !$0.isUnlimited } ?? false
        let key = isLimited ? command.key : counting(command.key, account)
        switch ask(amounts, share: share, account, rooms(account, key, limitsOfKey)) {
        case .not(let answer): return answer
        case .granted(let granted):
            charges[id, default: Charge()].opening = (command, true, granted)
            charges[id]!.expiresAt = now + min(timeToLive, limits.timeToLiveMax)
            if let key {
                charges[id]!.key = key
                keyLimits[KeySpending.ID(account: account, key: key)] = limitsOfKey ?? SpendingLimits()
            }
            note(account, .held(id, granted, key))
            return .applied(whole(granted))
        }
    }

    private mutating func extend(
        _ command: Command, _ step: Int64, _ amounts: HoldAmounts, _ used: Credits, _ timeToLive: Duration
    ) -> Seen {
        let (id, account) = (command.id, command.account)
        let charge = charges[id] ?? Charge()
        if let stored = charge.extensions[step] { return again(command, stored.command, stored.amount) }
        if let opening = charge.opening, !charge.isHold || opening.command.account != account { return .conflict }
        if charge.opening == nil, let end = charge.end, end.account != account { return .conflict }
        guard charge.isHeld else { return .refused(charge.end != nil ? .alreadyResolved : .notHeld) }
        if command.isRedelivered { return .undecided }
        reportOn(id, used, timeToLive)
        let own = memory(account).heldByCharge[id] ?? .zero
        if own + amounts.most > limits.amountMax { return .refused(.outOfRange) }
        let limitsOfKey = charge.key.flatMap { keyLimits[KeySpending.ID(account: account, key: $0)] }
        switch ask(amounts, share: false, account, rooms(account, charge.key, limitsOfKey, own: own), own: own) {
        case .not(let answer): return answer
        case .granted(let granted):
            charges[id]!.extensions[step] = (command, granted)
            note(account, .held(id, granted, charge.key))
            return .applied(whole(granted))
        }
    }

    /// The first expiry that finds a hold overdue gives it the grace; the second one ends it. A
    /// message of its call in between starts this again.
    private mutating func expire(_ command: Command, _ due: Instant) -> Seen {
        guard let charge = charges[command.id], charge.isHeld, charge.opening?.command.account == command.account,
            charge.expiresAt <= now, charge.expiresAt == due
        else { return .noted }
        if charge.isOverdue { return end(command.id, nil, command.account, asked: charge.reported) }
        charges[command.id]!.isOverdue = true
        charges[command.id]!.expiresAt = now + limits.expiryGrace
        return .noted
    }

    private mutating func report(_ command: Command, _ used: Credits, _ timeToLive: Duration) -> Seen {
        guard let charge = charges[command.id], charge.isHeld else { return .noted }
        guard charge.opening?.command.account == command.account else { return .conflict }
        reportOn(command.id, used, timeToLive)
        return .noted
    }

    private mutating func reportOn(_ id: ChargeID, _ used: Credits, _ timeToLive: Duration) {
        charges[id]!.reported = max(charges[id]!.reported, used)
        let time = min(timeToLive, limits.timeToLiveMax)
        guard charges[id]!.isOverdue || charges[id]!.expiresAt - now < time / 2 else { return }
        charges[id]!.isOverdue = false
        charges[id]!.expiresAt = max(charges[id]!.expiresAt, now + time)
    }

    private mutating func settle(_ command: Command, _ amount: Credits) -> Seen {
        let (id, account) = (command.id, command.account)
        let charge = charges[id] ?? Charge()
        if let late = charge.late { return again(command, late.command, late.took) }
        if let end = charge.end {
            if let ender = end.command { return again(command, ender, end.took) }
            return end.account == account ? settleLate(command, amount, end.took, end.putAside, end.at) : .conflict
        }
        if let opening = charge.opening, !charge.isHold || opening.command.account != account { return .conflict }
        return end(id, command, account, asked: amount)
    }

    /// The difference to what the expiry took; of what had been put aside also what is not there any more.
    private mutating func settleLate(
        _ command: Command, _ amount: Credits, _ taken: Credits, _ putAside: Credits, _ chargedAt: Instant
    ) -> Seen {
        let (id, account) = (command.id, command.account)
        let asked = amount - taken
        let key = counting(command.key, account)
        let took = min(asked, max(putAside - taken, free(account), .zero))
        if took > .zero { note(account, .used(took, key)) }
        if took < .zero { note(account, .gaveBack(id, -took, key, chargedAt: chargedAt)) }
        count(account, "usage", -took, overage: max(.zero, asked - took), command.context.usage)
        charges[id]!.late = (command, took)
        endLots(account)
        return .applied(whole(took))
    }

    private mutating func void(_ command: Command) -> Seen {
        let charge = charges[command.id] ?? Charge()
        if let late = charge.late { return again(command, late.command, late.took) }
        if let end = charge.end {
            if let ender = end.command { return again(command, ender, .zero) }
            return end.account == command.account ? settleLate(command, .zero, end.took, end.putAside, end.at) : .conflict
        }
        if let opening = charge.opening, !charge.isHold || opening.command.account != command.account { return .conflict }
        return end(command.id, command, command.account, asked: .zero)
    }

    private mutating func charge(_ command: Command, _ amount: Credits) -> Seen {
        let (id, account) = (command.id, command.account)
        let charge = charges[id] ?? Charge()
        if let end = charge.end { return end.command.map { again(command, $0, end.took) } ?? .conflict }
        if charge.opening != nil { return .conflict }
        guard memory(account).isOpen else { return end(id, command, account, asked: amount) }
        let rooms = rooms(account, nil, nil)
        guard rooms.allSatisfy({ $0.now >= amount }) else {
            let answer = whyNot(account, amount, rooms, max(.zero, rooms.map(\.now).min() ?? .zero))
            if case .refused = answer { charges[id, default: Charge()].end = (command, account, .zero, .zero, now) }
            return answer
        }
        return end(id, command, account, asked: amount)
    }

    private mutating func give(_ command: Command, _ grant: Command.Grant, _ amount: Credits, _ until: Instant?) -> Seen {
        let (id, account) = (command.id, command.account)
        if let opening = charges[id]?.opening { return again(command, opening.command, opening.amount) }
        // If a charge ended without a hold, its end is its only entry.
        if charges[id]?.end != nil { return .conflict }
        func refuse(_ reason: Seen.Reason) -> Seen {
            charges[id, default: Charge()].opening = (command, false, .zero)
            return .refused(reason)
        }
        func answer(_ amount: Credits) -> Seen {
            charges[id, default: Charge()].opening = (command, true, amount)
            return .applied(whole(amount))
        }
        if amount < .zero {
            if max(.zero, free(account)) < -amount {
                return free(account, without: held(account)) < -amount
                    ? refuse(.insufficientFunds) : .awaiting(whole(max(.zero, free(account))))
            }
            note(account, .took(-amount))
            count(account, grant.kind.type, amount)
            return answer(amount)
        }
        if posted(account) + amount > limits.balanceMax { return refuse(.outOfRange) }
        // The reversal that counts may have come before it.
        let before = min(amount, reversal(of: id, account)?.target ?? .zero)
        note(account, .granted(id, grant.kind, amount, takenBefore: before, until: until))
        if amount > before { count(account, grant.kind.type, amount - before) }
        endLots(account)
        return answer(amount - before)
    }

    private func reversal(of grant: ChargeID, _ account: AccountID) -> (target: Credits, version: Int64)? {
        reversals.filter { $0.account == account && $0.grant == grant }.max { $0.version < $1.version }.map { ($0.target, $0.version) }
    }

    private mutating func reverse(_ command: Command, _ grant: ChargeID, _ target: Credits, _ version: Int64) -> Seen {
        let (id, account) = (command.id, command.account)
        if let opening = charges[id]?.opening { return again(command, opening.command, opening.amount) }
        // If a charge ended without a hold, its end is its only entry.
        if charges[id]?.end != nil { return .conflict }
        func refuse(_ reason: Seen.Reason) -> Seen {
            charges[id, default: Charge()].opening = (command, false, .zero)
            return .refused(reason)
        }
        func answer(_ amount: Credits) -> Seen {
            charges[id, default: Charge()].opening = (command, true, amount)
            return .applied(whole(amount))
        }
        if let known = reversal(of: grant, account), version <= known.version { return refuse(.superseded) }
        let lot = memory(account).lots.first { $0.id == grant }
        // Expired credits are gone, so they cannot be taken back.
        let difference = lot.map { min(target, $0.amount - $0.ended) - $0.takenBack } ?? .zero
        let rest = posted(account) - difference
        if rest > limits.balanceMax || rest - held(account) < -limits.balanceMax { return refuse(.outOfRange) }
        reversals.append((account, grant, target, version))
        if difference != .zero {
            note(account, .takenBack(of: grant, difference, by: id))
            count(account, "clawback", -difference)
        }
        endLots(account)
        return answer(difference)
    }
}
