import Contracts
import Outbox
import Postgres

/// Runs batches of commands against Postgres: one transaction and two round trips each, whatever their size.
///
/// Nothing here depends on how often or in what order a command is sent; a batch whose outcome is unknown is simply run again.
final class LedgerStore: @unchecked Sendable {
    // @unchecked Sendable: confined to the pool's loop, as the pool itself.
    let pool: PostgresPool
    private(set) var limits: Limits
    private let expiry: ExpiryGate
    private let faults: FaultPoints

    init(
        pool: PostgresPool, limits: Limits = Limits(), expiry: ExpiryGate = ExpiryGate(grace: .zero), faults: FaultPoints = FaultPoints()
    ) {
        self.pool = pool
        self.limits = limits
        self.expiry = expiry
        self.faults = faults
    }

    /// Makes the journal's coming months and learns how far it goes back. At start, then daily.
    func prepareJournal() async throws {
        _ = try await pool.withConnection { try await $0.one(CreateJournalPartitions(monthsAhead: 3)) }
        limits.journalStart = try await pool.withConnection { try await $0.one(ReadJournalStart()) }
    }

    /// Decides and writes `commands` in their order, durably, all or (when it throws) none; settles the expired holds and lots of their
    /// accounts and of `accounts` on the way. Two round trips; a third where lots or the sums of API keys matter.
    /// - Throws: `PostgresError`; after any, the same commands may be sent again.
    func decide(_ commands: [Command], expiring accounts: [AccountID] = []) async throws -> [Decision] {
        let charges = Array(Set(commands.map(\.id)))
        let touched = Array(Set(commands.map(\.account)).union(accounts)).sorted()
        let granted = Set(commands.filter(\.movesLots).map(\.account)).sorted()
        let ruling = try await pool.transaction { transaction in
            try faults.hit(.beforeLock)
            if !granted.isEmpty { try await transaction.execute(OpenAccounts(ids: granted)) }
            let (_, locked, now, entries, holds) = try await transaction.pipeline(
                PlanOnce(), LockAccounts(ids: touched), ReadClock(), ReadEntries(ids: charges),
                ReadHolds(charges: charges, accounts: touched))
            try faults.hit(.afterLock)

            var state = LedgerState(
                accounts: Dictionary(uniqueKeysWithValues: locked.map { ($0.id, $0) }),
                holds: Dictionary(holds.map { ($0.charge, $0) }) { first, _ in first },
                entries: Dictionary(uniqueKeysWithValues: entries.map { ($0.key, $0) }))
            try await transaction.readLotsAndKeys(into: &state, for: commands, now: now[0])
            let ruling = state.apply(commands, now: now[0], limits: limits, expires: expiry.isOpen)
            try await write(ruling, from: state, in: transaction)
            return ruling
        }
        try faults.hit(.afterCommit)
        return ruling.decisions
    }

    private func write(_ ruling: Ruling, from state: LedgerState, in transaction: PostgresTransaction) async throws {
        let changes = Changes(from: state, to: ruling.state)
        let write = WriteBatch(ruling.entries, changes)
        let seldom = WriteLotsAndKeys(lots: changes.lots, keys: changes.keys)
        let alerts = AddToOutbox(ruling.alerts.map(\.message))
        if !ruling.alerts.isEmpty { Outbox.wakeRelay(after: transaction) }
        if faults.isArmed {
            _ = try await transaction.pipeline(write, seldom, alerts)
            try faults.hit(.afterWrite)
            try await transaction.commit()
        } else if seldom.isEmpty, ruling.alerts.isEmpty {
            guard !write.isEmpty else { return }
            try await transaction.commit(write)
        } else {
            try await transaction.commit(write, seldom, alerts)
        }
    }

    /// Settles holds that have expired, oldest first; none while an outage is made up for. An account whose row cannot be written
    /// holds up no other.
    func sweepExpired(limit: Int = 500) async throws -> Sweep {
        guard expiry.isOpen else { return Sweep(due: 0) }
        let due = try await pool.withConnection { try await $0.query(ReadExpired(limit: limit)) }
        var sweep = Sweep(due: due.count)
        guard !due.isEmpty else { return sweep }
        do {
            _ = try await decide([], expiring: due)
        } catch let error as PostgresError where !error.isRetriable && !error.isDatabaseUnavailable {
            for account in Set(due) {
                do {
                    _ = try await decide([], expiring: [account])
                } catch let error as PostgresError where !error.isRetriable && !error.isDatabaseUnavailable {
                    sweep.failed[account] = error
                }
            }
        }
        return sweep
    }

