import Contracts
import EventLoop
import Postgres
import Telemetry
import TestSupport
import Testing

@testable import Ledger

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
    ///   - expiry: the store's; the runner tells another.
    ///   - expiredMax: of the expired holds that one transaction settles.
    ///   - configure: changes how it connects.
    init(
        _ database: TestDatabase, limits: Limits = Limits(), expiry: ExpiryGate = ExpiryGate(grace: .zero),
        faults: FaultPoints = FaultPoints(), commandsMax: Int = 1_000, expiredMax: Int = 1_000,
        configure: (inout PostgresPool.Configuration) -> Void = { _ in }
    ) {
        var configuration = database.configuration(connectionsMax: 2)
        configure(&configuration)
        pool = PostgresPool(loop: TestDatabase.loop, configuration: configuration, log: silent)
        reads = PostgresPool(loop: TestDatabase.loop, configuration: configuration, log: silent)
        store = LedgerStore(pool: pool, reads: reads, limits: limits, expiry: expiry, faults: faults, expiredMax: expiredMax)
        runner = BatchRunner(store: store, log: silent, commandsMax: commandsMax)
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
        try await runner.decide(commands).map { verdict in
            guard case .decided(let decision) = verdict else { throw NotDecided(verdict: verdict) }
            return seen(decision)
        }
    }

    /// An account with `balance` whole credits.
    func account(_ balance: Int64) async throws -> AccountID {
        let account = AccountID.make()
        try await self.do(.grant(.purchase, amount: credits(balance)), account: account)
        return account
    }

    struct NotDecided: Error { let verdict: Verdict }
}

/// Runs `body` on the test loop with `count` ledgers at one database, then audits the database.
func withLedgers(
    _ count: Int = 1, limits: Limits = Limits(), commandsMax: Int = 1_000, expiredMax: Int = 1_000,
    configure: @escaping @Sendable (inout PostgresPool.Configuration) -> Void = { _ in },
    _ body: @escaping @Sendable ([StoreUnderTest]) async throws -> Void
) async throws {
    let database = TestDatabase.current
    try await TestDatabase.onLoop {
        let ledgers = (0..<count).map { _ in
            StoreUnderTest(database, limits: limits, commandsMax: commandsMax, expiredMax: expiredMax, configure: configure)
        }
        for ledger in ledgers { try await ledger.start() }
        let result: Result<Void, any Error>
        do { result = .success(try await body(ledgers)) } catch { result = .failure(error) }
        let audit = try await Audit.run(on: ledgers[0].pool)
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
