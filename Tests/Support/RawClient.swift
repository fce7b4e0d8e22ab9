import Glibc

/// A blocking socket that sends exactly the given bytes and reads the answer. Each wait has a
/// deadline.
package final class RawClient: @unchecked Sendable {
    // @unchecked Sendable: one task reads; another may send meanwhile, which touches the descriptor only.
    private let descriptor: Int32

    package init(port: Int, receiveBuffer: Int? = nil) {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        if var size = receiveBuffer.map(Int32.init) { setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, 4) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let status = withUnsafePointer(to: address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
        precondition(status == 0, "connect: errno \(errno)")
    }

    deinit { close(descriptor) }

    package func send(_ text: String) { send(Array(text.utf8)) }

    /// - Returns: false if the connection had ended.
    @discardableResult
    package func send(_ bytes: [UInt8]) -> Bool {
        var offset = 0
        while offset < bytes.count {
            let count = bytes.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress! + offset, $0.count - offset, Int32(MSG_NOSIGNAL)) }
            if count <= 0 { return false }
            offset += count
        }
        return true
    }

    package enum End: Equatable { case closed, reset, deadline }

    package private(set) var received: [UInt8] = []
    package var text: String { String(decoding: received, as: UTF8.self) }

    /// Reads until `done` says so, the peer ends, or the deadline passes.
    @discardableResult
    package func read(within milliseconds: Int32 = 5_000, until done: (RawClient) -> Bool = { _ in false }) -> End? {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        while !done(self) {
            guard poll(&waiting, 1, milliseconds) > 0 else { return .deadline }
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count == 0 { return .closed }
            if count < 0 { return .reset }
            received.append(contentsOf: buffer[..<count])
        }
        return nil
    }

    /// Everything up to the connection's end.
    package func readToEnd(within milliseconds: Int32 = 5_000) -> End { read(within: milliseconds) ?? .deadline }

    /// The statuses of whole answers received so far, by Content-Length.
    package var statuses: [Int] { answers.map(\.status) }

    package var answers: [(status: Int, head: String, body: [UInt8])] {
        var answers: [(Int, String, [UInt8])] = []
        var rest = received[...]
        while let headEnd = rest.firstRange(of: Array("\r\n\r\n".utf8)) {
            let head = String(decoding: rest[..<headEnd.lowerBound], as: UTF8.self)
            let status = Int(head.split(separator: " ")[1])!
            rest = rest[headEnd.upperBound...]
            let length =
                head.lowercased().split(separator: "\r\n").first { $0.hasPrefix("content-length:") }
                .flatMap { Int($0.dropFirst(15).drop { $0 == " " }) } ?? 0
            answers.append((status, head, Array(rest.prefix(length))))
            rest = rest.dropFirst(length)
        }
        return answers
    }

    package func shutdownWrite() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Leaves with a reset.
    package func reset() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        shutdown(descriptor, Int32(SHUT_RDWR))
    }
}
