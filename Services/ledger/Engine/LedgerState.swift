import Contracts

/// All that a batch of commands can see and change: read under lock before, written as a whole after.
struct LedgerState: Equatable, Sendable {
    var accounts: [AccountID: Account] = [:]
    /// The holds the commands name, and every expired one of the accounts they touch.
    var holds: [ChargeID: OpenHold] = [:]
    /// What is decided already about the charges the commands name.
    var entries: [EntryKey: Entry] = [:]
}

/// What a batch came to.
struct Ruling: Sendable {
    var state: LedgerState
    /// One for each command, in the order of the commands.
    var decisions: [Decision]
    /// New journal entries in the order they were decided, those of expired holds first.
    var entries: [Entry]
}

/// The rows that differ between two states: each row once, as one statement can write them.
struct Changes: Equatable, Sendable {
    var accounts: [Account] = []
    var holdsPut: [OpenHold] = []
    var holdsDeleted: [ChargeID] = []

    init(from before: LedgerState, to after: LedgerState) {
        for (id, account) in after.accounts where before.accounts[id] != account { accounts.append(account) }
        for (id, hold) in after.holds where before.holds[id] != hold { holdsPut.append(hold) }
        for id in before.holds.keys where after.holds[id] == nil { holdsDeleted.append(id) }
    }
}
