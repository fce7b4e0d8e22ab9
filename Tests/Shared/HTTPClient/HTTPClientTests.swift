import EventLoop
import HTTPClient
import Synchronization
import TestSupport
import Testing

private let loop = EventLoop.spawn(name: "client-tests")

struct HTTPClientTests {
    let client = HTTPClient(loop: loop)

    func failure(_ request: ClientRequest) async throws -> ClientError.Code {
        let error = await #expect(throws: ClientError.self) { try await client.request(request) }
        return try #require(error).code
    }

    @Test func `a request arrives as written, and its answer is complete`() async throws {
        let seen = Mutex("")
        let server = ScriptedServer { peer in
            let text = peer.request() ?? ""
            seen.withLock { $0 = text }
            peer.send("HTTP/1.1 100 Continue\r\nx-early: 1\r\n\r\n")
            peer.send("HTTP/1.1 201 Created\r\nContent-Length: 5\r\nX-Two: a\r\nx-two:  b \r\nX-Empty:\r\n\r\nhello")
        }
        let request = ClientRequest(
            "POST", "http://127.0.0.1:\(server.port)/v1/things?q=1",
            headers: [("Content-Type", "application/json"), ("Authorization", "Bearer k")], body: Array("{}".utf8))
        let answer = try await client.request(request)
        #expect(answer.status == 201)
        #expect(answer.body == Array("hello".utf8))
        #expect(answer.header("x-two") == "a")
        #expect(answer.headers.map(\.name) == ["Content-Length", "X-Two", "x-two", "X-Empty"])
        #expect(answer.headers.map(\.value) == ["5", "a", "b", ""])
        let sent = seen.withLock { $0 }
        let lines = sent.split(separator: "\r\n", omittingEmptySubsequences: false).map(String.init)
        #expect(lines.first == "POST /v1/things?q=1 HTTP/1.1")
        #expect(lines.last == "{}")
        #expect(lines.count == 7, "request line, host, two given headers, length, empty line, body: \(lines)")
    }

    @Test(arguments: ["GET", "DELETE", "PUT", "PATCH", "HEAD"])
    func `each method is sent under its own name`(_ method: String) async throws {
        let server = ScriptedServer { peer in
            let text = peer.request() ?? ""
            let ok = text.hasPrefix("\(method) / HTTP/1.1\r\n") && !text.lowercased().contains("content-length")
            peer.send("HTTP/1.1 \(ok ? 200 : 400) X\r\nContent-Length: 0\r\n\r\n")
        }
        #expect(try await client.request(ClientRequest(method, "http://127.0.0.1:\(server.port)/")).status == 200)
    }

    @Test func `an empty body is sent as length zero`() async throws {
        let server = ScriptedServer { peer in
            let ok = peer.request()?.lowercased().contains("content-length: 0\r\n") == true
            peer.send("HTTP/1.1 \(ok ? 200 : 400) X\r\nContent-Length: 0\r\n\r\n")
        }
        #expect(try await client.request(ClientRequest("POST", "http://127.0.0.1:\(server.port)/", body: [])).status == 200)
    }

