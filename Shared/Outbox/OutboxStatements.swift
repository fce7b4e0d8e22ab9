import Contracts
import Postgres

/// A row of the outbox that is due.
struct DueMessage: Sendable {
    let seq: Int64
    let id: MessageID
    let exchange: String
    let routingKey: String
    let type: String
    let conversationID: ConversationID
    let causationID: MessageID?
    let traceparent: String
    let body: [UInt8]
    let createdAt: Instant
    let isKeyed: Bool
}

struct HasDueMessages: Statement {
    typealias Output = Bool
    static let sql = "SELECT EXISTS (SELECT FROM outbox WHERE sent_at IS NULL AND available_at <= clock_timestamp())"
}

/// Locks the partitions no other relay holds, and leaves their numbers in a setting of the transaction for ``TakeDueMessages``.
///
/// Two statements in one round trip, because the second must see what was committed before the locks were had.
struct ClaimPartitions: Statement {
    static let sql = """
        WITH claimed AS MATERIALIZED (
            SELECT partition
            FROM outbox_partition
            ORDER BY partition
            FOR UPDATE SKIP LOCKED
        )
        SELECT set_config('outbox.partitions', coalesce(array_agg(partition), '{}')::text, true)
        FROM claimed
        """
}

/// What is due in the claimed partitions, oldest first, and of each ordering key only the first that is not sent yet: a message that
/// fails holds back those behind it. Looks at the first 2,000 only, so that a long backlog of one key costs the same each time.
struct TakeDueMessages: Statement {
    let limit: Int64

    static let sql = """
        SELECT o.seq, o.message_id, o.exchange, o.routing_key, o.type, o.conversation_id, o.causation_id, o.traceparent, o.body,
            o.created_at, o.ordering_key IS NOT NULL
        FROM (
            SELECT *
            FROM outbox
            WHERE sent_at IS NULL
                AND available_at <= clock_timestamp()
                AND partition = ANY (current_setting('outbox.partitions')::smallint[])
            ORDER BY seq
            LIMIT 2000
        ) AS o
        WHERE o.ordering_key IS NULL
            OR NOT EXISTS (
                SELECT FROM outbox AS b WHERE b.ordering_key = o.ordering_key AND b.sent_at IS NULL AND b.seq < o.seq)
        ORDER BY o.seq
        LIMIT $1
        """

    func bind(_ parameters: inout Parameters) { parameters.append(limit) }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> DueMessage {
        DueMessage(
            seq: try row.next(), id: try row.next(), exchange: try row.next(), routingKey: try row.next(), type: try row.next(),
            conversationID: try row.next(), causationID: try row.next(), traceparent: try row.next(), body: try row.next(),
            createdAt: try row.next(), isKeyed: try row.next())
    }
}

struct MarkSent: Statement {
    let seqs: [Int64]
    static let sql = "UPDATE outbox SET sent_at = clock_timestamp(), attempts = attempts + 1 WHERE seq = ANY ($1)"
    func bind(_ parameters: inout Parameters) { parameters.append(seqs) }
}

/// Due again after 1 s, 2 s, 4 s … at most five minutes.
struct MarkFailed: Statement {
    let failures: [(seq: Int64, reason: String)]

    static let sql = """
        UPDATE outbox
        SET attempts = attempts + 1,
            last_error = f.reason,
            available_at = clock_timestamp() + least(interval '5 minutes', interval '1 second' * (2 ^ least(attempts, 10)))
        FROM unnest($1, $2) AS f (seq, reason)
        WHERE outbox.seq = f.seq
        """

    func bind(_ parameters: inout Parameters) {
        parameters.append(failures.map(\.seq))
        parameters.append(failures.map(\.reason))
    }
}
