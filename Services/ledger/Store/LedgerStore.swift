import Contracts
import Outbox
import Postgres

/// Runs batches of commands against Postgres: one transaction and two round trips each, whatever their size.
///
/// Nothing here depends on how often or in what order a command is sent; a batch whose outcome is unknown is simply run again.
final class LedgerStore: @unchecked Sendable {
    // @unchecked Sendable: confined to the pool's loop, as the pool itself.
    let pool: PostgresPool
    /// What pages are read over, so that no search keeps a connection from a decision. On the same loop.
    let reads: PostgresPool
    private(set) var limits: Limits
    private let expiry: ExpiryGate
    private let faults: FaultPoints
    private let expiredMax: Int

    /// - Parameters:
    ///   - reads: `pool` by default.
    ///   - expiredMax: of the expired holds that one transaction settles.
    init(
        pool: PostgresPool, reads: PostgresPool? = nil, limits: Limits = Limits(), expiry: ExpiryGate = ExpiryGate(grace: .zero),
        faults: FaultPoints = FaultPoints(), expiredMax: Int = 1_000
    ) {
        self.pool = pool
        self.reads = reads ?? pool
        self.limits = limits
        self.expiry = expiry
        self.faults = faults
        self.expiredMax = expiredMax
    }

    /// Makes the journal's coming months and learns how far it goes back. At start, then daily.
    func prepareJournal() async throws {
        _ = try await pool.withConnection { try await $0.one(CreateJournalPartitions(monthsAhead: 3)) }
        limits.journalStart = try await pool.withConnection { try await $0.one(ReadJournalStart()) }
    }

    /// Decides and writes `commands` in their order, durably, all or (when it throws) none; settles the expired holds and lots of their
    /// accounts on the way. Two round trips; a third where lots or the sums of API keys matter. Accounts with more expired holds than
    /// one transaction settles have all of them settled first, in transactions of their own.
    /// - Throws: `PostgresError`; after any, the same commands may be sent again.
    func decide(_ commands: [Command]) async throws -> [Decision] {
        let accounts = Set(commands.map(\.account)).sorted()
        var hasBegun = false
        while true {
            // Begun is finished, even if it takes so long that the gate takes it for an outage: a hold that is over causes no refusal.
            let (ruling, isPart) = try await decideOnce(commands, on: accounts, waits: true, expires: hasBegun ? true : nil)
            if !isPart { return ruling.decisions }
            hasBegun = true
        }
    }

    /// - Parameters:
    ///   - waits: for accounts that another transaction has locked; else they are left out.
    ///   - known: whether what is over expires; nil asks the gate, once the locks are there.
    /// - Returns: also whether only expired holds were settled, because there are so many.
    private func decideOnce(
        _ commands: [Command], on touched: [AccountID], waits: Bool, expires known: Bool? = nil
    ) async throws -> (ruling: Ruling, isPart: Bool) {
        let charges = Array(Set(commands.map(\.id)))
        let granted = Set(commands.filter(\.movesLots).map(\.account)).sorted()
        let mayExpire = known ?? expiry.isOpen
        let decided = try await pool.transaction { transaction in
            try faults.hit(.beforeLock)
            if !granted.isEmpty { try await transaction.execute(OpenAccounts(ids: granted)) }
            let (locked, now, entries, holds) = try await lock(touched, charges, waits, mayExpire, in: transaction)
            try faults.hit(.afterLock)

            let expires = known ?? (mayExpire && expiry.isOpen)
            let isPart = expires && holds.count { !$0.isNamed } >= expiredMax
            let used = isPart ? holds.filter { !$0.isNamed } : holds
            var state = LedgerState(
                accounts: Dictionary(uniqueKeysWithValues: locked.map { ($0.id, $0) }),
                holds: Dictionary(used.map { ($0.hold.charge, $0.hold) }) { first, _ in first },
                entries: Dictionary(uniqueKeysWithValues: entries.map { ($0.key, $0) }))
            try await transaction.readLotsAndKeys(into: &state, for: commands, now: now)
            let ruling =
                isPart
                ? state.expireHolds(now: now, limits: limits) : state.apply(commands, now: now, limits: limits, expires: expires)
            try await write(ruling, from: state, in: transaction)
            return (ruling, isPart)
        }
        try faults.hit(.afterCommit)
        return decided
    }

