import Contracts
import JSON
import TestSupport
import Values

@testable import Ledger
@testable import LedgerCore

/// Commands drawn by a seed, put to the engine and to the oracle: several accounts and API keys, ids used again, batches of any size,
/// time passing in steps from nothing to a month, limits and alert levels that change between batches.
struct Model {
    var random: SplitMix64
    var state = LedgerState()
    var journal: [Entry] = []
    var usage: [UsageRow.Key: UsageRow] = [:]
    var alerts: [BalanceAlert] = []
    var oracle: Oracle
    var now: Instant
    let accounts: [AccountID]
    /// Two keys for each account, one of which mostly has limits.
    let keys = [APIKeyID(rawValue: "key-1"), APIKeyID(rawValue: "key-2")]
    private var keyLimits: [KeySpending.ID: SpendingLimits] = [:]
    private var dues: [ChargeID: Instant] = [:]
    private var charges: [ChargeID] = []
    /// The ids of grants, some of which have not come yet.
    private var grants: [ChargeID] = []

    static let limits: Limits = {
        var limits = Limits()
        limits.lowBalanceLevel = credits(3)
        return limits
    }()

    init(seed: UInt64, now: Instant = Instant(microseconds: 1_800_000_000_000_000)) {
        var random = SplitMix64(seed: seed)
        let accounts = (0..<5).map { _ in
            AccountID(rawValue: .make(milliseconds: now.microseconds / 1_000 - 86_400_000, using: &random))
        }
        (self.accounts, self.now) = (accounts, now)
        oracle = Oracle(limits: Self.limits)
        // One account may go below zero from the beginning.
        oracle.settings[accounts[0]] = Oracle.Settings(overdraft: credits(4))
        state.accounts[accounts[0]] = Account(id: accounts[0], overdraft: credits(4))
        self.random = random
    }

    // MARK: Drawing

    private mutating func chance(_ one: Int, in many: Int) -> Bool { Int.random(in: 0..<many, using: &random) < one }
    private mutating func amount(_ range: ClosedRange<Int64>) -> Credits { credits(Int64.random(in: range, using: &random)) }

    /// Mostly seconds; at times the last moment of a day or a month, or the first of the next.
    mutating func passTime(until end: Instant = Instant(microseconds: .max)) {
        let next: Instant =
            switch Int.random(in: 0..<40, using: &random) {
            case 0..<33: now + .milliseconds(Int64.random(in: 0...9_000, using: &random))
            case 33..<35: now + .seconds(Int64.random(in: 10...900, using: &random))
            case 35: now + .seconds(Int64.random(in: 3_600...100_000, using: &random))
            case 36: .startOf(day: now.day + 1) + .microseconds(-1)
            case 37: .startOf(day: now.day + 1)
            case 38: .startOf(month: now.month + 1) + .microseconds(-1)
            default: .startOf(month: now.month + 1)
            }
        now = next < end ? max(now, next) : min(now + .seconds(1), end)
    }

    /// Changes a setting that an owner may change at any time.
    mutating func changeSettings() -> AccountID? {
        guard chance(1, in: 6) else { return nil }
        let account = accounts.randomElement(using: &random)!
        if chance(1, in: 3) {
            oracle.settings[account, default: .init()].level = chance(1, in: 3) ? nil : amount(0...12)
        } else {
            oracle.settings[account, default: .init()].limits = drawLimits()
        }
        return account
    }

    private mutating func drawLimits() -> SpendingLimits {
        SpendingLimits(daily: chance(1, in: 2) ? amount(0...60) : nil, monthly: chance(1, in: 2) ? amount(10...150) : nil)
    }

    mutating func draw() -> [Command] { (0..<Int.random(in: 1...12, using: &random)).map { _ in drawOne() } }

