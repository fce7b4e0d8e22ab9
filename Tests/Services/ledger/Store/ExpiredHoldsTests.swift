import Contracts
import EventLoop
import Postgres
import TestSupport
import Testing

@testable import Ledger

/// Very many expired holds, and accounts whose expired holds nobody can settle now.
@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct ExpiredHoldsTests {
    @Test func `an account with thousands of expired holds is settled in parts, and none of them causes a refusal`() async throws {
        try await withLedgers(expiredMax: 100) { ledgers in
            let account = try await ledgers[0].account(3_000)
            try await ledgers[0].expireHolds(3_000, of: account)
            #expect(try await ledgers[0].do(hold(3_000), account: account) == .applied(3_000))
            let largest = try await ledgers[0].pool.withConnection { try await $0.one(LargestExpiry(account: account)) }
            #expect(largest == 100)
        }
    }

    @Test func `while others' holds are settled in parts no lot ends before the holds that still take from it`() async throws {
        try await withLedgers(expiredMax: 10) { ledgers in
            let (many, one) = (try await ledgers[0].account(30), try await ledgers[0].account(5))
            let call = ChargeID.make()
            try await ledgers[0].do(grant(.planGrant, 10, until: Instant.now() + .seconds(600)), account: one)
            try await ledgers[0].expireHolds(30, of: many)
            try await ledgers[0].do(hold(4), on: call, account: one)
            try await ledgers[0].do(report(4), on: call, account: one)
            try await ledgers[0].pool.script("UPDATE open_hold SET expires_at = now() WHERE account_id = '\(one)'")
            try await ledgers[0].endLots(of: one)
            _ = try await ledgers[0].do([many, one].map { Command(id: .make(), account: $0, action: hold(1)) })
            // The call took four of the plan's ten, so six were left to end, and what was bought is whole.
            let standing = try await ledgers[0].store.standing(of: one, lots: true)
            #expect(standing?.lots.map(\.remaining) == [credits(5)])
        }
    }

    @Test func `settling them is no outage, however long it takes`() async throws {
        try await withGate(closingAt: .afterCommit) { mortal, account in
            let seen = try await mortal.do(hold(300), account: account)
            #expect(seen == .applied(300))
        }
    }

    @Test func `an outage that shows while a batch waits for its locks keeps its holds from expiring`() async throws {
        try await withGate(closingAt: .afterLock) { mortal, account in
            let seen = try await mortal.do(hold(300), account: account)
            #expect(seen == .refused(.insufficientFunds))
        }
    }

    /// An account with 300 credits and as many expired holds, and a ledger that settles 100 at a time and whose gate closes at a point.
    private func withGate(
        closingAt point: FaultPoints.Point, _ body: @escaping @Sendable (StoreUnderTest, AccountID) async throws -> Void
    ) async throws {
        let database = TestDatabase.current
        try await withLedgers { ledgers in
            let account = try await ledgers[0].account(300)
            try await ledgers[0].expireHolds(300, of: account)
            // Open, until a batch begins that takes no time to be too long.
            let gate = ExpiryGate(grace: .zero, stall: .zero)
            let faults = FaultPoints { if $0 == point { gate.deciding() } }
            let ledger = StoreUnderTest(database, expiry: gate, faults: faults, expiredMax: 100)
            try await ledger.start()
            let result: Result<Void, any Error>
            do { result = .success(try await body(ledger, account)) } catch { result = .failure(error) }
            await ledger.stop()
            try result.get()
        }
    }

    @Test func `its balance counts them all as free`() async throws {
        try await withLedgers(expiredMax: 100) { ledgers in
            let account = try await ledgers[0].account(1_000)
            try await ledgers[0].expireHolds(1_000, of: account)
            #expect(try await ledgers[0].store.standing(of: account)?.account.available == credits(1_000))
        }
    }

    @Test func `one sweep settles what is due of all accounts, however little it takes at a time`() async throws {
        try await withLedgers(expiredMax: 100) { ledgers in
            let accounts = [try await ledgers[0].account(500), try await ledgers[0].account(500)]
            for account in accounts { try await ledgers[0].expireHolds(250, of: account) }
            let ending = try await ledgers[0].account(1)
            try await ledgers[0].do(grant(.planGrant, 5, until: Instant.now() + .seconds(600)), account: ending)
            try await ledgers[0].endLots(of: ending)
            await ledgers[0].sweeper(limit: 30).sweep()
            for account in accounts {
                #expect(try await ledgers[0].row(account)?.held == .zero)
            }
            #expect(try await ledgers[0].row(ending)?.posted == credits(1))
        }
    }

    @Test func `the sweep goes on behind an account that cannot be written`() async throws {
        try await withLedgers { ledgers in
            var accounts: [AccountID] = []
            for _ in 0..<5 { accounts.append(try await ledgers[0].account(10)) }
            // The oldest first: the broken ones are in the way of the others.
            for account in accounts { try await ledgers[0].expireHolds(1, of: account) }
            for account in accounts.prefix(2) {
                try await ledgers[0].pool.script("UPDATE account SET held = 0 WHERE account_id = '\(account)'")
            }
            await ledgers[0].sweeper(limit: 1).sweep()
            for account in accounts.dropFirst(2) {
                #expect(try await ledgers[0].row(account)?.held == .zero)
            }
            for account in accounts.prefix(2) {
                try await ledgers[0].pool.script("UPDATE account SET held = 1000000000 WHERE account_id = '\(account)'")
            }
            await ledgers[0].sweeper(limit: 1).sweep()
            #expect(try await ledgers[0].row(accounts[0])?.held == .zero)
        }
    }

    @Test func `the sweep passes over an account that somebody works on, and does not wait`() async throws {
        try await withLedgers { ledgers in
            let (locked, free) = (try await ledgers[0].account(10), try await ledgers[0].account(10))
            for account in [locked, free] { try await ledgers[0].expireHolds(1, of: account) }
            try await withLock(on: locked) {
                let sweep = try await ledgers[0].store.sweepExpired()
                #expect(sweep.passedOver == [locked])
                #expect(sweep.settled == 1)
                await ledgers[0].sweeper(limit: 1).sweep()
            }
            #expect(try await ledgers[0].row(locked)?.held == credits(1))
            #expect(try await ledgers[0].row(free)?.held == .zero)
            #expect(try await ledgers[0].store.sweepExpired().settled == 1)
        }
    }
}

