import Contracts
import EventLoop
import Postgres
import Synchronization
import TestSupport
import Testing
import Values

@testable import Ledger
@testable import LedgerCore

/// Tests commands that leave their batch, for a line or without a decision.
@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct SetAsideTests {
    /// The error of a lock time-out, as `detach-month` can cause it by a lock on the journal.
    private static let lockTimeout = PostgresError(.server, "canceling statement due to lock timeout", sqlState: .lockNotAvailable)

    @Test func `the first grant of an account is applied from a line too`() async throws {
        let database = TestDatabase.current
        try await withLedgers { ledgers in
            let ledger = StoreUnderTest(database, faults: FaultPoints { if $0 == .afterLock { throw Self.lockTimeout } })
            try await ledger.start()
            let account = AccountID.make()
            #expect(try await ledger.do(.grant(.purchase, amount: credits(5)), account: account) == .applied(5))
            #expect(try await ledgers[0].row(account)?.posted == credits(5))
            await ledger.stop()
        }
    }

    @Test func `questions are answered at once after a failed wait for the lock, and delay no other account`() async throws {
        try await withLedgers { ledgers in
            let account = try await ledgers[0].account(10)
            try await withLock(on: account) {
                let results = try await ledgers[0].decide([Command(id: .make(), account: account, action: hold(1))])
                guard case .undecided = results[0] else { return _ = Issue.record("\(results)") }
                let answer = Mutex<CommandResult?>(nil)
                let next = WaitingCommand(Command(id: .make(), account: account, action: hold(1))) { result in
                    answer.withLock { $0 = result }
                }
                ledgers[0].runner.submit([next])
                // The loop has run nothing else since the submission.
                guard case .undecided = answer.withLock({ $0 }) else { return _ = Issue.record("the question waits in the line") }
            }
            try await until("the line is closed") { !ledgers[0].runner.hasLines }
            #expect(try await ledgers[0].do(hold(1), account: account) == .applied(1))
        }
    }

    @Test func `a question that may have been decided is never answered undecided`() async throws {
        let database = TestDatabase.current
        try await withLedgers { ledgers in
            let account = try await ledgers[0].account(10)
            let lost = Flag()
            let faults = FaultPoints { point in
                guard point == .beforeLock, !lost.isRaised else { return }
                lost.raise()
                throw PostgresError(.commitUnknown, "the server ended the connection", sqlState: SQLState("57P01"))
            }
            let ledger = StoreUnderTest(database, faults: faults)
            try await ledger.start()
            try await withLock(on: account) {
                let results = try await ledger.decide([Command(id: .make(), account: account, action: hold(1))])
                guard case .unknown = results[0] else { return _ = Issue.record("\(results)") }
            }
            await ledger.stop()
        }
    }

    @Test func `no command of an account is decided ahead of an earlier one that was set aside`() async throws {
        let database = TestDatabase.current
        try await withLedgers { ledgers in
            let (account, other) = (try await ledgers[0].account(10), try await ledgers[0].account(10))
            let charge = ChargeID.make()
            try await ledgers[0].do(hold(6), on: charge, account: account)
            let batches = Mutex<[[Command]]>([])
            let ledger = StoreUnderTest(database, faults: FaultPoints(sees: { commands in batches.withLock { $0.append(commands) } }))
            try await ledger.start()
            // This command cannot be written, so the batch is halved until the command stands
            // alone.
            var poison = Command(id: .make(), account: other, action: .charge(amount: credits(1)))
            poison.context.description = "\u{0}"
            let commands = [
                Command(id: charge, account: account, action: settle(4)), poison, Command(id: .make(), account: other, action: hold(1)),
                Command(id: charge, account: account, action: .expire(due: .now())),
                Command(id: .make(), account: account, action: settle(1)),
            ]
            let results = try await locking(account) {
                let results = Task(executorPreference: TestDatabase.loop) { try await ledger.decide(commands) }
                try await until("the others are decided") { ledger.runner.hasLines }
                return results
            }.value
            let tried = batches.withLock { $0 }.map { $0.filter { $0.account == account }.count }
            #expect(tried.filter { $0 > 0 } == [3, 1, 1], "\(tried)")
            guard case .decided(.noted) = results[3] else { return _ = Issue.record("\(results[3])") }
            guard case .decided(.decided(let end, _)) = results[0] else { return _ = Issue.record("\(results[0])") }
            #expect(end.kind == .capture)
            await ledger.stop()
        }
    }

    @Test func `a question whose proxy gave up while the database stood still is not granted`() async throws {
        let database = TestDatabase.current
        try await withLedgers { ledgers in
            let account = try await ledgers[0].account(10)
            let deadline = MonotonicInstant.current() + .milliseconds(500)
            let faults = FaultPoints { point in
                guard point == .beforeLock else { return }
                while MonotonicInstant.current() < deadline {}
            }
            let ledger = StoreUnderTest(database, faults: faults)
            try await ledger.start()
            let command = Command(id: .make(), account: account, action: hold(4))
            _ = try await ledger.decide([command], before: deadline)
            #expect(try await ledgers[0].row(account)?.held == .zero)
            await ledger.stop()
        }
    }

    @Test func `the ledger parks the row and refuses the command that cannot be written, and decides their neighbours`() async throws {
        try await withLedgers { ledgers in
            let ledger = ledgers[0]
            let account = try await ledger.account(10)
            let charges = (0..<5).map { _ in ChargeID.make() }
            var poison = Command(id: charges[3], account: account, action: settle(1))
            poison.context.description = "\u{0}"
            let commands = [poison, Command(id: charges[4], account: account, action: settle(1))]
            let results = Mutex<[ChargeID: CommandResult]>([:])
            let rows: [any Message] = [
                SettleCharges([SettleCharge(chargeID: charges[0], accountID: account, amount: credits(1), call: .sample)]),
                VoidHold(chargeID: charges[1], accountID: account, reason: "\u{0}"),
                SettleCharges([SettleCharge(chargeID: charges[2], accountID: account, amount: credits(1), call: .sample)]),
            ]
            // The account stays locked until all rows and commands are there. The first try then
            // has them together.
            try await locking(account) {
                for (charge, message) in zip(charges, rows) { try await ledger.keep(message, as: charge, of: account) }
                ledger.runner.submit(
                    commands.map { command in WaitingCommand(command) { result in results.withLock { $0[command.id] = result } } })
            }
            try await until("both commands are answered") { results.withLock { $0.count } == 2 }
            guard case .failed = results.withLock({ $0[charges[3]] }) else { return _ = Issue.record("\(results.withLock { $0 })") }
            #expect(try await ledger.pool.query(ReadParked(account: account)) == [charges[1]])
            #expect(try await ledger.pool.query(ReadSettled(account: account)) == [charges[0], charges[2], charges[4]])
        }
    }

    @Test func `a row that this version cannot read is parked, and what is behind it is decided`() async throws {
        try await withLedgers { ledgers in
            let ledger = ledgers[0]
            let (account, other) = (try await ledger.account(10), try await ledger.account(10))
            let charges = (0..<5).map { _ in ChargeID.make() }
            @Sendable func settlement(_ charge: ChargeID, of account: AccountID) -> SettleCharges {
                SettleCharges([SettleCharge(chargeID: charge, accountID: account, amount: credits(1), call: .sample)])
            }
            try await locking(account) {
                try await ledger.keep(settlement(charges[0], of: account), as: charges[0], of: account, type: "charge.settle.v9")
                try await ledger.keep(settlement(charges[1], of: account), as: charges[1], of: account)
                try await ledger.keep(settlement(charges[2], of: other), as: charges[2], of: account)
            }
            #expect(try await ledger.do(settle(1), on: charges[3], account: account) == .applied(1))
            #expect(try await ledger.pool.query(ReadParked(account: account)) == [charges[0], charges[2]])
            #expect(try await ledger.pool.query(ReadSettled(account: account)) == [charges[1], charges[3]])
            // A line without a command is closed too.
            try await ledger.keep(settlement(charges[4], of: account), as: charges[4], of: account, type: "charge.settle.v9")
            try await until("the only row is parked") { try await ledger.pool.query(ReadParked(account: account)).count == 3 }
            #expect(try await ledger.do(settle(1), account: account) == .applied(1))
            #expect(try await ledger.row(other)?.posted == credits(10))
        }
    }

    @Test func `a row whose key is no account does not stop other rows`() async throws {
        try await withLedgers { ledgers in
            try await ledgers[0].pool.script(
                """
                INSERT INTO dead_letter (message_id, consumer, exchange, routing_key, type, source, conversation_id, body, ordering_key,
                    attempts, error_class, error_message, state, next_attempt_at)
                VALUES (gen_random_uuid(), 'ledger', 'gw', 'x', 'x', 'x', gen_random_uuid(), '', 'a word', 1, 'x', 'x', 'replay', now())
                """)
            let accounts = try await ledgers[0].store.someAccountsKept(after: "")
            #expect(accounts == ["a word"])
            let account = try await ledgers[0].account(10)
            #expect(try await ledgers[0].do(hold(1), account: account) == .applied(1))
            try await ledgers[0].pool.script("DELETE FROM dead_letter")
        }
    }
}

