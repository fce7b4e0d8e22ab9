import EventLoop
import HTTP
import HTTPWire
import Synchronization
import TestSupport
import Testing

/// Streams, slow readers, vanished clients.
@Suite(.timeLimit(.minutes(1)))
struct StreamingTests {
    private static let piece = [UInt8](repeating: UInt8(ascii: "x"), count: 16 << 10)

    /// Suspends a handler for as long as its client stays; says on `events` what it was told.
    private static func waitForClose(_ exchange: Exchange, _ events: AsyncStream<String>.Continuation) async {
        let gone = Promise<Void>(on: exchange.loop)
        exchange.onClose = {
            events.yield("closed")
            gone.succeed(())
        }
        events.yield("waiting")
        try? await gone.value()
    }

    @Test func `head, pieces and end written in one turn arrive together`() async throws {
        let server = try await TestServer { exchange in
            exchange.begin(200, headers: ["content-type": "text/event-stream"])
            exchange.write(Array("one".utf8))
            exchange.write(Array("twotwotwotwotwotwo".utf8))
            exchange.end()
        }
        let client = server.client()
        client.send(get("/"))
        client.read { !$0.received.isEmpty }
        #expect(client.text.hasSuffix("transfer-encoding: chunked\r\n\r\n3\r\none\r\n12\r\ntwotwotwotwotwotwo\r\n0\r\n\r\n"))
    }

    @Test func `pieces written in different turns arrive each at once`() async throws {
        let (steps, next) = AsyncStream.makeStream(of: Promise<Void>.self)
        let server = try await TestServer { exchange in
            exchange.begin(200)
            for word in ["one", "two"] {
                let go = Promise<Void>(on: exchange.loop)
                next.yield(go)
                try? await go.value()
                exchange.write(Array(word.utf8))
            }
            exchange.end()
        }
        let client = server.client()
        client.send(get("/"))
        var step = steps.makeAsyncIterator()
        for word in ["one", "two"] {
            await step.next()?.succeed(())
            client.read { $0.text.contains("\r\n\(word)\r\n") }
            #expect(client.text.contains("\r\n\(word)\r\n"))
        }
        client.read { $0.text.hasSuffix("0\r\n\r\n") }
        #expect(client.text.hasSuffix("0\r\n\r\n"))
    }

    @Test func `a slow reader holds the writer between the water marks and gets every byte`() async throws {
        let pieces = 2_000  // 32 MB: more than the kernel buffers
        let mostBuffered = Mutex(0)
        let pauses = Mutex(0)
        let server = try await TestServer { exchange in
            exchange.begin(200)
            for _ in 0..<pieces {
                exchange.write(Self.piece)
                let buffered = exchange.buffered
                mostBuffered.withLock { $0 = max($0, buffered) }
                guard exchange.isBackpressured else { continue }
                pauses.withLock { $0 += 1 }
                guard (try? await exchange.drained()) == true else { return }
            }
            exchange.end()
        }
        let client = server.client(receiveBuffer: 64 << 10)
        client.send(get("/"))
        let chunk = "4000\r\n".utf8.count + Self.piece.count + "\r\n".utf8.count
        let body = pieces * chunk + "0\r\n\r\n".utf8.count
        client.read { $0.received.count > body && $0.received.suffix(5) == Array("0\r\n\r\n".utf8)[...] }
        let head = String(decoding: client.received.prefix(client.received.count - body), as: UTF8.self)
        #expect(head.hasPrefix("HTTP/1.1 200 OK\r\n") && head.hasSuffix("\r\n\r\n"))
        #expect(pauses.withLock { $0 } > 10)
        #expect(mostBuffered.withLock { $0 } <= HTTPServerConfiguration().highWater + Self.piece.count)
    }

    @Test func `a client that reads nothing is disconnected after the write stall`() async throws {
        var configuration = HTTPServerConfiguration()
        configuration.writeStallWithin = .milliseconds(100)
        let (events, say) = AsyncStream.makeStream(of: String.self)
        let server = try await TestServer(configuration) { exchange in
            exchange.begin(200)
            while !exchange.isClosed {
                exchange.write(Self.piece)
                if exchange.isBackpressured { _ = try? await exchange.drained() }
            }
            say.yield("given up")
        }
        let client = server.client(receiveBuffer: 4 << 10)
        client.send(get("/"))
        var iterator = events.makeAsyncIterator()
        #expect(await iterator.next() == "given up")
        #expect(client.readToEnd() == .reset)
    }

