import Bootstrap
import Contracts
import HTTP
import Lifecycle
import Outbox

/// Knows what was bought or is due, and has the ledger grant it. Stripe arrives with a later step; now there is the free plan.
@main
struct BillingService {
    static func main() {
        Runtime.main(service: "billing", port: 8103) { runtime in try wire(runtime) }
    }

    private static func wire(_ runtime: Runtime) throws {
        let pool = try runtime.database()
        let publisher = try runtime.publisher()
        let relay = OutboxRelay(pool: pool, publisher: publisher, log: runtime.log)
        runtime.add(Component("outbox", run: { try await relay.run() }))
        let runner = SubscriptionRunner(pool: pool, amqp: try runtime.broker("events"), subscriptions: subscriptions(), log: runtime.log)
        runtime.add(Component("subscriptions", stopWithin: .seconds(12), run: { try await runner.run() }, stop: { await runner.stop() }))
        runtime.require("subscriptions") { runner.isReady }
        runtime.serve { _ in Router() }
    }
}
