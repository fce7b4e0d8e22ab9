import Contracts
import Postgres

struct ReadOutbox: Statement {
    struct Row: Sendable {
        let attempts: Int
        let error: String?
    }
    static let sql = "SELECT attempts, last_error FROM outbox ORDER BY seq"

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Row {
        Row(attempts: try row.next(), error: try row.next())
    }
}

/// Adds `rows` messages of each key, or without a key, numbered from 1. The first `misrouted` of
/// each key have no bound queue.
struct AddBacklog: Statement {
    let keys: Int
    let rows: Int
    let misrouted: Int

    static let sql = """
        INSERT INTO outbox (message_id, ordering_key, exchange, routing_key, type, conversation_id, traceparent, body)
        SELECT gen_random_uuid(), CASE WHEN $1 > 0 THEN 'key-' || k END, 'auth.evt',
            CASE WHEN n <= $3 THEN 'nowhere' ELSE $4 END, $5, gen_random_uuid(), '',
            convert_to(replace(convert_from($6, 'UTF8'), 'NUMBER', n::text), 'UTF8')
        FROM generate_series(1, $2::bigint) AS n, generate_series(1, greatest(1, $1::bigint)) AS k
        ORDER BY n, k
        """

    func bind(_ parameters: inout Parameters) {
        let message = message("NUMBER")
        parameters.append(Int64(keys))
        parameters.append(Int64(rows))
        parameters.append(Int64(misrouted))
        parameters.append(message.routingKey)
        parameters.append(UserVerified.name)
        parameters.append(message.encoded())
    }
}

/// Gives the row at `position`, counted from 0, a key for which no queue is bound.
struct Misroute: Statement {
    let position: Int
    static let sql = """
        UPDATE outbox SET routing_key = 'nowhere' WHERE seq = (SELECT seq FROM outbox ORDER BY seq OFFSET $1 LIMIT 1)
        """
    func bind(_ parameters: inout Parameters) { parameters.append(Int64(position)) }
}

struct SetAttempts: Statement {
    let attempts: Int32
    static let sql = "UPDATE outbox SET attempts = $1"
    func bind(_ parameters: inout Parameters) { parameters.append(attempts) }
}

/// Marks the misrouted rows as failed, with an hour until their next attempt.
struct Postpone: Statement {
    static let sql = """
        UPDATE outbox SET attempts = 3, available_at = clock_timestamp() + interval '1 hour' WHERE routing_key = 'nowhere'
        """
}

struct CountAttempts: Statement {
    typealias Output = Int64
    let above: Int32
    static let sql = "SELECT count(*) FROM outbox WHERE attempts > $1"
    func bind(_ parameters: inout Parameters) { parameters.append(above) }
}

/// Returns the pauses of failed messages, in seconds from now.
struct ReadPauses: Statement {
    static let sql = """
        SELECT last_error, extract(epoch FROM available_at - clock_timestamp())::bigint
        FROM outbox
        WHERE last_error IS NOT NULL
        ORDER BY seq
        """

    static func decode(_ row: inout RowReader) throws(PostgresError) -> (error: String, seconds: Int64) {
        (try row.next(), try row.next())
    }
}

struct AddToMissingExchange: Statement {
    static let sql = """
        INSERT INTO outbox (message_id, exchange, routing_key, type, conversation_id, traceparent, body)
        VALUES (gen_random_uuid(), 'nowhere', 'a', 'a', gen_random_uuid(), '', '')
        """
}

struct KillOthers: Statement {
    typealias Output = Bool
    static let sql = """
        SELECT pg_terminate_backend(pid)
        FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()
        """
}

/// Returns true while a relay has read what is due and its transaction waits for it.
struct IsPublishing: Statement {
    typealias Output = Bool
    static let sql = """
        SELECT EXISTS (
            SELECT
            FROM pg_stat_activity
            WHERE datname = current_database() AND state = 'idle in transaction' AND query LIKE '%WITH RECURSIVE walk%')
        """
}
