import Contracts
import TestSupport
import Values

@testable import Ledger

/// Grants that end, reversals in any order, holds that expire, late settlements; the engine sees only the rows that the store would load.
struct LotModel {
    var random: SplitMix64
    var state = LedgerState()
    var journal: [Entry] = []
    var now: Instant
    let accounts: [AccountID]
    private var holds: [ChargeID] = []
    private var grants: [ChargeID] = []
    private var version: Int64 = 0
    /// The longest time between two batches.
    private let strideMax: Duration

    init(seed: UInt64, from now: Instant = Instant(microseconds: 1_800_000_000_000_000), strideMax: Duration = .seconds(9)) {
        (self.now, self.strideMax) = (now, strideMax)
        var random = SplitMix64(seed: seed)
        accounts = (0..<3).map { _ in AccountID(rawValue: .make(milliseconds: 1_790_000_000_000, using: &random)) }
        self.random = random
    }

    /// - Returns: the rows that the batch read, and what came of it.
    @discardableResult
    mutating func step() -> (before: LedgerState, ruling: Ruling) {
        now = now + .milliseconds(Int64.random(in: 0...strideMax.wholeMilliseconds, using: &random))
        // The sweep asks once more for each overdue hold.
        let overdue = state.holds.values.filter { $0.expiresAt <= now }.sorted { $0.charge < $1.charge }
        let commands =
            (0..<Int.random(in: 1...8, using: &random)).map { _ in draw() }
            + overdue.map { Command(id: $0.charge, account: $0.account, action: .expire(due: $0.expiresAt)) }
        let slice = state.slice(for: commands, now: now)
        let ruling = slice.apply(commands, now: now)
        journal += ruling.entries
        state.merge(slice, ruling)
        return (slice, ruling)
    }

    private func owner(of id: ChargeID) -> AccountID { accounts[Int(id.rawValue.low % UInt64(accounts.count))] }

    private mutating func id() -> ChargeID { ChargeID(rawValue: .make(milliseconds: now.microseconds / 1_000, using: &random)) }

    mutating func draw() -> Command {
        func amount(_ range: ClosedRange<Int64>) -> Credits { Credits(whole: Int64.random(in: range, using: &random)) }
        switch Int.random(in: 0..<20, using: &random) {
        case 0..<4:
            let id = id()
            // Some are asked back before they come.
            if Int.random(in: 0..<4, using: &random) > 0 || grants.isEmpty { grants.append(id) }
            let grant = Int.random(in: 0..<5, using: &random) == 0 ? grants.randomElement(using: &random)! : id
            let kinds: [Command.Grant] = [.purchase, .planGrant, .bonus, .refund, .topup, .adjustment]
            let end = Bool.random(using: &random) ? now + strideMax * Int.random(in: -1...40, using: &random) / 9 : nil
            return Command(
                id: grant, account: owner(of: grant),
                action: .grant(kinds.randomElement(using: &random)!, amount: amount(1...20), expiresAt: end))
        case 4:
            let id = id()
            return Command(id: id, account: owner(of: id), action: .grant(.adjustment, amount: -amount(1...5)))
        case 5..<8:
            version += Int64.random(in: -1...2, using: &random)
            var grant = grants.suffix(6).randomElement(using: &random) ?? id()
            if Int.random(in: 0..<5, using: &random) == 0 {
                grant = id()
                grants.append(grant)
            }
            return Command(
                id: id(), account: owner(of: grant), action: .reverse(grant: grant, target: amount(0...25), version: max(1, version)))
        case 8..<13:
            let id = id()
            holds.append(id)
            return Command(
                id: id, account: owner(of: id),
                action: .hold(
                    HoldAmounts(most: amount(2...9), usual: credits(1), least: credits(1)),
                    timeToLive: .milliseconds(Int64.random(in: 1...20_000, using: &random))))
        case 13:
            let id = id()
            return Command(id: id, account: owner(of: id), action: .charge(amount: amount(1...6)))
        default:
            let hold = holds.suffix(12).randomElement(using: &random) ?? id()
            let expiry = Command.Action.expire(due: state.holds[hold]?.expiresAt ?? now)
            let actions: [Command.Action] = [
                .settle(amount: amount(0...12)), .settle(amount: amount(0...12)), .void,
                .report(used: amount(0...9), timeToLive: .seconds(2)), expiry, expiry,
                .extend(
                    step: Int64.random(in: 1...3, using: &random),
                    HoldAmounts(most: amount(1...4), usual: credits(1), least: credits(1)), used: amount(0...3),
                    timeToLive: .seconds(5)),
            ]
            return Command(id: hold, account: owner(of: hold), action: actions.randomElement(using: &random)!)
        }
    }

    // MARK: The auditor's side

    func entries(of account: AccountID) -> [LotEntry] {
        let entries = journal.filter { $0.account == account && ($0.seq > 0 || $0.grant != nil && $0.status == .applied) }
        return entries.sorted { ($0.seq, $0.at, $0.charge) < ($1.seq, $1.at, $1.charge) }.map(LotEntry.init)
    }

    func audit() -> [Audit.Finding] { accounts.flatMap { audit($0) } }

    /// - Parameter moment: the replay stops at the last entry decided before it, and continues from
    ///   the opening that this makes.
    func audit(_ account: AccountID, from moment: Instant? = nil) -> [Audit.Finding] {
        var findings: [Audit.Finding] = []
        let chain = entries(of: account)
        let table = (state.books[account]?.lots ?? [:]).values.map(LotRow.init)
        var replay = LotReplay(account: account)
        func follow(_ entries: [LotEntry]) {
            for entry in entries {
                if entry.seq == 0 { replay.note(entry) } else if let finding = replay.follow(entry) { findings.append(finding) }
            }
        }
        if let moment {
            follow(chain.filter { $0.at < moment })
            replay = LotReplay(account: account, from: replay.opening(besides: table))
            follow(chain.filter { $0.at >= moment })
        } else {
            follow(chain)
        }
        return findings + replay.compare(with: table, lotsExpireAt: state.accounts[account]?.lotsExpireAt)
    }
}

extension LotEntry {
    init(_ entry: Entry) {
        self.init(
            account: entry.account, charge: entry.charge, seq: entry.seq, kind: entry.kind, requested: entry.requested.nano,
            postedDelta: entry.postedDelta.nano, postedAfter: entry.postedAfter.nano, heldAfter: entry.heldAfter.nano, at: entry.at,
            grant: entry.grant, expiresAt: entry.expiresAt)
    }
}

extension LotRow {
    init(_ lot: Lot) {
        self.init(
            id: lot.id, kind: lot.kind, amount: lot.amount.nano, remaining: lot.remaining.nano, expired: lot.expired.nano,
            reversed: lot.reversed.nano, reversalTarget: lot.reversalVersion > 0 ? lot.reversalTarget.nano : nil, expiresAt: lot.expiresAt,
            grantedAt: lot.grantedAt)
    }
}
