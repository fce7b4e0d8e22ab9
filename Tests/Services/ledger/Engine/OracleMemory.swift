import Contracts
import LedgerCore
import Values

/// Everything that ever happened to one account, in order, and what follows from it. Nothing is kept but the list: each question goes
/// through all of it again.
struct OracleMemory {
    struct Fact {
        let at: Instant
        /// The alert level that was in force.
        let level: Credits?
        let what: What
    }

    enum What {
        /// Put aside for a charge, or more of it.
        case held(ChargeID, Credits, APIKeyID?)
        case letGo(ChargeID)
        case used(Credits, APIKeyID?)
        /// A charge was too high by this; what is given back is a lot of its own, and lowers the sums of the time it was charged in.
        case gaveBack(ChargeID, Credits, APIKeyID?, chargedAt: Instant)
        /// A lot of which some may have been taken back before it came.
        case granted(ChargeID, Entry.Kind, Credits, takenBefore: Credits, until: Instant?)
        /// An adjustment below zero.
        case took(Credits)
        /// Below zero: given back.
        case takenBack(of: ChargeID, Credits, by: ChargeID)
        case ended(of: ChargeID, Credits)
        /// A call was refused that could not be paid with no other running.
        case ranOut
        case levelSet
    }

    let account: AccountID
    var facts: [Fact] = []

    var posted: Credits { facts.reduce(.zero) { $0 + $1.what.change } }

    var heldByCharge: [ChargeID: Credits] {
        var held: [ChargeID: Credits] = [:]
        for fact in facts {
            switch fact.what {
            case .held(let charge, let amount, _): held[charge, default: .zero] += amount
            case .letGo(let charge): held[charge] = nil
            default: break
            }
        }
        return held
    }

    var held: Credits { heldByCharge.values.reduce(.zero, +) }

    /// Only credits that came make an account of an id.
    var isOpen: Bool { facts.contains { $0.what.change != .zero } }

    // MARK: Spending

    func spent(_ key: APIKeyID? = nil, inDayOf now: Instant) -> Credits { spent(key) { $0.day == now.day } }
    func spent(_ key: APIKeyID? = nil, inMonthOf now: Instant) -> Credits { spent(key) { $0.month == now.month } }

    private func spent(_ key: APIKeyID?, _ isNow: (Instant) -> Bool) -> Credits {
        facts.reduce(.zero) { sum, fact in
            switch fact.what {
            case .used(let amount, let of) where (key == nil || of == key) && isNow(fact.at): sum + amount
            case .gaveBack(_, let amount, let of, let chargedAt) where (key == nil || of == key) && isNow(fact.at) && isNow(chargedAt):
                // A key may have come under its limits after the charge: what was not counted is not given back.
                max(.zero, sum - amount)
            default: sum
            }
        }
    }

    func held(by key: APIKeyID) -> Credits {
        let open = heldByCharge
        var sum = Credits.zero
        for fact in facts {
            if case .held(let charge, let amount, key) = fact.what, open[charge] != nil { sum += amount }
        }
        return sum
    }

    // MARK: Lots

    struct Burning: Equatable {
        let id: ChargeID
        let kind: Entry.Kind
        let until: Instant?
        let since: Instant
        let amount: Credits
        var remaining: Credits
        var ended: Credits = .zero
        var takenBack: Credits
    }

    /// The lots with everything that was spent burned charge by charge.
    var lots: [Burning] {
        var lots: [Burning] = []
        /// Spent beyond what the lots had: what comes next makes it good.
        var missing = Credits.zero

        func burn(_ amount: Credits) {
            var rest = amount
            while rest > .zero, let next = lots.indices.filter({ lots[$0].remaining > .zero }).min(by: { goesFirst(lots[$0], lots[$1]) }) {
                let burned = min(rest, lots[next].remaining)
                lots[next].remaining -= burned
                rest -= burned
            }
            missing += rest
        }
        func makeGood() {
            let owed = missing
            missing = .zero
            burn(owed)
        }
        func index(_ id: ChargeID) -> Int? { lots.firstIndex { $0.id == id } }

        for fact in facts {
            switch fact.what {
            case .held, .letGo, .ranOut, .levelSet: break
            case .used(let amount, _), .took(let amount): burn(amount)
            case .gaveBack(let charge, let amount, _, _):
                lots.append(
                    Burning(id: charge, kind: .lateCapture, until: nil, since: fact.at, amount: amount, remaining: amount, takenBack: .zero)
                )
                makeGood()
            case .granted(let id, let kind, let amount, let before, let until):
                lots.append(
                    Burning(id: id, kind: kind, until: until, since: fact.at, amount: amount, remaining: amount - before, takenBack: before)
                )
                makeGood()
            case .takenBack(let of, let amount, let by):
                guard let lot = index(of) else { continue }
                lots[lot].takenBack += amount
                if amount < .zero, let end = lots[lot].until, end <= fact.at {
                    // The time of the lot is over, so what is given back has no end.
                    let back = Credits.zero - amount
                    lots.append(
                        Burning(
                            id: by, kind: lots[lot].kind, until: nil, since: fact.at, amount: back, remaining: back, takenBack: .zero))
                    makeGood()
                    continue
                }
                let own = min(amount, lots[lot].remaining)
                lots[lot].remaining -= own
                burn(amount - own)
                makeGood()
            case .ended(let of, let amount):
                guard let lot = index(of) else { continue }
                lots[lot].remaining -= amount
                lots[lot].ended += amount
            }
        }
        return lots
    }

