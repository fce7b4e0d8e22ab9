import Contracts
import Outbox
package import Postgres
import Synchronization
package import Values

/// Runs batches of commands against Postgres: one transaction and two round trips each, whatever their size.
///
/// Nothing here depends on how often or in what order a command is sent; a batch whose outcome is unknown is simply run again.
package final class LedgerStore: Sendable {
    package let pool: PostgresPool
    /// The pool of the pages, so that no search takes a connection from a decision. It runs on the
    /// same loop.
    package let reads: PostgresPool
    private let currentLimits: Mutex<Limits>
    private let faults: FaultPoints

    /// The time that a batch waits for a row or a key that another transaction is writing. Longer
    /// waits belong to ``commitInLine(of:lockWithin:rowsMax:take:)``.
    static let lockWithin = Duration.milliseconds(200)
    /// The time that one account's transaction waits for its row, if no other account waits.
    static let lineWithin = Duration.seconds(1)
    /// The longest time of one statement of a batch or a read, so that a slow account does not
    /// delay the others.
    static let statementWithin = Duration.seconds(5)

    /// - Parameter reads: the pool of the pages; `pool` by default.
    package convenience init(pool: PostgresPool, reads: PostgresPool? = nil, limits: Limits = Limits()) {
        self.init(pool: pool, reads: reads, limits: limits, faults: FaultPoints())
    }

    init(pool: PostgresPool, reads: PostgresPool? = nil, limits: Limits = Limits(), faults: FaultPoints) {
        self.pool = pool
        self.reads = reads ?? pool
        currentLimits = Mutex(limits)
        self.faults = faults
    }

    /// The limits of commands, with the beginning of the journal.
    package var limits: Limits { currentLimits.withLock { $0 } }

    /// Makes the journal's coming months and learns how far it goes back. At start, then daily.
    package func prepareJournal() async throws {
        _ = try await pool.withConnection { try await $0.one(CreateJournalPartitions(monthsAhead: 3)) }
        let start = try await pool.withConnection { try await $0.one(ReadJournalStart()) }
        currentLimits.withLock { $0.journalStart = start }
    }

    /// Decides and writes `commands` in their order, durably. Writes all of them, or none if it
    /// throws. Makes two round trips. Lots, sums of API keys and locked accounts cost one more each;
    /// an unknown account costs two.
    ///
    /// - Parameter isOverdue: asked for each command when the locks are held. An overdue question
    ///   is answered like a redelivered one.
    /// - Returns: nil for a command of an account that is locked, or that has commands in rows
    ///   (``KeptCommand``). It is undecided.
    /// - Throws: `PostgresError`; after any, the same commands may be sent again.
    package func commit(_ commands: [Command], isOverdue: (Int) -> Bool = { _ in false }) async throws -> [Decision?] {
        let accounts = Set(commands.map(\.account)).sorted()
        let charges = Array(Set(commands.map(\.id)))
        faults.sees?(commands)
        let decisions = try await pool.transaction { transaction in
            try faults.hit(.beforeLock)
            let begin = BeginBatch(lockWithin: Self.lockWithin, statementWithin: Self.statementWithin)
            var look = try await transaction.look(at: accounts, charges, after: begin)
            if !look.unknown.isEmpty {
                // Another ledger may be about to commit an account's first grant. Opening the account
                // waits for that ledger. If nothing else is written, the account stays unknown.
                look = try await transaction.look(at: accounts, charges, after: OpenAccounts(ids: look.unknown.sorted()))
            }
            try faults.hit(.afterLock)

            let (now, skipped) = (look.now, look.skipped)
            let decided = commands.indices.filter { !skipped.contains(commands[$0].account) }.map { index in
                var command = commands[index]
                if isOverdue(index) { command.isRedelivered = true }
                return command
            }
            let state = LedgerState(look.locked.filter { !skipped.contains($0.id) }, look.entries, look.holds)
            var decisions = try await rule(on: decided, from: state, at: now, in: transaction)[...]
            return commands.map { skipped.contains($0.account) ? nil : decisions.removeFirst() }
        }
        try faults.hit(.afterCommit)
        return decisions
    }

    /// Waits in line for an account's lock. Decides the commands that wait in rows, then later
    /// commands of the account. Parks a row that cannot be read, in the same transaction.
    ///
    /// - Parameter take: called with the oldest rows, at most `rowsMax`, when the lock is held. It
    ///   returns the commands to decide after them. `areMore` is true if further rows are left.
    /// - Returns: the decisions about the commands.
    func commitInLine(
        of account: AccountID, lockWithin: Duration, rowsMax: Int, take: (_ rows: [KeptCommand], _ areMore: Bool) -> [Command]
    ) async throws -> [Decision] {
        faults.seesWait?(lockWithin)
        return try await pool.transaction { transaction in
            let begin = BeginBatch(lockWithin: lockWithin)
            var (_, locked, now, rows) = try await transaction.pipeline(
                begin, LockAccount(id: account), ReadClock(), ReadKeptCommands(of: account, limit: rowsMax + 1))
            let kept = Array(rows.prefix(rowsMax))
            let readable = kept.filter { $0.flaw == nil }
            if readable.count < kept.count {
                try await transaction.execute(EndKeptCommands(kept.filter { $0.flaw != nil }.map { ($0, $0.flaw) }))
            }
            let commands = try readable.map { try $0.command.get() } + take(kept, rows.count > rowsMax)
            guard !commands.isEmpty else { return [] }
            if locked.isEmpty {
                (_, locked, now) = try await transaction.pipeline(OpenAccounts(ids: [account]), LockAccount(id: account), ReadClock())
            }
            let charges = Array(Set(commands.map(\.id)))
            let (holds, entries) = try await transaction.pipeline(ReadHolds(charges: charges), ReadEntries(ids: charges))
            let decisions = try await rule(
                on: commands, from: LedgerState(locked, entries, holds), at: now[0], in: transaction, resolving: readable,
                hasWritten: !kept.isEmpty)
            return Array(decisions.dropFirst(readable.count))
        }
    }

    private func rule(
        on commands: [Command], from locked: LedgerState, at now: Instant, in transaction: PostgresTransaction,
        resolving kept: [KeptCommand] = [], hasWritten: Bool = false
    ) async throws -> [Decision] {
        var state = locked
        try await transaction.readLotsAndKeys(into: &state, for: commands, now: now)
        let ruling = state.apply(commands, now: now, limits: limits)
        if !kept.isEmpty {
            let flaws = ruling.decisions.map { $0.mistake.map { RowFlaw(errorClass: "refused", reason: $0) } }
            try await transaction.execute(EndKeptCommands(Array(zip(kept, flaws))))
        }
        try await write(ruling, from: state, in: transaction, hasWritten: hasWritten)
        return ruling.decisions
    }

    private func write(
        _ ruling: Ruling, from state: LedgerState, in transaction: PostgresTransaction, hasWritten: Bool
    ) async throws {
        let changes = Changes(from: state, to: ruling.state)
        let write = WriteBatch(ruling.entries, changes)
        let seldom = WriteLotsAndKeys(lots: changes.lots, keys: changes.keys)
        let alerts = AddToOutbox(ruling.alerts.flatMap(\.messages))
        if !ruling.alerts.isEmpty { Outbox.wakeRelay(after: transaction) }
        if faults.isArmed {
            _ = try await transaction.pipeline(write, seldom, alerts)
            try faults.hit(.afterWrite)
            try await transaction.commit()
        } else if seldom.isEmpty, ruling.alerts.isEmpty {
            guard !write.isEmpty else {
                // A transaction with row locks has an id, so its commit would wait for the disk. A
                // rollback does not wait.
                if !hasWritten { await transaction.rollback() }
                return
            }
            try await transaction.commit(write)
        } else {
            try await transaction.commit(write, seldom, alerts)
        }
    }

    /// Reads the state of accounts by the same rules as decisions. Expired lots do not count,
    /// whether or not a sweep has ended them.
    /// - Parameters:
    ///   - lots: false leaves out the lots where they do not matter.
    ///   - pool: the pool to read over; the pool of the decisions by default.
    /// - Returns: nothing for an account that never had a grant.
    package func standings(of accounts: [AccountID], lots: Bool = false, over pool: PostgresPool? = nil) async throws -> [AccountID:
        Standing]
    {
        guard !accounts.isEmpty else { return [:] }
        let (state, _) = try await state(of: accounts, lots: lots, over: pool)
        var standings: [AccountID: Standing] = [:]
        for account in state.accounts.values where account.isOpen {
            var book = state.books[account.id]
            book?.burn(to: account.posted)
            standings[account.id] = Standing(account: account, lots: book?.inBurnOrder.filter { $0.remaining > .zero } ?? [])
        }
        return standings
    }

    /// Reads the state that a batch would see of these accounts now, and its time.
    package func state(
        of accounts: [AccountID], lots: Bool = false, over pool: PostgresPool? = nil
    ) async throws -> (state: LedgerState, now: Instant) {
        try await (pool ?? self.pool).transaction(isolation: .repeatableReadOnly) { transaction in
            let (_, rows, now) = try await transaction.pipeline(
                BeginBatch(lockWithin: Self.lockWithin, statementWithin: Self.statementWithin), ReadAccounts(ids: accounts), ReadClock())
            var state = LedgerState(rows, [], [])
            try await transaction.readLotsAndKeys(into: &state, for: [], now: now[0], lotsOf: lots ? accounts : [])
            return (state.apply([], now: now[0], limits: limits).state, now[0])
        }
    }

    /// API keys of the account that have limits, the hundred used last, without what has expired since.
    package func countedKeys(of account: AccountID) async throws -> [KeySpending] {
        try await reads.withConnection { try await $0.query(ReadKeysUsedLast(account: account)) }
    }

    /// Returns the standing of one account, read over the pool of the pages.
    package func standing(of account: AccountID, lots: Bool = false) async throws -> Standing? {
        try await standings(of: [account], lots: lots, over: reads)[account]
    }
}

