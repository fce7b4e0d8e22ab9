import EventLoop
import HTTPWire
import TestSupport
import Testing
import UpstreamClient

let loop = EventLoop.spawn(name: "upstream-tests")

/// Runs a test on the loop, where pools live.
func onLoop(_ body: @escaping @Sendable () async throws -> Void) async throws {
    try await Task(executorPreference: loop) { try await body() }.value
}

func pool(_ port: Int, on loop: EventLoop = loop, _ change: (inout UpstreamPool.Configuration) -> Void = { _ in }) throws -> UpstreamPool {
    var configuration = UpstreamPool.Configuration()
    change(&configuration)
    return try UpstreamPool(loop: loop, origin: Origin(scheme: .http, host: "127.0.0.1", port: UInt16(port)), configuration: configuration)
}

extension UpstreamPool {
    /// Status and text of the whole answer to a POST.
    func post(_ path: String = "/") async throws(UpstreamError) -> String {
        let response = try await send(method: "POST", target: Array(path.utf8), headers: [:], body: [1])
        return "\(response.status) \(String(decoding: try await response.collect(upTo: 1 << 20), as: UTF8.self))"
    }

    func get(_ path: String = "/") async throws(UpstreamError) -> UpstreamResponse {
        try await send(method: "GET", target: Array(path.utf8), headers: [:], body: [])
    }

    /// Status and text of a whole answer.
    func fetch(_ path: String = "/") async throws(UpstreamError) -> String {
        let response = try await get(path)
        return "\(response.status) \(String(decoding: try await response.collect(upTo: 1 << 20), as: UTF8.self))"
    }

    func failure(_ path: String = "/") async throws -> UpstreamError.Code {
        let error = await #expect(throws: UpstreamError.self) { _ = try await fetch(path) }
        return try #require(error).code
    }
}

/// The bytes and events that a sink has seen. Touched on the loop only.
final class Seen: @unchecked Sendable {
    var bytes: [UInt8] = []
    var calls = 0
    var text: String { String(decoding: bytes, as: UTF8.self) }

    func take(_ part: UnsafeRawBufferPointer) {
        bytes.append(contentsOf: part)
        calls += 1
    }
}

/// A server whose first connection answers one request and ends when the test says so.
final class ClosingServer: Sendable {
    enum End: Sendable {
        case close, reset
        /// The answer with which a load balancer ends an idle connection.
        case requestTimeout
    }

    private let server: ScriptedServer
    private let (may, done) = (Gate(on: loop), Gate(on: loop))

    /// - Parameter later: serves the connections after the first one.
    init(_ end: End, later: @escaping @Sendable (ScriptedPeer) -> Void = echo) {
        server = ScriptedServer { [may, done] peer in
            guard peer.number == 1 else { return later(peer) }
            _ = peer.request()
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na")
            guard may.waitBlocking() else { return }
            switch end {
            case .close: peer.close()
            case .reset: peer.reset()
            case .requestTimeout:
                peer.send("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                peer.close()
            }
            done.open()
        }
    }

    var port: Int { server.port }
    var connections: Int { server.connections }

    /// Ends the first connection while the loop, which calls this, does not look at its sockets.
    func end() -> Bool {
        may.open()
        return done.waitBlocking()
    }
}

/// A server that answers the first request of its first connection without reading it. The kernel
/// has no room for a byte of the second request. Then the server ends the connection.
final class FullServer: Sendable {
    private let server: ScriptedServer
    private let (may, over) = (Gate(on: loop), Gate(on: loop))

    /// - Parameter later: serves the connections after the first one.
    init(later: @escaping @Sendable (ScriptedPeer) -> Void = echo) {
        server = ScriptedServer(receiveBuffer: 4_096) { [may, over] peer in
            guard peer.number == 1 else { return later(peer) }
            _ = peer.read(16)
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na")
            guard may.waitBlocking() else { return }
            peer.endSending()
            _ = over.waitBlocking()
        }
    }

    deinit { over.open() }

    var port: Int { server.port }
    var connections: Int { server.connections }

    /// Calls once to fill the kernel's buffer, begins a second call, and ends the first connection.
    func secondCall(_ pool: UpstreamPool) async throws -> UpstreamResponse {
        let first = pool.begin(method: "POST", target: Array("/".utf8), headers: [:], body: [UInt8](repeating: 1, count: 40_000))
        try await first.head()
        #expect(try await first.collect(upTo: 9) == Array("a".utf8))
        #expect(pool.idleCount == 1)
        let second = pool.begin(method: "POST", target: Array("/again".utf8), headers: [:], body: [1])
        #expect(pool.idleCount == 0)
        end()
        return second
    }

    /// Ends the first connection.
    func end() { may.open() }
}

/// Answers every request on the connection with 200 and its path.
func echo(_ peer: ScriptedPeer) {
    while let request = peer.request() {
        let path = request.split(separator: " ")[1]
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: \(path.utf8.count)\r\n\r\n\(path)")
    }
}
