import HTTP
import Identity
import Postgres
import Telemetry

/// The HTTP door of billing. `Routes/` has the handlers. The use cases know no HTTP.
struct Routes: HTTPDoor {
    let pool: PostgresPool
    let gate: CallerGate<Principal>
    let log: Logger

    static let table: [Route<Routes>] = []
}