extension LedgerState {
    fileprivate init(_ accounts: [Account], _ entries: [Entry], _ holds: [OpenHold]) {
        self.init(
            accounts: Dictionary(uniqueKeysWithValues: accounts.map { ($0.id, $0) }),
            holds: Dictionary(uniqueKeysWithValues: holds.map { ($0.charge, $0) }),
            entries: Dictionary(uniqueKeysWithValues: entries.map { ($0.key, $0) }))
    }
}

/// An account as its owner sees it.
package struct Standing: Sendable {
    package var account: Account
    /// The lots with credits left, in the order in which they burn.
    package var lots: [Lot]

    package init(account: Account, lots: [Lot]) {
        self.account = account
        self.lots = lots
    }
}

/// The rows that a batch reads under its locks.
private struct Look {
    let locked: [Account]
    let now: Instant
    let holds: [OpenHold]
    let entries: [Entry]
    /// The accounts that are locked elsewhere, or have commands in rows.
    var skipped: Set<AccountID>
    /// The accounts that do not exist, as far as this transaction can see.
    var unknown: Set<AccountID> = []
}

extension PostgresTransaction {
    fileprivate func look(at accounts: [AccountID], _ charges: [ChargeID], after first: some Statement) async throws -> Look {
        // Reads the holds before the entries. If another account's transaction begins the id
        // meanwhile, its entry is then seen.
        let (_, locked, now, holds, entries, kept) = try await pipeline(
            first, LockFreeAccounts(ids: accounts), ReadClock(), ReadHolds(charges: charges), ReadEntries(ids: charges),
            ReadAccountsKept(among: accounts))
        var look = Look(locked: locked, now: now[0], holds: holds, entries: entries, skipped: Set(kept))
        let missing = Set(accounts).subtracting(locked.map(\.id))
        guard !missing.isEmpty else { return look }
        let there = try await query(ReadAccountsThere(ids: Array(missing)))
        look.skipped.formUnion(there)
        look.unknown = missing.subtracting(there)
        return look
    }