    /// Soonest end first, given before paid, then the one that came first; of those that came in one moment the smaller id.
    private func goesFirst(_ one: Burning, _ other: Burning) -> Bool {
        switch (one.until, other.until) {
        case (let end?, let otherEnd?) where end != otherEnd: return end < otherEnd
        case (_?, nil): return true
        case (nil, _?): return false
        default: break
        }
        let given: Set<Entry.Kind> = [.bonus, .planGrant]
        if given.contains(one.kind) != given.contains(other.kind) { return given.contains(one.kind) }
        return one.since == other.since ? one.id.rawValue < other.id.rawValue : one.since < other.since
    }

    /// The first lot to burn whose time is over.
    func firstOver(at now: Instant) -> Burning? {
        guard facts.contains(where: { $0.what.mayEnd(by: now) }) else { return nil }
        return lots.filter { $0.remaining > .zero && $0.until.map { $0 <= now } == true }.min(by: goesFirst)
    }

    // MARK: Alerts

    /// All that the owner was ever to be told.
    var alerts: [BalanceAlert] {
        var alerts: [BalanceAlert] = []
        var balance = Credits.zero
        var isExhaustedTold = false
        /// True if the balance was below its level when the balance or the level last changed.
        var isLow = false

        for fact in facts {
            let (before, change) = (balance, fact.what.change)
            balance += change
            func tell(_ what: BalanceAlert.What) {
                alerts.append(BalanceAlert(account: account, what: what, balance: balance, at: fact.at))
            }
            let isBelow = fact.level.map { balance < $0 } ?? false
            let wasBelow = fact.level.map { before < $0 } ?? false
            if case .ranOut = fact.what {
                // One expensive call does not exhaust an account that has many credits left.
                if !isExhaustedTold, isLow {
                    tell(.exhausted)
                    isExhaustedTold = true
                }
                continue
            }
            if change != .zero || fact.what.isLevelSet { isLow = isBelow }
            if change > .zero, balance > .zero {
                isExhaustedTold = false
            } else if change < .zero, !isExhaustedTold {
                if balance <= .zero {
                    tell(.exhausted)
                    isExhaustedTold = true
                } else if isBelow, !wasBelow, let level = fact.level {
                    tell(.low(level: level))
                }
            }
        }
        return alerts
    }
}

extension OracleMemory.What {
    fileprivate var isLevelSet: Bool { if case .levelSet = self { true } else { false } }

    /// The change of the balance.
    var change: Credits {
        switch self {
        case .held, .letGo, .ranOut, .levelSet: .zero
        case .used(let amount, _), .took(let amount), .takenBack(_, let amount, _), .ended(_, let amount): -amount
        case .gaveBack(_, let amount, _, _): amount
        case .granted(_, _, let amount, let before, _): amount - before
        }
    }

    fileprivate func mayEnd(by now: Instant) -> Bool {
        if case .granted(_, _, _, _, let until?) = self { until <= now } else { false }
    }
}

extension OracleMemory {
    /// Compares the memory with the rows of an account, its lots and its API keys.
    func difference(
        from row: Account, lots found: [Lot], keys: [KeySpending], limits: [KeySpending.ID: SpendingLimits], overdraft: Credits?,
        now: Instant
    ) -> String? {
        let (posted, held) = (posted, held)
        if row.posted != posted || row.held != held {
            return "engine has \(row.posted) and holds \(row.held), oracle \(posted) and \(held)"
        }
        let debt = max(.zero, held - posted - (overdraft ?? .zero))
        if row.debt != debt { return "the engine has a debt of \(row.debt), the oracle \(debt)" }

        for lot in lots {
            let same = found.first { $0.id == lot.id }
            let parts = [same?.remaining, same?.expired, same?.reversed]
            if parts != [lot.remaining, lot.ended, lot.takenBack] { return "lot: engine \(String(describing: same)), oracle \(lot)" }
        }
        if found.reduce(.zero, { $0 + $1.remaining }) != max(.zero, posted) { return "the lots do not add up to the balance" }

        let spent = row.spending.current(at: now)
        let expected = (self.spent(inDayOf: now), self.spent(inMonthOf: now))
        if (spent.day, spent.month) != expected { return "engine counts \(spent.day) and \(spent.month), oracle \(expected)" }
        for id in limits.keys where id.account == account && !keys.contains(where: { $0.id == id }) { return "\(id.key) is not counted" }
        for key in keys {
            let spent = key.spending.current(at: now)
            let (day, month) = (self.spent(key.id.key, inDayOf: now), self.spent(key.id.key, inMonthOf: now))
            if (spent.day, spent.month, key.held) != (day, month, self.held(by: key.id.key)) {
                return "\(key): oracle counts \(day) and \(month), holds \(self.held(by: key.id.key))"
            }
            if key.limits != limits[key.id] { return "\(key): oracle has \(String(describing: limits[key.id]))" }
        }
        return nil
    }
}
