import EventLoop
import HTTPWire
import TLS
import TestSupport
import Testing
import UpstreamClient

/// https origins against OpenSSL's own server.
struct UpstreamTLSTests {
    func pool(
        _ port: Int, host: String = "localhost", trusting certificate: TestCertificate?,
        _ change: (inout UpstreamPool.Configuration) -> Void = { _ in }
    ) throws -> UpstreamPool {
        var configuration = UpstreamPool.Configuration()
        change(&configuration)
        let tls = try TLSClientContext(caFile: certificate?.certificate)
        return try UpstreamPool(
            loop: loop, origin: Origin(scheme: .https, host: host, port: UInt16(port)), configuration: configuration, tls: tls)
    }

    @Test(arguments: ["localhost", "127.0.0.1"])
    func `a certificate for this host is accepted, by name and by address`(_ host: String) async throws {
        let certificate = try TestCertificate()
        let server = try TLSTestServer(certificate, options: ["-www"])
        try await onLoop {
            let answer = try await pool(server.port, host: host, trusting: certificate).fetch()
            #expect(answer.hasPrefix("200 "))
        }
    }

    @Test(arguments: [
        ("DNS:localhost,IP:127.0.0.1", 2, false), ("DNS:other.example", 2, true), ("IP:127.0.0.2,DNS:127.0.0.1", 2, true),
        ("DNS:localhost,IP:127.0.0.1", -1, true),
    ])
    func `a certificate that is unknown, for another host or expired is refused`(_ names: String, _ days: Int, _ isTrusted: Bool)
        async throws
    {
        let certificate = try TestCertificate(names: names, days: days)
        let server = try TLSTestServer(certificate, options: ["-www"])
        try await onLoop {
            let pool = try pool(server.port, host: "127.0.0.1", trusting: isTrusted ? certificate : nil)
            let error = await #expect(throws: UpstreamError.self) { _ = try await pool.fetch() }
            guard case .tlsFailed(let reason) = error?.code else {
                Issue.record("not a TLS failure: \(String(describing: error))")
                return
            }
            #expect(!reason.isEmpty)
            #expect(pool.openCount == 0)
        }
    }

    @Test func `TLS 1.1 is refused`() async throws {
        let certificate = try TestCertificate()
        let server = try TLSTestServer(certificate, options: ["-www", "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"])
        try await onLoop {
            let error = await #expect(throws: UpstreamError.self) { _ = try await pool(server.port, trusting: certificate).fetch() }
            guard case .tlsFailed = error?.code else {
                Issue.record("not a TLS failure: \(String(describing: error))")
                return
            }
        }
    }

    @Test func `a plain server that says nothing meets the connect deadline`() async throws {
        let server = ScriptedServer { peer in _ = peer.waitForHangup() }
        try await onLoop {
            let pool = try pool(server.port, trusting: nil) { $0.connectWithin = .milliseconds(100) }
            #expect(try await pool.failure() == .timedOut(.connect))
        }
    }

    @Test func `a TLS connection is kept, and carries more than a buffer full`() async throws {
        let certificate = try TestCertificate()
        let server = try TLSTestServer(certificate)
        let body = String(repeating: "0123456789abcdef", count: 20_000)
        spawnThread(name: "tls-script") {
            for _ in 0..<3 {
                _ = server.read(until: "\r\n\r\n")
                server.send("HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
            }
        }
        try await onLoop {
            let pool = try pool(server.port, trusting: certificate)
            for _ in 0..<3 {
                #expect(try await pool.fetch() == "200 \(body)")
                #expect((pool.openCount, pool.idleCount) == (1, 1), "a session ticket does not end an idle connection")
            }
        }
    }

    @Test func `pausing after every read loses nothing that OpenSSL holds`() async throws {
        let certificate = try TestCertificate()
        let server = try TLSTestServer(certificate)
        let body = String(repeating: "0123456789abcdef", count: 20_000)
        spawnThread(name: "tls-script") {
            _ = server.read(until: "\r\n\r\n")
            server.send("HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
        }
        try await onLoop {
            let seen = Seen()
            let response = try await pool(server.port, trusting: certificate).get()
            try await response.pipe { part in
                seen.take(part)
                response.pause()
                loop.schedule(after: .milliseconds(1)) { response.resume() }
            }
            #expect(seen.text == body)
        }
    }

    @Test func `an end without TLS's closing alert is not an end`() async throws {
        let certificate = try TestCertificate()
        let server = try TLSTestServer(certificate)
        spawnThread(name: "tls-script") {
            _ = server.read(until: "\r\n\r\n")
            server.send("HTTP/1.1 200 OK\r\n\r\nuntil close, or so it seems")
        }
        try await onLoop {
            let (response, seen) = (try await pool(server.port, trusting: certificate).get(), Seen())
            let error = await #expect(throws: UpstreamError.self) {
                try await response.pipe { part in
                    seen.take(part)
                    if seen.text.hasSuffix("seems") { server.stop() }
                }
            }
            #expect(error?.code == .closedEarly)
        }
    }

    /// A call that is sent again finds no server: its error is another one.
    @Test func `a call that a TLS server has read is not sent again`() async throws {
        let certificate = try TestCertificate()
        let server = try TLSTestServer(certificate)
        spawnThread(name: "tls-script") {
            _ = server.read(until: "\r\n\r\n")
            server.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na")
            _ = server.read(until: "\r\n\r\n\u{1}")
            server.stop()
        }
        try await onLoop {
            let pool = try pool(server.port, trusting: certificate)
            #expect(try await pool.fetch() == "200 a")
            let error = await #expect(throws: UpstreamError.self) { try await pool.post() }
            #expect(error?.code == .closedEarly)
        }
    }
}
