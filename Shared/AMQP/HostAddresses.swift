import CRabbitMQ
import EventLoop
import Glibc
import Synchronization

/// The look-up of a broker's host, for a thread that waits.
enum HostAddresses {
    /// A look-up keeps its deadline on a loop. It starts with the first host that is a name.
    private static let loop = EventLoop.spawn(name: "amqp-lookup")

    /// Returns the addresses of a host in numbers, at least one, in the resolver's order. Blocks the
    /// thread for at most `limit`.
    static func find(_ host: AMQPConfiguration.Host, within limit: Duration) throws(ConnectionFailure) -> [String] {
        let port = UInt16(host.port)
        if HostLookup.address(host.name, port: port) != nil { return [host.name] }
        let answer = Answer()
        Task(executorPreference: loop) {
            do {
                let addresses = try await HostLookup.system.addresses(of: host.name, port: port, within: limit, on: loop)
                answer.give(.success(addresses.compactMap(\.host)))
            } catch {
                answer.give(.failure(ConnectionFailure(kind: .connectFailed, description: "\(error)")))
            }
        }
        return try answer.wait().get()
    }

    /// The result of a look-up, which comes within its limit.
    private final class Answer: Sendable {
        private let result = Mutex<Result<[String], ConnectionFailure>?>(nil)
        private let isThere = eventfd(0, Int32(EFD_CLOEXEC))

        deinit { close(isThere) }

        func give(_ found: Result<[String], ConnectionFailure>) {
            result.withLock { $0 = found }
            var one: UInt64 = 1
            _ = write(isThere, &one, 8)
        }

        func wait() -> Result<[String], ConnectionFailure> {
            while true {
                if let found = result.withLock({ $0 }) { return found }
                var descriptor = pollfd(fd: isThere, events: Int16(POLLIN), revents: 0)
                poll(&descriptor, 1, 1_000)
            }
        }
    }
}
