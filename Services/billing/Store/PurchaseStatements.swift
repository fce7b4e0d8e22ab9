import Postgres
import Values

extension Purchase {
    static let columns = """
        id, user_id, kind, package, credits, bonus, amount_cents, currency, plan, price_id, status, success_url, cancel_url, session_id,
            session_url, session_expires_at, payment_intent_id, paid_cents, review, created_at
        """

    init(_ row: inout RowReader) throws(PostgresError) {
        id = try row.next()
        userID = try row.next()
        kind = try row.named()
        package = try row.next()
        credits = try row.next()
        bonus = try row.next()
        amountCents = try row.next()
        currency = try row.next()
        plan = try row.next()
        priceID = try row.next()
        status = try row.named()
        successURL = try row.next()
        cancelURL = try row.next()
        sessionID = try row.next()
        sessionURL = try row.next()
        sessionExpiresAt = try row.next()
        paymentIntentID = try row.next()
        paidCents = try row.next()
        review = try row.next()
        createdAt = try row.next()
    }
}

extension RowReader {
    /// A column with the name of a case.
    mutating func named<Value: RawRepresentable<String>>() throws(PostgresError) -> Value {
        let text: String = try next()
        guard let value = Value(rawValue: text) else { throw PostgresError(.typeMismatch, "\(text) is no \(Value.self)") }
        return value
    }
}

/// Records an order, unless the user has an open one for the same thing.
struct InsertPurchase: Statement {
    static let sql = """
        INSERT INTO purchase (
            id, user_id, kind, package, credits, bonus, amount_cents, currency, plan, price_id, status, success_url, cancel_url,
            session_id, session_expires_at, payment_intent_id, paid_cents, review, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
        ON CONFLICT DO NOTHING
        """
    var purchase: Purchase

    func bind(_ parameters: inout Parameters) {
        parameters.append(purchase.id)
        parameters.append(purchase.userID)
        parameters.append(purchase.kind.rawValue)
        parameters.append(purchase.package)
        parameters.append(purchase.credits)
        parameters.append(purchase.bonus)
        parameters.append(purchase.amountCents)
        parameters.append(purchase.currency)
        parameters.append(purchase.plan)
        parameters.append(purchase.priceID)
        parameters.append(purchase.status.rawValue)
        parameters.append(purchase.successURL)
        parameters.append(purchase.cancelURL)
        parameters.append(purchase.sessionID)
        parameters.append(purchase.sessionExpiresAt)
        parameters.append(purchase.paymentIntentID)
        parameters.append(purchase.paidCents)
        parameters.append(purchase.review)
        parameters.append(purchase.createdAt)
    }
}

/// Finds the open orders of a user for the same thing: at most one for an amount of credits, at most one for a subscription. A
/// subscription that the bank has not paid yet counts as open.
struct OpenPurchase: Statement {
    static let sql = """
        SELECT \(Purchase.columns)
        FROM purchase
        WHERE user_id = $1 AND kind = $2 AND credits = $3
            AND (status IN ('creating', 'open') OR kind = 'subscription' AND status = 'awaiting_payment')
        """
    var userID: UserID
    var kind: Purchase.Kind
    /// 0 for a subscription.
    var credits: Int64

    func bind(_ parameters: inout Parameters) {
        parameters.append(userID)
        parameters.append(kind.rawValue)
        parameters.append(credits)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Purchase { try Purchase(&row) }
}

/// Counts the orders of a user that can still be paid.
struct CountOpenPurchases: Statement {
    static let sql = "SELECT count(*) FROM purchase WHERE user_id = $1 AND status IN ('creating', 'open')"
    var userID: UserID

    func bind(_ parameters: inout Parameters) { parameters.append(userID) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> Int64 { try row.next() }
}

/// Finds orders of a user whose pages at Stripe are open.
struct OpenPages: Statement {
    static let sql = """
        SELECT \(Purchase.columns)
        FROM purchase
        WHERE user_id = $1 AND status = 'open' AND session_id IS NOT NULL
        LIMIT 100
        """
    var userID: UserID

