import Contracts
import EventLoop
import Postgres
import TestSupport
import Testing

@Suite(.database(schema: "test", migrations: "Tests/Shared/Postgres/Migrations"))
struct PostgresPoolTests {
    @Test func `many tasks share few connections`() async throws {
        try await TestDatabase.current.withPool(connectionsMax: 3) { pool async throws in
            let sum = try await withThrowingTaskGroup(of: Int64.self) { group in
                for number in 0..<500 { group.addTask { try await pool.one(Echo(value: Int64(number))) ?? -1 } }
                return try await group.reduce(0, +)
            }
            #expect(sum == 499 * 500 / 2)
            #expect(pool.connectionsOpen <= 3)
            #expect(pool.connectionsIdle == pool.connectionsOpen)
        }
    }

    @Test func `a task that finds no free connection in time gets an error`() async throws {
        var configuration = TestDatabase.current.configuration(connectionsMax: 1)
        // The first connection, too, has to be there within it, on a machine that is busy.
        configuration.acquireWithin = .seconds(3)
        try await TestDatabase.withPool(configuration) { pool async throws in
            try await pool.withConnection { connection async throws in
                let error = await #expect(throws: PostgresError.self) { try await pool.one(DivideTen(by: 1)) }
                #expect(error?.code == .poolTimedOut)
                #expect(error?.isTransient == true)
                #expect(pool.tasksWaiting == 0)
                #expect(try await connection.one(DivideTen(by: 1)) == 10)
            }
            #expect(try await pool.one(DivideTen(by: 2)) == 5)
        }
    }

    @Test func `waiters are served in the order they came, and too many are refused`() async throws {
        var configuration = TestDatabase.current.configuration(connectionsMax: 1)
        configuration.waitersMax = 20
        try await TestDatabase.withPool(configuration) { pool async throws in
            let order = try await withThrowingTaskGroup(of: Int.self) { group in
                try await pool.withConnection { _ in
                    for number in 0..<20 {
                        group.addTask {
                            _ = try await pool.one(DivideTen(by: 1))
                            return number
                        }
                        try await until { pool.tasksWaiting == number + 1 }
                    }
                    let error = await #expect(throws: PostgresError.self) { try await pool.one(DivideTen(by: 1)) }
                    #expect(error?.code == .poolSaturated)
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(order == Array(0..<20))
        }
    }

    @Test func `a task cancelled while it waits gives its place up`() async throws {
        try await TestDatabase.current.withPool(connectionsMax: 1) { pool async throws in
            try await withThrowingTaskGroup(of: Void.self) { group in
                try await pool.withConnection { _ in
                    group.addTask { _ = try await pool.one(DivideTen(by: 1)) }
                    try await until { pool.tasksWaiting == 1 }
                    group.cancelAll()
                    await #expect(throws: CancellationError.self) { try await group.next() }
                    #expect(pool.tasksWaiting == 0)
                }
            }
            #expect(pool.connectionsIdle == 1)
            #expect(try await pool.one(DivideTen(by: 1)) == 10)
        }
    }

    @Test func `a task cancelled in the middle of a query leaves a connection that others can use`() async throws {
        try await TestDatabase.current.withPool(connectionsMax: 2) { pool async throws in
            try await withThrowingTaskGroup(of: Void.self) { group in
                let backend = Promise<Int32>(on: TestDatabase.loop)
                group.addTask {
                    try await pool.transaction { transaction in
                        try await transaction.execute(CreateNote(id: 1, text: "never"))
                        backend.succeed(try await transaction.one(BackendID()))
                        _ = try await transaction.query(Sleep(seconds: 3))
                        Issue.record("the sleep was not interrupted")
                    }
                }
                let sleeper = try await backend.value()
                try await until { try await pool.one(IsAsleep(backend: sleeper)) }
                group.cancelAll()
                await #expect(throws: CancellationError.self) { try await group.next() }
            }
            #expect(pool.connectionsIdle == 1, "the other one is still at the sleep that nobody waits for")
            try await until { pool.connectionsIdle == 2 }
            #expect(pool.connectionsOpen == 2)
            #expect(try await pool.one(NotesLike(text: "never")) == 0)
        }
    }

    @Test func `a connection that does not become idle in time is closed`() async throws {
        var configuration = TestDatabase.current.configuration(connectionsMax: 1)
        configuration.resetWithin = .milliseconds(20)
        try await TestDatabase.withPool(configuration) { pool async throws in
            let backend = try await pool.one(BackendID())
            try await withThrowingTaskGroup(of: Void.self) { group in
                let started = Promise<Void>(on: TestDatabase.loop)
                group.addTask {
                    try await pool.withConnection { connection async throws in
                        _ = try await connection.one(BackendID())
                        started.succeed(())
                        _ = try await connection.query(Sleep(seconds: 5))
                    }
                }
                try await started.value()
                group.cancelAll()
                await #expect(throws: CancellationError.self) { try await group.next() }
            }
            // The pool did not wait for the sleep: it opened another connection.
            #expect(try await pool.one(BackendID()) != backend)
        }
    }

    @Test func `a connection killed while idle is noticed and replaced`() async throws {
        try await TestDatabase.current.withPool(connectionsMax: 2) { pool async throws in
            let backend = try await pool.withConnection { first in
                let backend = try await pool.one(BackendID())
                #expect(try await first.one(Terminate(backend: backend)))
                return backend
            }
            try await until { pool.connectionsOpen == 1 }
            let others = try await pool.withConnection { first in
                [try await first.one(BackendID()), try await pool.one(BackendID())]
            }
            #expect(!others.contains(backend))
        }
    }

    @Test func `an unavailable server fails waiting tasks with the reason, and the pool keeps trying`() async throws {
        var configuration = PostgresPool.Configuration(url: "postgresql://nobody@127.0.0.1:1/none", applicationName: "test")
        configuration.acquireWithin = .milliseconds(300)
        try await TestDatabase.withPool(configuration) { pool async throws in
            let error = await #expect(throws: PostgresError.self) { try await pool.one(DivideTen(by: 1)) }
            #expect(error?.code == .poolTimedOut)
            let cause = error?.cause as? PostgresError
            #expect(cause?.message.contains("Connection refused") == true)
            #expect(!pool.isReady)
        }
    }

    @Test func `a host is found by name, and an unknown name is the reported reason`() async throws {
        var configuration = TestDatabase.current.configuration(connectionsMax: 1)
        configuration.acquireWithin = .seconds(2)
        configuration.url = configuration.url.replacing("@127.0.0.1:", with: "@localhost:")
        try await TestDatabase.withPool(configuration) { pool async throws in
            let ten = try await pool.one(DivideTen(by: 1))
            #expect(ten == 10)
        }
        configuration.url = "postgresql://nobody@does-not-exist.invalid:5432/none"
        try await TestDatabase.withPool(configuration) { pool async throws in
            let error = await #expect(throws: PostgresError.self) { try await pool.one(DivideTen(by: 1)) }
            let cause = error?.cause as? PostgresError
            #expect(cause?.message.contains("cannot look up does-not-exist.invalid") == true)
        }
        configuration.url = "postgresql://nobody:hunter2@[::"
        try await TestDatabase.withPool(configuration) { pool async throws in
            let error = await #expect(throws: PostgresError.self) { try await pool.one(DivideTen(by: 1)) }
            let text = error.map { "\($0)" } ?? ""
            #expect(text.contains("malformed"))
            #expect(!text.contains("hunter2"))
        }
    }

    @Test func `a running pool is ready, and again after its only connection was killed`() async throws {
        try await TestDatabase.current.withPool(connectionsMax: 1) { pool async throws in
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await pool.run() }
                try await until { pool.isReady }
                let backend = try await pool.one(BackendID())
                try await TestDatabase.current.withPool(connectionsMax: 1) { _ = try await $0.one(Terminate(backend: backend)) }
                try await until { !pool.isReady }
                try await until { pool.isReady }
                await pool.close()
                try await group.waitForAll()
                let error = await #expect(throws: PostgresError.self) { try await pool.one(DivideTen(by: 1)) }
                #expect(error?.code == .poolClosed)
            }
        }
    }