    private func lock(
        _ accounts: [AccountID], _ charges: [ChargeID], _ waits: Bool, _ mayExpire: Bool, in transaction: PostgresTransaction
    ) async throws -> ([Account], Instant, [Entry], [ReadHolds.Row]) {
        // While nothing expires, what is over need not be looked at.
        let reading = ReadHolds(charges: charges, accounts: mayExpire ? accounts : [], expiredMax: expiredMax)
        let entries = ReadEntries(ids: charges)
        if waits {
            let (_, locked, now, known, holds) = try await transaction.pipeline(
                PlanOnce(), LockAccounts(ids: accounts), ReadClock(), entries, reading)
            return (locked, now[0], known, holds)
        }
        let (_, locked, now, known, holds) = try await transaction.pipeline(
            PlanOnce(), LockFreeAccounts(ids: accounts), ReadClock(), entries, reading)
        return (locked, now[0], known, holds)
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

    /// Settles what has expired, holds and then lots, the oldest first: at most `limit` holds and the lots of at most `limit` accounts.
    /// None while an outage is made up for. An account that is locked is passed over, and one that cannot be written holds up no other.
    /// - Parameter except: accounts that are not to be tried.
    func sweepExpired(limit: Int = 500, except: [AccountID] = []) async throws -> Sweep {
        var sweep = Sweep()
        guard expiry.isOpen else { return sweep }
        let due = try await pool.withConnection { try await $0.query(ReadExpired(limit: limit, except: except)) }
        sweep.mayBeMore = due.count { $0.isHold } >= limit || due.count { !$0.isHold } >= limit
        try await settle(Set(due.map(\.account)).sorted()[...], for: &sweep)
        return sweep
    }

    private func settle(_ accounts: ArraySlice<AccountID>, for sweep: inout Sweep) async throws {
        guard let first = accounts.first else { return }
        do {
            let (ruling, isPart) = try await decideOnce([], on: Array(accounts), waits: false)
            sweep.mayBeMore = sweep.mayBeMore || isPart
            sweep.settled += ruling.entries.count
            sweep.passedOver += accounts.filter { ruling.state.accounts[$0] == nil }
        } catch let error as PostgresError where !error.mayPass || error.isTimeout {
            guard accounts.count > 1 else {
                sweep.failed[first] = error
                return
            }
            let middle = accounts.startIndex + accounts.count / 2
            try await settle(accounts[..<middle], for: &sweep)
            try await settle(accounts[middle...], for: &sweep)
        }
    }

    struct Sweep {
        /// Holds and lots.
        var settled = 0
        /// Somebody else was at work on them.
        var passedOver: [AccountID] = []
        var failed: [AccountID: PostgresError] = [:]
        /// The limit was reached.
        var mayBeMore = false
    }

    /// How accounts stand now, by the same rules as decisions: what has expired counts as settled, whether a sweep came by or not. Reads
    /// only, unless there are so many expired holds that they are better settled first.
    /// - Parameters:
    ///   - lots: false leaves out the lots where they do not matter.
    ///   - pool: what is read over; the one of the decisions by default.
    /// - Returns: nothing for an account that never had a grant.
    func standings(of accounts: [AccountID], lots: Bool = false, over pool: PostgresPool? = nil) async throws -> [AccountID: Standing] {
        guard !accounts.isEmpty else { return [:] }
        let (state, _) = try await state(of: accounts, lots: lots, over: pool)
        var standings: [AccountID: Standing] = [:]
        for account in state.accounts.values where account.isOpen {
            var book = state.books[account.id]
            book?.settle(at: account.posted)
            standings[account.id] = Standing(account: account, lots: book?.inBurnOrder.filter { $0.remaining > .zero } ?? [])
        }
        return standings
    }

    /// What a batch would see of these accounts now, and its time.
    func state(
        of accounts: [AccountID], lots: Bool = false, over pool: PostgresPool? = nil
    ) async throws -> (state: LedgerState, now: Instant) {
        let expires = expiry.isOpen
        let found: (LedgerState, Instant)? = try await (pool ?? self.pool).transaction(isolation: .repeatableReadOnly) { transaction in
            let (_, rows, now, holds) = try await transaction.pipeline(
                PlanOnce(), ReadAccounts(ids: accounts), ReadClock(),
                ReadHolds(charges: [], accounts: expires ? accounts : [], expiredMax: expiredMax))
            guard holds.count < expiredMax else { return nil }
            var state = LedgerState(
                accounts: Dictionary(uniqueKeysWithValues: rows.map { ($0.id, $0) }),
                holds: Dictionary(uniqueKeysWithValues: holds.map { ($0.hold.charge, $0.hold) }))
            try await transaction.readLotsAndKeys(into: &state, for: [], now: now[0], lotsOf: lots ? accounts : [])
            return (state.apply([], now: now[0], limits: limits, expires: expires).state, now[0])
        }
        if let found { return found }
        while try await decideOnce([], on: accounts.sorted(), waits: true).isPart {}
        return try await state(of: accounts, lots: lots, over: pool)
    }

    /// API keys of the account that have limits, the hundred used last, without what has expired since.
    func countedKeys(of account: AccountID) async throws -> [KeySpending] {
        try await reads.withConnection { try await $0.query(ReadKeysUsedLast(account: account)) }
    }

    /// As a page shows it.
    func standing(of account: AccountID, lots: Bool = false) async throws -> Standing? {
        try await standings(of: [account], lots: lots, over: reads)[account]
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
        let keys = Set(commands.compactMap(\.key)).union(state.holds.values.compactMap(\.key))
        let (lots, spending) = try await pipeline(
            ReadLots(accounts: Array(withLots), named: commands.compactMap(\.lot)), ReadKeys(accounts: Array(withKeys), keys: Array(keys)))
        for account in withLots { state.books[account] = LotBook() }
        for lot in lots { state.books[lot.account]?.lots[lot.id] = lot }
        for key in spending { state.keys[key.id] = key }
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
    let except: [AccountID]

    struct Row: Sendable {
        let account: AccountID
        let isHold: Bool
    }

    static let sql = """
        (
            SELECT account_id, true
            FROM open_hold
            WHERE expires_at <= statement_timestamp() AND account_id <> ALL($2::uuid[])
            ORDER BY expires_at
            LIMIT $1
        )
        UNION ALL
        (
            SELECT account_id, false
            FROM account
            WHERE lots_expire_at <= statement_timestamp() AND posted > held AND account_id <> ALL($2::uuid[])
            ORDER BY lots_expire_at
            LIMIT $1
        )
        """

    func bind(_ parameters: inout Parameters) {
        parameters.append(limit)
        parameters.append(except)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Row { try Row(account: row.next(), isHold: row.next()) }
}
