import HTTP
import HTTPWire
import Identity
import Postgres
import Telemetry

/// The HTTP door of billing. Amounts of money are JSON numbers in USD with 2 fraction digits, exact.
/// `Routes/` has the handlers. The use cases know no HTTP.
struct Routes: HTTPDoor {
    let pool: PostgresPool
    let gate: CallerGate<Principal>
    let log: Logger

    static let table: [Route<Routes>] = [
        Route(.get, ["/api/credits/plans"], access: .public, Routes.plans),
        Route(.get, ["/api/credits/packages"], access: .public, Routes.packages),
        Route(.get, ["/api/trpc/credits.packages"], access: .public, errors: .trpc, Routes.procedures),

        Route(.get, ["/api/admin/plans"], access: .admin(), Routes.allPlans),
        Route(.put, ["/api/admin/plans"], access: .admin(freshWithin: .seconds(900)), bodyBytesMax: 65_536, Routes.putPlans),
        Route(.get, ["/api/admin/packages"], access: .admin(), Routes.allPackages),
        Route(.put, ["/api/admin/packages"], access: .admin(freshWithin: .seconds(900)), bodyBytesMax: 65_536, Routes.putPackages),
    ]

    /// Maps a lost database to 503.
    func problem(for error: any Error, in trace: TraceContext) -> Problem? {
        guard let error = error as? PostgresError, error.isTransient else { return nil }
        log.warning("request failed: database unavailable", error: error, trace: trace)
        return .unavailable("The billing database is unavailable; retry later.")
    }
}