    @Test func `closing waits for lent connections`() async throws {
        try await TestDatabase.current.withPool(connectionsMax: 1) { pool async throws in
            try await withThrowingTaskGroup(of: Void.self) { group in
                let lent = Promise<Void>(on: TestDatabase.loop)
                group.addTask {
                    try await pool.transaction { transaction in
                        try await transaction.execute(CreateNote(id: 77, text: "finished"))
                        lent.succeed(())
                        _ = try await transaction.query(Sleep(seconds: 0.1))
                    }
                }
                try await lent.value()
                await pool.close()
                #expect(pool.connectionsOpen == 0)
                try await group.waitForAll()
            }
        }
        let count = try await TestDatabase.current.withPool { try await $0.one(NotesLike(text: "finished")) }
        #expect(count == 1)
    }

    @Test func `the server's time limit ends a statement retriably`() async throws {
        var configuration = TestDatabase.current.configuration(connectionsMax: 1)
        configuration.statementTimeout = .milliseconds(30)
        try await TestDatabase.withPool(configuration) { pool async throws in
            let error = await #expect(throws: PostgresError.self) { try await pool.query(Sleep(seconds: 10)) }
            #expect(error?.sqlState == .queryCanceled)
            #expect(error?.isTransient == true)
            #expect(pool.connectionsOpen == 1)
        }
    }
}

private struct NotesLike: Statement {
    typealias Output = Int64
    let text: String
    static let sql = "SELECT count(*) FROM note WHERE text = $1"
    func bind(_ parameters: inout Parameters) { parameters.append(text) }
}