    private mutating func drawOne() -> Command {
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<78: return drawAboutCharge()
        case 78..<92: return drawGrant()
        case 92..<97: return drawReversal()
        default:
            let amount = amount(-9...9)
            let id = newID()
            return Command(
                id: id, account: account(of: id), action: .grant(.adjustment, amount: amount == .zero ? credits(1) : amount, expiresAt: nil)
            )
        }
    }

    /// Mostly a hold first, and then anything in any order.
    private mutating func drawAboutCharge() -> Command {
        let known = chance(7, in: 10) ? charges.suffix(8).randomElement(using: &random) : nil
        let id = known ?? newID()
        if known == nil { charges.append(id) }
        let key = (id.rawValue.low >> 8) % 3 == 2 ? nil : keys[Int((id.rawValue.low >> 8) % 3)]
        var command = Command(id: id, account: account(of: id), action: .void, key: key)
        let timeToLive = Duration.seconds(Int64.random(in: 5...90, using: &random))
        let most = amount(1...9)
        let least = Bool.random(using: &random) ? most : credits(1)
        switch Int.random(in: known == nil ? 0..<50 : 30..<100, using: &random) {
        case 0..<40:
            var limitsOfKey: SpendingLimits?
            if let key { limitsOfKey = drawLimits(of: KeySpending.ID(account: command.account, key: key)) }
            command.isRedelivered = chance(1, in: 20)
            let share = Bool.random(using: &random)
            return command.asking(
                .hold(drawAmounts(most, least), takesShare: share, timeToLive: timeToLive, keyLimits: limitsOfKey))
        case 40..<44: return Command(id: id, account: command.account, action: .charge(amount: most))
        case 44..<50: return command.asking(.void)
        case 50..<58: return command.asking(.report(usedSoFar: amount(0...9), timeToLive: timeToLive))
        case 58..<68:
            // Some were published before the hold's time was moved.
            let due = (chance(1, in: 4) ? dues[id] : nil) ?? oracle.charges[id]?.expiresAt ?? now
            dues[id] = due
            return Command(id: id, account: command.account, action: .expire(due: due))
        case 68..<80:
            let step = Int64.random(in: 1...3, using: &random)
            command.isRedelivered = chance(1, in: 20)
            return command.asking(
                .extend(step: step, drawAmounts(most, least), usedSoFar: amount(0...9), timeToLive: timeToLive))
        default:
            let model = chance(1, in: 4) ? nil : "model-\(Int.random(in: 0..<3, using: &random))"
            command.context.usage = Usage(
                model: model, operation: chance(1, in: 2) ? "chat" : nil,
                units: [
                    .input: Int64.random(in: 0...99, using: &random), .output: Int64.random(in: 0...99, using: &random),
                    .init(.image): Int64.random(in: 0...2, using: &random),
                ])
            return command.asking(.settle(amount: amount(0...14)))
        }
    }

    private mutating func drawAmounts(_ most: Credits, _ least: Credits) -> HoldAmounts {
        let usual = least == most ? most : amount(least.nano / Credits.nanoPerCredit...most.nano / Credits.nanoPerCredit)
        return HoldAmounts(most: most, usual: usual, least: least, isLastQuestion: chance(1, in: 2))
    }

    private mutating func drawGrant() -> Command {
        let id = drawGrantID()
        let kind = [Command.Grant.purchase, .planGrant, .bonus, .topup].randomElement(using: &random)!
        return Command(id: id, account: account(of: id), action: .grant(kind, amount: amount(3...40), expiresAt: drawEnd()))
    }

    /// Draws a reversal of a grant that came, that will come, or that never comes.
    private mutating func drawReversal() -> Command {
        let grant = drawGrantID()
        let repeated = chance(1, in: 6) ? charges.suffix(6).randomElement(using: &random) : nil
        let action = Command.Action.reverse(
            grant: grant, target: amount(0...45), version: Int64.random(in: 1...6, using: &random))
        return Command(id: repeated ?? newID(), account: account(of: grant), action: action)
    }

    private mutating func drawGrantID() -> ChargeID {
        if chance(2, in: 5), let known = grants.suffix(8).randomElement(using: &random) { return known }
        let id = newID()
        grants.append(id)
        return id
    }

    private mutating func newID() -> ChargeID { ChargeID(rawValue: .make(milliseconds: now.microseconds / 1_000, using: &random)) }

    /// Mostly the account that the id belongs to, so that ids and accounts seldom disagree.
    private mutating func account(of id: ChargeID) -> AccountID {
        chance(1, in: 30) ? accounts.randomElement(using: &random)! : accounts[Int(id.rawValue.low % UInt64(accounts.count))]
    }

    private mutating func drawLimits(of id: KeySpending.ID) -> SpendingLimits? {
        if chance(1, in: 8) { keyLimits[id] = chance(1, in: 4) ? nil : drawLimits() }
        return keyLimits[id]
    }

    private mutating func drawEnd() -> Instant? {
        switch Int.random(in: 0..<8, using: &random) {
        case 0..<3: nil
        case 3..<5: now + .seconds(Int64.random(in: 1...200, using: &random))
        case 5: now + .seconds(Int64.random(in: 200...200_000, using: &random))
        case 6: .startOf(day: now.day + 1)
        default: chance(1, in: 4) ? now + .seconds(-1) : .startOf(month: now.month + 1)
        }
    }

    // MARK: Both sides

    /// One batch on both sides, the engine seeing only the rows that the store would load; returns the first difference.
    mutating func step() -> String? {
        passTime()
        if let account = changeSettings() {
            let settings = oracle.settings[account]!
            state.accounts[account, default: Account(id: account)].limits = settings.limits
            state.accounts[account]!.setLowBalanceLevel(settings.level, defaultLevel: Self.limits.lowBalanceLevel)
            oracle.levelSet(account, at: now)
        }
        let commands = draw()
        let (decisions, told) = decide(commands)
        let expected = answers(to: commands)
        for (index, command) in commands.enumerated() where seen(decisions[index]) != expected.decisions[index] {
            return "\(command): engine \(seen(decisions[index])), oracle \(expected.decisions[index])"
        }
        for account in Set(commands.map(\.account)) {
            if told.filter({ $0.account == account }) != expected.alerts[account] {
                return "\(account): engine tells \(told), oracle \(expected.alerts[account] ?? [])"
            }
            if let difference = difference(of: account) { return "\(account): \(difference)" }
        }
        return brokenInvariant()
    }

    private mutating func decide(_ commands: [Command]) -> ([Decision], [BalanceAlert]) {
        let slice = state.slice(for: commands, now: now)
        let ruling = slice.apply(commands, now: now, limits: Self.limits)
        journal += ruling.entries
        for row in UsageRow.of(ruling.entries) { usage[row.key, default: UsageRow(key: row.key)].add(row) }
        state.merge(slice, ruling)
        return (ruling.decisions, ruling.alerts)
    }

    /// Sweeps all accounts, and returns the oracle's alerts.
    mutating func sweep() -> [AccountID: [BalanceAlert]] {
        let before = accounts.map { oracle.memory($0).alerts.count }
        oracle.tick(now, Set(accounts))
        let alerts = zip(accounts, before).map { ($0, Array(oracle.memory($0).alerts.dropFirst($1))) }
        return Dictionary(uniqueKeysWithValues: alerts)
    }

    /// The oracle's.
    mutating func answers(to commands: [Command]) -> (decisions: [Seen], alerts: [AccountID: [BalanceAlert]]) {
        let touched = Set(commands.map(\.account))
        let before = Dictionary(uniqueKeysWithValues: touched.map { ($0, oracle.memory($0).alerts.count) })
        oracle.tick(now, touched)
        let decisions = commands.map { oracle.decide($0) }
        let alerts = touched.map { ($0, Array(oracle.memory($0).alerts.dropFirst(before[$0]!))) }
        return (decisions, Dictionary(uniqueKeysWithValues: alerts))
    }

    /// Returns the first difference in the rows of one account.
    private func difference(of id: AccountID) -> String? {
        let memory = oracle.memory(id)
        let row = state.accounts[id] ?? Account(id: id)
        var book = state.books[id] ?? LotBook()
        book.burn(to: row.posted)
        let keys = state.keys.values.filter { $0.id.account == id }
        return memory.difference(
            from: row, lots: Array(book.lots.values), keys: keys, limits: oracle.keyLimits, overdraft: oracle.settings[id]?.overdraft,
            now: now)
    }

    /// The rollups against the list of what was counted; slow, so for the end of a run.
    func differenceOfUsage() -> String? {
        var expected: [UsageRow.Key: UsageRow] = [:]
        for counted in oracle.counted {
            let quarter = counted.at.microseconds - counted.at.microseconds % (15 * 60 * 1_000_000)
            let key = UsageRow.Key(
                account: counted.account, quarter: Instant(microseconds: quarter), type: counted.type, model: counted.usage?.model ?? "",
                operation: counted.usage?.operation ?? "")
            var row = expected[key] ?? UsageRow(key: key)
            row.entries += 1
            row.credits += counted.credits
            row.overage += counted.overage
            for (unit, quantity) in counted.usage?.units.all ?? [:] { row.units[unit, default: 0] += quantity }
            expected[key] = row
        }
        for key in Set(usage.keys).union(expected.keys) where usage[key] != expected[key] {
            return "usage: engine \(String(describing: usage[key])), oracle \(String(describing: expected[key]))"
        }
        return nil
    }

    /// I1 to I6 of docs/ledger.md over everything written so far.
    private func brokenInvariant() -> String? {
        var keys: Set<EntryKey> = []
        var tails: [AccountID: Entry] = [:]
        for entry in journal {
            if !keys.insert(entry.key).inserted { return "two entries at \(entry.key)" }
            guard entry.seq > 0 else {
                if entry.postedDelta != .zero || entry.heldDelta != .zero { return "an entry off the chain moves credits: \(entry)" }
                continue
            }
            let before = tails[entry.account]
            if entry.seq != (before?.seq ?? 0) + 1 { return "a gap in the chain before \(entry)" }
            if entry.postedAfter != (before?.postedAfter ?? .zero) + entry.postedDelta { return "posted does not follow at \(entry)" }
            if entry.heldAfter != (before?.heldAfter ?? .zero) + entry.heldDelta { return "held does not follow at \(entry)" }
            let lowered = entry.postedDelta < entry.heldDelta && !entry.kind.mayRaiseDebt
            let overdraft = oracle.settings[entry.account]?.overdraft ?? .zero
            if entry.postedAfter + overdraft < entry.heldAfter, lowered { return "overspent at \(entry)" }
            tails[entry.account] = entry
        }
        for account in state.accounts.values {
            let open = state.holds.values.filter { $0.account == account.id }.reduce(Credits.zero) { $0 + $1.amount }
            if account.held != open { return "\(account.id) holds \(account.held), its open holds \(open)" }
            if let tail = tails[account.id], tail.seq != account.seq || tail.postedAfter != account.posted {
                return "\(account.id) is not where its journal ends"
            }
        }
        return nil
    }
}

