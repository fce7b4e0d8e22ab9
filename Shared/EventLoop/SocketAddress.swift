import Glibc

/// An address that `connect(2)` takes.
package struct SocketAddress: Sendable {
    private var storage = sockaddr_storage()
    private var length: socklen_t = 0

    init(_ info: addrinfo) {
        length = min(info.ai_addrlen, socklen_t(MemoryLayout<sockaddr_storage>.size))
        withUnsafeMutableBytes(of: &storage) { $0.copyMemory(from: UnsafeRawBufferPointer(start: info.ai_addr, count: Int(length))) }
    }

    /// The address in numbers, without the port.
    package var host: String? {
        var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        let status = withUnsafeBytes(of: storage) {
            getnameinfo(
                $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), length, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
        }
        return status != 0 ? nil : String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// Calls `body` with the family and the bytes of the address as `connect(2)` takes them.
    func withBytes<Result>(_ body: (_ family: sa_family_t, _ bytes: UnsafeRawBufferPointer) -> Result) -> Result {
        withUnsafeBytes(of: storage) { body(storage.ss_family, $0) }
    }

    /// The time in which a provider must acknowledge what we sent. Then the kernel ends the
    /// connection.
    private static let acknowledgesWithin = Duration.seconds(20)

    /// Starts a connection to this address on a non-blocking socket. Returns -1 with `errno` if it
    /// cannot start.
    package func connect() -> Int32 {
        let type = SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue
        let descriptor = socket(Int32(storage.ss_family), Int32(type), 0)
        guard descriptor >= 0 else { return -1 }
        var on: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
        TCP.acknowledge(descriptor, within: Self.acknowledgesWithin)
        let status = withUnsafeBytes(of: storage) {
            Glibc.connect(descriptor, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), length)
        }
        guard status == 0 || errno == EINPROGRESS else {
            let cause = errno
            close(descriptor)
            errno = cause
            return -1
        }
        return descriptor
    }
}
