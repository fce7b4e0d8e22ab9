import LedgerCore
import Values

// Amounts are nano-credits. Sums wrap, because a damaged row is a finding and must not end the
// process.

/// An entry as far as lots are concerned.
struct LotEntry: Sendable {
    let account: AccountID
    let charge: ChargeID
    let seq: Int64
    let kind: Entry.Kind
    let requested: Int64
    let postedDelta: Int64
    let postedAfter: Int64
    let heldAfter: Int64
    let at: Instant
    let grant: ChargeID?
    let expiresAt: Instant?
}

extension LotEntry {
    /// Makes a lot or changes one, for which the engine looks at all of the account.
    fileprivate var movesLots: Bool {
        switch kind {
        case .purchase, .planGrant, .bonus, .refund, .adjustment, .topup, .lateCapture: postedDelta > 0
        case .clawback, .lotExpiry: true
        case .hold, .extend, .capture, .void, .expire, .charge: false
        }
    }
}

/// A lot as a table holds it.
struct LotRow: Equatable, Sendable {
    let id: ChargeID
    var kind: Entry.Kind
    var amount: Int64
    var remaining: Int64
    var expired: Int64
    var reversed: Int64
    /// Nil: the lot has no reversal.
    var reversalTarget: Int64?
    var expiresAt: Instant?
    var grantedAt: Instant
}

/// The lots of one account as its journal makes them, each charge burning them at once.
///
/// A second opinion: written from the rules (`docs/ledger.md`), not from the engine, which burns late and does not write down which
/// lot a charge took from.
struct LotReplay {
    private let account: AccountID
    private var lots: [ChargeID: LotRow] = [:]
    /// Targets of a lot's latest reversal. Several where one batch held several of which one moved nothing and so has no place in the chain.
    private var targets: [ChargeID: (at: Instant, amounts: [Int64])] = [:]
    /// Lots with credits left; the last is the next to burn.
    private var live: [ChargeID] = []
    /// The `remaining` of the lots that burned since the engine's last look at all lots, as it was
    /// at that look. Nil: the look was before the checkpoint.
    private var burnedSinceLook: [ChargeID: Int64]? = [:]
    private var total: Int64 = 0
    private var seq: Int64
    private var posted: Int64
    private var held: Int64
    private var last: LotEntry?

    /// The state of an account at a month start.
    struct Checkpoint: Sendable {
        /// The number of its last entry decided before the month start; 0 if it had none.
        var seq: Int64
        var posted: Int64
        var held: Int64
        var lots: [CheckpointLot] = []
    }

    struct CheckpointLot: Equatable, Sendable {
        var row: LotRow
        /// When its last reversal was decided.
        var reversalAt: Instant?
    }

    init(account: AccountID, from checkpoint: Checkpoint? = nil) {
        self.account = account
        (seq, posted, held) = (checkpoint?.seq ?? 0, checkpoint?.posted ?? 0, checkpoint?.held ?? 0)
        guard let checkpoint else { return }
        burnedSinceLook = nil
        for lot in checkpoint.lots {
            put(lot.row)
            if let target = lot.row.reversalTarget, let at = lot.reversalAt { targets[lot.row.id] = (at, [target]) }
        }
    }

    /// Returns the account after the last entry that was followed. Its lots have no order.
    /// - Parameter table: decides the target of a reversal if the journal allows several targets.
    func checkpoint(besides table: [LotRow]) -> Checkpoint {
        let known = Dictionary(uniqueKeysWithValues: table.map { ($0.id, $0.reversalTarget) })
        let opened = lots.values.map { lot in
            var row = lot
            guard let target = targets[lot.id] else { return CheckpointLot(row: row) }
            row.reversalTarget = target.amounts.first { $0 == known[lot.id] } ?? target.amounts.last
            return CheckpointLot(row: row, reversalAt: target.at)
        }
        return Checkpoint(seq: seq, posted: posted, held: held, lots: opened)
    }

    // MARK: Entry by entry

    /// Applies an entry outside of the chain. Call it before the entries of the chain. Such an
    /// entry is a grant that was reversed before it arrived, or a reversal that moved nothing.
    /// Applying an entry twice changes nothing.
    mutating func note(_ entry: LotEntry) {
        if entry.kind == .clawback {
            guard let grant = entry.grant else { return }
            noteTarget(of: grant, entry)
            if lots[grant] == nil { put(Self.awaited(grant, since: entry.at)) }
        } else if lots[entry.charge].map({ $0.kind == .clawback }) ?? true {
            grant(entry)
        }
    }

