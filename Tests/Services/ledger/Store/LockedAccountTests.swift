import Contracts
import EventLoop
import Postgres
import Synchronization
import TestSupport
import Testing
import Values

@testable import Ledger
@testable import LedgerCore

/// Tests accounts whose rows, or the keys of whose charges, another transaction has locked.
@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct LockedAccountTests {
    @Test func `all other accounts are decided while a row is locked, and its commands follow in their order`() async throws {
        try await withLedgers { ledgers in
            let ledger = ledgers[0]
            let accounts = try await concurrently(6) { _ in try await ledger.account(10) }
            let locked = accounts[2]
            let charge = ChargeID.make()
            let waiting = try await locking(locked) {
                let waiting = ledger.later([(hold(6), charge), (settle(4), charge), (hold(2), .make())], of: locked)
                for account in accounts where account != locked {
                    #expect(try await ledger.do(hold(1), account: account) == .applied(1))
                }
                try await until("its commands wait") { ledger.runner.hasLines }
                #expect(try await ledger.row(locked)?.seq == 1)
                return waiting
            }
            #expect(try await waiting.value == [.applied(6), .applied(4), .applied(2)])
            try await until("the line is closed") { !ledger.runner.hasLines }
            #expect(try await ledger.do(hold(1), account: locked) == .applied(1))
        }
    }

    @Test func `a locked account is not an unknown one: its settlement is charged, its hold is granted`() async throws {
        try await withLedgers { ledgers in
            let account = try await ledgers[0].account(10)
            let charge = ChargeID.make()
            try await ledgers[0].do(hold(6), on: charge, account: account)
            let waiting = try await locking(account) {
                let waiting = ledgers[0].later([(settle(5), charge), (hold(1), .make())], of: account)
                // Another batch, with an account that does not exist, is decided meanwhile.
                let unknown = try await ledgers[0].do(hold(1), account: .make())
                #expect(unknown == .refused(.accountNotFound))
                return waiting
            }
            #expect(try await waiting.value == [.applied(5), .applied(1)])
        }
    }

    @Test func `a question whose proxy gives up is answered undecided and has no effect later`() async throws {
        try await withLedgers { ledgers in
            let account = try await ledgers[0].account(10)
            let command = Command(id: .make(), account: account, action: hold(4))
            try await withLock(on: account) {
                let results = try await ledgers[0].decide([command], before: .current() + .milliseconds(300))
                guard case .undecided = results[0] else { return _ = Issue.record("\(results)") }
            }
            #expect(try await ledgers[0].do(charge(10), account: account) == .applied(10))
            #expect(try await ledgers[0].do([command]) == [.refused(.insufficientFunds)])
        }
    }

    @Test func `while several accounts are locked, the ledger waits a short time for each lock`() async throws {
        let database = TestDatabase.current
        try await withLedgers { ledgers in
            let accounts = try await concurrently(3) { _ in try await ledgers[0].account(10) }
            let waits = Mutex<[Duration]>([])
            let ledger = StoreUnderTest(database, faults: FaultPoints(seesWait: { wait in waits.withLock { $0.append(wait) } }))
            try await ledger.start()
            let deciding = try await locking(accounts[0]) {
                try await locking(accounts[1]) {
                    try await locking(accounts[2]) {
                        let deciding = Task(executorPreference: TestDatabase.loop) {
                            try await ledger.do(accounts.map { Command(id: .make(), account: $0, action: settle(1)) })
                        }
                        try await until("the first account is tried again") { waits.withLock { $0.count } >= 4 }
                        return deciding
                    }
                }
            }
            #expect(waits.withLock { $0.prefix(4) } == [.milliseconds(200), .milliseconds(200), .milliseconds(200), .milliseconds(20)])
            #expect(try await deciding.value == Array(repeating: .applied(1), count: 3))
            await ledger.stop()
        }
    }

    @Test func `a ledger that stops inside a transaction loses its locks, even on connections without an idle limit`() async throws {
        try await withLedgers(2, configure: { ($0.connectionsMax, $0.idleInTransactionTimeout) = (1, .zero) }) { ledgers in
            let account = try await ledgers[0].account(10)
            await #expect(throws: PostgresError.self) {
                try await ledgers[1].pool.transaction { transaction in
                    _ = try await transaction.pipeline(BeginBatch(lockWithin: LedgerStore.lockWithin), LockFreeAccounts(ids: [account]))
                    // The stopped ledger sends nothing more.
                    _ = ledgers[0].later([(settle(1), .make())], of: account)
                    try await until("the other ledger has the lock") { try await ledgers[0].row(account)?.posted == credits(9) }
                }
            }
            // Outside of the batch's transaction the connection has its own limit again.
            #expect(try await ledgers[0].pool.one(ReadIdleTimeout()) == "0")
        }
    }

    @Test func `a change of settings gives up on a locked account, and takes no connection from a decision`() async throws {
        try await withLedgers(configure: { $0.connectionsMax = 1 }) { ledgers in
            let account = try await ledgers[0].account(10)
            let change: @Sendable (inout AccountSettings) -> Void = { $0.limits.daily = credits(1) }
            // The ledger has one connection for decisions, and it is lent.
            try await ledgers[0].pool.withConnection { _ in
                try await withLock(on: account) {
                    let error = await #expect(throws: PostgresError.self) {
                        try await ledgers[0].store.changeSettings(of: account, change)
                    }
                    #expect(error?.sqlState == .lockNotAvailable, "\(String(describing: error))")
                }
                try await ledgers[0].store.changeSettings(of: account, change)
            }
            #expect(try await ledgers[0].row(account)?.limits.daily == credits(1))
        }
    }

    @Test func `a redelivered question of a locked account is not answered undecided: the first may be decided`() async throws {
        try await withLedgers { ledgers in
            let account = try await ledgers[0].account(10)
            let command = Command(id: .make(), account: account, action: hold(4), isRedelivered: true)
            try await withLock(on: account) {
                let results = try await ledgers[0].decide([command], before: .current() + .milliseconds(300))
                guard case .unknown = results[0] else { return _ = Issue.record("\(results)") }
            }
            #expect(try await ledgers[0].do([command]) == [.undecided])
        }
    }

    @Test func `a question whose delivery the broker has taken back gets no answer here`() async throws {
        try await withLedgers { ledgers in
            let account = try await ledgers[0].account(10)
            try await withLock(on: account) {
                let isTakenBack = Flag()
                let result = Promise<CommandResult>(on: TestDatabase.loop)
                let command = Command(id: .make(), account: account, action: hold(4))
                ledgers[0].runner.submit([WaitingCommand(command, isStale: { isTakenBack.isRaised }) { result.succeed($0) }])
                isTakenBack.raise()
                guard case .givenBack = try await result.value() else { return _ = Issue.record("it is answered") }
            }
        }
    }

    @Test func `the largest waiting report of a charge counts, and the others are acknowledged at once`() async throws {
        try await withLedgers { ledgers in
            let account = try await ledgers[0].account(100)
            let (one, two) = (ChargeID.make(), ChargeID.make())
            for id in [one, two] { try await ledgers[0].do(hold(40), on: id, account: account) }
            try await locking(account) {
                _ = ledgers[0].later([(report(1), one)], of: account)
                try await until("the first report waits") { ledgers[0].runner.hasLines }
                let answered = Mutex(0)
                let used: [Int64] = [2, 30, 3, 30, 7]
                ledgers[0].runner.submit(
                    [one, two].flatMap { id in
                        used.map { amount in
                            WaitingCommand(Command(id: id, account: account, action: report(amount))) { _ in answered.withLock { $0 += 1 } }
                        }
                    })
                // One report of each charge is left, or is part of the transaction that waits for
                // the lock.
                try await until("the smaller ones are answered") { answered.withLock { $0 } >= 8 }
            }
            try await until("the line is closed") { !ledgers[0].runner.hasLines }
            try await ledgers[0].pool.script("UPDATE open_hold SET expires_at = now() WHERE account_id = '\(account)'")
            try await ledgers[0].expireOverdue(of: account)
            #expect(try await ledgers[0].row(account)?.posted == credits(40))
        }
    }

    @Test func `an uncommitted id of another transaction delays its own account only`() async throws {
        try await withLedgers { ledgers in
            let (account, other, stranger) = (
                try await ledgers[0].account(10), try await ledgers[0].account(10), try await ledgers[0].account(10)
            )
            let charge = ChargeID.make()
            let blocker = PostgresPool(
                loop: TestDatabase.loop, configuration: TestDatabase.current.configuration(connectionsMax: 1), log: silent)
            let waiting = try await blocker.transaction { transaction in
                // This transaction acts as a ledger that decides the same id under another account,
                // and does not commit.
                try await transaction.script(
                    """
                    INSERT INTO journal (charge_id, step, account_id, seq, kind, status, requested, amount, posted_delta, held_delta,
                        posted_after, held_after, fingerprint, decided_at)
                    VALUES ('\(charge)', 0, '\(stranger)', 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, now())
                    """)
                let waiting = ledgers[0].later([(hold(1), charge)], of: account)
                #expect(try await ledgers[0].do(hold(2), account: other) == .applied(2))
                try await until("the account is set aside") { ledgers[0].runner.hasLines }
                await transaction.rollback()
                return waiting
            }
            #expect(try await waiting.value == [.applied(1)])
            await blocker.close()
        }
    }

    @Test(arguments: [charge(4), settle(4), .void, hold(4)])
    func `a command of an account whose first grant is not committed yet is decided after it`(action: Command.Action)
        async throws
    {
        try await withLedgers { ledgers in
            let account = AccountID.make()
            let blocker = PostgresPool(
                loop: TestDatabase.loop, configuration: TestDatabase.current.configuration(connectionsMax: 1), log: silent)
            let waiting = try await blocker.transaction { transaction in
                // This transaction plays another ledger that decides the grant.
                let (_, locked, now) = try await transaction.pipeline(
                    OpenAccounts(ids: [account]), LockAccount(id: account), ReadClock())
                let waiting = ledgers[0].later([(action, .make())], of: account)
                try await until("it waits") { ledgers[0].runner.hasLines }
                let state = LedgerState(accounts: [account: locked[0]], books: [account: LotBook()])
                let grant = Command(id: .make(), account: account, action: .grant(.purchase, amount: credits(10)))
                let ruling = state.apply([grant], now: now[0])
                let changes = Changes(from: state, to: ruling.state)
                _ = try await transaction.pipeline(
                    WriteBatch(ruling.entries, changes), WriteLotsAndKeys(lots: changes.lots, keys: changes.keys))
                return waiting
            }
            #expect(try await waiting.value == [.applied(action == .void ? 0 : 4)])
            await blocker.close()
        }
    }

    @Test func `two ledgers take turns on one busy account, and nothing is left undecided`() async throws {
        try await withLedgers(2) { ledgers in
            let account = try await ledgers[0].account(1_000)
            let seen = try await concurrently(400) { index in
                let ledger = ledgers[index % 2]
                let id = ChargeID.make()
                let first = try await ledger.do(hold(1), on: id, account: account)
                return [first, try await ledger.do(settle(1), on: id, account: account)]
            }
            #expect(seen.allSatisfy { $0 == [.applied(1), .applied(1)] })
            #expect(try await ledgers[0].row(account)?.posted == credits(600))
        }
    }

    @Test func `a ledger that stops gives the commands of locked accounts back`() async throws {
        let database = TestDatabase.current
        try await withLedgers { ledgers in
            let account = try await ledgers[0].account(10)
            let leaving = StoreUnderTest(database)
            try await leaving.start()
            try await withLock(on: account) {
                let waiting = Task(executorPreference: TestDatabase.loop) {
                    try await leaving.decide([Command(id: .make(), account: account, action: hold(1))])
                }
                try await until("it waits") { leaving.runner.hasLines }
                #expect(await leaving.stop() == nil)
                guard case .givenBack = try await waiting.value[0] else { return _ = Issue.record("not given back") }
            }
            #expect(try await ledgers[0].row(account)?.held == .zero)
        }
    }

    @Test func `a row that this version cannot read delays its own account only`() async throws {
        try await withLedgers { ledgers in
            let (account, other) = (try await ledgers[0].account(10), try await ledgers[0].account(10))
            let charge = ChargeID.make()
            try await ledgers[0].do(hold(1), on: charge, account: account)
            try await ledgers[0].pool.script("UPDATE journal SET kind = 99 WHERE charge_id = '\(charge)'")
            let waiting = ledgers[0].later([(settle(1), charge)], of: account)
            #expect(try await ledgers[0].do(hold(1), account: other) == .applied(1))
            try await until("the account is set aside") { ledgers[0].runner.hasLines }
            try await ledgers[0].pool.script("UPDATE journal SET kind = 1 WHERE charge_id = '\(charge)'")
            #expect(try await waiting.value == [.applied(1)])
        }
    }

    @Test func `a batch that makes its connection die again and again is halved until the others are decided`() async throws {
        let database = TestDatabase.current
        try await withLedgers { ledgers in
            var accounts: [AccountID] = []
            for _ in 0..<5 { accounts.append(try await ledgers[0].account(10)) }
            let poison = accounts[3]
            let isIn = Mutex(false)
            let faults = FaultPoints(
                action: { point in
                    if point == .afterLock, isIn.withLock({ $0 }) { throw PostgresError(.connectionLost, "the backend died") }
                }, sees: { commands in isIn.withLock { $0 = commands.contains { $0.account == poison } } })
            let ledger = StoreUnderTest(database, faults: faults)
            try await ledger.start()
            // The command in the line is not part of a batch. The line decides it.
            let seen = try await ledger.do(accounts.map { Command(id: .make(), account: $0, action: hold(1)) })
            #expect(seen == Array(repeating: .applied(1), count: 5))
            await ledger.stop()
        }
    }

    @Test func `a batch waits for a database that takes no writes`() async throws {
        let database = TestDatabase.current
        try await withLedgers { ledgers in
            let attempts = Mutex(0)
            let ledger = StoreUnderTest(database, faults: FaultPoints { if $0 == .beforeLock { attempts.withLock { $0 += 1 } } })
            try await ledger.start()
            var accounts: [AccountID] = []
            for _ in 0..<4 { accounts.append(try await ledgers[0].account(10)) }
            let blocker = PostgresPool(loop: TestDatabase.loop, configuration: database.configuration(connectionsMax: 1), log: silent)
            let deciding = try await blocker.transaction { transaction in
                try await transaction.script("LOCK TABLE account IN ACCESS EXCLUSIVE MODE")
                let commands = accounts.map { Command(id: .make(), account: $0, action: hold(1)) }
                let deciding = Task(executorPreference: TestDatabase.loop) { try await ledger.do(commands) }
                try await until("it was halved to single accounts") { attempts.withLock { $0 } >= 7 }
                return deciding
            }
            let seen = try await deciding.value
            #expect(seen == Array(repeating: .applied(1), count: 4))
            await blocker.close()
            await ledger.stop()
        }
    }

    @Test func `a hold whose COMMIT is lost is not answered undecided, and its repetition gets the decision`() async throws {
        let database = TestDatabase.current
        try await withLedgers { ledgers in
            let lost = Flag()
            let faults = FaultPoints { point in
                guard point == .afterCommit, !lost.isRaised else { return }
                lost.raise()
                throw PostgresError(.commitUnknown, "the connection died on COMMIT")
            }
            let account = try await ledgers[0].account(10)
            let ledger = StoreUnderTest(database, faults: faults)
            try await ledger.start()
            let command = Command(id: .make(), account: account, action: hold(4))
            // The deadline passes before the second try, which comes 50 ms after the first.
            let result = try await ledger.decide([command], before: .current() + .milliseconds(40))[0]
            guard case .unknown = result else { return _ = Issue.record("\(result)") }
            #expect(try await ledger.do([command]) == [.duplicate(4)])
            await ledger.stop()
        }
    }
}

extension StoreUnderTest {
    /// Submits commands together. The task returns their decisions.
    func later(_ actions: [(Command.Action, ChargeID)], of account: AccountID) -> Task<[Seen], any Error> {
        Task(executorPreference: TestDatabase.loop) {
            try await self.do(actions.map { Command(id: $0.1, account: account, action: $0.0) })
        }
    }
}

private struct ReadIdleTimeout: Statement {
    typealias Output = String
    static let sql = "SELECT current_setting('idle_in_transaction_session_timeout')"
}

/// Runs `body` while another transaction holds the account's row. Returns its value when the row is
/// free.
@discardableResult
func locking<Value: Sendable>(
    _ account: AccountID, _ body: @escaping @Sendable () async throws -> Value
) async throws -> Value {
    let value = Mutex<Value?>(nil)
    try await withLock(on: account) {
        let result = try await body()
        value.withLock { $0 = result }
    }
    return value.withLock { $0! }
}
