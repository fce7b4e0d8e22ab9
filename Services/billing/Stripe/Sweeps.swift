import EventLoop
import JSON
import Jobs
import Postgres
import Synchronization
import Telemetry
import Values

/// The jobs that find what no webhook told of, and do what is due.
///
/// | job | every | finds |
/// |---|---|---|
/// | `stripe events` | 5 min | events since the last run; Stripe keeps them for 30 days |
/// | `stripe objects` | an hour | sessions, invoices, refunds, disputes and subscriptions of a certain age (``ListWalk/ages``) |
/// | `plan credits` | 60 s | months of yearly plans that are due, plans that have ended, subscriptions not asked for in a day |
/// | `orders` | 10 min | orders whose page has ended, and calls of Stripe whose outcome is unknown |
/// | `billing checks` | 5 min | what should not be: metrics `billing_flaws{flaw}` |
/// | `stripe clean-up` | a day | old events and calls, and orders that were never paid |
struct Sweeps: Sendable {
    let settlement: Settlement
    let intake: EventIntake
    let clock: @Sendable () -> Instant
    let log: Logger

    private var operations: StripeOperations { settlement.operations }
    var pool: PostgresPool { settlement.pool }
    var stripe: StripeClient { settlement.stripe }

    /// Rows of events, and of orders that were never paid, are kept for 90 days.
    static let eventDays = Duration.seconds(90 * 86_400)

    var jobs: [Job] {
        [
            Job("stripe events", every: .seconds(300), within: .seconds(900), leader: pool) { try await sweepEvents() },
            Job("stripe objects", every: .seconds(3_600), within: .seconds(7_200), leader: pool) { try await sweepObjects() },
            Job("plan credits", every: .seconds(60), within: .seconds(600)) { try await settleDue() },
            Job("orders", every: .seconds(600), within: .seconds(900), leader: pool) { try await finishOrders() },
            Job("billing checks", every: .seconds(300), leader: pool) { try await check() },
            Job("stripe clean-up", every: .seconds(86_400), within: .seconds(900), leader: pool) { try await cleanUp() },
        ]
    }

    /// Settles one object. One that cannot be settled does not stop the others, but a server that does not answer does.
    func settle(_ kind: String, _ id: String, _ body: () async throws -> Void) async throws {
        do {
            try await body()
        } catch let error as CancellationError {
            throw error
        } catch let error as PostgresError where error.isTransient {
            throw error
        } catch let error as StripeError where error.isOutage {
            throw error
        } catch {
            log.error("object not settled", ["kind": .string(kind), "id": .string(id)], error: error)
        }
    }

    func cleanUp() async throws {
        let before = clock() - Self.eventDays
        while try await pool.query(DeleteOldEvents(receivedBefore: before)).count == DeleteOldEvents.limit {
            try Task.checkCancellation()
        }
        while try await pool.query(DeleteExpiredPurchases(endedBefore: before)).count == DeleteOldEvents.limit {
            try Task.checkCancellation()
        }
    }

    // MARK: What is due

    /// First what needs no answer of Stripe's: an outage there stops no plan from ending.
    func settleDue() async throws {
        try await settleMonths()
        try await endPlans()
        for id in try await pool.query(StaleSubscriptions(now: clock() + Settlement.clockDifference)) {
            do {
                try await settlement.syncSubscription(id)
            } catch let error as StripeError {
                log.error("object not settled", ["kind": "subscription", "id": .string(id)], error: error)
            } catch let failure as Settlement.Failure {
                log.error("object not settled", ["kind": "subscription", "id": .string(id)], error: failure)
            }
        }
        try await settleMonths()
    }

    private func settleMonths() async throws {
        while try await pool.transaction({ try await settlement.settleInstalments(in: $0) }) > 0 { try Task.checkCancellation() }
    }

    private func endPlans() async throws {
        var last = UserID(rawValue: UUIDv7(high: 0, low: 0))
        while true {
            let users = try await pool.query(EndingPlans(now: clock(), after: last))
            for user in users {
                try await pool.transaction { transaction in
                    _ = try await transaction.one(LockCustomer(userID: user))
                    try await settlement.decidePlan(of: user, in: transaction)
                }
            }
            guard let end = users.last else { return }
            last = end
        }
    }

