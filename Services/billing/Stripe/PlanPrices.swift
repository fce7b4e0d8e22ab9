import Jobs
import Postgres
import Telemetry
import Values

/// Keeps what Stripe's prices cost: pages show Stripe's figures.
struct PlanPrices: Sendable {
    let pool: PostgresPool
    let stripe: StripeClient
    let settings: StripeSettings
    let log: Logger

    var job: Job { Job("plan prices", every: .seconds(3_600), within: .seconds(120)) { try await run() } }

    /// Reads the prices of the configuration. A price that does not fit its variable is not sold.
    func run() async throws {
        var found: [UpsertPlanPrice] = []
        for (slot, id) in settings.prices {
            let price = try StripePrice(try await stripe.get("/v1/prices/\(id)"))
            guard price.interval == slot.interval.rawValue, price.intervalCount == 1, price.currency == "usd", price.amountCents > 0 else {
                log.error(
                    "price not sold", ["price": .string(id), "plan": .string(slot.plan), "interval": .string(slot.interval.rawValue)])
                continue
            }
            found.append(
                UpsertPlanPrice(
                    priceID: id, plan: slot.plan, interval: slot.interval, amountCents: price.amountCents, currency: price.currency))
        }
        try await pool.transaction { [found] transaction in try await transaction.put(found) }
    }
}
