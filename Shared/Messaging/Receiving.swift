package import AMQP
package import Contracts
package import Telemetry
package import Values

extension Delivery {
    /// The place of the sender in its trace.
    package var trace: TraceContext? { properties.trace }

    /// The conversation that the sender names.
    package var conversation: ConversationID? { properties.conversation }

    /// The number of earlier deliveries that ended without an acknowledgement. Only a quorum queue
    /// counts them.
    package var priorDeliveries: Int {
        redelivered ? properties.header(MessageHeader.deliveryCount).flatMap { Int($0) } ?? 0 : 0
    }

    /// Reads the message that the type of the delivery names.
    package func decode<M: Message>(as type: M.Type = M.self) throws(Malformed) -> M {
        guard properties.type == M.name else { throw .unknownType(properties.type) }
        return try M(reading: body)
    }
}

extension Message {
    /// Reads a body that another service wrote, of at most ``bytesMax`` bytes.
    package init(reading body: [UInt8]) throws(Malformed) {
        guard body.count <= Self.bytesMax else { throw .tooLarge(body.count, max: Self.bytesMax) }
        do { try self.init(decoding: body) } catch { throw .content(error) }
    }
}

/// A message that no repetition can make right.
package enum Malformed: Error, CustomStringConvertible {
    case unknownType(String)
    case tooLarge(Int, max: Int)
    case content(any Error)

    package var description: String {
        switch self {
        case .unknownType(let type): "message type \(type.isEmpty ? "missing" : type) does not belong in this queue"
        case .tooLarge(let bytes, let max): "\(bytes) bytes; at most \(max) are read"
        case .content(let error): "\(error)"
        }
    }
}
