import EventLoop
import Postgres
import TestSupport
import Testing

/// A server whose processes are stopped while its kernel works: TCP acknowledges everything, and
/// no answer comes. Without a deadline of the client these tests wait until their time limit.
@Suite(.timeLimit(.minutes(2)))
struct StoppedServerTests {
    private func withPool(
        _ server: PrivatePostgres, _ body: @escaping @Sendable (PostgresPool) async throws -> Void
    ) async throws {
        var configuration = PostgresPool.Configuration(url: server.url, applicationName: "test")
        configuration.connectionsMax = 4
        configuration.statementTimeout = .milliseconds(500)
        configuration.answerMargin = .milliseconds(500)
        configuration.connectWithin = .seconds(1)
        configuration.acquireWithin = .seconds(10)
        try await TestDatabase.withPool(configuration, body)
    }

    @Test func `statements, scripts and COMMIT end without an answer, each in its class`() async throws {
        try await PrivatePostgres.with { server in
            try await withPool(server) { pool async throws in
                try await pool.withConnection { try await $0.script("CREATE TABLE note (id bigint, text text)") }
                try await pool.withConnection { idle async throws in
                    _ = try await idle.one(BackendID())
                    let statement = await #expect(throws: PostgresError.self) {
                        try await pool.withConnection { connection async throws in
                            _ = try await connection.one(BackendID())
                            server.freeze()
                            _ = try await connection.one(BackendID())
                        }
                    }
                    #expect(statement?.code == .connectionLost)
                    #expect(statement?.message.contains("no answer within") == true)
                    let script = await #expect(throws: PostgresError.self) { try await idle.script("SELECT 1") }
                    #expect(script?.code == .connectionLost)
                }
                #expect(pool.connectionsOpen == 0)
                server.thaw()
                let commit = await #expect(throws: PostgresError.self) {
                    try await pool.transaction { transaction in
                        try await transaction.execute(CreateNote(id: 1, text: "a"))
                        server.freeze()
                    }
                }
                #expect(commit?.code == .commitUnknown)
                server.thaw()
                #expect(try await pool.one(DivideTen(by: 2)) == 5)
            }
        }
    }

    @Test func `idle connections to a server that does not answer are not lent again`() async throws {
        try await PrivatePostgres.with { server in
            try await withPool(server) { pool async throws in
                try await pool.withConnection { first async throws in
                    _ = try await first.one(BackendID())
                    try await pool.withConnection { _ = try await $0.one(BackendID()) }
                    #expect(pool.connectionsIdle == 1)
                    server.freeze()
                    await #expect(throws: PostgresError.self) { _ = try await first.one(BackendID()) }
                    #expect(pool.connectionsIdle == 0)
                }
            }
        }
    }

    @Test func `a transaction that allows its statements more time has it`() async throws {
        try await PrivatePostgres.with { server in
            try await withPool(server) { pool async throws in
                // Longer than the pool's limit, its margin and the second between two checks.
                try await pool.transaction { transaction in
                    _ = try await transaction.pipeline(LimitStatements(within: .seconds(60)), Sleep(seconds: 3))
                    _ = try await transaction.query(Sleep(seconds: 3))
                }
                let error = await #expect(throws: PostgresError.self) { _ = try await pool.query(Sleep(seconds: 3)) }
                #expect(error?.sqlState == .queryCanceled, "the allowance ends with its transaction")
            }
        }
    }

    @Test func `a pool whose first server does not answer reaches the next one`() async throws {
        try await PrivatePostgres.with { stopped in
            try await PrivatePostgres.with { server in
                var configuration = PostgresPool.Configuration(
                    url: "postgresql://postgres@\(stopped.address),\(server.address)/postgres", applicationName: "test")
                configuration.connectWithin = .seconds(1)
                configuration.acquireWithin = .seconds(20)
                stopped.freeze()
                try await TestDatabase.withPool(configuration) { pool async throws in
                    #expect(try await pool.one(DivideTen(by: 2)) == 5)
                }
            }
        }
    }
}