    @Test func `beyond the budget of waiting answers the client with the most of them is reset, and the others go on`() async throws {
        var configuration = HTTPServerConfiguration()
        configuration.waitingOutputBytesMax = 40 << 20
        let server = try await TestServer(configuration) { exchange in
            exchange.respond(200, body: [UInt8](repeating: 0x78, count: exchange.path == "/large" ? 40 << 20 : 16 << 20))
        }
        let large = server.client(receiveBuffer: 4 << 10)
        large.send(get("/large"))
        large.read { $0.received.count > 1 }
        let small = server.client(receiveBuffer: 4 << 10)
        small.send(get("/"))
        #expect(large.readToEnd() == .reset)
        small.read { $0.received.count > 16 << 20 }
        #expect(small.statuses == [200])
    }

    @Test func `an answer behind one that waits is counted too`() async throws {
        let server = try await TestServer { exchange in
            guard exchange.path != "/large" else { return exchange.respond(200, body: [UInt8](repeating: 0x78, count: 16 << 20)) }
            // At its end little waits, so the next request is handled.
            exchange.begin(200)
            while exchange.buffered < 100 << 10 {
                exchange.write(Self.piece)
                try? await exchange.loop.sleep(for: .milliseconds(1))
            }
            exchange.end()
        }
        var client: RawClient? = server.client(receiveBuffer: 4 << 10)
        client?.send(get("/") + get("/large"))
        try await until("the second answer is counted") {
            await Task(executorPreference: server.loop) { server.server.waitingOutputBytes > 16 << 20 }.value
        }
        client = nil
        try await until("nothing is counted any more") {
            await Task(executorPreference: server.loop) { server.server.waitingOutputBytes == 0 }.value
        }
    }

    @Test(arguments: ["leaves", "resets", "half-closes", "leaves after sending more than is read ahead"])
    func `a vanished client is noticed while its handler waits`(how: String) async throws {
        let (events, say) = AsyncStream.makeStream(of: String.self)
        let server = try await TestServer { exchange in await Self.waitForClose(exchange, say) }
        var client: RawClient? = server.client()
        client?.send(get("/"))
        var iterator = events.makeAsyncIterator()
        #expect(await iterator.next() == "waiting")
        switch how {
        case "resets": client?.reset()
        case "half-closes": client?.shutdownWrite()
        case "leaves": client = nil
        default:
            client?.send([UInt8](repeating: UInt8(ascii: "x"), count: 100_000))
            client = nil
        }
        #expect(await iterator.next() == "closed")
    }

    @Test func `a streamed response has any length, and HEAD makes no part of it`() async throws {
        let made = Mutex(0)
        let server = try await TestServer { router in
            router.on(.get, "/") { _ in
                .stream(200, headers: ["content-type": "text/csv"]) { body in
                    for _ in 0..<1_000 {
                        made.withLock { $0 += 1 }
                        try await body.write(Self.piece)
                    }
                }
            }
        }
        let client = server.client(receiveBuffer: 64 << 10)
        client.send("HEAD / HTTP/1.1\r\nHost: test\r\n\r\n")
        client.read { !$0.answers.isEmpty }
        #expect(client.statuses == [200])
        #expect(made.withLock { $0 } == 0)
        client.send(get("/", "Connection: close\r\n"))
        #expect(client.readToEnd() == .closed)
        #expect(client.text.contains("content-type: text/csv"))
        #expect(client.received.count { $0 == UInt8(ascii: "x") } >= 1_000 * Self.piece.count)
        #expect(client.text.hasSuffix("\r\n0\r\n\r\n"))
    }

