import Values

extension RulingBuilder {
    mutating func give(_ command: Command, _ grant: Command.Grant, _ amount: Credits, _ expiresAt: Instant?) -> Decision {
        if let stored = entry(command.id, .opening) { return answer(command, from: stored) }
        var entry = Entry(of: command, grant.kind, requested: amount, at: now)
        let account = state.accounts[command.account] ?? Account(id: command.account)
        if amount < .zero, account.available < -amount {
            let funds = Funds(account, [])
            guard funds.availableAlone < -amount else { return .awaitingFunds(funds) }
            entry.status = .insufficientFunds
            return .decided(write(entry))
        }
        if account.posted + amount > limits.balanceMax {
            entry.status = .outOfRange
            return .decided(write(entry))
        }
        state.accounts[account.id] = account
        burnLots(of: account.id)
        guard amount > .zero else {
            entry.amount = amount
            entry.postedDelta = amount
            let written = write(entry)
            burnLots(of: account.id)
            return .decided(written)
        }
        // A reversal that came first is met at once.
        let awaited = state.books[account.id]?.lots[command.id]
        let reversed = min(awaited?.reversalTarget ?? .zero, amount)
        entry.grant = command.id
        entry.expiresAt = expiresAt
        entry.amount = amount - reversed
        entry.postedDelta = entry.amount
        let written = write(entry)
        put(
            Lot(
                id: command.id, account: account.id, kind: grant.kind, amount: amount, remaining: entry.amount, reversed: reversed,
                reversalTarget: awaited?.reversalTarget ?? .zero, reversalVersion: awaited?.reversalVersion ?? 0, expiresAt: expiresAt,
                grantedAt: now))
        burnLots(of: account.id)
        expireLots(of: account.id)
        return .decided(written)
    }

    /// Takes the difference between what should be taken back of a grant and what is: from its own lot first, then from the others in
    /// their order, then from nothing. Credits that return after the end of their lot get a lot without an end.
    mutating func reverse(_ command: Command, _ grant: ChargeID, _ target: Credits, _ version: Int64) -> Decision {
        if let stored = entry(command.id, .opening) { return answer(command, from: stored) }
        var entry = Entry(of: command, .clawback, requested: target, at: now)
        entry.grant = grant
        let account = state.accounts[command.account] ?? Account(id: command.account)
        state.accounts[account.id] = account
        burnLots(of: account.id)
        var lot =
            state.books[account.id]?.lots[grant]
            ?? Lot(id: grant, account: account.id, kind: .clawback, amount: .zero, remaining: .zero, grantedAt: now)
        guard version > lot.reversalVersion else {
            entry.status = .superseded
            return .decided(write(entry))
        }
        // Expired credits have left the owner already.
        let reversed = min(target, lot.amount - lot.expired)
        let due = reversed - lot.reversed
        guard account.posted - due <= limits.balanceMax, account.balance - due >= -limits.balanceMax else {
            entry.status = .outOfRange
            return .decided(write(entry))
        }
        lot.reversalVersion = version
        lot.reversalTarget = target
        entry.amount = due
        entry.postedDelta = -due
        lot.reversed = reversed
        let returnsLate = due < .zero && lot.expiresAt.map { $0 <= now } == true
        if !returnsLate { lot.remaining = max(.zero, lot.remaining - due) }
        let written = write(entry)
        put(lot)
        if returnsLate { addLot(of: written, -due, kind: lot.kind) }
        burnLots(of: account.id)
        expireLots(of: account.id)
        return .decided(written)
    }

    // MARK: Lots

    /// Expires every due lot, except credits that open holds reserve.
    mutating func expireLots() {
        for account in state.accounts.keys.sorted() { expireLots(of: account) }
    }

    mutating func expireLots(of id: AccountID) {
        guard let due = state.accounts[id]?.lotsExpireAt, due <= now else { return }
        burnLots(of: id)
        for lot in state.books[id]?.inBurnOrder ?? [] where lot.remaining > .zero && lot.expiresAt.map({ $0 <= now }) == true {
            guard let account = state.accounts[id] else { return }
            let over = min(lot.remaining, max(.zero, account.posted - account.held))
            guard over > .zero else { break }
            var entry = Entry(
                charge: .lotExpiry(of: lot.id, seq: account.seq, at: now), step: .opening, account: id, kind: .lotExpiry,
                requested: lot.remaining,
                fingerprint: 0, at: now)
            entry.grant = lot.id
            entry.amount = over
            entry.postedDelta = -over
            _ = write(entry)
            state.books[id]?.lots[lot.id]?.remaining -= over
            state.books[id]?.lots[lot.id]?.expired += over
        }
        burnLots(of: id)
    }

    /// Adds a lot for credits that come back. The lots have burned before.
    mutating func addLot(of entry: Entry, _ amount: Credits, kind: Entry.Kind) {
        put(Lot(id: entry.charge, account: entry.account, kind: kind, amount: amount, remaining: amount, grantedAt: now))
        burnLots(of: entry.account)
    }

    private mutating func put(_ lot: Lot) { state.books[lot.account, default: LotBook()].lots[lot.id] = lot }

    mutating func burnLots(of id: AccountID) {
        guard let account = state.accounts[id] else { return }
        var book = state.books[id] ?? LotBook()
        book.burn(to: account.posted)
        state.books[id] = book
        state.accounts[id]?.lotsExpireAt = book.nextExpiry
    }
}

extension ChargeID {
    /// Makes the id of an entry that no client asked for, different for each lot and each place in its account's chain.
    fileprivate static func lotExpiry(of lot: ChargeID, seq: Int64, at now: Instant) -> ChargeID {
        var bits = SeededBits(lot.rawValue.high ^ lot.rawValue.low &* 31 ^ UInt64(bitPattern: seq) &* 0x9e37_79b9_7f4a_7c15)
        return ChargeID(rawValue: .make(milliseconds: now.microseconds / 1_000, using: &bits))
    }
}

/// Spreads a seed over as many bits as are asked for; the same seed gives the same bits.
private struct SeededBits: RandomNumberGenerator {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
