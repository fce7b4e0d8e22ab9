import Contracts

extension Checker {
    /// Every account's decisions in the order of its chain, each against the state before it.
    func replays() -> [Difference] {
        let rows = Dictionary(grouping: tables.rows, by: \.account)
        return book.accounts.union(rows.keys).sorted().flatMap { account -> [Difference] in
            var replay = Replay(of: account, self)
            replay.run(rows[account] ?? [])
            replay.compareWithTables()
            return replay.differences
        }
    }
}

/// One account, decision by decision.
struct Replay {
    struct Hold {
        var amount: Credits
        /// Not over before this: from what the journal itself says.
        var livesUntil: Instant
        /// Over at this, to the microsecond; nil when reports, which leave no row, may have prolonged it.
        var endsAt: Instant?
        var key: CallerKey?
    }

    struct Lot {
        var remaining: Credits
        let expiresAt: Instant?
        let isPaid: Bool
        let grantedAt: Instant
        let id: ChargeID

        /// Soonest end first, given before paid, oldest first.
        func burnsBefore(_ other: Lot) -> Bool {
            if expiresAt != other.expiresAt {
                guard let expiresAt else { return false }
                return other.expiresAt.map { expiresAt < $0 } ?? true
            }
            if isPaid != other.isPaid { return other.isPaid }
            return (grantedAt, id) < (other.grantedAt, other.id)
        }
    }

    struct Spent {
        var day = Credits.zero
        var month = Credits.zero
        var at = Instant(microseconds: 0)

        /// - Parameter chargedAt: what is given back makes room only in the day and the month it was charged in.
        mutating func add(_ amount: Credits, at now: Instant, chargedAt: Instant) {
            self = current(at: now)
            if chargedAt.day == now.day { day += amount }
            if chargedAt.month == now.month { month += amount }
        }

        func current(at now: Instant) -> Spent {
            Spent(day: at.day == now.day ? day : .zero, month: at.month == now.month ? month : .zero, at: now)
        }
    }

    struct KeyUse {
        var held = Credits.zero
        var spent = Spent()
    }

    let account: AccountID
    let checker: Checker
    var posted = Credits.zero
    var held = Credits.zero
    var seq: Int64 = 0
    var holds: [ChargeID: Hold] = [:]
    var lots: [ChargeID: Lot] = [:]
    var spent = Spent()
    var keys: [APIKeyID: KeyUse] = [:]
    private(set) var differences: [Difference] = []

    init(of account: AccountID, _ checker: Checker) { (self.account, self.checker) = (account, checker) }

    var balance: Credits { posted - held }

    /// Rows outside the chain (refusals, and ends that moved nothing) say when they were decided but not after which entry: each must be
    /// legal at some place in the chain that its time allows.
    mutating func run(_ rows: [Row]) {
        let chain = rows.filter { $0.seq > 0 }.sorted { $0.seq < $1.seq }
        let still = rows.filter { $0.seq == 0 }.sorted { $0.at < $1.at }
        var next = 0
        var open: [Row] = []
        for place in 0...chain.count {
            let until = place < chain.count ? chain[place].at : Instant(microseconds: .max)
            while next < still.count, still[next].at <= until {
                open.append(still[next])
                next += 1
            }
            open.removeAll { row in
                guard let flaw = flaw(inStill: row) else { return true }
                if row.at == until { return false }
                differ(row, flaw)
                return true
            }
            guard place < chain.count else { return }
            for flaw in [flawInChain(chain[place]), flaw(in: chain[place])] { if let flaw { differ(chain[place], flaw) } }
            apply(chain[place])
        }
    }

    private func flaw(inStill row: Row) -> String? {
        if row.postedAfter != posted || row.heldAfter != held {
            return "says posted \(row.postedAfter) held \(row.heldAfter) where the chain has \(posted) and \(held)"
        }
        if row.postedDelta != .zero || row.heldDelta != .zero { return "moves credits outside the chain" }
        return flaw(in: row)
    }

    private func flawInChain(_ row: Row) -> String? {
        if row.seq != seq + 1 { return "follows entry \(seq)" }
        if row.postedAfter != posted + row.postedDelta || row.heldAfter != held + row.heldDelta {
            return "does not add up: posted \(posted) held \(held) before"
        }
        if row.status != .applied { return "\(row.status) and yet moves credits" }
        let after = balance + row.postedDelta - row.heldDelta
        if after < .zero, after < balance, row.kind != .clawback, row.kind != .lateCapture { return "takes the balance to \(after)" }
        return nil
    }

    /// What the account is after an entry of its chain.
    private mutating func apply(_ row: Row) {
        (posted, held, seq) = (row.postedAfter, row.heldAfter, row.seq)
        let chargedAt = row.amount < .zero ? checker.row(row.charge, Row.terminal)?.at ?? row.at : row.at
        applyToHolds(row, chargedAt)
        if row.kind.charges { spent.add(row.amount, at: row.at, chargedAt: chargedAt) }
        applyToLots(row)
    }