    @Test func `a client that hangs up ends the writer of a streamed response`() async throws {
        let (events, say) = AsyncStream.makeStream(of: String.self)
        let server = try await TestServer { router in
            router.on(.get, "/") { _ in
                .stream(200) { body in
                    do {
                        while true { try await body.write(Self.piece) }
                    } catch {
                        say.yield("\(error)")
                        throw error
                    }
                }
            }
        }
        var client: RawClient? = server.client(receiveBuffer: 4 << 10)
        client?.send(get("/"))
        client?.read { $0.received.count > 1_000 }
        client = nil
        var iterator = events.makeAsyncIterator()
        #expect(await iterator.next() == "ClientGone()")
    }

    @Test func `a streamed response that fails lacks its last chunk`() async throws {
        struct Broken: Error {}
        let server = try await TestServer { router in
            router.on(.get, "/") { _ in
                .stream(200) { body in
                    try await body.write(Array("part".utf8))
                    throw Broken()
                }
            }
        }
        let client = server.client()
        client.send(get("/"))
        _ = client.readToEnd()
        #expect(client.statuses == [200])
        #expect(!client.text.hasSuffix("0\r\n\r\n"))
    }

    @Test func `an aborted chunked answer lacks its last chunk`() async throws {
        let server = try await TestServer { exchange in
            exchange.begin(200)
            exchange.write(Array("part".utf8))
            exchange.abort()
        }
        let client = server.client()
        client.send(get("/"))
        #expect(client.readToEnd() == .closed)
        #expect(client.text.hasSuffix("4\r\npart\r\n"))
    }

    @Test func `an aborted answer that only close would end is reset`() async throws {
        let server = try await TestServer { exchange in
            exchange.begin(200)
            exchange.write(Array("part".utf8))
            exchange.abort()
        }
        let client = server.client()
        client.send("GET / HTTP/1.0\r\n\r\n")
        #expect(client.readToEnd() == .reset)
    }

    @Test func `HTTP 1.0 gets its stream unframed and closed at the end`() async throws {
        let server = try await TestServer { exchange in
            exchange.begin(200)
            exchange.write(Array("whole".utf8))
            exchange.end()
        }
        let client = server.client()
        client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        #expect(client.readToEnd() == .closed)
        #expect(client.text.hasSuffix("connection: close\r\n\r\nwhole"))
    }

    @Test func `a handler that forgets to answer is answered with 500`() async throws {
        let server = try await TestServer { exchange in if exchange.path == "/begun" { exchange.begin(200) } }
        let (statuses, _, text) = server.say(get("/"), within: 300)
        #expect(statuses == [500])
        #expect(text.contains("internal_error"))
        let begun = server.say(get("/begun"))
        #expect(begun.end == .closed)
        #expect(!begun.text.hasSuffix("0\r\n\r\n"))
    }

    @Test func `pipelined requests are handled one at a time and answered in order`() async throws {
        let running = Mutex(0)
        let mostRunning = Mutex(0)
        let server = try await TestServer { exchange in
            let now = running.withLock { count in
                count += 1
                return count
            }
            mostRunning.withLock { $0 = max($0, now) }
            // Later requests would overtake earlier ones if they could.
            try? await exchange.loop.sleep(for: .milliseconds(exchange.path == "/0" ? 20 : 1))
            running.withLock { $0 -= 1 }
            exchange.respond(200, body: Array(exchange.path.utf8))
        }
        let client = server.client()
        client.send((0..<20).map { get("/\($0)") }.joined())
        client.read { $0.answers.count == 20 }
        #expect(client.answers.map { String(decoding: $0.body, as: UTF8.self) } == (0..<20).map { "/\($0)" })
        #expect(mostRunning.withLock { $0 } == 1)
    }

    @Test func `thousands of pipelined requests to a client that reads late are all answered`() async throws {
        let count = 5_000
        let body = [UInt8](repeating: UInt8(ascii: "y"), count: 2_000)
        let server = try await TestServer { exchange in exchange.respond(200, body: body) }
        let client = server.client(receiveBuffer: 16 << 10)
        let requests = String(repeating: get("/"), count: count)
        // Written from a thread of its own: the server stops reading while the client reads no
        // answers.
        spawnThread(name: "pipeline") { client.send(requests) }
        var last = 0
        client.read { client in
            last = client.received.count
            return last >= count * 2_000 + count * 80 && client.answers.count == count
        }
        #expect(client.answers.count == count)
    }
}