extension StoreUnderTest {
    /// Holds of one credit each, whose time is over when this returns.
    func expireHolds(_ count: Int, of account: AccountID) async throws {
        let commands = (0..<count).map { _ in Command(id: .make(), account: account, action: hold(1, for: .seconds(600))) }
        _ = try await self.do(commands)
        try await pool.script("UPDATE open_hold SET expires_at = clock_timestamp() WHERE account_id = '\(account)'")
    }

    /// As it is in the table, with nothing settled on the way.
    func row(_ account: AccountID) async throws -> Account? {
        try await pool.withConnection { try await $0.query(ReadAccounts(ids: [account])) }.first
    }

    /// Lets the time of the account's lots be over, those that have an end.
    func endLots(of account: AccountID) async throws {
        try await pool.script(
            """
            UPDATE credit_grant SET expires_at = now() WHERE account_id = '\(account)' AND expires_at IS NOT NULL;
            UPDATE journal SET expires_at = now() WHERE account_id = '\(account)' AND expires_at IS NOT NULL;
            UPDATE account SET lots_expire_at = now() WHERE account_id = '\(account)'
            """)
    }

    func sweeper(limit: Int) -> Sweeper {
        Sweeper(store: store, interval: .seconds(1), expiry: ExpiryGate(grace: .zero), isHearing: { true }, log: silent, limit: limit)
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
            try await transaction.execute(LockAccounts(ids: [account]))
            try await body()
        }
        result = .success(())
    } catch { result = .failure(error) }
    await pool.close()
    try result.get()
}

/// The most holds that one transaction settled.
private struct LargestExpiry: Statement {
    typealias Output = Int64
    let account: AccountID

    static let sql = """
        SELECT max(entries)
        FROM (SELECT count(*) AS entries FROM journal WHERE account_id = $1 AND kind = 5 GROUP BY xmin) AS settled
        """

    func bind(_ parameters: inout Parameters) { parameters.append(account) }
}
