import Contracts
import Postgres
import TestSupport
import Testing

@Suite(.database(schema: "test", migrations: "Tests/Shared/Postgres/Migrations"))
struct PipelineTests {
    @Test func `statements of one pipeline answer in order and with their own types`() async throws {
        try await TestDatabase.current.withPool { pool async throws in
            for _ in 0..<3 {
                let (number, text, numbers, again) = try await pool.pipeline(
                    Echo(value: Int64(7)), Echo(value: "seven"), Unnest(values: [Int64(1), nil, 3]), Echo(value: Int64(8)))
                #expect(number == [7])
                #expect(text == ["seven"])
                #expect(numbers == [1, nil, 3])
                #expect(again == [8])
            }
        }
    }

    @Test func `a thousand statements fit in one round trip`() async throws {
        try await TestDatabase.current.withPool { pool async throws in
            let results = try await pool.pipeline((0..<1_000).map { Echo(value: Int64($0)) })
            #expect(results.map { $0[0] } == (0..<1_000).map { Int64($0) })
        }
    }

    @Test func `answers larger than the socket buffers do not stall a pipeline that is still being sent`() async throws {
        try await TestDatabase.current.withPool(connectionsMax: 1) { pool async throws in
            let block = [UInt8](repeating: 7, count: 2_000_000)
            let results = try await pool.pipeline((0..<12).map { _ in Echo(value: block) })
            #expect(results.allSatisfy { $0 == [block] })
        }
    }

    @Test func `an error in the middle skips the rest, undoes the whole pipeline and leaves the connection usable`() async throws {
        try await TestDatabase.current.withPool(connectionsMax: 1) { pool async throws in
            let error = await #expect(throws: PostgresError.self) {
                try await pool.pipeline(CreateNote(id: 1, text: "a"), DivideTen(by: 0), CreateNote(id: 2, text: "b"))
            }
            #expect(error?.sqlState == "22012")
            #expect(error?.statement == "DivideTen")
            #expect(error?.isRetriable == false)
            #expect(try await pool.one(CountNotes()) == 0)
            #expect(try await pool.one(DivideTen(by: 5)) == 2)
            #expect(pool.connectionsOpen == 1)
        }
    }

    /// Plans are per connection, so without a remedy each connection of a pool fails for ever.
    @Test(arguments: ["ALTER TABLE changing ALTER COLUMN value TYPE bigint", "DEALLOCATE ALL"])
    func `a plan that the server no longer takes costs one lost statement, and no connection keeps it`(change: String) async throws {
        struct ReadChanging: Statement {
            typealias Output = Int64
            static let sql = "SELECT value FROM changing"
        }
        try await TestDatabase.current.withPool(connectionsMax: 2) { pool async throws in
            try await pool.withConnection { first async throws in
                try await first.script(
                    "DROP TABLE IF EXISTS changing; CREATE TABLE changing (value integer); INSERT INTO changing VALUES (1)")
                #expect(try await first.one(ReadChanging()) == 1)
                #expect(try await pool.one(ReadChanging()) == 1)
                #expect(pool.connectionsOpen == 2)
                try await first.script(change)
                let error = await #expect(throws: PostgresError.self) {
                    try await first.transaction { transaction in
                        _ = try await transaction.one(ReadChanging())
                    }
                }
                #expect(error?.code == .connectionLost)
                #expect(error?.isRetriable == true)
            }
            try await pool.withConnection { first async throws in
                #expect(try await first.one(ReadChanging()) == 1)
                #expect(try await pool.one(ReadChanging()) == 1)
            }
        }
    }

    @Test func `a statement whose preparation was skipped is prepared the next time`() async throws {
        struct Fresh: Statement {
            typealias Output = Int64
            static let sql = "SELECT 99::bigint"
        }
        try await TestDatabase.current.withPool(connectionsMax: 1) { pool async throws in
            _ = await #expect(throws: PostgresError.self) { try await pool.pipeline(DivideTen(by: 0), Fresh()) }
            #expect(try await pool.one(Fresh()) == 99)
        }
    }

    @Test func `a statement that does not parse is reported with its type's name`() async throws {
        struct Broken: Statement {
            static let sql = "SELEKT 1"
        }
        try await TestDatabase.current.withPool(connectionsMax: 1) { pool async throws in
            for _ in 0..<2 {
                let error = await #expect(throws: PostgresError.self) { try await pool.query(Broken()) }
                #expect(error?.sqlState == "42601")
                #expect(error?.statement == "Broken")
            }
        }
    }

    @Test func `a violated constraint is reported by name`() async throws {
        try await TestDatabase.current.withPool { pool async throws in
            try await pool.transaction { transaction in
                try await transaction.execute(CreateNote(id: 500, text: "x"))
                let error = await #expect(throws: PostgresError.self) {
                    try await transaction.execute(CreateNote(id: 500, text: "y"))
                }
                #expect(error?.sqlState == "23505")
                #expect(error?.isViolation(of: "note_pkey") == true)
                await transaction.rollback()
            }
        }
    }
}
