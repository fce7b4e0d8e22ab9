import Glibc

/// The look-up of the hosts that loops connect to by name, on threads that may block.
///
/// The system's resolver blocks for as long as it waits for a name server, about half a minute at
/// most. Four threads of the process do nothing else; 256 look-ups wait for them, one more is
/// refused.
package enum HostLookup {
    private static let threads = BlockingPool(name: "host-lookup", threads: 4, queueMax: 256)

    package struct Failure: Error, CustomStringConvertible {
        package let isTimeout: Bool
        package let description: String
    }

    /// Returns the address if `host` is one, without a look-up.
    package static func address(_ host: String, port: UInt16) -> SocketAddress? {
        try? resolve(host, port, AI_NUMERICHOST).get().first
    }

    /// Returns the addresses of `host`, at least one, in the resolver's order. Loop thread only.
    /// - Throws: ``Failure``; `CancellationError` in a cancelled task. The look-up itself goes on
    ///   to its end on its thread.
    package static func addresses(
        of host: String, port: UInt16, within limit: Duration, on loop: EventLoop
    ) async throws -> [SocketAddress] {
        if let address = address(host, port: port) { return [address] }
        let found = Wait<[SocketAddress]>(on: loop)
        // A task of its own, because a look-up cannot be interrupted and the deadline must not wait
        // for it.
        Task(executorPreference: loop) {
            do {
                found.resolve(try await threads.run { resolve(host, port, AI_ADDRCONFIG) }.mapError { $0 })
            } catch {
                found.fail(Failure(isTimeout: false, description: "cannot look up \(host): too many look-ups wait already"))
            }
        }
        return try await found.value(
            within: limit, elseThrow: Failure(isTimeout: true, description: "cannot look up \(host): no answer within \(limit)"))
    }

    private static func resolve(_ host: String, _ port: UInt16, _ flags: Int32) -> Result<[SocketAddress], Failure> {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_NUMERICSERV | flags
        var first: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(host, String(port), &hints, &first)
        guard status == 0 else {
            return .failure(Failure(isTimeout: false, description: "cannot look up \(host): \(String(cString: gai_strerror(status)))"))
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
