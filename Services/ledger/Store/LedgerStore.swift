import Contracts
import Postgres

/// Runs batches of commands against Postgres: one transaction and two round trips each, whatever their size.
///
/// Nothing here depends on how often or in what order a command is sent; a batch whose outcome is unknown is simply run again.
final class LedgerStore: @unchecked Sendable {
    // @unchecked Sendable: confined to the pool's loop, as the pool itself.
    let pool: PostgresPool
    private var limits: Limits
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

    /// Decides and writes `commands` in their order, durably, all or (when it throws) none; settles the expired holds of their
    /// accounts and of `accounts` on the way.
    /// - Throws: `PostgresError`; after any, the same commands may be sent again.
    func decide(_ commands: [Command], expiring accounts: [AccountID] = []) async throws -> [Decision] {
        let charges = Array(Set(commands.map(\.id)))
        let touched = Array(Set(commands.map(\.account)).union(accounts)).sorted()
        let granted = Set(commands.filter(\.mayOpenAccount).map(\.account)).sorted()
        let ruling = try await pool.transaction { transaction in
            if !granted.isEmpty { try await transaction.execute(OpenAccounts(ids: granted)) }
            let (_, locked, now, entries, holds) = try await transaction.pipeline(
                PlanOnce(), LockAccounts(ids: touched), ReadClock(), ReadEntries(ids: charges),
                ReadHolds(charges: charges, accounts: touched))
            try faults.hit(.afterLock)

            // A row at seq 0 is a lock and not yet an account: a command before the first grant of its batch must not see it.
            let accounts = locked.lazy.filter { $0.seq > 0 }.map { ($0.id, $0) }
            let state = LedgerState(
                accounts: Dictionary(uniqueKeysWithValues: accounts),
                holds: Dictionary(uniqueKeysWithValues: holds.map { ($0.charge, $0) }),
                entries: Dictionary(uniqueKeysWithValues: entries.map { ($0.key, $0) }))
            let ruling = state.apply(commands, now: now[0], limits: limits, expires: expiry.isOpen)
            let write = WriteBatch(entries: ruling.entries, changes: Changes(from: state, to: ruling.state))
            guard !write.isEmpty else { return ruling }
            if faults.isArmed {
                try await transaction.execute(write)
                try faults.hit(.afterWrite)
                try await transaction.commit()
            } else {
                try await transaction.commit(write)
            }
            return ruling
        }
        try faults.hit(.afterCommit)
        return ruling.decisions
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

    /// The account's row, with what has expired already counted as free; nil when there never was a grant.
    func balance(of account: AccountID) async throws -> Account? {
        try await balances(of: [account])[account]
    }

    func balances(of accounts: [AccountID]) async throws -> [AccountID: Account] {
        guard !accounts.isEmpty else { return [:] }
        let rows = try await pool.withConnection { try await $0.query(ReadBalances(accounts: accounts)) }
        return Dictionary(uniqueKeysWithValues: rows.map { ($0.id, $0) })
    }
}

extension WriteBatch {
    /// Reports can come to nothing, and repetitions do.
    fileprivate var isEmpty: Bool {
        entries.isEmpty && changes.accounts.isEmpty && changes.holdsPut.isEmpty && changes.holdsDeleted.isEmpty
    }
}

extension Command {
    fileprivate var mayOpenAccount: Bool {
        if case .grant = action { true } else { false }
    }
}

/// Moments of a batch at which tests make the process fail.
struct FaultPoints: Sendable {
    enum Point: Sendable, CaseIterable { case afterLock, afterWrite, afterCommit }

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

struct ReadExpired: Statement {
    let limit: Int

    static let sql = """
        SELECT account_id
        FROM open_hold
        WHERE expires_at <= clock_timestamp()
        ORDER BY expires_at
        LIMIT $1
        """

    func bind(_ parameters: inout Parameters) { parameters.append(limit) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> AccountID { try row.next() }
}

/// What has expired counts as free, whether the sweep came by or not, except for the usage that was reported on it.
struct ReadBalances: Statement {
    let accounts: [AccountID]

    static let sql = """
        SELECT
            a.account_id, a.posted, a.held - coalesce(sum(greatest(h.amount - h.reported, 0)), 0)::bigint, a.overdraft, a.seq
        FROM account AS a
        LEFT JOIN open_hold AS h ON h.account_id = a.account_id AND h.expires_at <= clock_timestamp()
        WHERE a.account_id = ANY($1::uuid[])
        GROUP BY a.account_id
        """

    func bind(_ parameters: inout Parameters) { parameters.append(accounts) }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Account {
        try Account(id: row.next(), posted: row.next(), held: row.next(), overdraft: row.next(), seq: row.next())
    }
}
