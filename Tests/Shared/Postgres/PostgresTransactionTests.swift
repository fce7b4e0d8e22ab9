import Contracts
import EventLoop
import Postgres
import TestSupport
import Testing

@Suite(.database(schema: "test", migrations: "Tests/Shared/Postgres/Migrations"))
struct PostgresTransactionTests {
    struct Deliberate: Error {}

    @Test func `a committed transaction stays, and one that throws is undone`() async throws {
        try await TestDatabase.current.withPool { pool async throws in
            try await pool.transaction { _ = try await $0.execute(CreateNote(id: 1, text: "kept")) }
            await #expect(throws: Deliberate.self) {
                try await pool.transaction { transaction in
                    try await transaction.execute(CreateNote(id: 2, text: "undone"))
                    throw Deliberate()
                }
            }
            #expect(try await pool.query(NoteExists(id: 1)) == [true])
            #expect(try await pool.query(NoteExists(id: 2)) == [false])
        }
    }

    @Test func `the last statements and COMMIT are sent together, and an error among them undoes all`() async throws {
        try await TestDatabase.current.withPool { pool async throws in
            try await pool.transaction { transaction in
                try await transaction.execute(CreateNote(id: 10, text: "a"))
                let (_, exists) = try await transaction.commit(CreateNote(id: 11, text: "b"), NoteExists(id: 11))
                #expect(exists == [true])
            }
            #expect(try await pool.one(NoteExists(id: 11)))
            await #expect(throws: PostgresError.self) {
                try await pool.transaction { transaction in
                    try await transaction.execute(CreateNote(id: 12, text: "c"))
                    try await transaction.commit(CreateNote(id: 10, text: "twice"))
                }
            }
            #expect(try await pool.one(NoteExists(id: 12)) == false)
        }
    }

    @Test func `an error swallowed inside a transaction does not pass for a commit`() async throws {
        try await TestDatabase.current.withPool { pool async throws in
            let error = await #expect(throws: PostgresError.self) {
                try await pool.transaction { transaction in
                    try await transaction.execute(CreateNote(id: 20, text: "a"))
                    _ = try? await transaction.execute(DivideTen(by: 0))
                }
            }
            #expect(error?.code == .rolledBack)
            #expect(try await pool.one(NoteExists(id: 20)) == false)
        }
    }

    @Test func `actions on commit run after a commit and never after a rollback`() async throws {
        try await TestDatabase.current.withPool { pool async throws in
            var committed = 0
            try await pool.transaction { transaction in
                transaction.onCommit { committed += 1 }
                try await transaction.execute(CreateNote(id: 30, text: "a"))
                #expect(committed == 0)
            }
            #expect(committed == 1)
            await #expect(throws: Deliberate.self) {
                try await pool.transaction { transaction in
                    transaction.onCommit { committed += 1 }
                    throw Deliberate()
                }
            }
            #expect(committed == 1)
        }
    }

    @Test func `a task that is cancelled before its last statements commits them`() async throws {
        try await TestDatabase.current.withPool { pool async throws in
            let task = Task(executorPreference: TestDatabase.loop) {
                try await pool.transaction { transaction in
                    try await transaction.execute(CreateNote(id: 60, text: "before"))
                    withUnsafeCurrentTask { $0?.cancel() }
                    try await transaction.commit(CreateNote(id: 61, text: "last"))
                }
            }
            try await task.value
            #expect(try await pool.one(NoteExists(id: 60)))
            #expect(try await pool.one(NoteExists(id: 61)))
        }
    }

    @Test func `one of two crossing serializable transactions fails retriably`() async throws {
        try await TestDatabase.current.withPool { pool async throws in
            let error = await #expect(throws: PostgresError.self) {
                try await pool.transaction(isolation: .serializable) { first in
                    _ = try await first.one(CountNotes())
                    try await pool.transaction(isolation: .serializable) { second in
                        _ = try await second.one(CountNotes())
                        try await second.execute(CreateNote(id: 40, text: "second"))
                    }
                    try await first.execute(CreateNote(id: 41, text: "first"))
                }
            }
            #expect(error?.sqlState == "40001")
            #expect(error?.isRetriable == true)
        }
    }

    @Test func `a backend killed in the middle of a statement is a lost connection, and the pool makes another`() async throws {
        try await TestDatabase.current.withPool(connectionsMax: 2) { pool async throws in
            let error = await #expect(throws: PostgresError.self) {
                try await pool.transaction { transaction in
                    let backend = try await transaction.one(BackendID())
                    try await transaction.execute(CreateNote(id: 50, text: "lost"))
                    async let killed: Void = terminate(backend, onceAsleepOn: pool)
                    _ = try await transaction.query(Sleep(seconds: 30))
                    try await killed
                }
            }
            #expect(error?.code == .connectionLost)
            #expect(error?.sqlState == "57P01")
            #expect(error?.isRetriable == true)
            #expect(try await pool.one(NoteExists(id: 50)) == false)
        }
    }

    @Test func `a backend killed during COMMIT is reported as an unknown outcome`() async throws {
        try await TestDatabase.current.withPool(connectionsMax: 2) { pool async throws in
            try await pool.withConnection { connection async throws in
                // A deferred trigger makes COMMIT itself last.
                try await connection.script(
                    """
                    CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(30); RETURN NULL; END';
                    CREATE TABLE slow (id bigint);
                    CREATE CONSTRAINT TRIGGER slow_commit AFTER INSERT ON slow
                        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION dawdle();
                    """)
            }
            struct InsertSlow: Statement { static let sql = "INSERT INTO slow VALUES (1)" }
            let error = await #expect(throws: PostgresError.self) {
                try await pool.withConnection { connection async throws in
                    let backend = try await connection.one(BackendID())
                    async let killed: Void = terminate(backend, onceAsleepOn: pool)
                    try await connection.transaction { _ = try await $0.execute(InsertSlow()) }
                    try await killed
                }
            }
            #expect(error?.code == .commitUnknown)
            #expect(error?.isRetriable == false)
        }
    }
}

private struct NoteExists: Statement {
    typealias Output = Bool
    let id: Int64
    static let sql = "SELECT EXISTS (SELECT FROM note WHERE id = $1)"
    func bind(_ parameters: inout Parameters) { parameters.append(id) }
}
