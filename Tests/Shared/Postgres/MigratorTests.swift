import FoundationEssentials
import Postgres
import TestSupport
import Testing

@Suite(.database(schema: "test"))
struct MigratorTests {
    @Test func `files are applied once, in order, the first directory first`() async throws {
        try await withDirectories { directories, pool in
            try directories.write(1, "0001_table.sql", "CREATE TABLE a (n bigint); INSERT INTO a VALUES (1);")
            try directories.write(1, "0002_more.sql", "INSERT INTO a VALUES (2);")
            try directories.write(2, "0001_other.sql", "INSERT INTO a SELECT max(n) + 1 FROM a;")
            let first = try await directories.migrate(pool)
            #expect(first == ["0001_table.sql", "0002_more.sql", "0001_other.sql"])
            let second = try await directories.migrate(pool)
            #expect(second == [])
            try directories.write(1, "0003_later.sql", "INSERT INTO a VALUES (4);")
            let third = try await directories.migrate(pool)
            #expect(third == ["0003_later.sql"])
            let numbers = try await pool.transaction { transaction in
                try await transaction.script("SET LOCAL search_path TO \(directories.schema)")
                return try await transaction.query(ReadA())
            }
            #expect(numbers == [1, 2, 3, 4])
        }
    }

    @Test func `a file that was changed, is missing or comes before an applied one is refused by name`() async throws {
        try await withDirectories { directories, pool in
            try directories.write(1, "0001_a.sql", "CREATE TABLE a (n bigint);")
            try directories.write(1, "0003_c.sql", "INSERT INTO a VALUES (3);")
            _ = try await directories.migrate(pool)

            try directories.write(1, "0002_b.sql", "INSERT INTO a VALUES (2);")
            let early = await #expect(throws: PostgresError.self) { try await directories.migrate(pool) }
            #expect(early?.message == "0002_b.sql is new and 0003_c.sql was applied already")
            try directories.remove(1, "0002_b.sql")

            try directories.write(1, "0003_c.sql", "INSERT INTO a VALUES (33);")
            let changed = await #expect(throws: PostgresError.self) { try await directories.migrate(pool) }
            #expect(
                changed?.message
                    == "0003_c.sql was changed after it was applied; restore the file, or delete the data of a local stack with `make clean`"
            )

            try directories.remove(1, "0003_c.sql")
            let gone = await #expect(throws: PostgresError.self) { try await directories.migrate(pool) }
            #expect(gone?.message == "0003_c.sql was applied and its file is gone")
            #expect(gone?.code == .migrationRefused)
        }
    }

    @Test func `a failing file leaves no change and is named`() async throws {
        try await withDirectories { directories, pool in
            try directories.write(1, "0001_a.sql", "CREATE TABLE a (n bigint); SELECT 1 / 0;")
            let error = await #expect(throws: PostgresError.self) { try await directories.migrate(pool) }
            #expect(error?.sqlState == "22012")
            #expect(error?.statement == "0001_a.sql")
            try directories.write(1, "0001_a.sql", "CREATE TABLE a (n bigint);")
            let applied = try await directories.migrate(pool)
            #expect(applied == ["0001_a.sql"])
        }
    }

    @Test func `replicas that start together apply each file once`() async throws {
        try await withDirectories { directories, pool in
            try directories.write(1, "0001_a.sql", "CREATE TABLE a (n bigint);")
            try directories.write(1, "0002_b.sql", "INSERT INTO a VALUES (2);")
            let applied = try await withThrowingTaskGroup(of: [String].self) { group in
                for _ in 0..<6 { group.addTask { try await directories.migrate(pool) } }
                return try await group.reduce([], +)
            }
            #expect(applied.sorted() == ["0001_a.sql", "0002_b.sql"])
        }
    }

    @Test func `a replica waits longer for another's migration than a statement may take`() async throws {
        try await withDirectories { directories, pool in
            try directories.write(1, "0001_a.sql", "CREATE TABLE a (n bigint);")
            var configuration = TestDatabase.current.configuration()
            configuration.statementTimeout = .milliseconds(300)
            try await TestDatabase.withPool(configuration) { impatient in
                let (isHeld, isOver, hasEnded) = (Gate(on: pool.loop), Gate(on: pool.loop), Gate(on: pool.loop))
                let holding = Task(executorPreference: TestDatabase.loop) {
                    try await pool.transaction { transaction in
                        try await transaction.script("SELECT pg_advisory_xact_lock(hashtext('schema_migration'))")
                        isHeld.open()
                        try await isOver.wait()
                    }
                }
                try await isHeld.wait()
                let migrating = Task(executorPreference: TestDatabase.loop) {
                    defer { hasEnded.open() }
                    return try await directories.migrate(impatient)
                }
                try await until { try await pool.one(HasWaited()) || hasEnded.isOpen }
                isOver.open()
                try await holding.value
                let applied = try await migrating.value
                #expect(applied == ["0001_a.sql"])
            }
        }
    }

    @Test func `a role that owns its schema and may nothing else can migrate it`() async throws {
        try await withDirectories { directories, pool in
            let role = directories.schema
            try directories.write(1, "0001_a.sql", "CREATE TABLE a (n bigint);")
            try await pool.withConnection { connection in
                try await connection.script("CREATE ROLE \(role) LOGIN PASSWORD 'migrator'; CREATE SCHEMA \(role) AUTHORIZATION \(role)")
            }
            var configuration = TestDatabase.current.configuration(connectionsMax: 1)
            let host = configuration.url.drop { $0 != "@" }
            configuration.url = "postgresql://\(role):migrator" + host
            let applied = try await TestDatabase.withPool(configuration) { try await directories.migrate($0) }
            #expect(applied == ["0001_a.sql"])
            try await pool.withConnection { try await $0.script("DROP OWNED BY \(role); DROP ROLE \(role)") }
        }
    }

    @Test func `unnumbered, repeated and unreadable names are refused`() async throws {
        try await withDirectories { directories, pool in
            try directories.write(1, "1_a.sql", "")
            let unnumbered = await #expect(throws: PostgresError.self) { try await directories.migrate(pool) }
            #expect(unnumbered?.message == "1_a.sql is not named NNNN_name.sql")
            try directories.remove(1, "1_a.sql")
            try directories.write(1, "0001_a.sql", "")
            try directories.write(2, "0001_a.sql", "")
            let twice = await #expect(throws: PostgresError.self) { try await directories.migrate(pool) }
            #expect(twice?.message == "0001_a.sql is in two directories")
            let missing = await #expect(throws: PostgresError.self) {
                try await Migrator(pool: pool).migrate(directories: ["/nowhere"], schema: "test")
            }
            #expect(missing?.message == "cannot read the directory /nowhere")
        }
    }

    private func withDirectories(_ body: @escaping @Sendable (Directories, PostgresPool) async throws -> Void) async throws {
        let directories = try Directories()
        defer { directories.removeAll() }
        try await TestDatabase.current.withPool { try await body(directories, $0) }
    }
}

