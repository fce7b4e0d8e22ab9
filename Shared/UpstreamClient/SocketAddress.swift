import Glibc

/// An address `connect(2)` takes.
struct SocketAddress: Sendable {
    private var storage = sockaddr_storage()
    private var length: socklen_t = 0

    private init(_ info: addrinfo) {
        length = min(info.ai_addrlen, socklen_t(MemoryLayout<sockaddr_storage>.size))
        withUnsafeMutableBytes(of: &storage) { $0.copyMemory(from: UnsafeRawBufferPointer(start: info.ai_addr, count: Int(length))) }
    }

    /// A non-blocking socket on its way to this address; -1 with `errno` when that cannot even begin.
    func connect() -> Int32 {
        let type = SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue
        let descriptor = socket(Int32(storage.ss_family), Int32(type), 0)
        guard descriptor >= 0 else { return -1 }
        var on: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
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

    /// Asks the system's resolver: blocks, for seconds when a name server is away. Numeric addresses come back at once.
    static func resolve(_ origin: Origin, numericOnly: Bool = false) -> Result<[SocketAddress], UpstreamError> {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_NUMERICSERV | (numericOnly ? AI_NUMERICHOST : AI_ADDRCONFIG)
        var first: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(origin.host, String(origin.port), &hints, &first)
        guard status == 0 else {
            return .failure(UpstreamError(.connectFailed, "\(origin.host): \(String(cString: gai_strerror(status)))"))
        }
        defer { freeaddrinfo(first) }
        var found: [SocketAddress] = []
        var next = first
        while let info = next {
            found.append(SocketAddress(info.pointee))
            next = info.pointee.ai_next
        }
        return .success(found)
    }
}