extension Command {
    /// With what its message would leave in the journal.
    fileprivate func asking(_ action: Action) -> Command {
        var command = Command(id: id, account: account, action: action, key: key, context: context, isRedelivered: isRedelivered)
        var json = JSONWriter()
        json.object { json in
            json.field(optional: "api_key_id", key?.rawValue)
            json.field(optional: "model", context.usage?.model)
            json.field(optional: "operation", context.usage?.operation)
            if let units = context.usage?.units { json.object("usage") { units.encode(into: &$0) } }
        }
        command.context.metadata = String(decoding: json.bytes, as: UTF8.self)
        return command
    }
}

extension UsageRow {
    /// Adds a row like `ON CONFLICT DO UPDATE`.
    mutating func add(_ other: UsageRow) {
        entries += other.entries
        credits += other.credits
        overage += other.overage
        units.merge(other.units, uniquingKeysWith: +)
    }
}

extension LedgerState {
    /// Returns the state that the store reads for these commands.
    func slice(for commands: [Command], now: Instant) -> LedgerState {
        let ids = Set(commands.map(\.id))
        let accountIDs = Set(commands.map(\.account))
        var slice = LedgerState(
            accounts: accounts.filter { accountIDs.contains($0.key) },
            holds: holds.filter { ids.contains($0.key) },
            entries: entries.filter { ids.contains($0.key.charge) })
        let named = Set(commands.compactMap(\.lot))
        for account in slice.accountsWhoseLotsMatter(to: commands, now: now) {
            slice.books[account] = LotBook(
                lots: (books[account]?.lots ?? [:]).filter { $0.value.remaining > .zero || named.contains($0.key) })
        }
        let counting = slice.accountsWhoseKeysMatter
        let namedKeys = Set(commands.compactMap(\.key)).union(slice.holds.values.compactMap(\.key))
        slice.keys = keys.filter { counting.contains($0.key.account) && namedKeys.contains($0.key.key) }
        return slice
    }

    /// Applies the writes of the store.
    mutating func merge(_ before: LedgerState, _ ruling: Ruling) {
        let changes = Changes(from: before, to: ruling.state)
        for account in changes.accounts { accounts[account.id] = account }
        for hold in changes.holdsPut { holds[hold.charge] = hold }
        for id in changes.holdsDeleted { holds[id] = nil }
        for lot in changes.lots { books[lot.account, default: LotBook()].lots[lot.id] = lot }
        for key in changes.keys { keys[key.id] = key }
        for entry in ruling.entries { entries[entry.key] = entry }
    }
}