/// Two directories of migrations and a schema of a test's own.
private struct Directories: Sendable {
    private let root: String
    let schema = "s\(UInt64.random(in: .min ... .max))"

    init() throws {
        root = FileManager.default.temporaryDirectory.path + "/migrations-\(schema)"
        for number in 1...2 {
            try FileManager.default.createDirectory(atPath: "\(root)/\(number)", withIntermediateDirectories: true)
        }
    }

    func write(_ directory: Int, _ name: String, _ text: String) throws {
        try text.write(toFile: "\(root)/\(directory)/\(name)", atomically: false, encoding: .utf8)
    }

    func remove(_ directory: Int, _ name: String) throws {
        try FileManager.default.removeItem(atPath: "\(root)/\(directory)/\(name)")
    }

    func removeAll() { try? FileManager.default.removeItem(atPath: root) }

    func migrate(_ pool: PostgresPool) async throws -> [String] {
        try await Migrator(pool: pool).migrate(directories: ["\(root)/1", "\(root)/2"], schema: schema)
    }
}

/// True if a session of this database has waited for an advisory lock for a second.
private struct HasWaited: Statement {
    typealias Output = Bool
    static let sql = """
        SELECT EXISTS (
            SELECT FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event = 'advisory' AND clock_timestamp() - query_start > interval '1 second')
        """
}

private struct ReadA: Statement {
    typealias Output = Int64
    static let sql = "SELECT n FROM a ORDER BY n"
}
