/// The broker's end of one connection with one channel: says the frames that a test lets it say
/// (AMQP 0-9-1 §2.3). Used by the script's thread alone.
package struct ScriptedBroker {
    package struct Frame {
        package var type: UInt8
        package var payload: [UInt8]

        /// The class and method numbers; nil unless the frame is a method.
        package var method: [Int]? {
            guard type == 1, payload.count >= 4 else { return nil }
            return [Int(payload[0]) << 8 | Int(payload[1]), Int(payload[2]) << 8 | Int(payload[3])]
        }
    }

    private let peer: ScriptedPeer

    package init(peer: ScriptedPeer) { self.peer = peer }

    // MARK: Reading

    /// - Returns: nil if the client has hung up, or sends bytes that are no frame.
    package func frame() -> Frame? {
        while true {
            guard let head = peer.read(7) else { return nil }
            let count = head[3...6].reduce(0) { $0 << 8 | Int($1) }
            guard count <= 1 << 20, let rest = peer.read(count + 1), rest.last == 0xCE else { return nil }
            let heartbeat: UInt8 = 8
            if head[0] != heartbeat { return Frame(type: head[0], payload: rest.dropLast()) }
        }
    }

    /// Reads up to a method and returns true; false if the client hangs up before.
    package func wait(for method: [Int]) -> Bool {
        while let frame = frame() { if frame.method == method { return true } }
        return false
    }

    /// The address of a published message.
    package struct Published {
        package var exchange = ""
        package var routingKey = ""
        /// Empty without the property.
        package var correlationID = ""
    }

    /// Reads one published message. Its body is one frame.
    package func publish() -> Bool { published() != nil }

    /// Reads one published message, whose body is one frame. Nil if the client hangs up before.
    package func published() -> Published? {
        var found = Published()
        while let frame = frame() {
            switch frame.type {
            case 1 where frame.method == [60, 40]:
                var rest = frame.payload[6...]
                found.exchange = Self.shortString(from: &rest)
                found.routingKey = Self.shortString(from: &rest)
            case 2: found.correlationID = Self.correlationID(frame.payload)
            case 3: return found
            default: break
            }
        }
        return nil
    }

    private static func shortString(from bytes: inout ArraySlice<UInt8>) -> String {
        let count = Int(bytes.removeFirst())
        defer { bytes = bytes.dropFirst(count) }
        return String(decoding: bytes.prefix(count), as: UTF8.self)
    }

    /// Reads over the properties that stand before it: two texts, a table, two octets.
    private static func correlationID(_ header: [UInt8]) -> String {
        let flags = header[12]  // content-type is bit 7 of it, correlation-id bit 2
        var rest = header[14...]
        for bit in [7, 6] where flags >> bit & 1 == 1 { _ = shortString(from: &rest) }
        if flags >> 5 & 1 == 1 { rest = rest.dropFirst(4 + rest.prefix(4).reduce(0) { $0 << 8 | Int($1) }) }
        for bit in [4, 3] where flags >> bit & 1 == 1 { rest = rest.dropFirst() }
        return flags >> 2 & 1 == 1 ? shortString(from: &rest) : ""
    }

    // MARK: Opening

    /// Logs the client in, and opens its channel.
    package func open() -> Bool {
        guard peer.read(8) != nil else { return false }
        send([10, 10], [0, 9] + long(0) + longString("PLAIN") + longString("en_US"))
        guard wait(for: [10, 11]) else { return false }
        send([10, 30], short(2_047) + long(131_072) + short(60))
        guard wait(for: [10, 40]) else { return false }
        send([10, 41], [0], channel: 0)
        return openChannel()
    }

    package func openChannel() -> Bool {
        guard wait(for: [20, 10]) else { return false }
        send([20, 11], long(0), channel: 1)
        return true
    }

    package func selectConfirms() -> Bool {
        guard wait(for: [85, 10]) else { return false }
        send([85, 11], [], channel: 1)
        return true
    }

    package func subscribe() -> Bool {
        guard wait(for: [60, 10]) else { return false }
        send([60, 11], [], channel: 1)
        guard wait(for: [60, 20]) else { return false }
        send([60, 21], shortString("consumer"), channel: 1)
        return true
    }

    /// Makes the queue of a client's replies.
    package func listenForReplies() -> Bool {
        guard wait(for: [50, 10]) else { return false }
        send([50, 11], shortString("replies") + long(0) + long(0), channel: 1)
        guard wait(for: [50, 20]) else { return false }
        send([50, 21], [], channel: 1)
        guard wait(for: [60, 20]) else { return false }
        send([60, 21], shortString("replies"), channel: 1)
        return true
    }

    // MARK: Sending

    package func acknowledge(_ tag: UInt64, multiple: Bool = false) {
        send([60, 80], long64(tag) + [multiple ? 1 : 0], channel: 1)
    }

    /// Sends a delivery whose header promises `bodyCount` bytes.
    package func deliver(tag: UInt64, body: [UInt8], bodyCount: UInt64) {
        send([60, 60], shortString("consumer") + long64(tag) + [0] + shortString("exchange") + shortString("key"), channel: 1)
        sendFrame(2, short(60) + short(0) + long64(bodyCount) + short(0), channel: 1)
        sendFrame(3, body, channel: 1)
    }

    /// Sends the answer of `user` to a request, with an empty body.
    package func reply(tag: UInt64, to correlationID: String, from user: String) {
        send([60, 60], shortString("replies") + long64(tag) + [0] + shortString("rpc.reply") + shortString("replies"), channel: 1)
        let (hasCorrelationID, hasUserID) = (UInt16(1) << 10, UInt16(1) << 4)
        sendFrame(
            2,
            short(60) + short(0) + long64(0) + short(hasCorrelationID | hasUserID) + shortString(correlationID) + shortString(user),
            channel: 1)
    }

    package func block() { send([10, 60], shortString("low on memory"), channel: 0) }
    package func unblock() { send([10, 61], [], channel: 0) }
    package func closeChannel() { send([20, 40], short(404) + shortString("NOT_FOUND") + short(60) + short(40), channel: 1) }

    package func send(_ method: [UInt16], _ arguments: [UInt8], channel: UInt16 = 0) {
        sendFrame(1, method.flatMap(short) + arguments, channel: channel)
    }

    private func sendFrame(_ type: UInt8, _ payload: [UInt8], channel: UInt16) {
        peer.send([type] + short(channel) + long(UInt32(payload.count)) + payload + [0xCE])
    }

    private func short(_ value: UInt16) -> [UInt8] { [UInt8(value >> 8), UInt8(value & 0xFF)] }
    private func long(_ value: UInt32) -> [UInt8] { short(UInt16(value >> 16)) + short(UInt16(value & 0xFFFF)) }
    private func long64(_ value: UInt64) -> [UInt8] { long(UInt32(value >> 32)) + long(UInt32(value & 0xFFFF_FFFF)) }
    private func shortString(_ text: String) -> [UInt8] { [UInt8(text.utf8.count)] + Array(text.utf8) }
    private func longString(_ text: String) -> [UInt8] { long(UInt32(text.utf8.count)) + Array(text.utf8) }
}