    fileprivate func readLotsAndKeys(
        into state: inout LedgerState, for commands: [Command], now: Instant, lotsOf accounts: [AccountID] = []
    ) async throws {
        let withLots = state.accountsWhoseLotsMatter(to: commands, now: now).union(accounts)
        let withKeys = state.accountsWhoseKeysMatter
        guard !withLots.isEmpty || !withKeys.isEmpty else { return }
        let keys = Set(commands.compactMap(\.key)).union(state.holds.values.compactMap(\.key))
        let (lots, spending) = try await pipeline(
            ReadLots(accounts: Array(withLots), named: commands.compactMap(\.lot)), ReadKeys(accounts: Array(withKeys), keys: Array(keys)))
        for account in withLots { state.books[account] = LotBook() }
        for lot in lots { state.books[lot.account]?.lots[lot.id] = lot }
        for key in spending { state.keys[key.id] = key }
    }
}

extension BalanceAlert {
    /// The event, and the mail to the owner. The mail has no ordering key, so that it holds back no
    /// later event.
    fileprivate var messages: [OutboxMessage] {
        let key = account.description
        let owner = UserID(rawValue: account.rawValue)
        switch what {
        case .low(let level):
            return [
                OutboxMessage(BalanceLow(accountID: account, balance: balance, level: level, at: at), orderingKey: key),
                OutboxMessage(SendMail(userID: owner, mail: .lowBalance(balance: balance, level: level))),
            ]
        case .exhausted:
            return [
                OutboxMessage(BalanceExhausted(accountID: account, balance: balance, at: at), orderingKey: key),
                OutboxMessage(SendMail(userID: owner, mail: .balanceExhausted(balance: balance))),
            ]
        }
    }
}

/// Moments of a batch at which tests make the process fail.
struct FaultPoints: Sendable {
    enum Point: Sendable, CaseIterable { case beforeLock, afterLock, afterWrite, afterCommit }

    var action: (@Sendable (Point) throws -> Void)?
    /// Gets the commands of each batch before its first fault point.
    var sees: (@Sendable ([Command]) -> Void)?
    /// Sees how long an account in line may wait for its lock, before the wait.
    var seesWait: (@Sendable (Duration) -> Void)?

    var isArmed: Bool { action != nil }
    func hit(_ point: Point) throws { try action?(point) }
}

struct CreateJournalPartitions: Statement {
    typealias Output = Int32
    let monthsAhead: Int32
    static let sql = "SELECT create_journal_partitions($1)"
    func bind(_ parameters: inout Parameters) { parameters.append(monthsAhead) }
}

struct ReadJournalStart: Statement {
    typealias Output = Instant
    static let sql = "SELECT journal_start()"
}
