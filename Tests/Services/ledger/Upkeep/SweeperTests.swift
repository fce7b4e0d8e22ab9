import AMQP
import Postgres
import TestSupport
import Testing
import Values

@testable import Ledger

@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct SweeperTests {
    @Test func `one sweep of an account without credits takes it out of the index`() async throws {
        try await withLedgers { ledgers in
            let ledger = ledgers[0]
            let account = try await ledger.accountWithLot(5)
            try await ledger.do(.charge(amount: credits(5)), account: account)
            try await ledger.endLots(of: account)
            try #require(try await ledger.accountsToSweep() == [account])
            try await ledger.sweeper().sweepLots()
            try await until("the sweep is decided") { try await ledger.row(account)?.lotsExpireAt == nil }
            #expect(try await ledger.accountsToSweep() == [])
        }
    }

    @Test func `an account whose credits are all held is not swept`() async throws {
        try await withLedgers { ledgers in
            let ledger = ledgers[0]
            let account = try await ledger.accountWithLot(5)
            let call = ChargeID.make()
            try await ledger.do(hold(5), on: call, account: account)
            try await ledger.endLots(of: account)
            #expect(try await ledger.accountsToSweep() == [])
            // The end of the hold looks at the lots itself.
            try await ledger.do(.void, on: call, account: account)
            #expect(try await ledger.row(account)?.posted == .zero)
            #expect(try await ledger.row(account)?.lotsExpireAt == nil)
        }
    }
}

extension StoreUnderTest {
    /// Makes an account with one lot of whole credits that expires tomorrow.
    fileprivate func accountWithLot(_ amount: Int64) async throws -> AccountID {
        let account = AccountID.make()
        try await self.do(.grant(.bonus, amount: credits(amount), expiresAt: Instant.now() + .days(1)), account: account)
        return account
    }

    fileprivate func accountsToSweep() async throws -> [AccountID] {
        try await pool.query(ReadAccountsWithExpiredLots(except: [], limit: 10))
    }

    /// Makes a sweeper without a broker: it can sweep lots only.
    fileprivate func sweeper() throws -> Sweeper {
        let publisher = AMQPPublisher(try AMQPConfiguration(url: "amqp://guest:guest@127.0.0.1:1/", connectionName: "none"), log: silent)
        return Sweeper(store: store, runner: runner, publisher: publisher, interval: .seconds(1), log: silent)
    }
}
