import TestSupport

/// The broker's end of one connection with one channel: says the frames that a test lets it say
/// (AMQP 0-9-1 §2.3). Used by the script's thread alone.
struct ScriptedBroker {
    struct Frame {
        var type: UInt8
        var payload: [UInt8]

        /// The class and method numbers; nil unless the frame is a method.
        var method: [Int]? {
            guard type == 1, payload.count >= 4 else { return nil }
            return [Int(payload[0]) << 8 | Int(payload[1]), Int(payload[2]) << 8 | Int(payload[3])]
        }
    }

    let peer: ScriptedPeer

    // MARK: Reading

    /// - Returns: nil if the client has hung up, or sends bytes that are no frame.
    func frame() -> Frame? {
        while true {
            guard let head = peer.read(7) else { return nil }
            let count = head[3...6].reduce(0) { $0 << 8 | Int($1) }
            guard count <= 1 << 20, let rest = peer.read(count + 1), rest.last == 0xCE else { return nil }
            let heartbeat: UInt8 = 8
            if head[0] != heartbeat { return Frame(type: head[0], payload: rest.dropLast()) }
        }
    }

    /// Reads up to a method and returns true; false if the client hangs up before.
    func wait(for method: [Int]) -> Bool {
        while let frame = frame() { if frame.method == method { return true } }
        return false
    }

    /// Reads one published message. Its body is one frame.
    func publish() -> Bool {
        while let frame = frame() { if frame.type == 3 { return true } }
        return false
    }

    // MARK: Opening

    /// Logs the client in, and opens its channel.
    func open() -> Bool {
        guard peer.read(8) != nil else { return false }
        send([10, 10], [0, 9] + long(0) + longString("PLAIN") + longString("en_US"))
        guard wait(for: [10, 11]) else { return false }
        send([10, 30], short(2_047) + long(131_072) + short(60))
        guard wait(for: [10, 40]) else { return false }
        send([10, 41], [0], channel: 0)
        return openChannel()
    }

    func openChannel() -> Bool {
        guard wait(for: [20, 10]) else { return false }
        send([20, 11], long(0), channel: 1)
        return true
    }

    func selectConfirms() -> Bool {
        guard wait(for: [85, 10]) else { return false }
        send([85, 11], [], channel: 1)
        return true
    }

    func subscribe() -> Bool {
        guard wait(for: [60, 10]) else { return false }
        send([60, 11], [], channel: 1)
        guard wait(for: [60, 20]) else { return false }
        send([60, 21], shortString("consumer"), channel: 1)
        return true
    }

    // MARK: Sending

    func acknowledge(_ tag: UInt64, multiple: Bool = false) {
        send([60, 80], long64(tag) + [multiple ? 1 : 0], channel: 1)
    }

    /// Sends a delivery whose header promises `bodyCount` bytes.
    func deliver(tag: UInt64, body: [UInt8], bodyCount: UInt64) {
        send([60, 60], shortString("consumer") + long64(tag) + [0] + shortString("exchange") + shortString("key"), channel: 1)
        sendFrame(2, short(60) + short(0) + long64(bodyCount) + short(0), channel: 1)
        sendFrame(3, body, channel: 1)
    }

    func block() { send([10, 60], shortString("low on memory"), channel: 0) }
    func unblock() { send([10, 61], [], channel: 0) }
    func closeChannel() { send([20, 40], short(404) + shortString("NOT_FOUND") + short(60) + short(40), channel: 1) }

    func send(_ method: [UInt16], _ arguments: [UInt8], channel: UInt16 = 0) {
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
