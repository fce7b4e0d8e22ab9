import Contracts
import EventLoop
import Postgres
import TestSupport
import Testing
import Values

@testable import Ledger
@testable import LedgerCore

@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct StoreTests {
    @Test func `another process sees a decision`() async throws {
        try await withLedgers(2) { ledgers in
            let account = try await ledgers[0].account(10)
            let id = ChargeID.make()
            #expect(try await ledgers[0].do(hold(6), on: id, account: account) == .applied(6))
            #expect(try await ledgers[1].do(hold(6), on: id, account: account) == .duplicate(6))
            #expect(try await ledgers[1].do(settle(4), on: id, account: account) == .applied(4))
            let row = try await ledgers[0].store.standing(of: account)?.account
            #expect(row?.posted == credits(6))
            #expect(row?.held == .zero)
            #expect(row?.seq == 3)
        }
    }

    @Test func `exactly 50 of 200 simultaneous holds are granted with credits for 50`() async throws {
        try await withLedgers(2) { ledgers in
            let account = try await ledgers[0].account(50)
            let seen = try await concurrently(200) { try await ledgers[$0 % 2].do(hold(1), account: account) }
            #expect(seen.filter { $0 == .applied(1) }.count == 50)
            #expect(seen.filter { $0 == .awaiting(0) }.count == 150)
            #expect(try await ledgers[0].store.standing(of: account)?.account.available == .zero)
        }
    }

    @Test func `one purchase a hundred times from two processes is one grant`() async throws {
        try await withLedgers(2) { ledgers in
            let (account, id) = (AccountID.make(), ChargeID.make())
            let seen = try await concurrently(100) {
                try await ledgers[$0 % 2].do(.grant(.purchase, amount: credits(50)), on: id, account: account)
            }
            #expect(seen.filter { $0 == .applied(50) }.count == 1)
            #expect(seen.filter { $0 == .duplicate(50) }.count == 99)
            #expect(try await ledgers[0].store.standing(of: account)?.account.posted == credits(50))
        }
    }

    @Test(arguments: [hold(1), .settle(amount: credits(1)), .void, .charge(amount: credits(1))])
    func `one id under two accounts at once belongs to one of them`(other: Command.Action) async throws {
        try await withLedgers(2) { ledgers in
            let accounts = [try await ledgers[0].account(100), try await ledgers[0].account(100)]
            for _ in 0..<20 {
                let id = ChargeID.make()
                let actions = [hold(1), other]
                let seen = try await concurrently(2) { try await ledgers[$0].do(actions[$0], on: id, account: accounts[$0]) }
                #expect(seen.count { $0 == .conflict } == 1, "\(seen)")
                // A hold under one account and an end under another account would meet at the
                // expiry.
                for account in accounts {
                    try await ledgers[0].pool.script("UPDATE open_hold SET expires_at = now() WHERE account_id = '\(account)'")
                    try await ledgers[0].expireOverdue(of: account)
                }
            }
            #expect(try await ledgers[0].row(accounts[0])?.held == .zero)
        }
    }

    @Test func `one of settle, void and another settle at once ends the charge`() async throws {
        try await withLedgers(2) { ledgers in
            let account = try await ledgers[0].account(1_000)
            for _ in 0..<25 {
                let id = ChargeID.make()
                try await ledgers[0].do(hold(6), on: id, account: account)
                let actions: [Command.Action] = [settle(4), .void, settle(5), settle(4)]
                let seen = try await concurrently(8) { try await ledgers[$0 % 2].do(actions[$0 / 2], on: id, account: account) }
                let decided = seen.filter { if case .applied = $0 { true } else { false } }
                #expect(decided.count == 1)
            }
            #expect(try await ledgers[0].store.standing(of: account)?.account.held == .zero)
        }
    }

    @Test func `an overdue hold ends once at its largest report, by any ledger and any number of expiries`() async throws {
        try await withLedgers(2) { ledgers in
            let account = try await ledgers[0].account(1_000)
            let ids = (0..<20).map { _ in ChargeID.make() }
            for (index, id) in ids.enumerated() {
                try await ledgers[0].do(hold(6), on: id, account: account)
                if index % 2 == 0 { try await ledgers[0].do(report(2), on: id, account: account) }
            }
            // An expiry that finds its account locked is dropped. The sweep asks again.
            try await until("all have ended") {
                try await ledgers[0].pool.script("UPDATE open_hold SET expires_at = clock_timestamp() WHERE account_id = '\(account)'")
                _ = try await concurrently(60) { try await ledgers[$0 % 2].expire(ids[$0 % 20], of: account) }
                return try await ledgers[0].row(account)?.held == .zero
            }
            let row = try await ledgers[0].row(account)
            #expect(row?.posted == credits(1_000 - 10 * 2))
            #expect(row?.held == .zero)
            #expect(try await ledgers[1].do(settle(5), on: ids[0], account: account) == .applied(3))
            #expect(try await ledgers[1].do(settle(5), on: ids[1], account: account) == .applied(5))
        }
    }

    @Test func `credits that return after the end of their lot are kept, read by another process, and taken back again`() async throws {
        try await withLedgers(2) { ledgers in
            let (account, plan, returned) = (try await ledgers[0].account(10), ChargeID.make(), ChargeID.make())
            try await ledgers[0].do(
                .grant(.planGrant, amount: credits(5), expiresAt: Instant.now() + .seconds(86_400)), on: plan, account: account)
            try await ledgers[0].do(.charge(amount: credits(5)), account: account)
            try await ledgers[0].do(reverse(plan, 5, version: 1), account: account)
            try await ledgers[0].endLots(of: account)
            #expect(try await ledgers[1].do(reverse(plan, 0, version: 2), on: returned, account: account) == .applied(-5))
            let lots = try await ledgers[0].store.standing(of: account, lots: true)?.lots ?? []
            #expect(lots.map(\.remaining) == [credits(5), credits(5)])
            #expect(lots.first?.id == returned && lots.first?.kind == .planGrant && lots.first?.expiresAt == nil)
            #expect(try await Audit.run(on: ledgers[0].pool).findings.filter { $0.account == account } == [])
            #expect(try await ledgers[0].do(reverse(plan, 5, version: 3), account: account) == .applied(5))
            #expect(try await ledgers[1].store.standing(of: account, lots: true)?.lots.map(\.remaining) == [credits(5)])
            #expect(try await Audit.run(on: ledgers[0].pool).findings.filter { $0.account == account } == [])
        }
    }

    @Test func `pages and batches count an overdue hold as held until it has ended`() async throws {
        try await withLedgers(2) { ledgers in
            let account = try await ledgers[0].account(10)
            try await ledgers[0].do(hold(6), account: account)
            try await ledgers[0].pool.script("UPDATE open_hold SET expires_at = now() - interval '1 day' WHERE account_id = '\(account)'")
            #expect(try await ledgers[1].store.standing(of: account)?.account.available == credits(4))
            #expect(try await ledgers[1].do(charge(5), account: account) == .awaiting(4))
        }
    }

    @Test func `a command that cannot be written fails alone`() async throws {
        try await withLedgers { ledgers in
            let account = try await ledgers[0].account(100)
            var commands = (0..<40).map { _ in Command(id: .make(), account: account, action: hold(1)) }
            // Postgres has no NUL in text: the one content that passes every check of ours and that the database refuses.
            commands[17] = Command(id: .make(), account: account, action: hold(1), context: Context(description: "\0"))
            let results = try await ledgers[0].decide(commands)
            for (index, result) in results.enumerated() {
                switch result {
                case .failed: #expect(index == 17)
                case .decided(let decision): #expect(index != 17 && seen(decision) == .applied(1))
                case .undecided, .unknown, .kept, .givenBack: Issue.record("\(result)")
                }
            }
            #expect(try await ledgers[0].store.standing(of: account)?.account.held == credits(39))
        }
    }

    @Test func `a command whose deadline has passed has no effect`() async throws {
        try await withLedgers { ledgers in
            let account = try await ledgers[0].account(10)
            let command = Command(id: .make(), account: account, action: hold(1))
            let results = try await ledgers[0].decide([command], before: .init(nanoseconds: 1))
            guard case .undecided = results[0] else {
                Issue.record("decided after its deadline")
                return
            }
            #expect(try await ledgers[0].store.standing(of: account)?.account.held == .zero)
        }
    }

    @Test func `full usage sums keep no charge from being written`() async throws {
        try await withLedgers { ledgers in
            let account = try await ledgers[0].account(10)
            func used(_ amount: Int64) -> Command {
                Command(
                    id: .make(), account: account, action: settle(amount),
                    context: Context(
                        metadata: #"{"usage":{"image":1,"input":1,"output":1}}"#,
                        usage: Usage(units: [.init(.image): 1, .input: 1, .output: 1])))
            }
            let ofUsage = "account_id = '\(account)' AND type = 'usage'"
            _ = try await ledgers[0].do([used(1)])
            try await ledgers[0].pool.script(
                """
                UPDATE usage_15m
                SET overage = 9223372036854775807, credits = -9223372036854775808, input = 9223372036854775807,
                    output = 9223372036854775807, quantity = 9223372036854775807
                WHERE \(ofUsage)
                """)
            #expect(try await ledgers[0].do([used(20)]) == [.applied(9)])
            try await ledgers[0].pool.script(
                """
                UPDATE usage_15m SET overage = 11000000000, credits = -10000000000, input = 2, output = 2, quantity = 0
                WHERE \(ofUsage) AND unit = '';
                UPDATE usage_15m SET overage = 0, credits = 0, input = 0, output = 0, quantity = 2 WHERE \(ofUsage) AND unit = 'image'
                """)
        }
    }

    @Test func `the largest overdraft of the table works within the engine's range`() async throws {
        try await withLedgers { ledgers in
            let account = try await ledgers[0].account(10)
            try await ledgers[0].pool.script("UPDATE account SET overdraft = 9223372036854775807 WHERE account_id = '\(account)'")
            #expect(try await ledgers[0].do(hold(1_000_000_000), account: account) == .applied(1_000_000_000))
            #expect(try await ledgers[0].row(account)?.available == credits(3_000_000_010))
        }
    }

    @Test func `the table itself refuses an overspent account`() async throws {
        try await withLedgers { ledgers in
            let account = try await ledgers[0].account(1)
            let error = await #expect(throws: PostgresError.self) {
                try await ledgers[0].pool.withConnection { try await $0.execute(Overspend(account: account)) }
            }
            #expect(error?.constraint == "account_never_overspent")
        }
    }

    @Test func `the journal reaches from last month three months ahead`() async throws {
        try await withLedgers { ledgers in
            let start = try await ledgers[0].pool.withConnection { try await $0.one(ReadJournalStart()) }
            #expect(start < Instant.now())
            let months = try await ledgers[0].pool.withConnection { try await $0.one(CountPartitions()) }
            #expect(months == 5)
            let old = ChargeID(rawValue: UUIDv7(high: UInt64(start.microseconds / 1_000 - 1) << 16 | 0x7000, low: 1 << 63))
            let account = try await ledgers[0].account(1)
            #expect(try await ledgers[0].do(hold(1), on: old, account: account) == .invalid(.idOutOfRange))
        }
    }
}

private struct CountPartitions: Statement {
    typealias Output = Int64
    static let sql = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'journal'::regclass"
}

private struct Overspend: Statement {
    let account: AccountID
    static let sql = "UPDATE account SET held = posted + 1 WHERE account_id = $1"
    func bind(_ parameters: inout Parameters) { parameters.append(account) }
}
