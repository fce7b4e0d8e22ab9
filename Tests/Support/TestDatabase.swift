package import EventLoop
import FoundationEssentials
package import Postgres
package import Telemetry
package import Testing

/// A database of a suite's own: made out of `TEST_POSTGRES_URL` before its first test, migrated, dropped after its last.
///
/// ```swift
/// @Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"))
/// struct LedgerStoreTests {
///     @Test func `a hold lowers the available credits`() async throws {
///         try await TestDatabase.current.withPool { pool in … }
///     }
/// }
/// ```
package struct TestDatabase: Sendable {
    /// Where services and tests connect; the search path is not in it: see ``configuration(connectionsMax:)``.
    package let url: String
    package let name: String
    package let schema: String

    @TaskLocal private static var scoped: TestDatabase?

    /// The database of the suite that is running.
    package static var current: TestDatabase {
        guard let scoped else { preconditionFailure("mark the suite with @Suite(.database(…))") }
        return scoped
    }

    /// All database work of all suites happens on this loop; the tests' own work too, inside ``withPool(connectionsMax:_:)``.
    package static let loop = EventLoop.spawn(name: "test-postgres")

    /// Quiet: tests look at errors, not at lines.
    package static let log = Logger(service: "test", level: .error)

    package func configuration(connectionsMax: Int = 8) -> PostgresPool.Configuration {
        var configuration = PostgresPool.Configuration(url: url, applicationName: "test")
        configuration.connectionsMax = connectionsMax
        configuration.searchPath = schema
        // All suites share the loop and the machine: being slow is not what they test.
        configuration.acquireWithin = .seconds(30)
        configuration.connectWithin = .seconds(30)
        return configuration
    }

    /// Runs `body` on the test loop with a pool that is closed afterwards.
    package func withPool<Value: Sendable>(
        connectionsMax: Int = 8, _ body: @escaping @Sendable (PostgresPool) async throws -> Value
    ) async throws -> Value {
        try await Self.withPool(configuration(connectionsMax: connectionsMax), body)
    }

    package static func withPool<Value: Sendable>(
        _ configuration: PostgresPool.Configuration, _ body: @escaping @Sendable (PostgresPool) async throws -> Value
    ) async throws -> Value {
        try await onLoop {
            let pool = PostgresPool(loop: loop, configuration: configuration, log: log)
            let result: Result<Value, any Error>
            do { result = .success(try await body(pool)) } catch { result = .failure(error) }
            await pool.close()
            return try result.get()
        }
    }

    /// Runs `body` as a task on the test loop.
    package static func onLoop<Value: Sendable>(_ body: @escaping @Sendable () async throws -> Value) async throws -> Value {
        try await Task(executorPreference: loop) { try await body() }.value
    }

    /// Makes a database with `schema` migrated from `migrations` (directories from the package's root).
    /// - Parameter server: a superuser's URL of another server than that of all suites.
    package static func create(on server: String? = nil, schema: String, migrations: [String]) async throws -> TestDatabase {
        guard let server = server ?? ProcessInfo.processInfo.environment["TEST_POSTGRES_URL"] else {
            throw Missing(description: "TEST_POSTGRES_URL is not set: run the tests by `make test`, which starts a server for them")
        }
        let name = "test_\(UInt64.random(in: .min ... .max))"
        try await administer(server) { try await $0.script("CREATE DATABASE \(name)") }
        let database = TestDatabase(url: replacingDatabase(in: server, with: name), name: name, schema: schema)
        do {
            try await database.withPool(connectionsMax: 1) { pool in
                let directories = migrations.map { packageRoot + "/" + $0 }
                _ = try await Migrator(pool: pool).migrate(directories: directories, schema: schema)
            }
        } catch {
            try await database.drop()
            throw error
        }
        return database
    }

    /// Drops the database and ends its connections.
    package func drop() async throws {
        let server = Self.replacingDatabase(in: url, with: "postgres")
        let statement = "DROP DATABASE \(name) WITH (FORCE)"
        try await Self.administer(server) { try await $0.script(statement) }
    }

    /// The root of the package, found from this file.
    package static let packageRoot = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3)
        .joined(separator: "/")

    private struct Missing: Error, CustomStringConvertible {
        let description: String
    }

    private static func administer(
        _ server: String, _ body: @escaping @Sendable (PostgresConnection) async throws -> Void
    ) async throws {
        var configuration = PostgresPool.Configuration(url: server, applicationName: "test")
        configuration.connectionsMax = 1
        configuration.statementTimeout = .seconds(60)
        configuration.acquireWithin = .seconds(30)
        configuration.connectWithin = .seconds(30)
        try await withPool(configuration) { pool in try await pool.withConnection { try await body($0) } }
    }

    private static func replacingDatabase(in url: String, with name: String) -> String {
        let parts = url.split(separator: "?", maxSplits: 1)
        let base = parts[0].split(separator: "/", omittingEmptySubsequences: false).prefix(3).joined(separator: "/")
        return base + "/" + name + (parts.count > 1 ? "?\(parts[1])" : "")
    }
}

extension TestDatabase {
    /// See ``TestDatabase``.
    package struct Trait: SuiteTrait, TestScoping {
        let schema: String
        let migrations: [String]

        package func provideScope(
            for test: Test, testCase: Test.Case?, performing function: @Sendable @concurrent () async throws -> Void
        ) async throws {
            let database = try await TestDatabase.create(schema: schema, migrations: migrations)
            let result: Result<Void, any Error>
            do {
                result = .success(try await TestDatabase.$scoped.withValue(database) { try await function() })
            } catch {
                result = .failure(error)
            }
            try await database.drop()
            try result.get()
        }
    }
}

extension Trait where Self == TestDatabase.Trait {
    /// A database for the suite, shared by its tests.
    package static func database(schema: String, migrations: String...) -> TestDatabase.Trait {
        TestDatabase.Trait(schema: schema, migrations: migrations)
    }
}
