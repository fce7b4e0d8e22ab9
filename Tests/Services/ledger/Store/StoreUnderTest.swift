import EventLoop
import Postgres
import Telemetry
import TestSupport
import Testing
import Values

@testable import Ledger
@testable import LedgerCore

/// Errors only: what a test provokes on purpose it also counts.
let silent = Logger(service: "ledger-test", level: .error)

/// One ledger process as far as the database is concerned: a pool and a runner of its own, on the test loop.
final class StoreUnderTest: @unchecked Sendable {
    // @unchecked Sendable: used on the test loop only.
    let pool: PostgresPool
    let reads: PostgresPool
    let store: LedgerStore
    let runner: BatchRunner
    private var running: Task<Result<Void, any Error>, Never>?

    /// - Parameters:
    ///   - keepAfter: the time after which durable commands of a locked account become rows.
    ///   - configure: changes how it connects.
    init(
        _ database: TestDatabase, limits: Limits = Limits(), faults: FaultPoints = FaultPoints(), commandsMax: Int = 1_000,
        keepAfter: Duration = .seconds(30), waitingMax: Int = 2_000,
        configure: (inout PostgresPool.Configuration) -> Void = { _ in }
    ) {
        var configuration = database.configuration(connectionsMax: 3)
        configure(&configuration)
        pool = PostgresPool(loop: TestDatabase.loop, configuration: configuration, log: silent)
        reads = PostgresPool(loop: TestDatabase.loop, configuration: configuration, log: silent)
        store = LedgerStore(pool: pool, reads: reads, limits: limits, faults: faults)
        let lines = AccountLines(
            store: store, log: silent, commandsMax: commandsMax, keepAfter: keepAfter, waitingMax: waitingMax,
            rowsEvery: .milliseconds(100))
        runner = BatchRunner(store: store, log: silent, commandsMax: commandsMax, lines: lines)
    }

    func start() async throws {
        try await store.prepareJournal()
        let runner = runner
        running = Task(executorPreference: TestDatabase.loop) {
            do {
                try await runner.run()
                return .success(())
            } catch { return .failure(error) }
        }
    }

    /// - Returns: the error that ended the runner, if it did not end by itself.
    @discardableResult
    func stop() async -> (any Error)? {
        runner.stop()
        let ended = await running?.value
        await pool.close()
        await reads.close()
        if case .failure(let error) = ended { return error }
        return nil
    }

    @discardableResult
    func `do`(_ action: Command.Action, on id: ChargeID = .make(), account: AccountID) async throws -> Seen {
        try await self.do([Command(id: id, account: account, action: action)])[0]
    }

    func `do`(_ commands: [Command]) async throws -> [Seen] {
        try await decide(commands).map { result in
            guard case .decided(let decision) = result else { throw NotDecided(result: result) }
            return seen(decision)
        }
    }

    /// Submits all commands at once, so that one batch decides them.
    func decide(_ commands: [Command], before deadline: MonotonicInstant = .never) async throws -> [CommandResult] {
        let waits = commands.map { _ in Promise<CommandResult>(on: TestDatabase.loop) }
        runner.submit(zip(commands, waits).map { command, wait in WaitingCommand(command, deadline: deadline) { wait.succeed($0) } })
        var results: [CommandResult] = []
        for wait in waits { results.append(try await wait.value()) }
        return results
    }

    /// Asks for the hold's expiry, as a sweep does that sees it now.
    func expire(_ charge: ChargeID, of account: AccountID) async throws {
        for due in try await pool.query(ReadEndOfHold(charge: charge)) {
            try await self.do(.expire(due: due), on: charge, account: account)
        }
    }

    /// Ends every overdue hold of the account, as two sweeps do with a grace between them.
    func expireOverdue(of account: AccountID) async throws {
        for _ in 0..<2 {
            for charge in try await pool.query(ReadHoldsOf(account: account)) { try await expire(charge, of: account) }
            try await pool.script(
                "UPDATE open_hold SET expires_at = clock_timestamp() WHERE is_overdue AND account_id = '\(account)'")
        }
    }