    struct Sweep {
        /// Holds that were due, at most as many as asked for.
        var due: Int
        var failed: [AccountID: PostgresError] = [:]
    }

    /// How accounts stand now, by the same rules as decisions: what has expired is settled, whether a sweep came by or not. Reads only.
    /// - Parameter lots: false leaves out the lots where they do not matter.
    /// - Returns: nothing for an account that never had a grant.
    func standings(of accounts: [AccountID], lots: Bool = false) async throws -> [AccountID: Standing] {
        guard !accounts.isEmpty else { return [:] }
        let (state, _) = try await state(of: accounts, lots: lots)
        var standings: [AccountID: Standing] = [:]
        for account in state.accounts.values where account.isOpen {
            var book = state.books[account.id]
            book?.settle(at: account.posted)
            standings[account.id] = Standing(account: account, lots: book?.inBurnOrder.filter { $0.remaining > .zero } ?? [])
        }
        return standings
    }

    /// What a batch would see of these accounts now, and its time.
    func state(of accounts: [AccountID], lots: Bool = false) async throws -> (state: LedgerState, now: Instant) {
        try await pool.transaction(isolation: .repeatableReadOnly) { transaction in
            let (_, rows, now, holds) = try await transaction.pipeline(
                PlanOnce(), ReadAccounts(ids: accounts), ReadClock(), ReadHolds(charges: [], accounts: accounts))
            var state = LedgerState(
                accounts: Dictionary(uniqueKeysWithValues: rows.map { ($0.id, $0) }),
                holds: Dictionary(holds.map { ($0.charge, $0) }) { first, _ in first })
            try await transaction.readLotsAndKeys(into: &state, for: [], now: now[0], lotsOf: lots ? accounts : [])
            return (state.apply([], now: now[0], limits: limits, expires: expiry.isOpen).state, now[0])
        }
    }

    func standing(of account: AccountID, lots: Bool = false) async throws -> Standing? {
        try await standings(of: [account], lots: lots)[account]
    }
}

/// An account as its owner sees it.
struct Standing: Sendable {
    var account: Account
    /// Those with credits left, in the order in which they burn.
    var lots: [Lot]
}

extension PostgresTransaction {
    fileprivate func readLotsAndKeys(
        into state: inout LedgerState, for commands: [Command], now: Instant, lotsOf accounts: [AccountID] = []
    ) async throws {
        let withLots = state.accountsWhoseLotsMatter(to: commands, now: now).union(accounts)
        let withKeys = state.accountsWhoseKeysMatter
        guard !withLots.isEmpty || !withKeys.isEmpty else { return }
        let (lots, keys) = try await pipeline(
            ReadLots(accounts: Array(withLots), named: commands.compactMap(\.lot)), ReadKeys(accounts: Array(withKeys)))
        for account in withLots { state.books[account] = LotBook() }
        for lot in lots { state.books[lot.account]?.lots[lot.id] = lot }
        for key in keys { state.keys[key.id] = key }
    }
}

extension BalanceAlert {
    fileprivate var message: OutboxMessage {
        switch what {
        case .low(let level):
            OutboxMessage(BalanceLow(accountID: account, balance: balance, level: level, at: at), orderingKey: account.description)
        case .exhausted:
            OutboxMessage(BalanceExhausted(accountID: account, balance: balance, at: at), orderingKey: account.description)
        }
    }
}

/// Moments of a batch at which tests make the process fail.
struct FaultPoints: Sendable {
    enum Point: Sendable, CaseIterable { case beforeLock, afterLock, afterWrite, afterCommit }

    var action: (@Sendable (Point) throws -> Void)?

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

/// Whose holds are over, and whose lots, unless running holds keep all of what is left.
struct ReadExpired: Statement {
    let limit: Int

    static let sql = """
        (
            SELECT account_id
            FROM open_hold
            WHERE expires_at <= clock_timestamp()
            ORDER BY expires_at
            LIMIT $1
        )
        UNION ALL
        (
            SELECT account_id
            FROM account
            WHERE lots_expire_at <= clock_timestamp() AND posted > held
            ORDER BY lots_expire_at
            LIMIT $1
        )
        """

    func bind(_ parameters: inout Parameters) { parameters.append(limit) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> AccountID { try row.next() }
}
