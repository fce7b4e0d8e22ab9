import Contracts

extension Replay {
    /// Why the ledger should not have decided so in the state before; nil when it is as the rules say.
    func flaw(in row: Row) -> String? {
        if row.kind != .expire, let flaw = flawOfTime(row) { return flaw }
        if checker.ask(behind: row) == nil, !row.kind.isOfClock { return nil }  // told elsewhere
        switch row.kind {
        case .hold: return flaw(inHold: row)
        case .extend: return flaw(inExtend: row)
        case .capture: return flaw(inCapture: row)
        case .void: return flaw(inVoid: row)
        case .expire: return flaw(inExpiry: row)
        case .lateCapture: return flaw(inLate: row)
        case .lotExpiry: return flaw(inLotExpiry: row)
        case .purchase, .planGrant, .bonus: return row.postedDelta == row.amount && row.heldDelta == .zero ? nil : "moves something else"
        case .clawback: return row.postedDelta == -row.amount && row.heldDelta == .zero ? nil : "moves something else"
        case .charge, .refund, .adjustment, .topup: return "nobody asks for it here"
        }
    }

    /// What is over is over from its very moment: no credit that has ended can be spent, no hold that has ended keeps anything.
    private func flawOfTime(_ row: Row) -> String? {
        guard row.kind != .lotExpiry else { return nil }
        if balance > .zero, let lot = lots.values.first(where: { $0.remaining > .zero && $0.expiresAt.map { $0 <= row.at } == true }) {
            return "\(lot.remaining) of lot \(lot.id) could still be spent"
        }
        let over = holds.first { _, hold in
            hold.endsAt.map { $0 <= row.at && !checker.outages.touch($0, row.at) } == true
        }
        return over.map { "hold \($0.key) was over since \($0.value.livesUntil)" }
    }

    // MARK: Holds

    private struct Room {
        let status: Row.Status
        let left: Credits
        let leftWithoutHolds: Credits
    }

    private func rooms(_ key: CallerKey?, at now: Instant) -> [Room] {
        func rooms(_ limits: SpendingLimits?, _ spent: Spent, _ held: Credits, _ day: Row.Status, _ month: Row.Status) -> [Room] {
            let spent = spent.current(at: now)
            return [(day, limits?.daily, spent.day), (month, limits?.monthly, spent.month)].compactMap { status, limit, spent in
                limit.map { Room(status: status, left: $0 - spent - held, leftWithoutHolds: $0 - spent) }
            }
        }
        let own = rooms(checker.book.accountLimits[account], spent, held, .accountDailyLimit, .accountMonthlyLimit)
        guard let key else { return own }
        let use = keys[key.id] ?? KeyUse()
        return own + rooms(key.limits, use.spent, use.held, .keyDailyLimit, .keyMonthlyLimit)
    }

    private func flaw(inHold row: Row) -> String? {
        guard case .hold(let amount, let least, _, let awaitsFunds, let key) = checker.ask(behind: row)?.action else { return nil }
        let ended = checker.row(row.charge, Row.terminal)
        if row.status == .alreadyResolved { return isBefore(ended, row) ? nil : "its charge had not ended" }
        if let ended, ended.account == account, ended.at < row.at { return "its charge had ended by \(ended.kind) at \(ended.at)" }
        if seq == 0 { return row.status == .accountNotFound ? nil : "the account was never granted anything" }
        let rooms = rooms(key, at: row.at)
        if row.status != .applied, awaitsFunds, posted >= least, rooms.allSatisfy({ $0.leftWithoutHolds >= least }) {
            return "refused for good although it would wait for what is held"
        }
        return flaw(inGrant: row, amount, least, rooms)
    }

    private func flaw(inExtend row: Row) -> String? {
        guard case .extend(_, let amount, let least, _, _) = checker.ask(behind: row)?.action else { return nil }
        switch row.status {
        case .alreadyResolved: return isBefore(checker.row(row.charge, Row.terminal), row) ? nil : "its charge had not ended"
        case .holdNotFound: return holds[row.charge] == nil ? nil : "its hold was open"
        default: break
        }
        guard let hold = holds[row.charge] else { return "there was no hold" }
        return flaw(inGrant: row, amount, least, rooms(hold.key, at: row.at))
    }