    /// Reads the row as it is in the table.
    func row(_ account: AccountID) async throws -> Account? {
        try await pool.withConnection { try await $0.query(ReadAccounts(ids: [account])) }.first
    }

    /// Makes all lots of the account that have an end expire now.
    func endLots(of account: AccountID) async throws {
        try await pool.script(
            """
            UPDATE credit_grant SET expires_at = now() WHERE account_id = '\(account)' AND expires_at IS NOT NULL;
            UPDATE journal SET expires_at = now() WHERE account_id = '\(account)' AND expires_at IS NOT NULL;
            UPDATE account SET lots_expire_at = now() WHERE account_id = '\(account)'
            """)
    }

    /// An account with `balance` whole credits.
    func account(_ balance: Int64) async throws -> AccountID {
        let account = AccountID.make()
        try await self.do(.grant(.purchase, amount: credits(balance)), account: account)
        return account
    }

    struct NotDecided: Error { let result: CommandResult }
}

/// Runs `body` on the test loop with `count` ledgers at one database, then audits the database.
func withLedgers(
    _ count: Int = 1, limits: Limits = Limits(), commandsMax: Int = 1_000, keepAfter: Duration = .seconds(30), waitingMax: Int = 2_000,
    configure: @escaping @Sendable (inout PostgresPool.Configuration) -> Void = { _ in },
    _ body: @escaping @Sendable ([StoreUnderTest]) async throws -> Void
) async throws {
    let database = TestDatabase.current
    try await TestDatabase.onLoop {
        let ledgers = (0..<count).map { _ in
            StoreUnderTest(
                database, limits: limits, commandsMax: commandsMax, keepAfter: keepAfter, waitingMax: waitingMax, configure: configure)
        }
        for ledger in ledgers { try await ledger.start() }
        let result: Result<Void, any Error>
        do { result = .success(try await body(ledgers)) } catch { result = .failure(error) }
        let audit = try await Audit.run(on: ledgers[0].pool, all: true)
        #expect(audit.findings == [])
        for ledger in ledgers { await ledger.stop() }
        try result.get()
    }
}

/// All of `bodies` at once on the test loop; their results in order.
func concurrently<Value: Sendable>(_ count: Int, _ body: @escaping @Sendable (Int) async throws -> Value) async throws -> [Value] {
    try await withThrowingTaskGroup(of: (Int, Value).self) { group in
        for index in 0..<count {
            group.addTask(executorPreference: TestDatabase.loop) { (index, try await body(index)) }
        }
        var values: [(Int, Value)] = []
        for try await value in group { values.append(value) }
        return values.sorted { $0.0 < $1.0 }.map(\.1)
    }
}

extension PostgresPool {
    func script(_ sql: String) async throws { try await withConnection { try await $0.script(sql) } }
}

/// Runs `body` while another transaction holds the account's row.
func withLock(on account: AccountID, _ body: @escaping @Sendable () async throws -> Void) async throws {
    let pool = PostgresPool(
        loop: TestDatabase.loop, configuration: TestDatabase.current.configuration(connectionsMax: 1), log: silent)
    let result: Result<Void, any Error>
    do {
        try await pool.transaction { transaction in
            _ = try await transaction.query(LockAccount(id: account))
            try await body()
        }
        result = .success(())
    } catch { result = .failure(error) }
    await pool.close()
    try result.get()
}

/// Reads the overdue holds of an account.
private struct ReadHoldsOf: Statement {
    typealias Output = ChargeID
    let account: AccountID
    static let sql = "SELECT charge_id FROM open_hold WHERE account_id = $1 AND expires_at <= clock_timestamp()"
    func bind(_ parameters: inout Parameters) { parameters.append(account) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> ChargeID { try row.next() }
}

private struct ReadEndOfHold: Statement {
    typealias Output = Instant
    let charge: ChargeID
    static let sql = "SELECT expires_at FROM open_hold WHERE charge_id = $1"
    func bind(_ parameters: inout Parameters) { parameters.append(charge) }
}
