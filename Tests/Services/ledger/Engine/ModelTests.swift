import Contracts
import Glibc
import Testing

@testable import Ledger

/// The engine against the oracle, on commands drawn by a seed: several accounts, ids used again, batches of any size, time passing.
///
/// `LEDGER_MODEL_SEED` repeats a run; `LEDGER_MODEL_STEPS` makes it longer.
struct ModelTests {
    @Test func `the engine and the oracle agree on everything that was ever asked`() {
        let seed = setting("LEDGER_MODEL_SEED") ?? UInt64.random(in: 1...1_000_000_000)
        print("ModelTests seed \(seed)")
        var model = Model(seed: seed)
        for step in 0..<Int(setting("LEDGER_MODEL_STEPS") ?? 1_000) {
            if let difference = model.step() {
                Issue.record("seed \(seed), batch \(step): \(difference)")
                return
            }
        }
    }

    @Test func `a batch equals its commands one by one`() {
        let seed = UInt64.random(in: 1...1_000_000_000)
        print("ModelTests seed \(seed)")
        var model = Model(seed: seed)
        for step in 0..<300 {
            let commands = model.draw()
            let whole = model.state.apply(commands, now: model.now)
            var single = model.state
            var decisions: [Decision] = []
            var entries: [Entry] = single.apply([], now: model.now).entries
            single = single.apply([], now: model.now).state
            for command in commands {
                let ruling = single.apply([command], now: model.now)
                single = ruling.state
                decisions += ruling.decisions
                entries += ruling.entries
            }
            #expect(whole.decisions == decisions, "seed \(seed), batch \(step)")
            #expect(whole.entries == entries, "seed \(seed), batch \(step)")
            #expect(whole.state == single, "seed \(seed), batch \(step)")
            _ = model.step()
        }
    }

    private func setting(_ name: String) -> UInt64? { getenv(name).flatMap { UInt64(String(cString: $0)) } }
}

struct Model {
    var random: SplitMix64
    var state = LedgerState()
    var journal: [Entry] = []
    var oracle = Oracle(timeToLiveMax: Limits().timeToLiveMax)
    var now = Instant(microseconds: 1_800_000_000_000_000)
    let accounts: [AccountID]
    var ids: [ChargeID] = []

    init(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        accounts = (0..<5).map { _ in AccountID(rawValue: .make(milliseconds: 1_790_000_000_000, using: &random)) }
        self.random = random
    }

    /// - Parameter timeToLive: of all holds and reports; nil draws one each.
    mutating func draw(timeToLive: Duration? = nil) -> [Command] {
        (0..<Int.random(in: 1...12, using: &random)).map { _ in
            let isNew = ids.isEmpty || Int.random(in: 0..<3, using: &random) == 0
            let id =
                isNew
                ? ChargeID(rawValue: .make(milliseconds: now.microseconds / 1_000, using: &random))
                : ids.suffix(12).randomElement(using: &random)!
            if isNew { ids.append(id) }
            // Mostly the account its id fell to first, so that ids and accounts seldom disagree.
            let usual = accounts[Int(id.rawValue.low % UInt64(accounts.count))]
            let account = Int.random(in: 0..<30, using: &random) == 0 ? accounts.randomElement(using: &random)! : usual
            return Command(id: id, account: account, action: action(timeToLive))
        }
    }

    private mutating func action(_ fixed: Duration?) -> Command.Action {
        func amount(_ range: ClosedRange<Int64>) -> Credits { Credits(whole: Int64.random(in: range, using: &random)) }
        let timeToLive = fixed ?? .seconds(Int64.random(in: 1...30, using: &random))
        switch Int.random(in: 0..<20, using: &random) {
        case 0..<7:
            let most = amount(1...8)
            return .hold(
                amount: most, leastUseful: Bool.random(using: &random) ? most : credits(1), timeToLive: timeToLive,
                awaitsFunds: Bool.random(using: &random))
        case 7..<10: return .report(used: amount(0...9), timeToLive: timeToLive)
        case 10..<14: return .settle(amount: amount(0...9))
        case 14..<16: return .void
        case 16: return .charge(amount: amount(1...6))
        case 17..<19: return .grant(.purchase, amount: amount(1...10))
        default:
            let amount = amount(-6...6)
            return .grant(.adjustment, amount: amount == .zero ? credits(1) : amount)
        }
    }

    /// One batch on both sides, the engine seeing only the rows that the store would load; returns the first difference.
    mutating func step() -> String? {
        now = now + .milliseconds(Int64.random(in: 0...9_000, using: &random))
        let commands = draw()
        let slice = state.slice(for: commands, now: now)
        let ruling = slice.apply(commands, now: now)
        journal += ruling.entries
        state.merge(slice, ruling)
        for (command, decision) in zip(commands, ruling.decisions) {
            let expected = oracle.decide(command, now)
            if seen(decision) != expected { return "\(command): engine \(seen(decision)), oracle \(expected)" }
        }
        for account in Set(commands.map(\.account)) {
            let (posted, held) = (oracle.posted(account), oracle.held(account))
            let row = state.accounts[account] ?? Account(id: account)
            if row.posted != posted || row.held != held {
                return "\(account): engine \(row.posted)/\(row.held), oracle \(posted)/\(held)"
            }
        }
        return brokenInvariant()
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
            let lowered = entry.postedDelta < entry.heldDelta && !entry.kind.mayOwe
            if entry.postedAfter < entry.heldAfter, lowered { return "overspent at \(entry)" }
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

extension LedgerState {
    /// What the store reads for these commands.
    func slice(for commands: [Command], now: Instant) -> LedgerState {
        let ids = Set(commands.map(\.id))
        let accountIDs = Set(commands.map(\.account))
        var slice = LedgerState(
            accounts: accounts.filter { accountIDs.contains($0.key) },
            holds: holds.filter { ids.contains($0.key) || accountIDs.contains($0.value.account) && $0.value.expiresAt <= now },
            entries: entries.filter { ids.contains($0.key.charge) })
        let named = Set(commands.compactMap(\.lot))
        for account in slice.accountsWhoseLotsMatter(to: commands, now: now) {
            slice.books[account] = LotBook(
                lots: (books[account]?.lots ?? [:]).filter { $0.value.remaining > .zero || named.contains($0.key) })
        }
        let counting = slice.accountsWhoseKeysMatter
        slice.keys = keys.filter { counting.contains($0.key.account) }
        return slice
    }

    /// What the store writes.
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
