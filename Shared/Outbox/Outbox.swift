package import Contracts
package import Postgres
import Telemetry
package import Values

/// Sends messages as part of a database transaction: they leave if it commits, and not otherwise.
///
/// A relay publishes them right after the commit; a sweep behind it finds what a crash left. Each
/// may reach its queue more than once, under the same message id. A message that fails holds back
/// the messages behind it in its ordering key, and no others.
package enum Outbox {
    /// Writes `messages` in one statement. Messages of one ordering key leave in the order in which their transactions committed, if
    /// each of those holds a lock on what the key names.
    package static func add(_ messages: [OutboxMessage], in transaction: PostgresTransaction) async throws {
        guard !messages.isEmpty else { return }
        try await transaction.execute(AddToOutbox(messages))
        wakeRelay(after: transaction)
    }

    package static func add(
        _ message: some Message, orderingKey: String? = nil, conversationID: ConversationID? = nil, in transaction: PostgresTransaction
    ) async throws {
        try await add([OutboxMessage(message, orderingKey: orderingKey, conversationID: conversationID)], in: transaction)
    }

    /// Wakes the relay after the commit. A caller that puts ``AddToOutbox`` into a pipeline of its own needs this; without it
    /// the message waits for the next sweep.
    package static func wakeRelay(after transaction: PostgresTransaction) {
        transaction.onCommit { OutboxRelay.wakeAll() }
    }
}

/// A message ready to be written to the outbox.
package struct OutboxMessage: Sendable {
    let id: MessageID
    let orderingKey: String?
    let exchange: String
    let routingKey: String
    let type: String
    let conversationID: ConversationID
    let causationID: MessageID?
    let trace: TraceContext
    let body: [UInt8]

    /// The id of a message that repeats an earlier one must be the earlier one's. The conversation is the handled message's if there
    /// is one, else the one given, else a new one; the trace is the running task's.
    package init<M: Message>(
        _ message: M, id: MessageID = .make(), orderingKey: String? = nil, conversationID: ConversationID? = nil
    ) {
        let cause = Envelope.current
        self.id = id
        self.orderingKey = orderingKey
        exchange = M.exchange.name
        routingKey = message.routingKey
        type = M.name
        self.conversationID = cause?.conversationID ?? conversationID ?? ConversationID(rawValue: id.rawValue)
        causationID = cause?.messageID
        // The producer's span ends here: the relay sends in batches that belong to no single trace.
        let span = Tracer.shared.start("publish \(M.exchange.name):\(routingKey)", kind: .producer)
        span.set("messaging.system", "rabbitmq")
        span.set("messaging.message.id", .describing(id))
        span.end()
        trace = span.context
        body = message.encoded()
    }
}

package struct AddToOutbox: Statement {
    let messages: [OutboxMessage]

    package init(_ messages: [OutboxMessage]) { self.messages = messages }

    package static let sql = """
        INSERT INTO outbox (
            message_id, ordering_key, exchange, routing_key, type, conversation_id, causation_id, traceparent, body)
        SELECT m.id, m.key, m.exchange, m.routing_key, m.type, m.conversation, m.causation, m.traceparent, m.body
        FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9)
            WITH ORDINALITY AS m (id, key, exchange, routing_key, type, conversation, causation, traceparent, body, n)
        ORDER BY m.n
        """

    package func bind(_ parameters: inout Parameters) {
        parameters.append(messages.map(\.id))
        parameters.append(messages.map(\.orderingKey))
        parameters.append(messages.map(\.exchange))
        parameters.append(messages.map(\.routingKey))
        parameters.append(messages.map(\.type))
        parameters.append(messages.map(\.conversationID))
        parameters.append(messages.map(\.causationID))
        parameters.append(messages.map(\.trace.traceparent))
        parameters.append(messages.map(\.body))
    }
}