    /// Entries of the chain, in its order.
    /// - Returns: what cannot have happened to the lots that were there.
    mutating func follow(_ entry: LotEntry) -> AuditFinding? {
        let problem = spentAfterItsEnd(at: entry) ?? move(entry)
        (seq, posted, held, last) = (entry.seq, entry.postedAfter, entry.heldAfter, entry)
        let shortage = burn()
        if entry.movesLots { burnedSinceLook = [:] }
        return (problem ?? shortage).map { finding("lot_entry", entry.charge, entry.seq, $0) }
    }

    /// Returns a flaw if the entry spent a lot after its end. Lots that ended before an entry have
    /// expired before it, except credits that open holds reserve. Two kinds are exempt: holds end
    /// before lots expire, and lots expire one after the other.
    private func spentAfterItsEnd(at entry: LotEntry) -> String? {
        guard entry.kind != .expire, entry.kind != .lotExpiry else { return nil }
        return spendable(at: entry.at).map { "decided with \(posted) posted, \(held) held and \($0)" }
    }

    private func spendable(at now: Instant) -> String? {
        guard posted > held, let lot = live.last.flatMap({ lots[$0] }), let end = lot.expiresAt, end <= now else { return nil }
        return "\(lot.remaining) of lot \(lot.id), which ended \(end), still there"
    }

    private mutating func move(_ entry: LotEntry) -> String? {
        switch entry.kind {
        case .purchase, .planGrant, .bonus, .refund, .adjustment, .topup, .lateCapture:
            if entry.movesLots { grant(entry) }
        case .clawback: return takeBack(entry)
        case .lotExpiry: return expire(entry)
        case .hold, .extend, .capture, .void, .expire, .charge: break
        }
        return nil
    }

    /// A reversal may have waited for it.
    private mutating func grant(_ entry: LotEntry) {
        var lot = Self.lot(of: entry)
        lot.reversalTarget = lots[entry.charge]?.reversalTarget
        put(lot)
    }

    private mutating func takeBack(_ entry: LotEntry) -> String? {
        guard let grant = entry.grant, var lot = lots[grant] else { return "takes back of a grant that is not there" }
        noteTarget(of: grant, entry)
        lot.reversed &-= entry.postedDelta
        if entry.postedDelta > 0, let end = lot.expiresAt, end <= entry.at {
            put(Self.returned(entry, kind: lot.kind))
        } else {
            lot.remaining = max(0, lot.remaining &+ entry.postedDelta)
        }
        put(lot)
        let expected = min(entry.requested, lot.amount &- lot.expired)
        return lot.reversed == expected ? nil : "\(lot.reversed) taken back of lot \(grant) where \(expected) should be"
    }

    private mutating func expire(_ entry: LotEntry) -> String? {
        guard let grant = entry.grant, var lot = lots[grant] else { return "takes from a lot that is not there" }
        let (remaining, taken) = (lot.remaining, 0 &- entry.postedDelta)
        lot.expired &+= taken
        lot.remaining = max(0, remaining &- taken)
        put(lot)
        guard let end = lot.expiresAt, end <= entry.at else { return "takes from lot \(grant) before its end" }
        return remaining < taken ? "takes \(taken) from lot \(grant), which has \(remaining)" : nil
    }

    private mutating func noteTarget(of grant: ChargeID, _ entry: LotEntry) {
        if let known = targets[grant], known.at >= entry.at {
            if known.at == entry.at { targets[grant]?.amounts.append(entry.requested) }
        } else {
            targets[grant] = (entry.at, [entry.requested])
        }
    }

    /// Burns the credits that were spent, in the order of the lots. At a balance of zero or below,
    /// all lots are empty.
    private mutating func burn() -> String? {
        var spent = total &- max(0, posted)
        guard spent >= 0 else { return "lots have \(total), posted is \(posted)" }
        while spent > 0, let id = live.last, var lot = lots[id] {
            let burned = min(spent, lot.remaining)
            if burnedSinceLook?[id] == nil { burnedSinceLook?[id] = lot.remaining }
            lot.remaining -= burned
            put(lot)
            spent -= burned
        }
        return nil
    }

    // MARK: The order

    private mutating func put(_ lot: LotRow) {
        let before = lots.updateValue(lot, forKey: lot.id)
        total = total &+ lot.remaining &- (before?.remaining ?? 0)
        let wasLive = before.map { $0.remaining > 0 } ?? false
        if wasLive, lot.remaining == 0 {
            live.last == lot.id ? _ = live.removeLast() : live.removeAll { $0 == lot.id }
        } else if !wasLive, lot.remaining > 0 {
            let place = live.lastIndex { id in lots[id].map { Self.burnsBefore(lot, $0) } ?? false }
            live.insert(lot.id, at: place.map { $0 + 1 } ?? 0)
        }
    }

