import Contracts
import Foundation
import Outbox
import Postgres
import TestSupport
import Testing

@testable import LLMProxy

@Suite(.database(schema: "llm_proxy", migrations: "Shared/Outbox/Migrations", "Services/llm-proxy/Migrations"))
struct OutboxShardsTests {
    @Test func `what waits from before the shards gets the shard of its account, and nothing else is touched`() async throws {
        let file = TestDatabase.packageRoot + "/Services/llm-proxy/Migrations/0002_outbox_shards.sql"
        let migration = try String(contentsOfFile: file, encoding: .utf8)
        try await TestDatabase.current.withPool { pool in
            let messages = (0..<200).map { _ in VoidHold(chargeID: .make(), accountID: .make(), reason: "none\u{0}\"é") }
            let sent = VoidHold(chargeID: .make(), accountID: .make(), reason: "sent")
            try await pool.transaction { transaction in
                try await Outbox.add((messages + [sent]).map { OutboxMessage($0) }, in: transaction)
                try await transaction.script(
                    """
                    UPDATE outbox SET routing_key = type WHERE seq % 4 > 0 OR seq = (SELECT max(seq) FROM outbox);
                    UPDATE outbox SET sent_at = now() WHERE seq = (SELECT max(seq) FROM outbox);
                    """)
            }
            for _ in 0..<2 {
                try await pool.transaction { try await $0.script(migration) }
                #expect(try await pool.query(RoutingKeys()) == messages.map(\.routingKey) + [VoidHold.name])
            }
        }
    }
}

private struct RoutingKeys: Statement {
    typealias Output = String
    static let sql = "SELECT routing_key FROM outbox ORDER BY seq"
}
