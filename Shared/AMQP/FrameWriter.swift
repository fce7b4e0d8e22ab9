/// Encodes what we send (AMQP 0-9-1 §4.2) and writes it without ever blocking.
///
/// librabbitmq's own publish writes each frame at once and, when the peer does not read, waits without a limit
/// (rabbitmq-c issue 780). Here frames gather in one buffer, a batch leaves in one `send`, and a full socket is just a
/// buffer that stays.
struct FrameWriter {
    private var bytes: [UInt8] = []
    private var sent = 0

    var pending: Int { bytes.count - sent }

    private static let channel: UInt16 = 1
    private static let frameEnd: UInt8 = 0xCE

    // MARK: Methods

    /// - Parameters:
    ///   - sender: whose user, and whose app id where the message has none, are written.
    ///   - frameMax: as negotiated; a longer body is cut into several frames.
    mutating func publish(
        _ message: borrowing OutgoingMessage, from sender: AMQPConfiguration, expirationMilliseconds: Int, frameMax: Int
    ) {
        method(.basicPublish) { frame in
            frame.short(0)
            frame.shortString(message.exchange)
            frame.shortString(message.routingKey)
            frame.byte(message.mandatory ? 1 : 0)
        }
        header(message.properties, bodyCount: message.body.count, from: sender, expirationMilliseconds: expirationMilliseconds)
        var start = 0
        while start < message.body.count {
            let end = min(message.body.count, start + frameMax - 8)
            frame(type: 3) { $0.bytes.append(contentsOf: message.body[start..<end]) }
            start = end
        }
    }

    mutating func acknowledge(_ tag: UInt64, multiple: Bool) {
        method(.basicAck) { frame in
            frame.long64(tag)
            frame.byte(multiple ? 1 : 0)
        }
    }

    mutating func reject(_ tag: UInt64, requeue: Bool) {
        method(.basicReject) { frame in
            frame.long64(tag)
            frame.byte(requeue ? 1 : 0)
        }
    }

    mutating func channelCloseOK() { method(.channelCloseOK) { _ in } }
    mutating func connectionCloseOK() { method(.connectionCloseOK, channel: 0) { _ in } }

    mutating func connectionClose() {
        method(.connectionClose, channel: 0) { frame in
            frame.short(200)
            frame.shortString("goodbye")
            frame.short(0)
            frame.short(0)
        }
    }

    mutating func heartbeat() { frame(type: 8, channel: 0) { _ in } }

    // MARK: Properties

    private mutating func header(
        _ properties: MessageProperties, bodyCount: Int, from sender: AMQPConfiguration, expirationMilliseconds: Int
    ) {
        frame(type: 2) { frame in
            frame.short(60)
            frame.short(0)
            frame.long64(UInt64(bodyCount))
            let flags = frame.bytes.count
            frame.short(0)
            var set: UInt16 = 0
            func text(_ value: String, _ bit: Int) {
                guard !value.isEmpty else { return }
                set |= 1 << UInt16(bit)
                frame.shortString(value)
            }
            text(properties.contentType, 15)
            if !properties.headers.isEmpty {
                set |= 1 << 13
                frame.table(properties.headers)
            }
            set |= 1 << 12
            frame.byte(properties.persistent ? 2 : 1)
            text(properties.correlationID, 10)
            text(properties.replyTo, 9)
            if expirationMilliseconds > 0 { text(String(expirationMilliseconds), 8) }
            text(properties.messageID, 7)
            if properties.timestamp > 0 {
                set |= 1 << 6
                frame.long64(properties.timestamp)
            }
            text(properties.type, 5)
            text(sender.user, 4)
            text(properties.appID.isEmpty ? sender.appID : properties.appID, 3)
            frame.bytes[flags] = UInt8(set >> 8)
            frame.bytes[flags + 1] = UInt8(set & 0xFF)
        }
    }

    private mutating func table(_ headers: [(String, String)]) {
        let start = bytes.count
        long(0)
        for (name, value) in headers {
            shortString(name)
            byte(UInt8(ascii: "S"))
            long(UInt32(value.utf8.count))
            bytes.append(contentsOf: value.utf8)
        }
        patchLong(at: start, UInt32(bytes.count - start - 4))
    }

    // MARK: Frames

    private mutating func method(_ method: Method, channel: UInt16 = Self.channel, _ arguments: (inout FrameWriter) -> Void) {
        frame(type: 1, channel: channel) { frame in
            frame.long(method.rawValue)
            arguments(&frame)
        }
    }

    private mutating func frame(type: UInt8, channel: UInt16 = Self.channel, _ payload: (inout FrameWriter) -> Void) {
        byte(type)
        short(channel)
        let length = bytes.count
        long(0)
        payload(&self)
        patchLong(at: length, UInt32(bytes.count - length - 4))
        byte(Self.frameEnd)
    }

    private mutating func byte(_ value: UInt8) { bytes.append(value) }

    private mutating func short(_ value: UInt16) { withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) } }
    private mutating func long(_ value: UInt32) { withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) } }
    private mutating func long64(_ value: UInt64) { withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) } }

    private mutating func shortString(_ text: String) {
        let count = text.utf8.count
        precondition(count <= 255, "a short string of AMQP holds 255 bytes, not \(count)")
        bytes.append(UInt8(count))
        bytes.append(contentsOf: text.utf8)
    }

    private mutating func patchLong(at index: Int, _ value: UInt32) {
        for offset in 0..<4 { bytes[index + offset] = UInt8(truncatingIfNeeded: value >> UInt32(24 - 8 * offset)) }
    }

    // MARK: Transport

    /// Sends what the transport takes now.
    mutating func flush(to transport: Transport) throws(ConnectionFailure) {
        while pending > 0 {
            let count = try bytes.withUnsafeBufferPointer { all throws(ConnectionFailure) in
                try transport.send(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(all)[sent...]))
            }
            if count == 0 { break }
            sent += count
        }
        if pending == 0 {
            bytes.removeAll(keepingCapacity: bytes.capacity <= 1 << 20)
            sent = 0
        } else if sent > 1 << 20 {
            bytes.removeFirst(sent)
            sent = 0
        }
    }
}

/// Class and method numbers (AMQP 0-9-1 §1.8, and RabbitMQ's extensions).
enum Method: UInt32 {
    case connectionClose = 0x000A_0032
    case connectionCloseOK = 0x000A_0033
    case connectionBlocked = 0x000A_003C
    case connectionUnblocked = 0x000A_003D
    case channelClose = 0x0014_0028
    case channelCloseOK = 0x0014_0029
    case basicCancel = 0x003C_001E
    case basicPublish = 0x003C_0028
    case basicReturn = 0x003C_0032
    case basicDeliver = 0x003C_003C
    case basicAck = 0x003C_0050
    case basicReject = 0x003C_005A
    case basicNack = 0x003C_0078
}
