import Postgres
import Synchronization

/// The time zones that a person can choose. The database is asked once.
final class TimeZones: Sendable {
    private let names = TimeZoneNames()
    private let known = Mutex<[TimeZoneRegion]?>(nil)

    /// True for a name of the IANA database that Postgres knows.
    func contains(_ name: String, _ pool: PostgresPool) async throws -> Bool { try await names.contains(name, pool) }

    func regions(_ pool: PostgresPool) async throws -> [TimeZoneRegion] {
        if let known = known.withLock({ $0 }) { return known }
        let regions = TimeZoneRegion.all(try await names.all(pool))
        known.withLock { $0 = regions }
        return regions
    }
}