    /// Soonest end first; of those that end together what was given before what was paid for; then the older.
    private static func burnsBefore(_ one: LotRow, _ other: LotRow) -> Bool {
        switch (one.expiresAt, other.expiresAt) {
        case (let end?, let otherEnd?) where end != otherEnd: return end < otherEnd
        case (_?, nil): return true
        case (nil, _?): return false
        default: break
        }
        let (given, otherGiven) = (Self.given.contains(one.kind), Self.given.contains(other.kind))
        if given != otherGiven { return given }
        return one.grantedAt == other.grantedAt ? one.id < other.id : one.grantedAt < other.grantedAt
    }

    private static let given: Set<Entry.Kind> = [.planGrant, .bonus]

    private static func lot(of entry: LotEntry) -> LotRow {
        // A late settlement asks for a difference below zero; what it gives back is the whole lot.
        let amount = entry.kind == .lateCapture ? entry.postedDelta : entry.requested
        return LotRow(
            id: entry.charge, kind: entry.kind, amount: amount, remaining: entry.postedDelta, expired: 0,
            reversed: amount &- entry.postedDelta, expiresAt: entry.expiresAt, grantedAt: entry.at)
    }

    /// Credits that return after the end of their lot have no end.
    private static func returned(_ entry: LotEntry, kind: Entry.Kind) -> LotRow {
        LotRow(
            id: entry.charge, kind: kind, amount: entry.postedDelta, remaining: entry.postedDelta, expired: 0, reversed: 0,
            grantedAt: entry.at)
    }

    private static func awaited(_ grant: ChargeID, since: Instant) -> LotRow {
        LotRow(id: grant, kind: .clawback, amount: 0, remaining: 0, expired: 0, reversed: 0, grantedAt: since)
    }

    // MARK: Against the table

    /// The table's `remaining` is older than the journal's: what was spent since burns the lots in their order. So lots that burn late must
    /// agree, then one may have more left in the table, and those that burn before that one are empty by now; none has more left than
    /// at the last look.
    func compare(with table: [LotRow], lotsExpireAt: Instant?) -> [AuditFinding] {
        var findings: [AuditFinding] = []
        let rows = Dictionary(uniqueKeysWithValues: table.map { ($0.id, $0) })
        if let detail = last.flatMap({ spendable(at: $0.at) }), let lot = live.last { findings.append(finding("lot", lot, nil, detail)) }
        if findings.isEmpty, let wrong = firstDifference(rows) { findings.append(finding("lot", wrong.lot, nil, wrong.detail)) }
        if let end = live.last.flatMap({ lots[$0]?.expiresAt }), lotsExpireAt.map({ $0 > end }) ?? true {
            let known = lotsExpireAt.map { "at \($0)" } ?? "never"
            findings.append(finding("lots_due", nil, last?.seq, "account looks for ended lots \(known), its next ends \(end)"))
        }
        return findings
    }

    private func firstDifference(_ table: [ChargeID: LotRow]) -> (lot: ChargeID, detail: String)? {
        for id in Set(lots.keys).union(table.keys).sorted() {
            guard let row = table[id] else { return (id, "lot is missing") }
            guard let lot = lots[id] else { return (id, "the journal knows no such lot") }
            if let detail = difference(row, lot) { return (id, detail) }
        }
        let burning = live.last.flatMap { lots[$0] }
        for lot in lots.values.sorted(by: { Self.burnsBefore($1, $0) }) {
            guard let row = table[lot.id], row.remaining != lot.remaining else { continue }
            let isAhead = burning.map { Self.burnsBefore($0, lot) } ?? false
            let most = burnedSinceLook.map { $0[lot.id] ?? lot.remaining } ?? lot.amount
            if isAhead || row.remaining < lot.remaining || row.remaining > most {
                return (lot.id, "lot has \(row.remaining) left, journal leaves \(lot.remaining)")
            }
        }
        return nil
    }

    private func difference(_ row: LotRow, _ lot: LotRow) -> String? {
        func text(_ lot: LotRow) -> String {
            let target = lot.reversalTarget.map { "\($0)" } ?? "none"
            return "kind \(lot.kind.rawValue) amount \(lot.amount) expired \(lot.expired) reversed \(lot.reversed) of \(target) "
                + "granted \(lot.grantedAt) expires \(lot.expiresAt.map(\.description) ?? "never")"
        }
        var expected = lot
        expected.remaining = row.remaining
        let possible = targets[lot.id]?.amounts.map(Optional.some) ?? [lot.reversalTarget]
        expected.reversalTarget = possible.contains(row.reversalTarget) ? row.reversalTarget : possible.last ?? nil
        return row == expected ? nil : "lot has \(text(row)); journal has \(text(expected))"
    }

    private func finding(_ check: String, _ charge: ChargeID?, _ seq: Int64?, _ detail: String) -> AuditFinding {
        AuditFinding(check: check, account: account, charge: charge, seq: seq, detail: detail)
    }
}
