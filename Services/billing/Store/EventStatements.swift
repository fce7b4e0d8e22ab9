import Postgres
import Values

/// An event of Stripe's, stored.
struct StoredEvent: Sendable {
    var id: String
    var type: String
    var raw: [UInt8]
    /// The running attempt counts.
    var attempts: Int64
}

/// Stores an event, or counts one more delivery of it. A further delivery of a dead event is worked on again.
struct StoreEvent: Statement {
    static let sql = """
        INSERT INTO stripe_event (id, type, api_version, created_at, found_by, raw, object_id, state, last_error, ended_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, CASE WHEN $8::text IS NULL THEN 'received' ELSE 'ignored' END, $8,
            CASE WHEN $8 IS NOT NULL THEN now() END)
        ON CONFLICT (id) DO UPDATE
        SET deliveries = stripe_event.deliveries + 1,
            state = CASE WHEN stripe_event.state = 'dead' THEN 'received' ELSE stripe_event.state END,
            attempts = CASE WHEN stripe_event.state = 'dead' THEN 0 ELSE stripe_event.attempts END,
            due_at = CASE WHEN stripe_event.state = 'dead' THEN now() ELSE stripe_event.due_at END
        WHERE $5 = 'webhook'
        RETURNING deliveries = 1
        """
    var id: String
    var type: String
    var apiVersion: String?
    var createdAt: Instant
    /// `webhook` or `sweep`.
    var foundBy: String
    var raw: [UInt8]
    var objectID: String?
    /// Why nothing is done with it; nil: it is worked on.
    var ignoredBecause: String?

    func bind(_ parameters: inout Parameters) {
        parameters.append(id)
        parameters.append(type)
        parameters.append(apiVersion)
        parameters.append(createdAt)
        parameters.append(foundBy)
        parameters.append(raw)
        parameters.append(objectID)
        parameters.append(ignoredBecause)
    }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> Bool { try row.next() }
}

/// Takes events that are due, each with a lease. An event whose lease has ended is taken again.
struct ClaimEvents: Statement {
    static let sql = """
        WITH due AS (
            SELECT id
            FROM stripe_event
            WHERE state IN ('received', 'working', 'retry') AND due_at <= now()
            ORDER BY due_at
            LIMIT $1
            FOR UPDATE SKIP LOCKED
        )
        UPDATE stripe_event
        SET state = 'working', attempts = attempts + 1, due_at = now() + interval '60 seconds'
        FROM due
        WHERE stripe_event.id = due.id
        RETURNING stripe_event.id, type, raw, attempts::bigint
        """
    var limit: Int64

    func bind(_ parameters: inout Parameters) { parameters.append(limit) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> StoredEvent {
        StoredEvent(id: try row.next(), type: try row.next(), raw: try row.next(), attempts: try row.next())
    }
}

/// Writes how an attempt ended. Of an attempt whose lease another one took over, only a success counts.
struct EndEvent: Statement {
    static let sql = """
        UPDATE stripe_event
        SET state = $3, last_error = $4, due_at = now() + make_interval(secs => $5::bigint),
            ended_at = CASE WHEN $3 IN ('done', 'ignored', 'dead') THEN now() END
        WHERE id = $1 AND state IN ('working', 'retry') AND (attempts = $2::bigint OR $3 = 'done')
        """
    var id: String
    var attempt: Int64
    var state: String
    var error: String?
    /// The time until the next attempt.
    var seconds: Int64

    func bind(_ parameters: inout Parameters) {
        parameters.append(id)
        parameters.append(attempt)
        parameters.append(state)
        parameters.append(error)
        parameters.append(seconds)
    }
}

/// Lists events, newest first, without their bodies.
struct ListEvents: Statement {
    struct Listed: Sendable {
        var id: String
        var type: String
        var objectID: String?
        var state: String
        var attempts: Int64
        var deliveries: Int64
        var foundBy: String
        var createdAt: Instant
        var receivedAt: Instant
        var lastError: String?
    }

    static let states = ["received", "working", "retry", "done", "ignored", "dead"]

    static let sql = """
        SELECT id, type, object_id, state, attempts::bigint, deliveries::bigint, found_by, created_at, received_at, last_error
        FROM stripe_event
        WHERE state = ANY ($1) AND received_at < coalesce($2, 'infinity'::timestamptz)
        ORDER BY received_at DESC, id
        LIMIT $3
        """
    var state: String?
    var before: Instant?
    var limit: Int64

    func bind(_ parameters: inout Parameters) {
        parameters.append(state.map { [$0] } ?? Self.states)
        parameters.append(before)
        parameters.append(limit)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Listed {
        Listed(
            id: try row.next(), type: try row.next(), objectID: try row.next(), state: try row.next(), attempts: try row.next(),
            deliveries: try row.next(), foundBy: try row.next(), createdAt: try row.next(), receivedAt: try row.next(),
            lastError: try row.next())
    }
}

/// Makes an ended event due again.
struct ReplayEvent: Statement {
    static let sql = """
        UPDATE stripe_event
        SET state = 'received', attempts = 0, due_at = now(), ended_at = NULL
        WHERE id = $1 AND state IN ('done', 'ignored', 'dead')
        """
    var id: String

    func bind(_ parameters: inout Parameters) { parameters.append(id) }
}
