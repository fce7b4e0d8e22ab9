import AMQP
import Telemetry
import Values

/// The names of a message's headers.
enum MessageHeader {
    static let traceparent = "\(TraceContext.headerName)"
    static let conversation = "x-conversation-id"
    static let causation = "x-causation-id"
    /// RFC 3339 with microseconds: the AMQP timestamp has whole seconds only.
    static let sentAt = "x-sent-at"
    /// The number of earlier deliveries, which only a quorum queue counts.
    static let deliveryCount = "x-delivery-count"
}

extension MessageProperties {
    var trace: TraceContext? { header(MessageHeader.traceparent).flatMap { TraceContext(traceparent: $0) } }
    var conversation: ConversationID? { header(MessageHeader.conversation).flatMap { ConversationID($0) } }
}
