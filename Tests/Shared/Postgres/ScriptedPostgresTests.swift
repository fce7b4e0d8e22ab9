import EventLoop
import Postgres
import TestSupport
import Testing

/// A server that a test scripts, because Postgres does these things never.
struct ScriptedPostgresTests {
    @Test func `a server that ends a batch without all its answers loses the connection`() async throws {
        let server = ScriptedServer { peer in
            guard let head = peer.read(4), peer.read(number(head) - 4) != nil else { return }
            peer.send(welcome)
            var syncs = 0
            while let head = peer.read(5), peer.read(number(head.dropFirst()) - 4) != nil {
                guard head[0] == UInt8(ascii: "S") else { continue }
                syncs += 1
                // The pool's settings, which have all their answers.
                if syncs == 1 { peer.send(["1", "2", "n"].flatMap { reply($0) } + reply("C", text("SELECT 0"))) }
                peer.send(readyForQuery)
            }
        }
        var configuration = PostgresPool.Configuration(
            url: "postgresql://test@127.0.0.1:\(server.port)/test?sslmode=disable", applicationName: "test")
        configuration.acquireWithin = .seconds(10)
        try await TestDatabase.withPool(configuration) { pool async throws in
            let error = await #expect(throws: PostgresError.self) { _ = try await pool.one(DivideTen(by: 2)) }
            #expect(error?.code == .connectionLost)
            #expect(error?.message == "answers are missing")
        }
    }
}

private func reply(_ type: Character, _ payload: [UInt8] = []) -> [UInt8] {
    Array(String(type).utf8) + [0, 0, 0, UInt8(4 + payload.count)] + payload
}

private func text(_ value: String) -> [UInt8] { Array(value.utf8) + [0] }

private let readyForQuery = reply("Z", Array("I".utf8))

/// The password is not asked for. The server is one that takes writes.
private let welcome =
    reply("R", [0, 0, 0, 0]) + reply("S", text("server_version") + text("15.0"))
    + reply("S", text("default_transaction_read_only") + text("off")) + reply("S", text("in_hot_standby") + text("off")) + readyForQuery

private func number(_ bytes: some Sequence<UInt8>) -> Int { bytes.reduce(0) { $0 << 8 | Int($1) } }
