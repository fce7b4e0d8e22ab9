import Contracts
import Foundation
import Postgres
import TestSupport
import Testing

@testable import Ledger

/// A ledger that is older than its lots: what the migrations made of it must hold before the auditor, who looks charge by charge.
@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations"))
struct AuditMigrationTests {
    @Test func `accounts from before there were lots are consistent, and stay so`() async throws {
        let database = TestDatabase.current
        let account = AccountID.make()
        try await database.withPool(connectionsMax: 2) { pool in
            try await migrate(pool, through: "0002")
            // 10 bought and 8 of them spent; then 10 given, and 3 spent.
            var script = "INSERT INTO account (account_id, posted, seq) VALUES ('\(account)', 9000000000, 4);"
            var posted = 0
            for (index, (kind, delta)) in [(20, 10), (7, -8), (22, 10), (7, -3)].enumerated() {
                posted += delta
                script += """
                    INSERT INTO journal (charge_id, step, account_id, seq, kind, status, requested, amount, posted_delta, held_delta,
                        posted_after, held_after, fingerprint, decided_at)
                    VALUES ('\(ChargeID.make())', \(kind == 7 ? 10_000 : 0), '\(account)', \(index + 1), \(kind), 0, \(abs(delta))000000000,
                        \(abs(delta))000000000, \(delta)000000000, 0, \(posted)000000000, 0, 0, now() + interval '\(index) milliseconds');
                    """
            }
            let rows = script
            try await pool.withConnection { try await $0.script(rows) }
            try await migrate(pool, through: "9999")
            #expect(try await Audit.run(on: pool).findings == [])
        }
        try await withLedgers { ledgers in
            try await ledgers[0].do(.charge(amount: credits(1)), account: account)
            try await ledgers[0].do(.grant(.bonus, amount: credits(4)), account: account)
            try await ledgers[0].do(.charge(amount: credits(2)), account: account)
        }
    }

    private func migrate(_ pool: PostgresPool, through last: String) async throws {
        let source = TestDatabase.packageRoot + "/Services/ledger/Migrations"
        let folder = FileManager.default.temporaryDirectory.appending(path: "migrations-\(UUID())").path(percentEncoded: false)
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        for name in try FileManager.default.contentsOfDirectory(atPath: source) where name.prefix(4) <= last {
            try FileManager.default.copyItem(atPath: "\(source)/\(name)", toPath: "\(folder)/\(name)")
        }
        try await Migrator(pool: pool).migrate(
            directories: [TestDatabase.packageRoot + "/Shared/Outbox/Migrations", folder], schema: "ledger")
    }
}
