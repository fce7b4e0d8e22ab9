import Bootstrap
import HTTP

/// Knows what was bought or is due, and has the ledger grant it. Stripe arrives with a later step; now there is the free plan.
@main
struct BillingService {
    static func main() {
        Runtime.main(service: "billing", port: 8103) { runtime in try wire(runtime) }
    }

    private static func wire(_ runtime: Runtime) throws {
        let pool = try runtime.database()
        let publisher = try runtime.publisher()
        runtime.outbox(pool, publisher)
        try runtime.subscribe(subscriptions(), in: pool)
        runtime.serve { _ in Router() }
    }
}
