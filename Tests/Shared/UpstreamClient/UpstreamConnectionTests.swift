import Glibc
import Testing

@testable import EventLoop
@testable import UpstreamClient

/// Connecting to a host of several addresses.
@Suite(.timeLimit(.minutes(1)))
struct UpstreamConnectionTests {
    /// A listener that completes no handshake, because its backlog is full.
    private final class SilentListener: Sendable {
        let port: UInt16
        private let descriptors: [Int32]

        init() throws {
            let listener = try TCP.listen(host: "0.0.0.0", port: 0, backlog: 0, reusePort: false)
            let port = UInt16(TCP.port(of: listener))
            let clients = (0..<4).compactMap { _ in HostLookup.address("127.0.0.1", port: port)?.connect() }
            (self.port, descriptors) = (port, [listener] + clients)
        }

        deinit { descriptors.forEach { close($0) } }
    }

    @Test func `all addresses of a host share the time for connecting`() async throws {
        let listener = try SilentListener()
        try await onLoop {
            let pool = try pool(Int(listener.port)) { $0.connectWithin = .milliseconds(100) }
            let call = UpstreamResponse(loop: loop, request: [1], isHead: false, firstByteWithin: .seconds(120))
            let connection = UpstreamConnection(pool)
            connection.run(call)
            connection.connect(to: (1...4).compactMap { HostLookup.address("127.0.0.\($0)", port: listener.port) })
            #expect(!call.isOver)
            // The loop looks at deadlines once a second.
            poll(nil, 0, 1_100)
            try await loop.sleep(for: .zero)
            #expect(call.isOver)
            let error = await #expect(throws: UpstreamError.self) { try await call.head() }
            #expect(error?.code == .timedOut(.connect))
        }
    }
}
