/// Why a message was refused. The connection it came on has no agreed position any more and must be closed.
package enum HTTPSyntaxError: Error, Hashable, Sendable {
    /// Not HTTP, or HTTP that two readers could take for two different messages.
    case malformed(StaticReason)
    /// The request target is longer than ``HTTPParser/Limits/targetBytesMax``.
    case targetTooLong
    /// More head bytes or fields than allowed.
    case headTooLarge
    /// The body, declared or counted, is longer than ``HTTPParser/Limits/bodyBytesMax``.
    case bodyTooLarge
    /// Ended before the message did.
    case endedEarly
    /// A callback asked to stop: not the peer's fault.
    case stopped

    /// The reason as constant text, safe to show to the peer.
    package struct StaticReason: Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
        package let description: String
        package init(stringLiteral text: String) { description = text }
    }
}
