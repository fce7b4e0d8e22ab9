import Contracts
import EventLoop
import Glibc
import Postgres
import TestSupport
import Testing

@testable import Ledger

/// Operations a second on the database path: hold and settle, as batches come. Not a test of anything: it runs when `LEDGER_MEASURE` is
/// set, and says what it found.
@Suite(
    .database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized,
    .enabled(if: getenv("LEDGER_MEASURE") != nil))
struct ThroughputMeasurement {
    @Test(arguments: [(1_000, 1), (1_000, 16), (1, 64), (1_000, 64), (1_000, 1_024)])
    func `operations on the database path`(accounts: Int, clients: Int) async throws {
        try await withLedgers { ledgers in
            let ledger = ledgers[0]
            let ids = (0..<accounts).map { _ in AccountID.make() }
            _ = try await ledger.do(ids.map { Command(id: .make(), account: $0, action: .grant(.purchase, amount: credits(1_000_000))) })
            let started = MonotonicInstant.current()
            let deadline = started + .seconds(4)
            let counts = try await concurrently(clients) { client in
                var count = 0
                var random = SplitMix64(seed: UInt64(client))
                while MonotonicInstant.current() < deadline {
                    let (id, account) = (ChargeID.make(), ids.randomElement(using: &random)!)
                    _ = try await ledger.runner.decide([Command(id: id, account: account, action: hold(2))])
                    _ = try await ledger.runner.decide([Command(id: id, account: account, action: settle(1))])
                    count += 2
                }
                return count
            }
            let seconds = (MonotonicInstant.current() - started).milliseconds / 1_000
            let total = counts.reduce(0, +)
            print("\(accounts) accounts, \(clients) clients: \(Int(Double(total) / seconds)) operations/s")
        }
    }
}
