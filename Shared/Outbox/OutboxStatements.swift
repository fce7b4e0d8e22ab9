import Postgres
import Values

/// Claims the outbox for one relay until the end of the transaction. Returns false if another relay
/// has it.
///
/// It is a statement of its own, because the next statement must see the commits of the other
/// relay. An advisory lock writes nothing, so a look at an empty outbox needs no write to the disk.
///
/// The settings are valid for this transaction only. A connection keeps its first plan, which may
/// be made for an empty table. With these settings that plan reads in the order of an index.
struct ClaimOutbox: Statement {
    static let sql = """
        SELECT pg_try_advisory_xact_lock(hashtext('outbox_relay'), hashtext(current_schema())),
            set_config('plan_cache_mode', 'force_generic_plan', true),
            set_config('enable_seqscan', 'off', true),
            set_config('enable_bitmapscan', 'off', true)
        """

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Bool { try row.next() }
}

/// A row of the outbox that is due.
struct DueMessage: Sendable {
    let seq: Int64
    let id: MessageID
    let orderingKey: String?
    let exchange: String
    let routingKey: String
    let type: String
    let conversationID: ConversationID
    let causationID: MessageID?
    let traceparent: String
    let body: [UInt8]
    let createdAt: Instant
    /// The number of failed attempts so far.
    let attempts: Int

    static let columns = """
        seq, message_id, ordering_key, exchange, routing_key, type, conversation_id, causation_id, traceparent, body, created_at, attempts
        """
}

extension DueMessage {
    init(_ row: inout RowReader) throws(PostgresError) {
        seq = try row.next()
        id = try row.next()
        orderingKey = try row.next()
        exchange = try row.next()
        routingKey = try row.next()
        type = try row.next()
        conversationID = try row.next()
        causationID = try row.next()
        traceparent = try row.next()
        body = try row.next()
        createdAt = try row.next()
        attempts = try row.next()
    }
}

/// Reads at most 200 messages without a key that are due and were never tried, the longest due
/// first.
struct TakeNewMessages: Statement {
    static let sql = """
        SELECT \(DueMessage.columns)
        FROM outbox
        WHERE sent_at IS NULL AND attempts = 0 AND ordering_key IS NULL AND available_at <= statement_timestamp()
        ORDER BY available_at
        LIMIT 200
        """

    static func decode(_ row: inout RowReader) throws(PostgresError) -> DueMessage { try DueMessage(&row) }
}

/// Reads messages that failed and are due again, the longest due first. A message with a key must
/// be the first one of its key.
struct TakeFailedMessages: Statement {
    let limit: Int

    static let sql = """
        SELECT \(DueMessage.columns)
        FROM (
            SELECT \(DueMessage.columns)
            FROM outbox
            WHERE sent_at IS NULL AND attempts > 0 AND available_at <= statement_timestamp()
            ORDER BY available_at
            LIMIT $1) AS failed
        WHERE ordering_key IS NULL
            OR seq = (
                SELECT head.seq
                FROM outbox AS head
                WHERE head.sent_at IS NULL AND head.ordering_key BETWEEN failed.ordering_key AND failed.ordering_key
                ORDER BY head.ordering_key, head.seq
                LIMIT 1)
        """

    func bind(_ parameters: inout Parameters) { parameters.append(Int64(limit)) }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> DueMessage { try DueMessage(&row) }
}

/// Walks over the ordering keys that have unsent messages, in the order of the keys, from the first
/// one after `key`.
///
/// It steps from key to key in the index and looks at the first message of each key, whatever the
/// length of its backlog. It ends after 1,000 keys, or at the 200th key with a first message that
/// is new and due.
struct WalkKeys: Statement {
    struct Step: Sendable {
        let key: String
        /// True if the key's first message was never tried and is due.
        let isDue: Bool
        /// True if the walk ended at its limit. More keys may follow this one.
        let isLimit: Bool
    }

    let key: String

    static let sql = """
        WITH RECURSIVE walk AS (
            SELECT first.ordering_key, first.is_due, 1 AS steps, first.is_due::integer AS found
            FROM (
                SELECT ordering_key, attempts = 0 AND available_at <= statement_timestamp() AS is_due
                FROM outbox
                WHERE sent_at IS NULL AND ordering_key > $1
                ORDER BY ordering_key, seq
                LIMIT 1) AS first
            UNION ALL
            SELECT next.ordering_key, next.is_due, walk.steps + 1, walk.found + next.is_due::integer
            FROM walk
            CROSS JOIN LATERAL (
                SELECT ordering_key, attempts = 0 AND available_at <= statement_timestamp() AS is_due
                FROM outbox
                WHERE sent_at IS NULL AND ordering_key > walk.ordering_key
                ORDER BY ordering_key, seq
                LIMIT 1) AS next
            WHERE walk.steps < 1000 AND walk.found < 200
        )
        SELECT ordering_key, is_due, steps = 1000 OR found = 200
        FROM walk
        """

    func bind(_ parameters: inout Parameters) { parameters.append(key) }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Step {
        Step(key: try row.next(), isDue: try row.next(), isLimit: try row.next())
    }
}

/// Reads the first messages of each key with a first message that is new and due, in the order of
/// seq. Reads at most 200 for all keys together.
///
/// The key is compared as a range. With `=` Postgres may read all rows in the order of seq,
/// including the messages of other keys.
struct TakeRuns: Statement {
    let keys: [String]

    static let sql = """
        SELECT \(DueMessage.columns)
        FROM unnest($1) AS k (key)
        CROSS JOIN LATERAL (
            SELECT attempts = 0 AND available_at <= statement_timestamp() AS is_due
            FROM outbox
            WHERE sent_at IS NULL AND ordering_key BETWEEN k.key AND k.key
            ORDER BY ordering_key, seq
            LIMIT 1) AS head
        CROSS JOIN LATERAL (
            SELECT \(DueMessage.columns)
            FROM outbox
            WHERE sent_at IS NULL AND ordering_key BETWEEN k.key AND k.key
            ORDER BY ordering_key, seq
            LIMIT $2) AS run
        WHERE head.is_due
        ORDER BY seq
        """

    func bind(_ parameters: inout Parameters) {
        parameters.append(keys)
        parameters.append(Int64(max(1, 200 / max(1, keys.count))))
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> DueMessage { try DueMessage(&row) }
}

struct MarkSent: Statement {
    let seqs: [Int64]
    static let sql = "UPDATE outbox SET sent_at = clock_timestamp(), attempts = attempts + 1 WHERE seq = ANY ($1)"
    func bind(_ parameters: inout Parameters) { parameters.append(seqs) }
}

/// Makes failed rows due again after 1 s, 2 s, 4 s … at most `pauseMax`.
struct MarkFailed: Statement {
    struct Failure: Sendable {
        let seq: Int64
        let reason: String
        let pauseMax: Duration
    }

    let failures: [Failure]

    static let sql = """
        UPDATE outbox
        SET attempts = attempts + 1,
            last_error = f.reason,
            available_at = clock_timestamp()
                + least(interval '1 microsecond' * f.pause_max, interval '1 second' * (2 ^ least(attempts, 10)))
        FROM unnest($1, $2, $3) AS f (seq, reason, pause_max)
        WHERE outbox.seq = f.seq
        """

    func bind(_ parameters: inout Parameters) {
        parameters.append(failures.map(\.seq))
        parameters.append(failures.map(\.reason))
        parameters.append(failures.map(\.pauseMax.microseconds))
    }
}