    @Test func `requests one after another share a connection`() async throws {
        let server = ScriptedServer { peer in
            while peer.request() != nil { peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") }
        }
        for _ in 0..<5 { _ = try await client.request(ClientRequest("GET", "http://127.0.0.1:\(server.port)/")) }
        #expect(server.connections == 1)
    }

    @Test func `fifty requests at once all get their own answer`() async throws {
        let server = ScriptedServer { peer in
            while let text = peer.request() {
                let path = text.split(separator: " ")[1]
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: \(path.utf8.count)\r\n\r\n\(path)")
            }
        }
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for index in 0..<50 {
                group.addTask {
                    let answer = try await client.request(ClientRequest("GET", "http://127.0.0.1:\(server.port)/\(index)"))
                    return answer.body == Array("/\(index)".utf8)
                }
            }
            for try await right in group { #expect(right) }
        }
    }

    @Test func `a redirect is an answer`() async throws {
        let server = ScriptedServer { peer in
            _ = peer.request()
            peer.send("HTTP/1.1 302 Found\r\nLocation: /new\r\nContent-Length: 0\r\n\r\n")
        }
        let answer = try await client.request(ClientRequest("GET", "http://127.0.0.1:\(server.port)/old"))
        #expect(answer.status == 302)
        #expect(answer.header("location") == "/new")
    }

    @Test func `an answer longer than allowed ends the request`() async throws {
        let server = ScriptedServer { peer in
            _ = peer.request()
            peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while peer.send("400\r\n\(String(repeating: "x", count: 1_024))\r\n") {}
        }
        var request = ClientRequest("GET", "http://127.0.0.1:\(server.port)/")
        request.responseBytesMax = 100_000
        #expect(try await failure(request) == .tooLarge)
    }

    @Test(arguments: ["HTTP/1.1 200 OK\r\n", "HTTP/1.1 100 Continue\r\n\r\n"])
    func `heads that do not end count as an answer longer than allowed`(part: String) async throws {
        let server = ScriptedServer { peer in
            _ = peer.request()
            peer.send(part)
            while peer.send(part.hasSuffix("\r\n\r\n") ? part : "x-more: \(String(repeating: "x", count: 1_000))\r\n") {}
        }
        var request = ClientRequest("GET", "http://127.0.0.1:\(server.port)/")
        request.responseBytesMax = 100_000
        #expect(try await failure(request) == .tooLarge)
    }

    @Test func `a server that never answers meets the deadline`() async throws {
        let server = ScriptedServer { peer in _ = peer.waitForHangup() }
        var request = ClientRequest("GET", "http://127.0.0.1:\(server.port)/")
        request.timeout = .milliseconds(150)
        #expect(try await failure(request) == .timedOut)
    }

    @Test func `a body that stops short is not an answer`() async throws {
        let server = ScriptedServer { peer in
            _ = peer.request()
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        }
        #expect(try await failure(ClientRequest("GET", "http://127.0.0.1:\(server.port)/")) == .closedEarly)
    }

    @Test func `an unsafe request is refused before it is sent`() async throws {
        var port = 0
        do {
            let server = ScriptedServer { _ in }
            port = server.port
        }
        #expect(try await failure(ClientRequest("GET", "http://127.0.0.1:\(port)/")) == .connectFailed)
        #expect(try await failure(ClientRequest("GET", "file:///etc/hostname")) == .badRequest)
        #expect(try await failure(ClientRequest("GE T", "http://127.0.0.1/")) == .badRequest)
        let split = ClientRequest("GET", "http://127.0.0.1/", headers: [("x-a", "1\r\nx-b: 2")])
        #expect(try await failure(split) == .badRequest)
    }

    @Test func `cancelling the task drops the transfer`() async throws {
        let (arrived, hungUp) = (Gate(on: loop), Gate(on: loop))
        let server = ScriptedServer { peer in
            _ = peer.request()
            arrived.open()
            if peer.waitForHangup() { hungUp.open() }
        }
        try await withTaskExecutorPreference(loop) {
            let task = Task(executorPreference: loop) { try await client.request(ClientRequest("GET", "http://127.0.0.1:\(server.port)/")) }
            try await arrived.wait()
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            try await hungUp.wait()
        }
    }

    @Test func `closing a client ends its running requests`() async throws {
        let arrived = Gate(on: loop)
        let server = ScriptedServer { peer in
            _ = peer.request()
            arrived.open()
            _ = peer.waitForHangup()
        }
        try await withTaskExecutorPreference(loop) {
            let short = HTTPClient(loop: loop)
            let request = ClientRequest("GET", "http://127.0.0.1:\(server.port)/")
            let task = Task(executorPreference: loop) { [short] in try await short.request(request) }
            try await arrived.wait()
            short.close()
            let error = await #expect(throws: ClientError.self) { try await task.value }
            #expect(error?.code == .closedEarly)
        }
    }
}

struct HTTPClientTLSTests {
    let client = HTTPClient(loop: loop)

    @Test func `a certificate for this host from a trusted authority is accepted`() async throws {
        let certificate = try TestCertificate()
        let server = try TLSTestServer(certificate, options: ["-www"])
        var request = ClientRequest("GET", "https://localhost:\(server.port)/")
        request.caFile = certificate.certificate
        #expect(try await client.request(request).status == 200)
    }

    @Test(arguments: [("DNS:localhost,IP:127.0.0.1", 2, false), ("DNS:other.example", 2, true), ("DNS:localhost,IP:127.0.0.1", -1, true)])
    func `a certificate that is unknown, for another host or expired is refused`(_ names: String, _ days: Int, _ trusted: Bool) async throws
    {
        let certificate = try TestCertificate(names: names, days: days)
        let server = try TLSTestServer(certificate, options: ["-www"])
        var request = ClientRequest("GET", "https://127.0.0.1:\(server.port)/")
        if trusted { request.caFile = certificate.certificate }
        let error = await #expect(throws: ClientError.self) { try await client.request(request) }
        #expect(error?.code == .tlsFailed)
    }
}