    func bind(_ parameters: inout Parameters) { parameters.append(userID) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> Purchase { try Purchase(&row) }
}

/// Locks an order until the end of the transaction.
struct LockPurchase: Statement {
    static let sql = """
        SELECT \(Purchase.columns)
        FROM purchase
        WHERE id = $1
        FOR UPDATE
        """
    var id: PurchaseID

    func bind(_ parameters: inout Parameters) { parameters.append(id) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> Purchase { try Purchase(&row) }
}

/// Finds an order by Stripe's session.
struct PurchaseOfSession: Statement {
    static let sql = """
        SELECT \(Purchase.columns)
        FROM purchase
        WHERE session_id = $1
        """
    var sessionID: String

    func bind(_ parameters: inout Parameters) { parameters.append(sessionID) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> Purchase { try Purchase(&row) }
}

/// Finds orders that should have come to an end: by id, oldest first.
struct UnfinishedPurchases: Statement {
    static let sql = """
        SELECT \(Purchase.columns)
        FROM purchase
        WHERE status IN ('creating', 'open', 'awaiting_payment') AND session_expires_at < $1 AND id > $2
        ORDER BY id
        LIMIT 100
        """
    var expiredBefore: Instant
    var after: PurchaseID

    func bind(_ parameters: inout Parameters) {
        parameters.append(expiredBefore)
        parameters.append(after)
    }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> Purchase { try Purchase(&row) }
}

/// Writes the page that Stripe made for an order.
struct OpenPurchasePage: Statement {
    static let sql = """
        UPDATE purchase
        SET status = CASE status WHEN 'creating' THEN 'open' ELSE status END, session_id = $2, session_url = $3
        WHERE id = $1
        """
    var id: PurchaseID
    var sessionID: String
    var url: String?

    func bind(_ parameters: inout Parameters) {
        parameters.append(id)
        parameters.append(sessionID)
        parameters.append(url)
    }
}

/// Ends an order without a known page at Stripe, unless it has ended or its page became known meanwhile.
struct DropPurchase: Statement {
    static let sql = """
        UPDATE purchase
        SET status = $2, ended_at = now()
        WHERE id = $1 AND status IN ('creating', 'open') AND session_id IS NULL
        """
    var id: PurchaseID
    /// `expired`, or `failed` if Stripe refused it.
    var status: Purchase.Status

    func bind(_ parameters: inout Parameters) {
        parameters.append(id)
        parameters.append(status.rawValue)
    }
}

/// Writes how an order stands. The caller has locked it.
struct SetPurchaseStatus: Statement {
    static let sql = """
        UPDATE purchase
        SET status = $2, payment_intent_id = coalesce($3, payment_intent_id), paid_cents = coalesce($4, paid_cents), review = $5,
            ended_at = CASE WHEN $2 IN ('paid', 'failed', 'expired', 'review') THEN now() END
        WHERE id = $1
        """
    var id: PurchaseID
    var status: Purchase.Status
    var paymentIntentID: String?
    var paidCents: Int64?
    var review: String?

    func bind(_ parameters: inout Parameters) {
        parameters.append(id)
        parameters.append(status.rawValue)
        parameters.append(paymentIntentID)
        parameters.append(paidCents)
        parameters.append(review)
    }
}

/// Finds an order.
struct FindPurchase: Statement {
    static let sql = """
        SELECT \(Purchase.columns)
        FROM purchase
        WHERE id = $1
        """
    var id: PurchaseID

    func bind(_ parameters: inout Parameters) { parameters.append(id) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> Purchase { try Purchase(&row) }
}

/// Notes that Stripe is asked about an order; finds nothing if it was asked within the last second.
struct AskAboutPurchase: Statement {
    static let sql = """
        UPDATE purchase
        SET asked_at = $2
        WHERE id = $1 AND (asked_at IS NULL OR asked_at <= $2 - interval '1 second')
        RETURNING id
        """
    var id: PurchaseID
    var now: Instant

    func bind(_ parameters: inout Parameters) {
        parameters.append(id)
        parameters.append(now)
    }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> PurchaseID { try row.next() }
}
