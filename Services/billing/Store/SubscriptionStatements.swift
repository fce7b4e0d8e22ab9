import Postgres
import Values

/// Writes a subscription as Stripe describes it now.
struct UpsertSubscription: Statement {
    static let sql = """
        INSERT INTO subscription (
            id, user_id, status, item_id, price_id, period_start, period_end, cancel_at, created_at, synced_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        ON CONFLICT (id) DO UPDATE
        SET status = excluded.status, item_id = excluded.item_id, price_id = excluded.price_id, period_start = excluded.period_start,
            period_end = excluded.period_end, cancel_at = excluded.cancel_at, synced_at = excluded.synced_at
        """
    var subscription: PlanSubscription
    var now: Instant

    func bind(_ parameters: inout Parameters) {
        parameters.append(subscription.id)
        parameters.append(subscription.userID)
        parameters.append(subscription.status)
        parameters.append(subscription.itemID)
        parameters.append(subscription.priceID)
        parameters.append(subscription.periodStart)
        parameters.append(subscription.periodEnd)
        parameters.append(subscription.cancelAt)
        parameters.append(subscription.createdAt)
        parameters.append(now)
    }
}

/// Finds the subscriptions of a user, newest first.
struct SubscriptionsOfUser: Statement {
    static let sql = """
        SELECT id, user_id, status, item_id, price_id, period_start, period_end, cancel_at, created_at
        FROM subscription
        WHERE user_id = $1
        ORDER BY created_at DESC, id
        """
    var userID: UserID

    func bind(_ parameters: inout Parameters) { parameters.append(userID) }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> PlanSubscription {
        PlanSubscription(
            id: try row.next(), userID: try row.next(), status: try row.next(), itemID: try row.next(), priceID: try row.next(),
            periodStart: try row.next(), periodEnd: try row.next(), cancelAt: try row.next(), createdAt: try row.next())
    }
}

/// Finds the user of a subscription.
struct UserOfSubscription: Statement {
    static let sql = "SELECT user_id FROM subscription WHERE id = $1"
    var id: String

    func bind(_ parameters: inout Parameters) { parameters.append(id) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> UserID { try row.next() }
}

/// Finds the running subscriptions of a user that Stripe was not asked about since.
struct OldSubscriptions: Statement {
    static let sql = """
        SELECT id
        FROM subscription
        WHERE user_id = $1 AND status NOT IN ('canceled', 'incomplete_expired') AND synced_at < $2
        """
    var userID: UserID
    var syncedBefore: Instant

    func bind(_ parameters: inout Parameters) {
        parameters.append(userID)
        parameters.append(syncedBefore)
    }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> String { try row.next() }
}

/// Finds the periods that a user has paid for.
struct PaidPeriods: Statement {
    static let sql = """
        SELECT invoice.subscription_id, invoice.plan, plan.position::bigint, invoice.period_end, invoice.paid_at, invoice.is_whole,
            invoice.is_returned
        FROM invoice
        JOIN plan ON plan.id = invoice.plan
        WHERE invoice.user_id = $1 AND invoice.review IS NULL
        """
    var userID: UserID

    func bind(_ parameters: inout Parameters) { parameters.append(userID) }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> PaidPeriod {
        PaidPeriod(
            subscriptionID: try row.next(), plan: try row.next(), position: try row.next(), end: try row.next(), paidAt: try row.next(),
            isWhole: try row.next(), isReturned: try row.next())
    }
}

/// Users whose plan ends unless a payment has come.
struct EndingPlans: Statement {
    static let sql = """
        SELECT user_id
        FROM customer
        WHERE plan_until <= $1 AND user_id > $2
        ORDER BY user_id
        LIMIT 100
        """
    var now: Instant
    var after: UserID

    func bind(_ parameters: inout Parameters) {
        parameters.append(now)
        parameters.append(after)
    }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> UserID { try row.next() }
}

/// Reads all prices of plans.
struct AllPlanPrices: Statement {
    static let sql = """
        SELECT price_id, plan.id, billing_interval, amount_cents, currency, plan.monthly_credits, plan.position::bigint, is_current
        FROM plan_price
        JOIN plan ON plan.id = plan_price.plan
        """

    static func decode(_ row: inout RowReader) throws(PostgresError) -> PlanPrice {
        PlanPrice(
            priceID: try row.next(), plan: try row.next(), interval: try row.named(), amountCents: try row.next(), currency: try row.next(),
            monthlyCredits: Credits(whole: try row.next(Int64.self)), position: try row.next(), isCurrent: try row.next())
    }
}

/// Takes the prices that new subscriptions had out of sale.
struct RetirePlanPrices: Statement {
    static let sql = "UPDATE plan_price SET is_current = false WHERE is_current AND price_id <> ALL ($1)"
    var except: [String]

    func bind(_ parameters: inout Parameters) { parameters.append(except) }
}

/// Puts a price on sale.
struct UpsertPlanPrice: Statement {
    static let sql = """
        INSERT INTO plan_price (price_id, plan, billing_interval, amount_cents, currency, is_current)
        VALUES ($1, $2, $3, $4, $5, true)
        ON CONFLICT (price_id) DO UPDATE
        SET plan = excluded.plan, billing_interval = excluded.billing_interval, amount_cents = excluded.amount_cents,
            currency = excluded.currency, is_current = true
        """
    var priceID: String
    var plan: String
    var interval: Plan.Interval
    var amountCents: Int64
    var currency: String

    func bind(_ parameters: inout Parameters) {
        parameters.append(priceID)
        parameters.append(plan)
        parameters.append(interval.rawValue)
        parameters.append(amountCents)
        parameters.append(currency)
    }
}
