package import AMQP
package import Telemetry
package import Values

/// The headers of a message: its sender, its time, its conversation and its cause.
package struct Envelope: Sendable {
    /// The same over every repetition; the key of the inbox.
    package var messageID: MessageID
    /// Shared by everything that one HTTP request, webhook or timer set in motion.
    package var conversationID: ConversationID
    /// The message whose handling sent this one.
    package var causationID: MessageID?
    /// The message type's wire name.
    package var type: String
    /// The AMQP user that published, checked by the broker.
    package var sender: String
    /// Where the sender stood in its trace.
    package var trace: TraceContext?
    /// When the sender's transaction wrote the message.
    package var sentAt: Instant?
    /// How often handling was started, this time included, as far as the database knows: 1 straight from the broker.
    package var attempt: Int

    /// The envelope of the message that the running task handles. Messages that the task sends name it as their cause.
    @TaskLocal package static var current: Envelope?

    package init(
        messageID: MessageID, conversationID: ConversationID, causationID: MessageID?, type: String, sender: String,
        trace: TraceContext?, sentAt: Instant?, attempt: Int = 1
    ) {
        self.messageID = messageID
        self.conversationID = conversationID
        self.causationID = causationID
        self.type = type
        self.sender = sender
        self.trace = trace
        self.sentAt = sentAt
        self.attempt = attempt
    }

    /// Nil when there is no message id or no type: such a message cannot be handled once only, or at all.
    ///
    /// A sender that names no conversation starts one, with the message's own id.
    package init?(_ properties: MessageProperties) {
        guard let messageID = MessageID(properties.messageID), !properties.type.isEmpty else { return nil }
        self.init(
            messageID: messageID,
            conversationID: properties.header(Header.conversation).flatMap { ConversationID($0) }
                ?? ConversationID(rawValue: messageID.rawValue),
            causationID: properties.header(Header.causation).flatMap { MessageID($0) },
            type: properties.type,
            sender: properties.userID,
            trace: properties.header(Header.traceparent).flatMap { TraceContext(traceparent: $0) },
            sentAt: properties.header(Header.sentAt).flatMap { Instant($0) })
    }

    /// The AMQP properties that carry this envelope.
    package func properties(from service: String) -> MessageProperties {
        var headers = [(Header.conversation, conversationID.description)]
        if let trace { headers.append((Header.traceparent, trace.traceparent)) }
        if let causationID { headers.append((Header.causation, causationID.description)) }
        if let sentAt { headers.append((Header.sentAt, sentAt.description)) }
        return MessageProperties(
            messageID: messageID.description, correlationID: conversationID.description, type: type, appID: service,
            timestamp: UInt64(max(0, (sentAt ?? .now()).seconds)), headers: headers)
    }

    enum Header {
        static let traceparent = "traceparent"
        static let conversation = "x-conversation-id"
        static let causation = "x-causation-id"
        /// RFC 3339 with microseconds: the AMQP timestamp has whole seconds only.
        static let sentAt = "x-sent-at"
    }
}
