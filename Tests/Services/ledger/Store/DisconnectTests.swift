import EventLoop
import Postgres
import TestSupport
import Testing
import Values

@testable import Ledger

/// Connections that are cut anywhere, COMMIT included: every command is decided all the same, and once.
@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct DisconnectTests {
    @Test func `holds and settlements lose and double nothing while their connections are cut`() async throws {
        try await withLedgers(2) { ledgers in
            let account = try await ledgers[0].account(1_000)
            let progress = Progress()
            async let cuts = Self.cutConnections(while: progress)
            let clients = 20
            let rounds = 12
            let seen = try await concurrently(clients) { client in
                var seen: [Seen] = []
                for round in 0..<rounds {
                    let id = ChargeID.make()
                    let ledger = ledgers[(client + round) % 2]
                    // A commit whose answer is lost is asked for again, and then told as a repetition.
                    seen += try await ledger.do([Command(id: id, account: account, action: hold(2))])
                    seen += try await ledger.do([Command(id: id, account: account, action: client % 4 == 0 ? .void : settle(1))])
                    progress.rounds += 1
                }
                return seen
            }
            progress.isDone = true
            #expect(try await cuts > 0)
            for decision in seen.joined() {
                switch decision {
                case .applied, .duplicate: break
                default: Issue.record("\(decision)")
                }
            }
            let row = try await ledgers[0].store.standing(of: account)?.account
            #expect(row?.posted == credits(Int64(1_000 - clients * 3 / 4 * rounds)))
            #expect(row?.held == .zero)
        }
    }

    /// Every 25 ms, but never twice without progress between: on a busy machine nothing would ever come to its end.
    /// - Returns: how many connections were cut.
    private static func cutConnections(while progress: Progress) async throws -> Int64 {
        let pool = PostgresPool(
            loop: TestDatabase.loop, configuration: TestDatabase.current.configuration(connectionsMax: 1), log: silent)
        var count: Int64 = 0
        while !progress.isDone {
            count += try await pool.withConnection { try await $0.one(CutConnections()) }
            let rounds = progress.rounds
            try await TestDatabase.loop.sleep(for: .milliseconds(25))
            while progress.rounds == rounds, !progress.isDone { try await TestDatabase.loop.sleep(for: .milliseconds(2)) }
        }
        await pool.close()
        return count
    }
}

private final class Progress: @unchecked Sendable {
    // @unchecked Sendable: confined to the test loop.
    var rounds = 0
    var isDone = false
}

private struct CutConnections: Statement {
    typealias Output = Int64

    static let sql = """
        SELECT count(pg_terminate_backend(pid))
        FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
        """
}
