package import Postgres
import Telemetry
package import Values

/// Makes sure that a message takes effect once, however often it is delivered.
package enum Inbox {
    /// Claims a message for `consumer` in the transaction of its effect. While a twin is in flight it waits for its end.
    ///
    /// - Returns: false when it was handled before: then do nothing, and acknowledge.
    /// - Throws: `PostgresError` with SQLSTATE 23514 when the id is older than what is remembered (14 days), or no UUIDv7 of our time.
    package static func claim(_ envelope: Envelope, for consumer: String, in transaction: PostgresTransaction) async throws -> Bool {
        try await transaction.execute(ClaimMessages([envelope], for: consumer)) == 1
    }

    /// SQLSTATE of a message id that no partition takes.
    static let outOfRange = "23514"
}

/// Claims many messages in one statement; gives the ids that are new. Ids are taken in order, so that two batches with common
/// messages wait for each other and do not deadlock.
package struct ClaimMessages: Statement {
    package typealias Output = MessageID

    let envelopes: [Envelope]
    let consumer: String

    package init(_ envelopes: [Envelope], for consumer: String) {
        self.envelopes = envelopes
        self.consumer = consumer
    }

    package static let sql = """
        INSERT INTO inbox (message_id, consumer, type, source, conversation_id, causation_id, trace_id)
        SELECT m.id, $2, m.type, m.source, m.conversation, m.causation, m.trace
        FROM unnest($1, $3, $4, $5, $6, $7) AS m (id, type, source, conversation, causation, trace)
        ORDER BY m.id
        ON CONFLICT DO NOTHING
        RETURNING message_id
        """

    package func bind(_ parameters: inout Parameters) {
        parameters.append(envelopes.map(\.messageID))
        parameters.append(consumer)
        parameters.append(envelopes.map(\.type))
        parameters.append(envelopes.map(\.sender))
        parameters.append(envelopes.map(\.conversationID))
        parameters.append(envelopes.map(\.causationID))
        parameters.append(envelopes.map(\.trace?.traceIDText))
    }

    package static func decode(_ row: inout RowReader) throws(PostgresError) -> MessageID { try row.next() }
}