    private mutating func applyToHolds(_ row: Row, _ chargedAt: Instant) {
        let ask = checker.ask(behind: row)
        switch (row.kind, ask?.action) {
        case (.hold, .hold(_, _, let timeToLive, _, let key)):
            let end = row.at + timeToLive
            holds[row.charge] = Hold(amount: row.amount, livesUntil: end, endsAt: isEverProlonged(row.charge) ? nil : end, key: key)
            if let key { keys[key.id, default: KeyUse()].held += row.amount }
        case (.extend, .extend(_, _, _, _, let timeToLive)):
            guard var hold = holds[row.charge] else { return }
            hold.amount += row.amount
            hold.livesUntil = max(hold.livesUntil, row.at + timeToLive)
            if let key = hold.key { keys[key.id]?.held += row.amount }
            holds[row.charge] = hold
        case (.capture, _), (.void, _), (.expire, _):
            let hold = holds.removeValue(forKey: row.charge)
            if let key = hold?.key { keys[key.id]?.held += row.heldDelta }
            if let key = hold?.key ?? settledKey(ask) { keys[key.id]?.spent.add(row.amount, at: row.at, chargedAt: chargedAt) }
        case (.lateCapture, _):
            if let key = settledKey(ask) { keys[key.id]?.spent.add(row.amount, at: row.at, chargedAt: chargedAt) }
        default: break
        }
    }

    /// A key counts from its first granted hold: that, and whatever is settled in its name from then on.
    private func settledKey(_ ask: Ask?) -> CallerKey? {
        if case .settle(_, let key) = ask?.action { key } else { nil }
    }

    private func isEverProlonged(_ charge: ChargeID) -> Bool { checker.book.asks[charge]?.contains { $0.used != nil } == true }

    private mutating func applyToLots(_ row: Row) {
        switch row.kind {
        case .purchase, .planGrant, .bonus: addLot(row, row.amount, isPaid: row.kind == .purchase)
        case .lateCapture where row.amount < .zero: addLot(row, -row.amount, isPaid: true)
        case .clawback, .lotExpiry:
            // Of a grant: first what is left of itself. Given back: to itself, even if all of it was taken back before it came.
            guard let grant = row.grant else { break }
            if lots[grant] == nil, row.amount < .zero, let granted = checker.row(grant, Row.opening) {
                addLot(granted, .zero, isPaid: granted.kind == .purchase)
            }
            if let remaining = lots[grant]?.remaining { lots[grant]?.remaining = max(.zero, remaining - row.amount) }
        default: break
        }
        let missing = max(.zero, posted) - lots.total
        if missing > .zero { differences.append(Difference(account, "after entry \(seq) the lots are \(missing) short of the balance")) }
        lots.burn(to: posted)
    }

    private mutating func addLot(_ row: Row, _ amount: Credits, isPaid: Bool) {
        lots[row.charge] = Lot(remaining: amount, expiresAt: row.expiresAt, isPaid: isPaid, grantedAt: row.at, id: row.charge)
    }

    private mutating func differ(_ row: Row, _ flaw: String) {
        let what =
            "\(row.kind) (step \(row.step), entry \(row.seq), \(row.status)) of \(row.requested) at \(row.at), \(row.amount) taken or given: \(flaw)"
        differences.append(Difference(account, row.charge, what))
    }

    // MARK: At rest

    mutating func compareWithTables() {
        func expect(_ isSo: Bool, _ what: @autoclosure () -> String) {
            if !isSo { differences.append(Difference(account, what())) }
        }
        let row = checker.tables.accounts.first { $0.account == account }
        expect(
            row?.posted ?? .zero == posted && row?.held ?? .zero == held && row?.seq ?? 0 == seq,
            "the account's row has \(String(describing: row)), its chain posted \(posted) held \(held) entry \(seq)")
        if let row {
            let today = spent.current(at: checker.tables.readAt).day
            expect(spent.at.day != checker.tables.readAt.day || row.spentDay == today, "spent today: row \(row.spentDay), chain \(today)")
        }
        expect(held == .zero && holds.isEmpty, "at rest \(held) is held, by \(holds.keys.sorted())")
        for lot in lots.values where lot.remaining > .zero {
            guard let end = lot.expiresAt, end + .seconds(2) < checker.tables.readAt else { continue }
            expect(posted <= .zero, "lot \(lot.id) ended at \(end) and still has \(lot.remaining)")
        }
        let left = tableLots()
        for lot in Set(lots.keys).union(left.keys).sorted() {
            let (table, chain) = (left[lot]?.remaining ?? .zero, lots[lot]?.remaining ?? .zero)
            expect(table == chain, "lot \(lot) has \(table), by the chain \(chain)")
        }
        for key in checker.tables.keys where key.account == account {
            let use = keys[key.key]
            expect(key.held == use?.held ?? .zero, "key \(key.key) holds \(key.held), by the chain \(String(describing: use))")
            if let use, use.spent.at.day == checker.tables.readAt.day {
                expect(key.spentDay == use.spent.day, "key \(key.key) spent \(key.spentDay), by the chain \(use.spent.day)")
            }
        }
        let usage = checker.tables.usage.first { $0.account == account }
        expect(usage?.credits ?? .zero == posted, "the rollups add up to \(usage?.credits ?? .zero), the balance is \(posted)")
    }

    /// What the table says is left of each lot, after burning what was spent since the ledger last looked.
    private func tableLots() -> [ChargeID: Lot] {
        var left: [ChargeID: Lot] = [:]
        for row in checker.tables.lots where row.account == account {
            left[row.lot] = lots[row.lot]
            left[row.lot]?.remaining = row.remaining
        }
        left.burn(to: posted)
        return left
    }
}

extension [ChargeID: Replay.Lot] {
    var total: Credits { values.reduce(.zero) { $0 + $1.remaining } }

    /// What was spent leaves the lots in their order, until they add up to the balance.
    mutating func burn(to balance: Credits) {
        var spent = total - Swift.max(.zero, balance)
        guard spent > .zero else { return }
        for lot in values.filter({ $0.remaining > .zero }).sorted(by: { $0.burnsBefore($1) }) where spent > .zero {
            let burned = Swift.min(spent, lot.remaining)
            self[lot.id]?.remaining -= burned
            spent -= burned
        }
    }
}
