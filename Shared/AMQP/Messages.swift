package import EventLoop

/// The properties of a message that we use (AMQP 0-9-1, class basic). Empty text means absent.
///
/// Text other than header values is at most 255 bytes of UTF-8: a longer one is a programming error and traps when sent.
package struct MessageProperties: Sendable, Equatable {
    package var messageID = ""
    package var correlationID = ""
    /// The contract: `charge.settle.v2`.
    package var type = ""
    package var contentType = "application/json"
    /// Seconds since 1970; 0 means absent.
    package var timestamp: UInt64 = 0
    package var appID = ""
    /// Set by the sender's own connection and checked by the broker: it names the AMQP user that published. What a caller
    /// writes here is not sent.
    package var userID = ""
    package var replyTo = ""
    /// The broker drops the message when it has waited this long; 0 means never.
    package var expirationMilliseconds = 0
    /// Survives a restart of the broker in a durable queue.
    package var persistent = true
    package var headers: [(String, String)] = []

    package init() {}

    package init(
        messageID: String, correlationID: String = "", type: String, appID: String = "", timestamp: UInt64 = 0, persistent: Bool = true,
        headers: [(String, String)] = []
    ) {
        self.messageID = messageID
        self.correlationID = correlationID
        self.type = type
        self.appID = appID
        self.timestamp = timestamp
        self.persistent = persistent
        self.headers = headers
    }

    package func header(_ name: String) -> String? { headers.first { $0.0 == name }?.1 }

    package static func == (left: Self, right: Self) -> Bool {
        left.messageID == right.messageID && left.correlationID == right.correlationID && left.type == right.type
            && left.contentType == right.contentType && left.timestamp == right.timestamp && left.appID == right.appID
            && left.userID == right.userID && left.replyTo == right.replyTo
            && left.expirationMilliseconds == right.expirationMilliseconds && left.persistent == right.persistent
            && left.headers.elementsEqual(right.headers, by: ==)
    }
}

package struct OutgoingMessage: Sendable {
    package var exchange: String
    package var routingKey: String
    package var body: [UInt8]
    package var properties: MessageProperties
    /// Unroutable messages come back as an error instead of vanishing.
    package var mandatory: Bool
    /// True for a message that gets a ``PublishNumber``.
    package var isNumbered: Bool

    package init(
        exchange: String, routingKey: String, body: [UInt8], properties: MessageProperties, mandatory: Bool = true,
        isNumbered: Bool = false
    ) {
        self.exchange = exchange
        self.routingKey = routingKey
        self.body = body
        self.properties = properties
        self.mandatory = mandatory
        self.isNumbered = isNumbered
    }
}

package struct Delivery: Sendable {
    /// Counts from 1 on each channel; means nothing on another.
    package let tag: UInt64
    /// Which channel of the consumer's life it came over: settling a delivery of an earlier one does nothing.
    package internal(set) var connectionEpoch: UInt64 = 0
    package let exchange: String
    package let routingKey: String
    package let redelivered: Bool
    /// When it came out of the socket; the broker's own limits (expiration, message-ttl) count no longer from then on.
    package let receivedAt: MonotonicInstant
    package var body: [UInt8]
    package var properties: MessageProperties
}
