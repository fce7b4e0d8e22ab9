import EventLoop
import HTTPClient
import Postgres
import Telemetry
import Values

/// Everything that billing does, wired together.
struct UseCases: Sendable {
    let pool: PostgresPool
    let settings: StripeSettings
    /// The address of the gateway, without a slash at its end.
    let publicURL: String
    let stripe: StripeClient
    let operations: StripeOperations
    let settlement: Settlement
    let checkout: Checkout
    let subscriptions: SubscriptionCalls
    let reads: CustomerReads
    let worker: EventWorker
    let intake: EventIntake
    let sweeps: Sweeps
    let prices: PlanPrices
    let freeMonths: FreeMonths
    let clock: @Sendable () -> Instant

    init(
        pool: PostgresPool, settings: StripeSettings, publicURL: String, http: HTTPClient, loop: EventLoop, log: Logger,
        callsPerSecond: Int = 10, clock: @escaping @Sendable () -> Instant = { .now() },
        signatureClock: @escaping @Sendable () -> Instant = { .now() }
    ) {
        (self.pool, self.settings, self.publicURL, self.clock) = (pool, settings, publicURL, clock)
        // People and background work have a line each, so neither waits for the other. Stripe allows an account 25 calls a second in a
        // sandbox and 100 live (docs.stripe.com/rate-limits).
        func client() -> StripeClient {
            StripeClient(
                http: http, loop: loop, base: settings.apiBase, key: settings.secretKey, log: log,
                pace: RequestPace(callsPerSecond: callsPerSecond))
        }
        let background = client()
        let later = Settlement(operations: StripeOperations(pool: pool, stripe: background, clock: clock, log: log))
        stripe = client()
        operations = StripeOperations(pool: pool, stripe: stripe, clock: clock, log: log)
        settlement = Settlement(operations: operations)
        checkout = Checkout(operations: operations, settlement: settlement, settings: settings, clock: clock)
        subscriptions = SubscriptionCalls(operations: operations, settlement: settlement, clock: clock)
        reads = CustomerReads(pool: pool, stripe: stripe, settings: settings)
        worker = EventWorker(later, loop: loop)
        intake = EventIntake(
            pool: pool, secrets: settings.webhookSecrets, isLive: settings.isLive, clock: signatureClock,
            wake: { [worker] in worker.wake() },
            log: log)
        sweeps = Sweeps(settlement: later, intake: intake, clock: clock, log: log)
        prices = PlanPrices(pool: pool, stripe: background, settings: settings, log: log)
        freeMonths = FreeMonths(pool: pool, clock: clock)
    }
}

extension UseCases {
    /// The price of a plan for new subscriptions; nil if it is not sold for this interval.
    func price(of plan: String, _ interval: Plan.Interval) async throws -> PlanPrice? {
        try await pool.query(AllPlanPrices()).first { $0.plan == plan && $0.interval == interval && $0.isCurrent }
    }

    /// The price of an amount of credits; nil if it is not sold.
    func offer(credits: Int64) async throws -> Offer? {
        Catalogue(packages: try await pool.query(ReadPackages()), plans: []).offer(credits: credits)
    }
}
