import Glibc
import TLS

/// The bytes of one connection: TCP, or TLS over it.
struct UpstreamSocket {
    /// The state of the server's half.
    enum End {
        case open
        /// FIN, or close_notify under TLS.
        case clean
        case broken(String)

        var isOpen: Bool { if case .open = self { true } else { false } }
        var reason: String { if case .broken(let reason) = self { reason } else { "the server closed the connection" } }
    }

    let descriptor: Int32
    /// The encryption. Nil without it, and before the handshake.
    var tls: TLSSession?
    /// True if TLS reads on only after the kernel has taken bytes.
    private(set) var waitsForWritable = false

    init(_ descriptor: Int32) { self.descriptor = descriptor }

    /// The reason why the connection could not be made. Nil if it was.
    var connectError: String? {
        var cause: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &cause, &length)
        return cause == 0 ? nil : String(cString: strerror(cause))
    }

    /// The bytes that OpenSSL has decrypted and no caller has read. epoll does not report them.
    var pending: Int { tls?.pending ?? 0 }

    /// The bytes that the own kernel took and the server's kernel has not acknowledged (`SIOCOUTQ`,
    /// tcp(7)). Nil if the kernel does not tell.
    var unacknowledged: Int? {
        var count: Int32 = 0
        return ioctl(descriptor, UInt(TIOCOUTQ), &count) == 0 ? Int(count) : nil
    }

    func write(_ bytes: UnsafeRawBufferPointer) -> TLSSession.Outcome {
        if let tls { return tls.write(bytes) }
        let count = send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
        if count >= 0 { return .bytes(count) }
        return errno == EAGAIN || errno == EINTR ? .wantsWritable : .ended
    }

    /// Reads the bytes that are here, as many as fit.
    mutating func read(into buffer: UnsafeMutableRawBufferPointer) -> (count: Int, end: End) {
        guard let tls else {
            let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
            if count > 0 { return (count, .open) }
            if count == 0 { return (0, .clean) }
            return (0, errno == EAGAIN || errno == EINTR ? .open : .broken(String(cString: strerror(errno))))
        }
        var count = 0
        waitsForWritable = false
        while count < buffer.count {
            switch tls.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[count...])) {
            case .bytes(let more): count += more
            case .wantsReadable: return (count, .open)
            case .wantsWritable:
                waitsForWritable = true
                return (count, .open)
            case .ended: return (count, .clean)
            case .failed(let error): return (count, .broken(error.description))
            }
        }
        return (count, .open)
    }
}
