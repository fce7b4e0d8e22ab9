import Contracts
import EventLoop
import Postgres
import Synchronization
import TestSupport
import Testing

@testable import Ledger

/// Accounts that keep a batch waiting past the statement's time, because somebody else has their rows.
@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct StuckAccountTests {
    private func withImpatientLedger(_ body: @escaping @Sendable (StoreUnderTest) async throws -> Void) async throws {
        try await withLedgers(configure: { $0.statementTimeout = .milliseconds(200) }) { try await body($0[0]) }
    }

    @Test func `in a batch with a stuck account all others are decided, and its own commands fail`() async throws {
        try await withImpatientLedger { ledger in
            var accounts: [AccountID] = []
            for _ in 0..<6 { accounts.append(try await ledger.account(10)) }
            let stuck = accounts[2]
            let commands = (0..<24).map { Command(id: .make(), account: accounts[$0 % 6], action: hold(1)) }
            try await withLock(on: stuck) {
                let verdicts = try await ledger.runner.decide(commands)
                for (command, verdict) in zip(commands, verdicts) {
                    switch verdict {
                    case .decided(let decision): #expect(seen(decision) == .applied(1) && command.account != stuck)
                    case .failed(let error): #expect(error.sqlState == "57014" && command.account == stuck)
                    case .dropped: Issue.record("dropped without a deadline")
                    }
                }
            }
            // A failed one was not decided: its message says the same later.
            #expect(try await ledger.do([commands[2]]) == [.applied(1)])
        }
    }

    @Test func `an account that is alone is waited for until whoever comes later shows that it is the account`() async throws {
        try await withImpatientLedger { ledger in
            let (stuck, other) = (try await ledger.account(10), try await ledger.account(10))
            try await withLock(on: stuck) {
                async let waiting = ledger.runner.decide([Command(id: .make(), account: stuck, action: hold(1))])
                try await until("the batch ran out of time") { ledger.runner.isDatabaseAway }
                #expect(try await ledger.do(hold(1), account: other) == .applied(1))
                guard case .failed(let error) = try await waiting[0] else {
                    Issue.record("decided without its lock")
                    return
                }
                #expect(error.sqlState == "57014")
            }
        }
    }

    @Test func `whoever joined a batch that was waiting is told when the runner ends`() async throws {
        let database = TestDatabase.current
        try await TestDatabase.onLoop {
            struct Killed: Error {}
            let attempts = Mutex(0)
            let isMortal = Flag()
            let faults = FaultPoints { point in
                guard point == .beforeLock else { return }
                attempts.withLock { $0 += 1 }
                if isMortal.isRaised { throw Killed() }
            }
            let ledger = StoreUnderTest(database, faults: faults) { $0.statementTimeout = .milliseconds(200) }
            try await ledger.start()
            let stuck = try await ledger.account(10)
            try await withLock(on: stuck) {
                let first = Task(executorPreference: TestDatabase.loop) { try await ledger.do(hold(1), account: stuck) }
                try await until("the batch ran out of time") { ledger.runner.isDatabaseAway }
                let second = Task(executorPreference: TestDatabase.loop) { try await ledger.do(hold(1), account: stuck) }
                let tried = attempts.withLock { $0 }
                try await until("the second one joined it") { attempts.withLock { $0 } >= tried + 2 }
                isMortal.raise()
                await #expect(throws: Killed.self) { _ = try await first.value }
                await #expect(throws: Killed.self) { _ = try await second.value }
            }
            #expect(await ledger.stop() is Killed)
        }
        try await withLedgers { _ in }
    }

    @Test func `where no account gets through it is the database, which is waited for`() async throws {
        let database = TestDatabase.current
        try await TestDatabase.onLoop {
            let attempts = Mutex(0)
            let faults = FaultPoints { if $0 == .beforeLock { attempts.withLock { $0 += 1 } } }
            let ledger = StoreUnderTest(database, faults: faults) { $0.statementTimeout = .milliseconds(200) }
            try await ledger.start()
            var commands: [Command] = []
            for _ in 0..<4 { commands.append(Command(id: .make(), account: try await ledger.account(10), action: hold(1))) }
            let asked = commands
            let blocker = PostgresPool(loop: TestDatabase.loop, configuration: database.configuration(connectionsMax: 1), log: silent)
            let deciding = try await blocker.transaction { transaction in
                try await transaction.script("LOCK TABLE account IN ACCESS EXCLUSIVE MODE")
                let before = attempts.withLock { $0 }
                let deciding = Task(executorPreference: TestDatabase.loop) { try await ledger.do(asked) }
                // Three times whole, then apart: whole, two halves, single accounts; and then again.
                try await until("the accounts were tried apart") { attempts.withLock { $0 } >= before + 10 }
                return deciding
            }
            #expect(try await deciding.value == Array(repeating: .applied(1), count: 4))
            await blocker.close()
            await ledger.stop()
        }
        try await withLedgers { _ in }
    }

    @Test func `a hold given up while the answer to its COMMIT was lost is told as decided when it asks again`() async throws {
        let database = TestDatabase.current
        try await TestDatabase.onLoop {
            let lost = Flag()
            let ledger = StoreUnderTest(
                database,
                faults: FaultPoints { point in
                    guard point == .afterCommit, !lost.isRaised else { return }
                    lost.raise()
                    throw PostgresError(.commitUnknown, "the connection died on COMMIT")
                })
            let setUp = StoreUnderTest(database)
            try await setUp.start()
            let account = try await setUp.account(10)
            await setUp.stop()
            try await ledger.start()
            let command = Command(id: .make(), account: account, action: hold(4))
            // Gone before the second try, which comes 50 ms after the first.
            let verdict = try await ledger.runner.decide([command], before: .current() + .milliseconds(40))[0]
            guard case .dropped = verdict else {
                Issue.record("\(verdict)")
                return
            }
            #expect(try await ledger.do([command]) == [.duplicate(4)])
            await ledger.stop()
        }
        try await withLedgers { _ in }
    }
}
