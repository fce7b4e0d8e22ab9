/// The place of a message among the numbered messages of its publisher: 1, 2, 3 …
///
/// The thread of the connection assigns it when it writes the message. So the numbers grow in the
/// order in which the broker gets the messages, over all connections of the publisher. A message that
/// is published again gets another number. A consumer that misses a number has missed a message, or
/// the publisher has lost its connection.
package struct PublishNumber: Sendable, Hashable {
    /// A random name, another one for each ``AMQPPublisher``.
    package let publisher: String
    package let number: UInt64

    /// The longest name that is read.
    private static let publisherBytesMax = 40

    package init(publisher: String, number: UInt64) { (self.publisher, self.number) = (publisher, number) }

    /// Reads `<publisher>/<number>`. Returns nil for anything else, and for the number 0.
    package init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, (1...Self.publisherBytesMax).contains(parts[0].utf8.count), let number = UInt64(parts[1]), number > 0
        else { return nil }
        self.init(publisher: String(parts[0]), number: number)
    }

    package var text: String { "\(publisher)/\(number)" }

    package static let header = "x-publish-number"
}

extension Delivery {
    /// Nil for a message that its publisher did not number.
    package var publishNumber: PublishNumber? { properties.header(PublishNumber.header).flatMap { PublishNumber($0) } }
}

/// The numbers that a publisher has assigned. Confined to the thread of the connection.
struct PublishNumbers {
    private let publisher = String(UInt64.random(in: .min ... .max), radix: 36)
    private var last: UInt64 = 0

    /// Numbers the message, if it asks for a number.
    mutating func assign(to message: inout OutgoingMessage) {
        guard message.isNumbered else { return }
        last += 1
        let number = PublishNumber(publisher: publisher, number: last)
        message.properties.headers.append((PublishNumber.header, number.text))
    }
}
