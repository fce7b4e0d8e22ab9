import Contracts
import Postgres
import Values

/// Keeps a paid invoice. One that is known stays as it is, unless it waits for an administrator.
struct InsertInvoice: Statement {
    static let sql = """
        INSERT INTO invoice (
            id, subscription_id, user_id, billing_reason, total_cents, plan, period_start, period_end, is_whole, review, paid_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        ON CONFLICT (id) DO UPDATE
        SET plan = excluded.plan, period_start = excluded.period_start, period_end = excluded.period_end, is_whole = excluded.is_whole,
            review = excluded.review
        WHERE invoice.review IS NOT NULL
        """
    var id: String
    var subscriptionID: String
    var userID: UserID
    var billingReason: String
    var totalCents: Int64
    var credits: InvoiceCredits?
    var review: String?
    var paidAt: Instant

    func bind(_ parameters: inout Parameters) {
        parameters.append(id)
        parameters.append(subscriptionID)
        parameters.append(userID)
        parameters.append(billingReason)
        parameters.append(totalCents)
        parameters.append(credits?.plan)
        parameters.append(credits?.periodStart)
        parameters.append(credits?.periodEnd)
        parameters.append(credits?.isWhole ?? false)
        parameters.append(review)
        parameters.append(paidAt)
    }
}

/// Finds another invoice that paid for the same period.
struct InvoiceOfPeriod: Statement {
    static let sql = """
        SELECT id
        FROM invoice
        WHERE subscription_id = $1 AND period_start = $2 AND is_whole AND review IS NULL AND id <> $3
        """
    var subscriptionID: String
    var periodStart: Instant
    var otherThan: String

    func bind(_ parameters: inout Parameters) {
        parameters.append(subscriptionID)
        parameters.append(periodStart)
        parameters.append(otherThan)
    }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> String { try row.next() }
}

/// Finds an invoice that was kept: its user, its cents, and whether a person must look at it.
struct FindInvoice: Statement {
    struct Found: Sendable {
        var userID: UserID
        var totalCents: Int64
        var review: String?
    }

    static let sql = "SELECT user_id, total_cents, review FROM invoice WHERE id = $1"
    var id: String

    func bind(_ parameters: inout Parameters) { parameters.append(id) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> Found {
        Found(userID: try row.next(), totalCents: try row.next(), review: try row.next())
    }
}

/// Writes whether the whole money of an invoice went back.
struct SetInvoiceReturned: Statement {
    static let sql = "UPDATE invoice SET is_returned = $2 WHERE id = $1"
    var id: String
    var isReturned: Bool

    func bind(_ parameters: inout Parameters) {
        parameters.append(id)
        parameters.append(isReturned)
    }
}

/// Keeps the months of an invoice.
struct InsertInstalments: Statement {
    static let sql = """
        INSERT INTO instalment (invoice_id, number, due_at, expires_at, amount_nano, kept_nano)
        SELECT $1, number, due_at, expires_at, amount, amount
        FROM unnest($2, $3, $4, $5) AS months (number, due_at, expires_at, amount)
        ON CONFLICT DO NOTHING
        """
    var invoiceID: String
    var instalments: [Instalment]

    func bind(_ parameters: inout Parameters) {
        parameters.append(invoiceID)
        parameters.append(instalments.map(\.number))
        parameters.append(instalments.map(\.dueAt))
        parameters.append(instalments.map(\.expiresAt))
        parameters.append(instalments.map(\.amount.nano))
    }
}

/// The months of an invoice in their order.
struct InstalmentsOfInvoice: Statement {
    static let sql = """
        SELECT number::bigint, due_at, expires_at, amount_nano
        FROM instalment
        WHERE invoice_id = $1
        ORDER BY number
        """
    var invoiceID: String

