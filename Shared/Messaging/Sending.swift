package import AMQP
package import Contracts
package import Telemetry
package import Values

extension OutgoingMessage {
    /// Makes a message for the exchange and the routing key of its type.
    /// - Parameter conversation: without one the message begins a conversation of its own.
    package init<M: Message>(
        _ message: M, id: MessageID = .make(), conversation: ConversationID? = nil, trace: TraceContext? = nil, from service: String
    ) {
        let envelope = Envelope(
            messageID: id, conversationID: conversation ?? ConversationID(rawValue: id.rawValue), causationID: nil, type: M.name,
            sender: "", trace: trace?.child(), sentAt: .now())
        self.init(
            exchange: M.exchange.name, routingKey: message.routingKey, body: message.encoded(),
            properties: envelope.properties(from: service))
    }
}

extension RPCClient {
    /// Asks a question and waits for the answer.
    /// - Throws: `RPCError` without an answer in time, and ``Malformed`` if the answer is no `Answer`.
    package func ask<Question: Message, Answer: Message>(
        _ question: Question, for answer: Answer.Type = Answer.self, within limit: Duration, conversation: ConversationID? = nil,
        trace: TraceContext? = TraceContext.current
    ) async throws -> Answer {
        var headers: [(String, String)] = []
        if let trace { headers.append((MessageHeader.traceparent, trace.child().traceparent)) }
        if let conversation { headers.append((MessageHeader.conversation, conversation.description)) }
        let delivery = try await call(
            exchange: Question.exchange.name, routingKey: question.routingKey, type: Question.name, body: question.encoded(),
            headers: headers, messageID: MessageID.make().description, within: limit)
        return try delivery.decode()
    }
}

extension AMQPConsumer {
    /// Acknowledges a question and sends its answer to the queue of its requester.
    ///
    /// Does not wait for the broker. If the channel of the question is lost, nothing is sent.
    package func answer<Answer: Message>(_ answer: Answer, to question: Delivery) {
        let properties = MessageProperties(
            messageID: MessageID.make().description, correlationID: question.properties.correlationID, type: Answer.name,
            timestamp: UInt64(max(0, Instant.now().seconds)), persistent: false,
            headers: question.trace.map { [(MessageHeader.traceparent, $0.child().traceparent)] } ?? [])
        self.answer(
            question,
            with: OutgoingMessage(
                exchange: Answer.exchange.name, routingKey: question.properties.replyTo, body: answer.encoded(), properties: properties,
                mandatory: false))
    }
}
