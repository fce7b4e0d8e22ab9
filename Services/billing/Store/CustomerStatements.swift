import Postgres
import Values

/// Keeps a user whose address is confirmed. Repeats change nothing.
struct InsertCustomer: Statement {
    static let sql = """
        INSERT INTO customer (user_id, email, verified_at)
        VALUES ($1, $2, $3)
        ON CONFLICT (user_id) DO NOTHING
        """
    var userID: UserID
    var email: String
    var verifiedAt: Instant

    func bind(_ parameters: inout Parameters) {
        parameters.append(userID)
        parameters.append(email)
        parameters.append(verifiedAt)
    }
}

/// Marks users of the free plan who have not had the credits of a month, and returns them.
struct ClaimFreeMonth: Statement {
    static let sql = """
        WITH due AS (
            SELECT user_id
            FROM customer
            WHERE plan = 'free' AND free_month < $1 AND ($2::uuid IS NULL OR user_id = $2)
            ORDER BY free_month, user_id
            LIMIT $3
            FOR UPDATE SKIP LOCKED
        )
        UPDATE customer
        SET free_month = $1
        FROM due
        WHERE customer.user_id = due.user_id
        RETURNING customer.user_id
        """
    var month: CalendarMonth
    /// Nil for all users.
    var userID: UserID?
    var limit: Int64

    func bind(_ parameters: inout Parameters) {
        parameters.append(month.description)
        parameters.append(userID)
        parameters.append(limit)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> UserID { try row.next() }
}

/// A user who can buy, as billing knows the user.
struct Customer: Hashable, Sendable {
    var userID: UserID
    var email: String
    var stripeCustomerID: String?
    /// Counts Stripe's customers of the user.
    var generation: Int64
    var plan: String
    var planUntil: Instant?

    fileprivate static let columns = "user_id, email, stripe_customer_id, stripe_generation::bigint, plan, plan_until"

    fileprivate init(row: inout RowReader) throws(PostgresError) {
        userID = try row.next()
        email = try row.next()
        stripeCustomerID = try row.next()
        generation = try row.next()
        plan = try row.next()
        planUntil = try row.next()
    }
}

/// Finds a user who can buy.
struct FindCustomer: Statement {
    static let sql = "SELECT \(Customer.columns) FROM customer WHERE user_id = $1"
    var userID: UserID

    func bind(_ parameters: inout Parameters) { parameters.append(userID) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> Customer { try Customer(row: &row) }
}

/// Locks a user until the end of the transaction. Orders of the user can be recorded meanwhile.
struct LockCustomer: Statement {
    static let sql = """
        SELECT \(Customer.columns)
        FROM customer
        WHERE user_id = $1
        FOR NO KEY UPDATE
        """
    var userID: UserID

    func bind(_ parameters: inout Parameters) { parameters.append(userID) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> Customer { try Customer(row: &row) }
}

/// Finds the user of a customer of Stripe's.
struct UserOfStripeCustomer: Statement {
    static let sql = "SELECT user_id FROM customer WHERE stripe_customer_id = $1"
    var stripeCustomerID: String

    func bind(_ parameters: inout Parameters) { parameters.append(stripeCustomerID) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> UserID { try row.next() }
}

/// Forgets a customer that was deleted at Stripe. The next purchase makes another one.
struct ForgetStripeCustomer: Statement {
    static let sql = """
        UPDATE customer
        SET stripe_customer_id = NULL, stripe_generation = stripe_generation + 1
        WHERE stripe_customer_id = $1
        """
    var stripeCustomerID: String

    func bind(_ parameters: inout Parameters) { parameters.append(stripeCustomerID) }
}

/// Keeps a dispute, as it stands now.
struct UpsertDispute: Statement {
    static let sql = """
        INSERT INTO dispute (id, user_id, source, status, amount_cents, is_open, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (id) DO UPDATE
        SET status = excluded.status, amount_cents = excluded.amount_cents, is_open = excluded.is_open
        """
    var dispute: StripeDispute
    var userID: UserID
    var source: String

    func bind(_ parameters: inout Parameters) {
        parameters.append(dispute.id)
        parameters.append(userID)
        parameters.append(source)
        parameters.append(dispute.status)
        parameters.append(dispute.amountCents)
        parameters.append(dispute.isOpen)
        parameters.append(dispute.createdAt)
    }
}

/// Tells whether a user has an open dispute.
struct HasOpenDispute: Statement {
    static let sql = "SELECT EXISTS (SELECT FROM dispute WHERE user_id = $1 AND is_open)"
    var userID: UserID

    func bind(_ parameters: inout Parameters) { parameters.append(userID) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> Bool { try row.next() }
}
