import EventLoop
import HTTPWire
import TestSupport
import Testing
import UpstreamClient

/// Connections: kept, stale, bounded, shared.
struct UpstreamPoolTests {
    @Test func `calls one after another share a connection`() async throws {
        let server = ScriptedServer(echo)
        try await onLoop {
            let pool = try pool(server.port)
            for index in 0..<10 { #expect(try await pool.fetch("/\(index)") == "200 /\(index)") }
            #expect((pool.openCount, pool.idleCount) == (1, 1))
        }
        #expect(server.connections == 1)
    }

    @Test func `fifty calls at once all get their own answer`() async throws {
        let server = ScriptedServer(echo)
        try await onLoop {
            let pool = try pool(server.port) { $0.connectionsMax = 8 }
            try await withThrowingTaskGroup(of: Bool.self) { group in
                for index in 0..<50 { group.addTask { try await pool.fetch("/\(index)") == "200 /\(index)" } }
                for try await isRight in group { #expect(isRight) }
            }
            #expect(pool.openCount <= 8)
            #expect(pool.waitingCount == 0)
        }
        #expect(server.connections <= 8)
    }

    @Test(arguments: [ClosingServer.End.close, .reset, .requestTimeout])
    func `a call takes a new connection when the server has ended the kept one`(_ end: ClosingServer.End) async throws {
        let server = ClosingServer(end)
        try await onLoop {
            let pool = try pool(server.port)
            #expect(try await pool.fetch() == "200 a")
            #expect(server.end())
            #expect(try await pool.post("/again") == "200 /again")
        }
        #expect(server.connections == 2)
    }

    @Test func `a call is sent again when its kept connection ends without a byte of it`() async throws {
        let server = FullServer()
        try await onLoop {
            let call = try await server.secondCall(try pool(server.port))
            try await call.head()
            #expect(try await call.collect(upTo: 99) == Array("/again".utf8))
        }
        #expect(server.connections == 2)
    }

    @Test(arguments: [ClosingServer.End.close, .reset])
    func `a call that the server has read is not sent again`(_ end: ClosingServer.End) async throws {
        let server = ScriptedServer { peer in
            guard peer.number == 1 else { return echo(peer) }
            _ = peer.request()
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na")
            _ = peer.request()
            if end == .reset { peer.reset() }
        }
        try await onLoop {
            let pool = try pool(server.port)
            #expect(try await pool.fetch() == "200 a")
            let error = await #expect(throws: UpstreamError.self) { try await pool.post() }
            #expect(error?.code == .closedEarly)
        }
        #expect(server.connections == 1)
    }

    @Test func `the second connection is the last`() async throws {
        let server = FullServer { peer in _ = peer.request() }
        try await onLoop {
            let call = try await server.secondCall(try pool(server.port))
            let error = await #expect(throws: UpstreamError.self) { try await call.head() }
            #expect(error?.code == .closedEarly)
        }
        #expect(server.connections == 2)
    }

    @Test func `a connection that has reached its greatest age is closed after its call`() async throws {
        let server = ScriptedServer(echo)
        try await onLoop {
            let pool = try pool(server.port) { $0.ageMax = .zero }
            for index in 1...3 {
                #expect(try await pool.fetch("/\(index)") == "200 /\(index)")
                #expect(pool.openCount == 0)
            }
        }
        #expect(server.connections == 3)
    }

    @Test func `a call is not repeated once a byte of its answer has come`() async throws {
        let server = ScriptedServer { peer in
            _ = peer.request()
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na")
            _ = peer.request()
            peer.send("HTTP/1.1 2")
        }
        try await onLoop {
            let pool = try pool(server.port)
            #expect(try await pool.fetch() == "200 a")
            #expect(try await pool.failure() == .closedEarly)
        }
        #expect(server.connections == 1)
    }

    @Test func `a new connection that dies is an error at once`() async throws {
        let server = ScriptedServer { peer in _ = peer.request() }
        try await onLoop {
            let pool = try pool(server.port)
            #expect(try await pool.failure() == .closedEarly)
        }
        #expect(server.connections == 1)
    }

    @Test func `an idle connection that the server closes leaves the pool`() async throws {
        let server = ScriptedServer { peer in
            _ = peer.request()
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na")
        }
        try await onLoop {
            let pool = try pool(server.port)
            #expect(try await pool.fetch() == "200 a")
            for _ in 0..<1_000 where pool.openCount > 0 { try await loop.sleep(for: .milliseconds(5)) }
            #expect(pool.openCount == 0)
        }
    }

    @Test func `idle connections beyond the limit are closed`() async throws {
        let server = ScriptedServer(echo)
        try await onLoop {
            let pool = try pool(server.port) { $0.idleMax = 2 }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<10 { group.addTask { _ = try await pool.fetch() } }
                try await group.waitForAll()
            }
            #expect((pool.openCount, pool.idleCount) == (2, 2))
        }
    }

    @Test func `a call above the limit waits in line, and one above the line is refused`() async throws {
        let release = Gate(on: loop)
        let server = ScriptedServer { peer in
            _ = peer.request()
            _ = release.waitBlocking()
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na")
            echo(peer)
        }
        try await onLoop {
            let pool = try pool(server.port) { ($0.connectionsMax, $0.waitingMax) = (1, 1) }
            let first = pool.begin(method: "GET", target: Array("/1".utf8), headers: [:], body: [])
            let second = pool.begin(method: "GET", target: Array("/2".utf8), headers: [:], body: [])
            #expect(pool.waitingCount == 1)
            #expect(try await pool.failure("/3") == .saturated)
            release.open()
            try await first.head()
            #expect(try await first.collect(upTo: 9) == Array("a".utf8))
            try await second.head()
            #expect(try await second.collect(upTo: 9) == Array("/2".utf8))
        }
        #expect(server.connections == 1)
    }

    @Test func `a call that gave up in the middle of the line makes room`() async throws {
        let release = Gate(on: loop)
        let server = ScriptedServer { peer in
            _ = peer.request()
            _ = release.waitBlocking()
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na")
            echo(peer)
        }
        try await onLoop {
            let pool = try pool(server.port) { ($0.connectionsMax, $0.waitingMax) = (1, 2) }
            let calls = ["/1", "/2", "/3"].map { pool.begin(method: "GET", target: Array($0.utf8), headers: [:], body: []) }
            calls[2].cancel()
            let last = pool.begin(method: "GET", target: Array("/4".utf8), headers: [:], body: [])
            #expect(pool.waitingCount == 2)
            release.open()
            for (call, answer) in [(calls[0], "a"), (calls[1], "/2"), (last, "/4")] {
                try await call.head()
                #expect(try await call.collect(upTo: 9) == Array(answer.utf8))
            }
        }
        #expect(server.connections == 1)
    }

    @Test func `a wait in line has a deadline, and a call that gave up makes room`() async throws {
        let server = ScriptedServer { peer in _ = peer.waitForHangup() }
        try await onLoop {
            let pool = try pool(server.port) { ($0.connectionsMax, $0.waitingMax, $0.waitWithin) = (1, 1, .milliseconds(50)) }
            let first = pool.begin(method: "GET", target: Array("/1".utf8), headers: [:], body: [])
            #expect(try await pool.failure("/2") == .saturated)
            #expect(try await pool.failure("/3") == .saturated)
            #expect(pool.waitingCount == 1, "gave up in line, swept when the next one comes")
            first.cancel()
            #expect((pool.openCount, pool.waitingCount) == (0, 0))
        }
    }

    @Test func `a server that does not listen is an error`() async throws {
        var port = 0
        do {
            let server = ScriptedServer { _ in }
            port = server.port
        }
        try await onLoop { [port] in
            let pool = try pool(port)
            let error = await #expect(throws: UpstreamError.self) { try await pool.fetch() }
            #expect(error?.code == .connectFailed)
            #expect(pool.openCount == 0)
        }
    }

    @Test func `a host name is looked up, and every address of it tried`() async throws {
        let server = ScriptedServer(echo)
        try await onLoop {
            let origin = Origin(scheme: .http, host: "localhost", port: UInt16(server.port))
            let pool = try UpstreamPool(loop: loop, origin: origin)
            #expect(try await pool.fetch("/a") == "200 /a")
            let nowhere = try UpstreamPool(loop: loop, origin: Origin(scheme: .http, host: "nowhere.invalid", port: 80))
            #expect(try await nowhere.failure() == .connectFailed)
        }
    }

    @Test func `a closed pool refuses, and lets running calls end`() async throws {
        let (arrived, release) = (Gate(on: loop), Gate(on: loop))
        let server = ScriptedServer { peer in
            _ = peer.request()
            arrived.open()
            _ = release.waitBlocking()
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na")
        }
        try await onLoop {
            let pool = try pool(server.port)
            let running = pool.begin(method: "GET", target: Array("/1".utf8), headers: [:], body: [])
            try await arrived.wait()
            pool.close()
            #expect(try await pool.failure() == .cancelled)
            release.open()
            #expect(try await running.collect(upTo: 9) == Array("a".utf8))
            #expect(pool.openCount == 0)
        }
    }
}

struct OriginTests {
    @Test(arguments: [
        ("https://api.openai.com", "api.openai.com", 443, "api.openai.com"),
        ("http://127.0.0.1:8190/", "127.0.0.1", 8190, "127.0.0.1:8190"),
        ("HTTP://Example.COM:80", "example.com", 80, "example.com"), ("https://[::1]:8443", "::1", 8443, "[::1]:8443"),
    ])
    func `an origin is scheme, host and port`(_ text: String, _ host: String, _ port: UInt16, _ authority: String) throws {
        let origin = try #require(Origin(text))
        #expect((origin.host, origin.port, origin.authority) == (host, port, authority))
    }

    @Test(arguments: [
        "", "ftp://x", "http://", "http://a/b", "http://u@h", "http://h:0", "http://h:70000", "http://h:+1", "http://h h", "http://[::1",
        "http://h:", "https:/x", "http://h\r\n",
    ])
    func `any other origin is refused`(_ text: String) {
        #expect(Origin(text) == nil)
    }
}
