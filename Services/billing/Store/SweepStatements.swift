import Postgres
import Values

/// Reads how far a sweep has come.
struct FindSweep: Statement {
    static let sql = "SELECT seen_until FROM sweep WHERE name = $1"
    var name: String

    func bind(_ parameters: inout Parameters) { parameters.append(name) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> Instant { try row.next() }
}

/// Writes how far a sweep has come. It never goes back.
struct AdvanceSweep: Statement {
    static let sql = """
        INSERT INTO sweep (name, seen_until, swept_at)
        VALUES ($1, $2, now())
        ON CONFLICT (name) DO UPDATE
        SET seen_until = greatest(sweep.seen_until, excluded.seen_until), swept_at = now()
        """
    var name: String
    var seenUntil: Instant

    func bind(_ parameters: inout Parameters) {
        parameters.append(name)
        parameters.append(seenUntil)
    }
}

/// Draws the number of an asking of Stripe. Later askings have greater numbers.
struct NextReading: Statement {
    static let sql = "SELECT nextval('stripe_reading_number')"

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Int64 { try row.next() }
}

/// Notes that the answer of an asking is written; finds nothing if that of a later one was written already.
struct AcceptReading: Statement {
    static let sql = """
        INSERT INTO stripe_reading (subject, number)
        VALUES ($1, $2)
        ON CONFLICT (subject) DO UPDATE
        SET number = excluded.number
        WHERE stripe_reading.number < excluded.number
        RETURNING subject
        """
    var subject: String
    var number: Int64

    func bind(_ parameters: inout Parameters) {
        parameters.append(subject)
        parameters.append(number)
    }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> String { try row.next() }
}

/// Deletes ended events and operations, some at a time.
struct DeleteOldEvents: Statement {
    static let limit = 1_000

    static let sql = """
        WITH operation AS (
            DELETE FROM stripe_operation
            WHERE id IN (
                SELECT id FROM stripe_operation WHERE created_at < $1 AND state <> 'pending' ORDER BY created_at LIMIT \(limit))
        )
        DELETE FROM stripe_event
        WHERE id IN (
            SELECT id
            FROM stripe_event
            WHERE received_at < $1 AND state IN ('done', 'ignored', 'dead')
            ORDER BY received_at
            LIMIT \(limit))
        RETURNING id
        """
    var receivedBefore: Instant

    func bind(_ parameters: inout Parameters) { parameters.append(receivedBefore) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> String { try row.next() }
}

/// Deletes orders that were never paid, some at a time.
struct DeleteExpiredPurchases: Statement {
    static let sql = """
        WITH gone AS (
            DELETE FROM purchase
            WHERE id IN (
                SELECT id
                FROM purchase
                WHERE status = 'expired' AND ended_at < $1
                ORDER BY ended_at
                LIMIT \(DeleteOldEvents.limit))
            RETURNING id
        ), readings AS (
            DELETE FROM stripe_reading
            USING gone
            WHERE subject = 'purchase:' || gone.id
        )
        SELECT id FROM gone
        """
    var endedBefore: Instant

    func bind(_ parameters: inout Parameters) { parameters.append(endedBefore) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> PurchaseID { try row.next() }
}

/// Counts what should not be: each count above zero is an alert.
struct CountFlaws: Statement {
    struct Flaws: Hashable, Sendable {
        /// Orders whose page ended a day ago, or whose bank has needed 15 days, and whose end is not known.
        var unfinishedPurchases: Int64
        /// Orders paid in the last 35 days, without credits.
        var purchasesWithoutEffect: Int64
        /// Running subscriptions whose period no invoice has paid for, a day after it began.
        var unpaidPeriods: Int64
        /// Rows that wait for an administrator.
        var reviews: Int64
        var deadEvents: Int64
        /// Users with two running subscriptions.
        var secondSubscriptions: Int64
        /// Calls of Stripe whose outcome has been unknown for an hour.
        var unknownOutcomes: Int64
        /// Seconds since the oldest event that is not done was received.
        var oldestEventSeconds: Int64
    }

    static let sql = """
        SELECT
            (SELECT count(*) FROM purchase
                WHERE (status IN ('creating', 'open') AND session_expires_at < $1 - interval '1 day')
                    OR (status = 'awaiting_payment' AND created_at < $1 - interval '15 days')),
            (SELECT count(*) FROM purchase
                WHERE kind = 'credits' AND status = 'paid' AND ended_at > $1 - interval '35 days'
                    AND NOT EXISTS (SELECT FROM effect WHERE effect_key = 'pur:' || purchase.id)),
            (SELECT count(*) FROM subscription
                WHERE status = 'active' AND period_start < $1 - interval '1 day'
                    AND NOT EXISTS (
                        SELECT FROM invoice
                        WHERE invoice.subscription_id = subscription.id
                            AND (invoice.period_end >= subscription.period_end
                                OR invoice.plan IS NULL AND invoice.review IS NULL AND invoice.paid_at >= subscription.period_start))),
            (SELECT count(*) FROM review),
            (SELECT count(*) FROM stripe_event WHERE state = 'dead'),
            (SELECT count(*) FROM (
                SELECT FROM subscription WHERE status NOT IN ('canceled', 'incomplete_expired') GROUP BY user_id HAVING count(*) > 1
            ) AS users),
            (SELECT count(*) FROM stripe_operation WHERE state = 'pending' AND created_at < $1 - interval '1 hour'),
            (SELECT coalesce(max(extract(epoch FROM $1 - received_at)), 0)::bigint FROM stripe_event
                WHERE state IN ('received', 'working', 'retry'))
        """
    var now: Instant

    func bind(_ parameters: inout Parameters) { parameters.append(now) }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Flaws {
        Flaws(
            unfinishedPurchases: try row.next(), purchasesWithoutEffect: try row.next(), unpaidPeriods: try row.next(),
            reviews: try row.next(), deadEvents: try row.next(), secondSubscriptions: try row.next(),
            unknownOutcomes: try row.next(), oldestEventSeconds: try row.next())
    }
}
