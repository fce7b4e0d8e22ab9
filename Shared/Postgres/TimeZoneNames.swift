import Synchronization

/// The IANA names that Postgres knows. `AT TIME ZONE` alone would not do: it also takes `X+3`, and means three hours west by it.
///
/// Postgres reads a folder of files to list them, so it is asked once.
package final class TimeZoneNames: Sendable {
    private let names = Mutex<Set<String>?>(nil)

    package init() {}

    package func contains(_ name: String, _ pool: PostgresPool) async throws -> Bool {
        if name == "UTC" { return true }
        return try await all(pool).contains(name)
    }

    package func all(_ pool: PostgresPool) async throws -> Set<String> {
        if let known = names.withLock({ $0 }) { return known }
        let read = Set(try await pool.withConnection { try await $0.query(ReadTimeZoneNames()) })
        names.withLock { $0 = read }
        return read
    }
}

private struct ReadTimeZoneNames: Statement {
    typealias Output = String
    static let sql = "SELECT name FROM pg_timezone_names"
}