    /// As much as there is and limits leave, or nothing if that is less than the least.
    private func flaw(inGrant row: Row, _ amount: Credits, _ least: Credits, _ rooms: [Room]) -> String? {
        let available = max(.zero, balance)
        let possible = min(amount, available, rooms.map(\.left).min() ?? amount)
        guard possible >= least else {
            switch row.status {
            case .insufficientFunds: return available < least ? nil : "\(available) was available, \(least) enough"
            case let status where status.isLimit:
                return rooms.contains { $0.status == status && $0.left < least } && available >= least ? nil : "that limit left room"
            default: return "only \(possible) was possible, \(least) the least"
            }
        }
        guard row.status == .applied else { return "\(possible) was possible, \(least) enough" }
        guard row.amount == possible, row.heldDelta == possible, row.postedDelta == .zero else { return "\(possible) was possible" }
        return nil
    }

    /// A row in another account's chain may have been decided by another ledger at the same time: its clock was read a moment apart.
    private func isBefore(_ other: Row?, _ row: Row) -> Bool {
        guard let other else { return false }
        return other.at <= row.at + (other.account == row.account ? .zero : .seconds(1))
    }

    // MARK: Ends

    private func flaw(inCapture row: Row) -> String? {
        if seq == 0 { return row.status == .accountNotFound ? nil : "the account was never granted anything" }
        if let opening = checker.row(row.charge, Row.opening), opening.account != account, !isBefore(row, opening) {
            return "its charge is a \(opening.kind) of \(opening.account)"
        }
        return flaw(inTaking: row, released: holds[row.charge]?.amount ?? .zero)
    }

    private func flaw(inVoid row: Row) -> String? {
        if seq == 0 { return row.status == .accountNotFound ? nil : "the account was never granted anything" }
        let released = holds[row.charge]?.amount ?? .zero
        return row.amount == .zero && row.postedDelta == .zero && row.heldDelta == -released ? nil : "its hold was \(released)"
    }

    private func flaw(inExpiry row: Row) -> String? {
        guard let hold = holds[row.charge] else { return "there was no hold" }
        if row.at < hold.livesUntil { return "not over before \(hold.livesUntil)" }
        let asks = checker.book.asks[row.charge] ?? []
        if row.requested != .zero, !asks.contains(where: { $0.used == row.requested }) { return "nobody reported that" }
        if let unheard = asks.first(where: { isUnheard($0, by: row) }) { return "heard before and left out: \(unheard.action)" }
        return flaw(inTaking: row, released: hold.amount)
    }

    /// Reported above what the expiry took, although an answer or quiet times prove that the ledger knew.
    private func isUnheard(_ ask: Ask, by expiry: Row) -> Bool {
        guard let used = ask.used, used > expiry.requested, let record = checker.book.records[ask] else { return false }
        if case .extend(let step, _, _, _, _) = ask.action {
            guard let extend = checker.row(ask.id, Int16(step)), checker.ask(behind: extend) == ask else { return false }
            return extend.status == .applied && extend.seq < expiry.seq
        }
        guard let confirmed = record.confirmedAt, confirmed + .seconds(5) < expiry.at else { return false }
        // One that came before its hold was told to nobody.
        guard let opening = checker.row(ask.id, Row.opening), opening.at < record.firstSentAt else { return false }
        return !checker.outages.touch(confirmed, expiry.at)
    }

    /// What was used, as far as the hold and the balance reach.
    private func flaw(inTaking row: Row, released: Credits) -> String? {
        let possible = max(released, balance + released, .zero)
        let amount = min(row.requested, possible)
        guard row.status == .applied else { return "the account is open" }
        guard row.amount == amount, row.postedDelta == -amount, row.heldDelta == -released else {
            return "\(possible) was there, \(released) of it held"
        }
        return nil
    }

    /// The difference to what the expiry took; below zero only as far as the hold had put it aside.
    private func flaw(inLate row: Row) -> String? {
        guard let expiry = checker.row(row.charge, Row.terminal), expiry.kind == .expire, isBefore(expiry, row) else {
            return "there was no expiry before"
        }
        let putAside = max(.zero, -expiry.heldDelta - expiry.amount)
        let amount = min(row.requested, max(putAside, balance))
        guard row.status == .applied, row.amount == amount, row.postedDelta == -amount, row.heldDelta == .zero else {
            return "\(amount) was to take: \(putAside) put aside, balance \(balance)"
        }
        return nil
    }

    private func flaw(inLotExpiry row: Row) -> String? {
        guard let lot = row.grant.flatMap({ lots[$0] }), let end = lot.expiresAt else { return "there is no such lot" }
        if row.at < end { return "not over before \(end)" }
        let amount = min(lot.remaining, max(.zero, balance))
        return row.amount == amount && row.postedDelta == -amount && row.heldDelta == .zero ? nil : "\(amount) was left and not held"
    }
}
