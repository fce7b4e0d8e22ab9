import EventLoop
import HTTPWire
import Synchronization
import TestSupport
import Testing
import UpstreamClient

/// Requests as they leave, and every way an answer can be framed.
struct UpstreamAnswerTests {
    @Test func `a request is sent as written, without hop-by-hop fields`() async throws {
        let seen = Mutex("")
        let server = ScriptedServer { peer in
            let text = peer.request() ?? ""
            seen.withLock { $0 = text }
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Y: z\r\n\r\nok")
        }
        try await onLoop {
            let headers: HeaderBlock = [
                "authorization": "Bearer k", "connection": "close", "host": "evil", "content-length": "999", "x-a": "1",
            ]
            let response = try await pool(server.port).send(
                method: "POST", target: Array("/v1/x?a=b".utf8), headers: headers, body: Array("{}".utf8))
            #expect(response.status == 200)
            #expect(response.headers.string(for: "x-y") == "z")
            #expect(try await response.collect(upTo: 2) == Array("ok".utf8))
        }
        let expected =
            "POST /v1/x?a=b HTTP/1.1\r\nHost: 127.0.0.1:\(server.port)\r\nauthorization: Bearer k\r\nx-a: 1\r\nContent-Length: 2\r\n\r\n{}"
        #expect(seen.withLock { $0 } == expected)
    }

    @Test func `a target that would split the request is refused`() async throws {
        let server = ScriptedServer(echo)
        try await onLoop {
            let pool = try pool(server.port)
            #expect(try await pool.failure("/ HTTP/1.1\r\nx: ") == .malformed)
        }
        #expect(server.connections == 0)
    }

    @Test(arguments: [
        ("200 OK\r\nContent-Length: 5\r\n\r\nhello", "200 hello", true),
        ("200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nTrailer: t\r\n\r\n", "200 hello", true),
        ("204 No Content\r\n\r\n", "204 ", true),
        ("304 Not Modified\r\nContent-Length: 7\r\n\r\n", "304 ", true),
        ("500 Oops\r\nContent-Length: 0\r\n\r\n", "500 ", true),
        ("100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", "200 x", true),
        ("200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", "200 x", false),
        ("200 OK\r\nContent-Length: 1\r\n\r\nxtra", "200 x", false),
    ])
    func `an answer is complete with every framing`(_ answer: String, _ expected: String, _ isKept: Bool) async throws {
        let server = ScriptedServer { peer in while peer.request() != nil { peer.send("HTTP/1.1 \(answer)") } }
        try await onLoop {
            let pool = try pool(server.port)
            for _ in 0..<3 { #expect(try await pool.fetch() == expected) }
            #expect(pool.openCount == (isKept ? 1 : 0))
        }
        #expect(server.connections == (isKept ? 1 : 3))
    }

    @Test func `an answer without a length ends with its connection`() async throws {
        let server = ScriptedServer { peer in
            _ = peer.request()
            peer.send("HTTP/1.1 200 OK\r\n\r\nuntil close")
        }
        try await onLoop {
            let pool = try pool(server.port)
            #expect(try await pool.fetch() == "200 until close")
            #expect(pool.openCount == 0)
        }
    }

    @Test func `an answer that trickles in byte by byte is the same answer`() async throws {
        let server = ScriptedServer { peer in
            while peer.request() != nil {
                for byte in "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n".utf8 { peer.send([byte]) }
            }
        }
        try await onLoop {
            let pool = try pool(server.port)
            for _ in 0..<20 { #expect(try await pool.fetch() == "200 hello") }
            #expect(pool.idleCount == 1)
        }
    }

    @Test func `HEAD has a length and no body`() async throws {
        let server = ScriptedServer { peer in while peer.request() != nil { peer.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n") } }
        try await onLoop {
            let pool = try pool(server.port)
            for _ in 0..<2 {
                let response = try await pool.send(method: "HEAD", target: [UInt8(ascii: "/")], headers: [:], body: [])
                #expect(try await response.collect(upTo: 0) == [])
            }
            #expect(pool.idleCount == 1)
        }
    }

    @Test func `many chunks in one read reach the sink as one run`() async throws {
        let server = ScriptedServer { peer in
            _ = peer.request()
            let chunks = (0..<500).map { "4\r\n\(1000 + $0)\r\n" }.joined()
            peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\(chunks)0\r\n\r\n")
        }
        try await onLoop {
            let seen = Seen()
            try await pool(server.port).get().pipe(seen.take)
            #expect(seen.text == (0..<500).map { "\(1000 + $0)" }.joined())
            #expect(seen.calls <= 3, "4.5 KB arrive in a read or two, not in 500")
        }
    }

    @Test(arguments: [
        "Content-Length: 10\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", "Transfer-Encoding: chunked\r\n\r\n9\r\nhalf",
    ])
    func `an upstream that dies in its body gives the received bytes and then an error`(_ start: String) async throws {
        let server = ScriptedServer { peer in
            _ = peer.request()
            peer.send("HTTP/1.1 200 OK\r\n\(start)")
        }
        try await onLoop {
            let seen = Seen()
            let response = try await pool(server.port).get()
            let error = await #expect(throws: UpstreamError.self) { try await response.pipe(seen.take) }
            #expect(error?.code == .closedEarly)
            #expect(seen.text == "half")
        }
    }

    @Test(arguments: [
        "garbage\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ])
    func `an ambiguous answer is refused`(_ answer: String) async throws {
        let server = ScriptedServer { peer in
            _ = peer.request()
            peer.send(answer)
            _ = peer.waitForHangup()
        }
        try await onLoop {
            let pool = try pool(server.port)
            #expect(try await pool.failure() == .malformed)
            #expect(pool.openCount == 0)
        }
    }

    @Test(arguments: ["Content-Length: 2000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n"])
    func `collecting stops at its limit`(_ framing: String) async throws {
        let server = ScriptedServer { peer in
            _ = peer.request()
            peer.send("HTTP/1.1 200 OK\r\n\(framing)")
            while peer.send("3e8\r\n\(String(repeating: "x", count: 1_000))\r\n") {}
        }
        try await onLoop {
            let pool = try pool(server.port)
            let response = try await pool.get()
            let error = await #expect(throws: UpstreamError.self) { try await response.collect(upTo: 1_500) }
            #expect(error?.code == .tooLarge)
            #expect(pool.openCount == 0)
        }
    }

    @Test func `an answer that comes before the request was read is still the answer`() async throws {
        // The server reads nothing before the test has looked: the answer is in before the request
        // is out.
        let hasLooked = Gate(on: loop)
        let server = ScriptedServer { peer in
            peer.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig")
            _ = hasLooked.waitBlocking()
            _ = peer.waitForHangup()
        }
        try await onLoop {
            defer { hasLooked.open() }
            let pool = try pool(server.port)
            let body = [UInt8](repeating: 1, count: 64 << 20)
            let response = try await pool.send(method: "POST", target: [UInt8(ascii: "/")], headers: [:], body: body)
            #expect(response.status == 413)
            #expect(try await response.collect(upTo: 10) == Array("big".utf8))
            #expect(pool.openCount == 0, "a connection with half a request on it is of no further use")
        }
    }
}
