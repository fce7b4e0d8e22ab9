import Contracts

@testable import Ledger

/// What the ledger should do, said a second time and differently: no balance, lot or sum is kept, each question is answered by going
/// through everything that ever happened. Slow, and written from the rules, not from the engine.
struct Oracle {
    /// What was asked under one id, and what came of it.
    struct Charge {
        var opening: (command: Command, status: Entry.Status, amount: Credits)?
        var extensions: [Int64: (command: Command, status: Entry.Status, amount: Credits)] = [:]
        var reported = Credits.zero
        var expiresAt = Instant(microseconds: 0)
        /// The API key whose sums the hold is in.
        var key: APIKeyID?
        var end: (command: Command?, account: AccountID, status: Entry.Status, took: Credits, putAside: Credits, at: Instant)?
        var late: (command: Command, took: Credits)?

        var isHold: Bool { if case .hold = opening?.command.action { true } else { false } }
        var isHeld: Bool { isHold && opening?.status == .applied && end == nil }
        var isExpired: Bool { end != nil && end?.command == nil }
    }

    /// What its owner or an operator set.
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
    /// Of API keys, as their last granted hold under limits carried them.
    var keyLimits: [KeySpending.ID: SpendingLimits] = [:]
    var reversals: [(account: AccountID, grant: ChargeID, target: Credits, version: Int64)] = []
    var counted: [Counted] = []
    let limits: Limits
    /// False: an outage is made up for, no hold expires.
    var expires = true
    private var now = Instant(microseconds: 0)

    init(limits: Limits = Limits()) { self.limits = limits }

    // MARK: Questions

    func memory(_ account: AccountID) -> OracleMemory { memories[account] ?? OracleMemory(account: account) }
    func posted(_ account: AccountID) -> Credits { memory(account).posted }
    func held(_ account: AccountID) -> Credits { memory(account).held }

    /// What a new hold or charge may take, but for limits; below zero while something is owed.
    private func free(_ account: AccountID, without hold: Credits = .zero) -> Credits {
        posted(account) - held(account) + hold + (settings[account]?.overdraft ?? .zero)
    }

    private struct Room {
        let status: Entry.Status
        let now: Credits
        /// With no hold running.
        let atBest: Credits
    }

    /// What each limit leaves, the account's first, the day's before the month's.
    private func rooms(_ account: AccountID, _ key: APIKeyID?, _ limitsOfKey: SpendingLimits?) -> [Room] {
        let memory = memory(account)
        var rooms: [Room] = []
        func add(_ limit: Credits?, _ status: Entry.Status, spent: Credits, held: Credits) {
            guard let limit = limit.map({ min($0, limits.balanceMax) }) else { return }
            rooms.append(Room(status: status, now: limit - spent - held, atBest: limit - spent))
        }
        let own = settings[account]?.limits
        add(own?.daily, .accountDailyLimit, spent: memory.spent(inDayOf: now), held: memory.held)
        add(own?.monthly, .accountMonthlyLimit, spent: memory.spent(inMonthOf: now), held: memory.held)
        if let key {
            let held = memory.held(by: key)
            add(limitsOfKey?.daily, .keyDailyLimit, spent: memory.spent(key, inDayOf: now), held: held)
            add(limitsOfKey?.monthly, .keyMonthlyLimit, spent: memory.spent(key, inMonthOf: now), held: held)
        }
        return rooms
    }

    private func tightest(_ rooms: [Room]) -> Room? {
        rooms.reduce(nil) { least, room in least.map { $0.now <= room.now ? $0 : room } ?? room }
    }

    /// The charge's hold as it is for every decision: over from its very moment, whoever has looked since.
    private func running(_ charge: Charge) -> Bool { charge.isHeld && (charge.expiresAt > now || !expires) }

    // MARK: What happens

    private mutating func note(_ account: AccountID, _ what: OracleMemory.What) {
        let level = settings[account]?.level ?? limits.lowBalanceLevel
        memories[account, default: OracleMemory(account: account)].facts.append(.init(at: now, level: level, what: what))
    }

    private mutating func count(_ account: AccountID, _ type: String, _ credits: Credits, overage: Credits = .zero, _ usage: Usage? = nil) {
        counted.append(Counted(account: account, at: now, type: type, usage: usage, credits: credits, overage: overage))
    }

    /// Time's effects on these accounts: holds that are over, the oldest first, then lots.
    mutating func tick(_ now: Instant, _ accounts: Set<AccountID>) {
        self.now = now
        let due = charges.filter { _, charge in
            charge.isHeld && charge.expiresAt <= now && expires && accounts.contains(charge.opening!.command.account)
        }
        for id in due.keys.sorted(by: { (due[$0]!.expiresAt, $0.rawValue) < (due[$1]!.expiresAt, $1.rawValue) }) {
            end(id, nil, due[id]!.opening!.command.account, asked: due[id]!.reported)
        }
        for account in accounts { endLots(account) }
    }

