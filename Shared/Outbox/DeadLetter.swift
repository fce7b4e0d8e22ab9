import AMQP
import Contracts
import Messaging
import Postgres
import Telemetry
import Values

/// A message on its way through a consumer, from the broker or out of `dead_letter`.
struct ReceivedMessage: Sendable {
    /// The queue's name.
    let consumer: String
    let exchange: String
    let routingKey: String
    var envelope: Envelope
    let body: [UInt8]
}

/// Why a message could not be handled.
struct Failure: Sendable {
    let errorClass: String
    let message: String
    /// No repetition will mend it.
    let isPermanent: Bool

    init(_ error: any Error) {
        switch error {
        case let refused as MessageRefused:
            errorClass = refused.errorClass
            isPermanent = true
        case let error as PostgresError:
            errorClass = "postgres_\(error.sqlState?.code ?? error.code.rawValue)"
            isPermanent = false
        default:
            errorClass = "\(type(of: error))"
            isPermanent = false
        }
        // A column of type text takes no NUL.
        message = String("\(error)".prefix(1_000)).replacing("\0", with: "\u{FFFD}")
    }
}

/// Keeps a message that failed: to be tried again at `delay` from now, or parked when there is none.
///
/// If it is there already (delivered twice), only the error is new: attempts and state belong to the operator who works through the table.
struct SaveDeadLetter: Statement {
    let message: ReceivedMessage
    let failure: Failure
    let delay: Duration?

    static let sql = """
        INSERT INTO dead_letter (
            message_id, consumer, exchange, routing_key, type, source, conversation_id, causation_id, traceparent, sent_at, body,
            attempts, error_class, error_message, state, next_attempt_at)
        VALUES (
            $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, clock_timestamp() + interval '1 microsecond' * $16)
        ON CONFLICT (message_id, consumer) DO UPDATE
        SET error_class = excluded.error_class,
            error_message = excluded.error_message,
            last_failed_at = clock_timestamp()
        """

    func bind(_ parameters: inout Parameters) {
        let envelope = message.envelope
        parameters.append(envelope.messageID)
        parameters.append(message.consumer)
        parameters.append(message.exchange)
        parameters.append(message.routingKey)
        parameters.append(envelope.type)
        parameters.append(envelope.sender)
        parameters.append(envelope.conversationID)
        parameters.append(envelope.causationID)
        parameters.append(envelope.trace?.traceparent)
        parameters.append(envelope.sentAt)
        parameters.append(message.body)
        parameters.append(Int32(envelope.attempt))
        parameters.append(failure.errorClass)
        parameters.append(failure.message)
        parameters.append(delay == nil ? "parked" : "retry")
        parameters.append(delay?.wholeMicroseconds)
    }
}

/// Takes one due message and counts the attempt before it is made: a handler that brings the process down runs out of attempts too.
///
/// The number of attempts is made positive, because an operator can have written any other.
///
/// The row is due again after five minutes. Until then no other replica takes it, and a crash does
/// not lose it. Rows with an ordering key are left to the service, which replays them in order.
struct TakeDueDeadLetter: Statement {
    let consumers: [String]

    static let sql = """
        UPDATE dead_letter AS d
        SET attempts = least(greatest(d.attempts, 0), 1000000) + 1,
            next_attempt_at = clock_timestamp() + interval '5 minutes'
        FROM (
            SELECT message_id, consumer
            FROM dead_letter
            WHERE state IN ('retry', 'replay')
                AND ordering_key IS NULL
                AND next_attempt_at <= clock_timestamp()
                AND consumer = ANY ($1)
            ORDER BY next_attempt_at
            LIMIT 1
            FOR UPDATE SKIP LOCKED
        ) AS due
        WHERE d.message_id = due.message_id AND d.consumer = due.consumer
        RETURNING d.consumer, d.exchange, d.routing_key, d.message_id, d.conversation_id, d.causation_id, d.type, d.source,
            d.traceparent, d.sent_at, d.attempts, d.body
        """

    func bind(_ parameters: inout Parameters) { parameters.append(consumers) }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> ReceivedMessage {
        let consumer: String = try row.next()
        let exchange: String = try row.next()
        let routingKey: String = try row.next()
        let envelope = Envelope(
            messageID: try row.next(), conversationID: try row.next(), causationID: try row.next(), type: try row.next(),
            sender: try row.next(), trace: try row.next(String?.self).flatMap { TraceContext(traceparent: $0) },
            sentAt: try row.next(), attempt: Int(try row.next(Int32.self)))
        return ReceivedMessage(
            consumer: consumer, exchange: exchange, routingKey: routingKey, envelope: envelope, body: try row.next())
    }
}

/// In the transaction of the effect.
struct ResolveDeadLetter: Statement {
    let message: ReceivedMessage

    static let sql = """
        UPDATE dead_letter
        SET state = 'resolved',
            next_attempt_at = NULL
        WHERE message_id = $1 AND consumer = $2
        """

    func bind(_ parameters: inout Parameters) {
        parameters.append(message.envelope.messageID)
        parameters.append(message.consumer)
    }
}

/// After another failed attempt: due again after `delay`, or parked.
struct PostponeDeadLetter: Statement {
    let message: ReceivedMessage
    let failure: Failure
    let delay: Duration?

    static let sql = """
        UPDATE dead_letter
        SET state = $3,
            next_attempt_at = clock_timestamp() + interval '1 microsecond' * $4,
            error_class = $5,
            error_message = $6,
            last_failed_at = clock_timestamp()
        WHERE message_id = $1 AND consumer = $2 AND state IN ('retry', 'replay')
        """

    func bind(_ parameters: inout Parameters) {
        parameters.append(message.envelope.messageID)
        parameters.append(message.consumer)
        parameters.append(delay == nil ? "parked" : "retry")
        parameters.append(delay?.wholeMicroseconds)
        parameters.append(failure.errorClass)
        parameters.append(failure.message)
    }
}
