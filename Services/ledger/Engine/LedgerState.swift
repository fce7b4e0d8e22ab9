import Values

/// All that a batch of commands can see and change: read under lock before, written as a whole after.
struct LedgerState: Equatable, Sendable {
    var accounts: [AccountID: Account] = [:]
    /// The holds that the commands name.
    var holds: [ChargeID: OpenHold] = [:]
    /// The entries of the charges that the commands name.
    var entries: [EntryKey: Entry] = [:]
    /// The lots with credits left, and those that commands name, of the accounts in ``accountsWhoseLotsMatter(to:now:)``.
    var books: [AccountID: LotBook] = [:]
    /// The spending of the keys that commands and holds name, of the accounts in ``accountsWhoseKeysMatter``.
    var keys: [KeySpending.ID: KeySpending] = [:]
}

extension LedgerState {
    /// The lots of most accounts need not be looked at: only where one is granted, taken back or due, and where a late settlement may
    /// give back.
    func accountsWhoseLotsMatter(to commands: [Command], now: Instant) -> Set<AccountID> {
        var ids = Set(commands.lazy.filter(\.movesLots).map(\.account))
        for account in accounts.values where account.lotsExpireAt.map({ $0 <= now }) == true { ids.insert(account.id) }
        for entry in entries.values where entry.kind == .expire { ids.insert(entry.account) }
        // A hold may expire in the batch of its late settlement.
        for command in commands { if case .expire = command.action { ids.insert(command.account) } }
        return ids
    }

    var accountsWhoseKeysMatter: Set<AccountID> { Set(accounts.values.lazy.filter(\.countsKeys).map(\.id)) }
}

extension Command {
    var movesLots: Bool {
        switch action {
        case .grant, .reverse: true
        case .hold, .extend, .report, .expire, .expireLots, .settle, .void, .charge: false
        }
    }

    /// The grant it makes or takes back.
    var lot: ChargeID? {
        switch action {
        case .grant: id
        case .reverse(let grant, _, _): grant
        case .hold, .extend, .report, .expire, .expireLots, .settle, .void, .charge: nil
        }
    }
}

/// The result of a batch.
struct Ruling: Sendable {
    var state: LedgerState
    /// One for each command, in the order of the commands.
    var decisions: [Decision]
    /// The new journal entries in the order of their decisions. Entries of expired lots come first.
    var entries: [Entry]
    var alerts: [BalanceAlert]
}

/// The rows that differ between two states: each row once, as one statement can write them.
struct Changes: Equatable, Sendable {
    var accounts: [Account] = []
    var holdsPut: [OpenHold] = []
    var holdsDeleted: [ChargeID] = []
    var lots: [Lot] = []
    var keys: [KeySpending] = []

    init(from before: LedgerState, to after: LedgerState) {
        for (id, account) in after.accounts where before.accounts[id] != account { accounts.append(account) }
        for (id, hold) in after.holds where before.holds[id] != hold { holdsPut.append(hold) }
        for id in before.holds.keys where after.holds[id] == nil { holdsDeleted.append(id) }
        for (account, book) in after.books {
            let known = before.books[account]?.lots ?? [:]
            for (id, lot) in book.lots where known[id] != lot { lots.append(lot) }
        }
        for (id, key) in after.keys where before.keys[id] != key { keys.append(key) }
    }
}