    func bind(_ parameters: inout Parameters) { parameters.append(invoiceID) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> Instalment {
        Instalment(
            number: try row.next(), dueAt: try row.next(), expiresAt: try row.next(), amount: Credits(nano: try row.next(Int64.self)))
    }
}

/// Writes what refunds leave of each month.
struct SetKeptInstalments: Statement {
    static let sql = """
        UPDATE instalment
        SET kept_nano = months.kept
        FROM unnest($2, $3) AS months (number, kept)
        WHERE instalment.invoice_id = $1 AND instalment.number = months.number
        """
    var invoiceID: String
    var numbers: [Int64]
    var kept: [Credits]

    func bind(_ parameters: inout Parameters) {
        parameters.append(invoiceID)
        parameters.append(numbers)
        parameters.append(kept.map(\.nano))
    }
}

/// Ends the months to come of a subscription that has ended.
struct CancelInstalments: Statement {
    static let sql = """
        UPDATE instalment
        SET is_settled = true
        FROM invoice
        WHERE invoice.id = instalment.invoice_id AND invoice.subscription_id = $1 AND NOT instalment.is_settled
            AND instalment.due_at > $2
        """
    var subscriptionID: String
    var dueAfter: Instant

    func bind(_ parameters: inout Parameters) {
        parameters.append(subscriptionID)
        parameters.append(dueAfter)
    }
}

/// Finds subscriptions with months that are due, and that Stripe has not described since.
struct StaleSubscriptions: Statement {
    static let sql = """
        SELECT id
        FROM (
            SELECT subscription.id
            FROM instalment
            JOIN invoice ON invoice.id = instalment.invoice_id
            JOIN subscription ON subscription.id = invoice.subscription_id
            WHERE NOT is_settled AND kept_nano > 0 AND due_at <= $1 AND instalment.number > 0
                AND subscription.synced_at < due_at - interval '5 minutes'
            UNION
            SELECT id
            FROM subscription
            WHERE status NOT IN ('canceled', 'incomplete_expired') AND synced_at < $1 - interval '1 day'
        ) AS stale
        ORDER BY random()
        LIMIT 500
        """
    var now: Instant

    func bind(_ parameters: inout Parameters) { parameters.append(now) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> String { try row.next() }
}

/// Settles months whose time has come, and returns them. A month after the first waits until Stripe has said that its subscription
/// runs.
struct SettleDueInstalments: Statement {
    struct Due: Sendable {
        var invoiceID: String
        var userID: UserID
        var planName: String
        var instalment: Instalment
        var kept: Credits
        var isOnly: Bool
    }

    static let sql = """
        WITH due AS (
            SELECT instalment.invoice_id, instalment.number
            FROM instalment
            JOIN invoice ON invoice.id = instalment.invoice_id
            JOIN subscription ON subscription.id = invoice.subscription_id
            WHERE NOT is_settled AND kept_nano > 0 AND due_at <= $1 AND ($2::text IS NULL OR invoice_id = $2)
                AND (instalment.number = 0 OR subscription.synced_at >= due_at - interval '5 minutes')
            ORDER BY due_at, invoice_id, instalment.number
            LIMIT 200
            FOR UPDATE OF instalment SKIP LOCKED
        )
        UPDATE instalment
        SET is_settled = true
        FROM due
        JOIN invoice ON invoice.id = due.invoice_id
        JOIN plan ON plan.id = invoice.plan
        WHERE instalment.invoice_id = due.invoice_id AND instalment.number = due.number
        RETURNING instalment.invoice_id, invoice.user_id, plan.name, instalment.number::bigint, instalment.due_at,
            instalment.expires_at, instalment.amount_nano, instalment.kept_nano,
            (SELECT count(*) = 1 FROM instalment AS months WHERE months.invoice_id = instalment.invoice_id)
        """
    var now: Instant
    /// Nil for all invoices.
    var invoiceID: String?

    func bind(_ parameters: inout Parameters) {
        parameters.append(now)
        parameters.append(invoiceID)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Due {
        Due(
            invoiceID: try row.next(), userID: try row.next(), planName: try row.next(),
            instalment: Instalment(
                number: try row.next(), dueAt: try row.next(), expiresAt: try row.next(), amount: Credits(nano: try row.next(Int64.self))),
            kept: Credits(nano: try row.next(Int64.self)), isOnly: try row.next())
    }
}