    /// What is over goes, as far as no running hold needs it.
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
            charges[id, default: Charge()].end = (command, account, .accountNotFound, .zero, .zero, now)
            return .refused(.accountNotFound)
        }
        let took = min(asked, max(putAside, free(account, without: putAside), .zero))
        if putAside > .zero { note(account, .letGo(id)) }
        if took > .zero { note(account, .used(took, charge.key ?? counting(command?.key, account))) }
        if command?.action != .void { count(account, "usage", -took, overage: asked - took, command?.context.usage) }
        charges[id, default: Charge()].end = (command, account, .applied, took, putAside, now)
        endLots(account)
        return .applied(whole(took))
    }

    private func counting(_ key: APIKeyID?, _ account: AccountID) -> APIKeyID? {
        key.flatMap { keyLimits[KeySpending.ID(account: account, key: $0)] == nil ? nil : $0 }
    }

    private func whole(_ amount: Credits) -> Int64 { amount.nano / Credits.nanoPerCredit }

    /// Written before: the same command is told so, another is a conflict.
    private func again(_ command: Command, _ stored: Command, _ amount: Credits) -> Seen {
        asks(command) == asks(stored) ? .duplicate(whole(amount)) : .conflict
    }

    /// What a command asks for, without what may differ between repetitions.
    private func asks(_ command: Command) -> Command {
        let action: Command.Action =
            switch command.action {
            case .hold(let amount, let least, let timeToLive, _, _): .hold(amount: amount, leastUseful: least, timeToLive: timeToLive)
            case .extend(let step, let amount, let least, _, _):
                .extend(step: step, amount: amount, leastUseful: least, used: .zero, timeToLive: .zero)
            default: command.action
            }
        return Command(id: command.id, account: command.account, action: action)
    }

    // MARK: Commands

    /// After ``tick(_:_:)`` for the accounts of the batch.
    mutating func decide(_ command: Command) -> Seen {
        switch command.action {
        case .hold(let amount, let least, let timeToLive, let awaits, let limitsOfKey):
            hold(command, amount, least, timeToLive, awaits, limitsOfKey)
        case .extend(let step, let amount, let least, let used, let timeToLive): extend(command, step, amount, least, used, timeToLive)
        case .report(let used, let timeToLive): report(command, used, timeToLive)
        case .settle(let amount): settle(command, amount)
        case .void: void(command)
        case .charge(let amount): charge(command, amount)
        case .grant(let grant, let amount, let until): give(command, grant, amount, until)
        case .reverse(let grant, let target, let version): reverse(command, grant, target, version)
        }
    }

    private mutating func hold(
        _ command: Command, _ amount: Credits, _ least: Credits, _ timeToLive: Duration, _ awaits: Bool, _ limitsOfKey: SpendingLimits?
    ) -> Seen {
        let (id, account) = (command.id, command.account)
        let charge = charges[id] ?? Charge()
        if let opening = charge.opening { return again(command, opening.command, opening.amount) }
        func refuse(_ status: Entry.Status) -> Seen {
            charges[id, default: Charge()].opening = (command, status, .zero)
            return .refused(status)
        }
        if charge.end != nil { return refuse(.alreadyResolved) }
        guard memory(account).isOpen else { return refuse(.accountNotFound) }

        let isLimited = limitsOfKey.map { !$0.isUnlimited } ?? false
        let key = isLimited ? command.key : counting(command.key, account)
        let rooms = rooms(account, key, limitsOfKey)
        let granted = min(amount, free(account), tightest(rooms)?.now ?? amount)
        guard granted >= least else {
            let mightLater = posted(account) + (settings[account]?.overdraft ?? .zero) >= least && rooms.allSatisfy { $0.atBest >= least }
            if awaits, mightLater { return .awaiting(whole(max(.zero, free(account)))) }
            return refuse(whyNot(account, least, rooms))
        }
        charges[id, default: Charge()].opening = (command, .applied, granted)
        charges[id]!.expiresAt = now + min(timeToLive, limits.timeToLiveMax)
        if let key {
            charges[id]!.key = key
            keyLimits[KeySpending.ID(account: account, key: key)] = limitsOfKey ?? SpendingLimits()
        }
        note(account, .held(id, granted, key))
        return .applied(whole(granted))
    }

    /// For want of credits before anything else; a call that could not be paid with no other running is told of.
    private mutating func whyNot(_ account: AccountID, _ needed: Credits, _ rooms: [Room]) -> Entry.Status {
        guard free(account) < needed else { return tightest(rooms)!.status }
        if posted(account) + (settings[account]?.overdraft ?? .zero) < needed { note(account, .ranOut) }
        return .insufficientFunds
    }

    private mutating func extend(
        _ command: Command, _ step: Int64, _ amount: Credits, _ least: Credits, _ used: Credits, _ timeToLive: Duration
    ) -> Seen {
        let (id, account) = (command.id, command.account)
        let charge = charges[id] ?? Charge()
        if let stored = charge.extensions[step] { return again(command, stored.command, stored.amount) }
        if let opening = charge.opening, !charge.isHold || opening.command.account != account { return .conflict }
        if charge.opening == nil, let end = charge.end, end.account != account { return .conflict }
        func answer(_ status: Entry.Status, _ amount: Credits = .zero) -> Seen {
            charges[id, default: Charge()].extensions[step] = (command, status, amount)
            return status == .applied ? .applied(whole(amount)) : .refused(status)
        }
        guard running(charge) else { return answer(charge.end != nil ? .alreadyResolved : .holdNotFound) }
        reportOn(id, used, timeToLive)
        if (memory(account).heldByCharge[id] ?? .zero) + amount > limits.amountMax { return answer(.outOfRange) }
        let rooms = rooms(account, charge.key, charge.key.flatMap { keyLimits[KeySpending.ID(account: account, key: $0)] })
        let granted = min(amount, free(account), tightest(rooms)?.now ?? amount)
        guard granted >= least else { return answer(whyNot(account, least, rooms)) }
        note(account, .held(id, granted, charge.key))
        return answer(.applied, granted)
    }

    private mutating func report(_ command: Command, _ used: Credits, _ timeToLive: Duration) -> Seen {
        guard let charge = charges[command.id], running(charge) else { return .noted }
        guard charge.opening?.command.account == command.account else { return .conflict }
        reportOn(command.id, used, timeToLive)
        return .noted
    }

    private mutating func reportOn(_ id: ChargeID, _ used: Credits, _ timeToLive: Duration) {
        charges[id]!.reported = max(charges[id]!.reported, used)
        charges[id]!.expiresAt = max(charges[id]!.expiresAt, now + min(timeToLive, limits.timeToLiveMax))
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
        if let end = charge.end {
            if let ender = end.command { return again(command, ender, .zero) }
            return end.account == command.account ? .superseded : .conflict
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
        guard free(account) >= amount, rooms.allSatisfy({ $0.now >= amount }) else {
            let status = whyNot(account, amount, rooms)
            charges[id, default: Charge()].end = (command, account, status, .zero, .zero, now)
            return .refused(status)
        }
        return end(id, command, account, asked: amount)
    }

    private mutating func give(_ command: Command, _ grant: Command.Grant, _ amount: Credits, _ until: Instant?) -> Seen {
        let (id, account) = (command.id, command.account)
        if let opening = charges[id]?.opening { return again(command, opening.command, opening.amount) }
        func answer(_ status: Entry.Status, _ amount: Credits = .zero) -> Seen {
            charges[id, default: Charge()].opening = (command, status, amount)
            return status == .applied ? .applied(whole(amount)) : .refused(status)
        }
        if amount < .zero {
            guard max(.zero, free(account)) >= -amount else { return answer(.insufficientFunds) }
            note(account, .took(-amount))
            count(account, grant.kind.type, amount)
            return answer(.applied, amount)
        }
        if posted(account) + amount > limits.balanceMax { return answer(.outOfRange) }
        // The reversal that counts may have come before it.
        let before = min(amount, reversal(of: id, account)?.target ?? .zero)
        note(account, .granted(id, grant.kind, amount, takenBefore: before, until: until))
        if amount > before { count(account, grant.kind.type, amount - before) }
        endLots(account)
        return answer(.applied, amount - before)
    }

    private func reversal(of grant: ChargeID, _ account: AccountID) -> (target: Credits, version: Int64)? {
        reversals.filter { $0.account == account && $0.grant == grant }.max { $0.version < $1.version }.map { ($0.target, $0.version) }
    }

    private mutating func reverse(_ command: Command, _ grant: ChargeID, _ target: Credits, _ version: Int64) -> Seen {
        let (id, account) = (command.id, command.account)
        if let opening = charges[id]?.opening { return again(command, opening.command, opening.amount) }
        func answer(_ status: Entry.Status, _ amount: Credits = .zero) -> Seen {
            charges[id, default: Charge()].opening = (command, status, amount)
            return status == .applied ? .applied(whole(amount)) : .refused(status)
        }
        if let known = reversal(of: grant, account), version <= known.version { return answer(.superseded) }
        let lot = memory(account).lots.first { $0.id == grant }
        // What its end took is with nobody, so it cannot be taken back.
        let difference = lot.map { min(target, $0.amount - $0.ended) - $0.takenBack } ?? .zero
        let rest = posted(account) - difference
        if rest > limits.balanceMax || rest - held(account) < -limits.balanceMax { return answer(.outOfRange) }
        reversals.append((account, grant, target, version))
        if difference != .zero {
            note(account, .takenBack(of: grant, difference))
            count(account, "clawback", -difference)
        }
        endLots(account)
        return answer(.applied, difference)
    }
}
