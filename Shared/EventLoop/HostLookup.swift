import Glibc
import Synchronization

/// The look-up of the hosts that loops connect to by name, on threads that may block.
///
/// The system's resolver blocks for as long as it waits for a name server, about half a minute at
/// most. Four threads of the process do nothing else; 256 look-ups wait for them, one more is
/// refused. A host whose name server hangs holds one thread, because a host has at most one running
/// look-up.
package final class HostLookup: Sendable {
    package typealias Resolve = @Sendable (_ host: String, _ port: UInt16) -> Result<[SocketAddress], Failure>

    package static let system = HostLookup { resolve($0, $1, AI_ADDRCONFIG) }

    package struct Failure: Error, CustomStringConvertible {
        package let isTimeout: Bool
        package let description: String
    }

    private struct Target: Hashable {
        let host: String
        let port: UInt16
    }

    private let threads = BlockingPool(name: "host-lookup", threads: 4, queueMax: 256)
    private let resolve: Resolve
    /// The callers that wait for each running look-up. An entry stays until the look-up ends.
    private let running = Mutex<[Target: [ObjectIdentifier: Promise<[SocketAddress]>]]>([:])

    /// - Parameter resolve: the look-up itself, which may block.
    package init(resolve: @escaping Resolve) { self.resolve = resolve }

    /// Returns the address if `host` is one, without a look-up.
    package static func address(_ host: String, port: UInt16) -> SocketAddress? {
        try? resolve(host, port, AI_NUMERICHOST).get().first
    }

    /// Returns the addresses of `host`, at least one, in the resolver's order. Joins a look-up of
    /// the host that runs already. Loop thread only.
    /// - Throws: ``Failure``; `CancellationError` in a cancelled task. The look-up itself goes on
    ///   to its end on its thread.
    package func addresses(
        of host: String, port: UInt16, within limit: Duration, on loop: EventLoop
    ) async throws -> [SocketAddress] {
        if let address = Self.address(host, port: port) { return [address] }
        let (target, found) = (Target(host: host, port: port), Promise<[SocketAddress]>(on: loop))
        let isRunning = running.withLock { running in
            let isRunning = running[target] != nil
            running[target, default: [:]][ObjectIdentifier(found)] = found
            return isRunning
        }
        defer { running.withLock { _ = $0[target]?.removeValue(forKey: ObjectIdentifier(found)) } }
        // A task of its own, because a look-up cannot be interrupted and the deadline must not wait
        // for it.
        if !isRunning { Task(executorPreference: loop) { await self.lookUp(target) } }
        return try await found.value(
            within: limit, elseThrow: Failure(isTimeout: true, description: "cannot look up \(host): no answer within \(limit)"))
    }

    private func lookUp(_ target: Target) async {
        let result: Result<[SocketAddress], any Error>
        do {
            result = try await threads.run { [resolve] in resolve(target.host, target.port) }.mapError { $0 }
        } catch {
            let reason = "cannot look up \(target.host): too many look-ups wait already"
            result = .failure(Failure(isTimeout: false, description: reason))
        }
        let waiting = running.withLock { $0.removeValue(forKey: target) } ?? [:]
        for wait in waiting.values { wait.resolve(result) }
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
