import Bootstrap
import HTTP
import Identity
import Values

/// Decides what people have paid for or are given, and has the ledger grant it.
@main
struct BillingService {
    static func main() {
        Runtime.main(service: "billing", port: 8103) { runtime in try wire(runtime) }
    }

    private static func wire(_ runtime: Runtime) throws {
        let pool = try runtime.database()
        let publisher = try runtime.publisher()
        runtime.outbox(pool, publisher)
        let freeMonths = FreeMonths(pool: pool, clock: { .now() })
        try runtime.subscribe(subscriptions(freeMonths), in: pool)
        runtime.add(freeMonths.job)
        let authenticator = try runtime.authenticator()
        let log = runtime.log
        runtime.serve { _ in Routes(pool: pool, gate: authenticator.gate, log: log).router }
    }
}