    func finishOrders() async throws {
        for operation in try await pool.query(StuckOperations(createdBefore: clock() - .seconds(600))) {
            try await settle("operation", operation.id.description) { try await resolve(operation) }
        }
        var last = PurchaseID(rawValue: UUIDv7(high: 0, low: 0))
        while true {
            let orders = try await pool.query(UnfinishedPurchases(expiredBefore: clock(), after: last))
            for order in orders { try await settle("purchase", order.id.description) { try await finish(order) } }
            guard let end = orders.last else { return }
            last = end.id
        }
    }

    private func finish(_ order: Purchase) async throws {
        if order.sessionID != nil || order.status == .awaitingPayment {
            _ = try await settlement.settlePurchase(order.id)
        } else if let session = try await session(of: order.id, user: order.userID) {
            _ = try await settlement.settlePurchase(order.id, sessionID: session)
        } else if order.sessionExpiresAt > clock() {
            return  // the user's next click goes on with it
        } else {
            try await pool.execute(DropPurchase(id: order.id, status: .expired))
        }
    }

    /// Finds out what became of a call whose answer never came. An act of a user is not repeated: the user may want something else now.
    private func resolve(_ operation: StripeOperation) async throws {
        if operation.kind.isAct {
            try await settle("subscription", operation.subject) { try await settlement.syncSubscription(operation.subject) }
            try await pool.execute(EndOperation(id: operation.id, error: "the outcome was never seen"))
            return
        }
        if operation.createdAt + StripeOperations.keyLife > clock() {
            // The same key and the same parameters: Stripe does it once, and tells what it did.
            do {
                let object = try await stripe.post(
                    operation.path, form: operation.parameters, idempotencyKey: operation.idempotencyKey)
                try await pool.execute(EndOperation(id: operation.id, objectID: try object.stripeString("id")))
            } catch StripeError.refused(let refusal) {
                try await pool.execute(EndOperation(id: operation.id, error: "\(refusal)"))
                // The key of the order is used up. The next click makes another order.
                if operation.kind == .checkout, let id = PurchaseID(operation.subject) {
                    try await pool.execute(DropPurchase(id: id, status: .failed))
                }
            } catch let error as StripeError {
                log.warning("stripe operation pending", ["kind": .string(operation.kind.rawValue)], error: error)
                return
            }
        } else {
            try await pool.execute(EndOperation(id: operation.id, error: "the outcome was never seen"))
        }
        guard operation.kind == .checkout, let id = PurchaseID(operation.subject),
            let order = try await pool.first(FindPurchase(id: id)), order.sessionID == nil
        else { return }
        try await settle("purchase", operation.subject) { try await finish(order) }
    }

    /// Looks among the sessions of a user for the one of an order.
    private func session(of id: PurchaseID, user: UserID) async throws -> String? {
        guard let customer = try await pool.first(FindCustomer(userID: user))?.stripeCustomerID else { return nil }
        for json in try await stripe.all("/v1/checkout/sessions", ["customer": customer])
        where try json.metadata("purchase_id") == id.description { return try json.stripeString("id") }
        return nil
    }

    // MARK: What should not be

    func check(metrics: Metrics = .shared) async throws {
        let flaws = try await pool.one(CountFlaws(now: clock()))
        for (name, count) in [
            ("unfinished_purchases", flaws.unfinishedPurchases), ("purchases_without_effect", flaws.purchasesWithoutEffect),
            ("unpaid_periods", flaws.unpaidPeriods), ("reviews", flaws.reviews), ("dead_events", flaws.deadEvents),
            ("second_subscriptions", flaws.secondSubscriptions), ("unknown_outcomes", flaws.unknownOutcomes),
        ] {
            metrics.gauge("billing_flaws", help: "Rows of billing that should not be; each above zero is an alert", labels: ["flaw": name])
                .set(count)
        }
        metrics.gauge("billing_oldest_event_seconds", help: "Age of the oldest event of Stripe that is not done")
            .set(flaws.oldestEventSeconds)
    }
}

extension StripeError {
    fileprivate var isOutage: Bool {
        switch self {
        case .unavailable, .outcomeUnknown: true
        case .refused, .malformed: false
        }
    }
}