extension StoreUnderTest {
    /// Writes a message as ``LedgerStore/keep(_:)`` does. The charge's id is also the message's.
    /// - Parameter name: another type than the message's.
    fileprivate func keep(_ message: some Message, as charge: ChargeID, of account: AccountID, type name: String? = nil) async throws {
        let body = String(decoding: message.encoded(), as: UTF8.self)
        try await pool.script(
            """
            INSERT INTO dead_letter (message_id, consumer, exchange, routing_key, type, source, conversation_id, body, ordering_key,
                attempts, error_class, error_message, state, next_attempt_at)
            VALUES ('\(charge)', 'ledger', 'gw', 'x', '\(name ?? type(of: message).name)', 'x', gen_random_uuid(), convert_to('\(body)', 'UTF8'),
                '\(account)', 1, 'x', 'x', 'replay', now())
            """)
    }
}

/// The charges of an account's rows that wait for an operator.
private struct ReadParked: Statement {
    let account: AccountID
    static let sql = "SELECT message_id FROM dead_letter WHERE ordering_key = $1 AND state = 'parked' ORDER BY seq"
    func bind(_ parameters: inout Parameters) { parameters.append(account.description) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> ChargeID { try row.next() }
}

private struct ReadSettled: Statement {
    let account: AccountID
    static let sql = "SELECT charge_id FROM journal WHERE account_id = $1 AND kind = 3 ORDER BY seq"
    func bind(_ parameters: inout Parameters) { parameters.append(account) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> ChargeID { try row.next() }
}
