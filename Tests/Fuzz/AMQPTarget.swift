import CRabbitMQ
import Telemetry
import Values

@testable import AMQP

/// The properties of a message as they come from the broker: encoded, decoded by librabbitmq, read
/// by us, sent on by us.
enum AMQPTarget {
    private static let sender: AMQPConfiguration? = try? AMQPConfiguration(url: "amqp://fuzz:fuzz@localhost", connectionName: "fuzz")

    static func run(_ input: UnsafeRawBufferPointer) {
        var pool = amqp_pool_t()
        init_amqp_pool(&pool, 4_096)
        defer { empty_amqp_pool(&pool) }
        var decoded: UnsafeMutableRawPointer?
        let encoded = amqp_bytes_t(len: input.count, bytes: UnsafeMutableRawPointer(mutating: input.baseAddress))
        guard amqp_decode_properties(60, &pool, encoded, &decoded) == AMQP_STATUS_OK.rawValue, let decoded else { return }
        let properties = MessageProperties(decoded.assumingMemoryBound(to: amqp_basic_properties_t.self).pointee)
        for text in [
            properties.messageID, properties.correlationID, properties.type, properties.contentType, properties.appID,
            properties.userID, properties.replyTo,
        ] {
            check(text.utf8.count <= 255, "a property of \(text.utf8.count) bytes")
        }
        for text in properties.headers.map(\.1) + [properties.messageID, properties.correlationID] { readText(text) }
        send(properties)
    }

    /// Reads a text as everything that a property can name.
    private static func readText(_ text: String) {
        if let id = MessageID(text) { check(MessageID(id.description) == id, text) }
        if let instant = Instant(text) { check(Instant(instant.description) == instant, text) }
        if let trace = TraceContext(traceparent: text) {
            check(TraceContext(traceparent: trace.traceparent)?.traceparent == trace.traceparent, text)
        }
    }

    /// Writes an answer to the message: its sender named the queue and the correlation id.
    private static func send(_ properties: MessageProperties) {
        guard let sender else { return check(false, "no sender") }
        var answer = MessageProperties(
            messageID: properties.messageID, correlationID: properties.correlationID, type: properties.type)
        answer.replyTo = properties.replyTo
        answer.appID = properties.appID
        let message = OutgoingMessage(exchange: "", routingKey: properties.replyTo, body: [], properties: answer)
        var frames = FrameWriter()
        frames.publish(message, from: sender, expirationMilliseconds: properties.expirationMilliseconds, frameMax: 4_096)
        check(frames.pending > 0, "nothing was written")
    }
}
