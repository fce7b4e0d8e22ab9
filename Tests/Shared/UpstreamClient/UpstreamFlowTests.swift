import EventLoop
import Glibc
import HTTPWire
import Synchronization
import TestSupport
import Testing
import UpstreamClient

/// Streams: pausing, giving up, deadlines.
struct UpstreamFlowTests {
    @Test func `a paused call stops the server and loses nothing`() async throws {
        let blocked = Gate(on: loop)
        let sent = Mutex(0)
        let pattern = (0..<65_521).map { UInt8($0 % 251) }
        let server = ScriptedServer { peer in
            _ = peer.request()
            peer.send("HTTP/1.1 200 OK\r\n\r\n")
            let count = peer.sendUntilBlocked(pattern)
            sent.withLock { $0 = count }
            blocked.open()
        }
        try await onLoop {
            let seen = Seen()
            let response = try await pool(server.port).get()
            let piping = Task(executorPreference: loop) {
                try await response.pipe { part in
                    seen.take(part)
                    if seen.calls == 1 { response.pause() }
                }
            }
            try await blocked.wait()
            let atPause = seen.bytes.count
            #expect(atPause <= 2 * 65_536, "one read after the pause at most, while the server has written \(sent.withLock { $0 })")
            response.resume()
            try await piping.value
            #expect(seen.bytes.count == sent.withLock { $0 })
            #expect(seen.bytes.count > atPause)
            #expect(seen.bytes.enumerated().allSatisfy { $1 == pattern[$0 % pattern.count] })
        }
    }

    @Test func `an unread call buffers a bounded piece`() async throws {
        let blocked = Gate(on: loop)
        let sent = Mutex(0)
        let server = ScriptedServer { peer in
            _ = peer.request()
            peer.send("HTTP/1.1 200 OK\r\n\r\n")
            let count = peer.sendUntilBlocked([UInt8](repeating: 7, count: 65_536))
            sent.withLock { $0 = count }
            blocked.open()
        }
        try await onLoop {
            let seen = Seen()
            let response = try await pool(server.port).get()
            try await blocked.wait()
            try await response.pipe(seen.take)
            #expect(seen.bytes.count == sent.withLock { $0 })
        }
    }

    @Test func `a server that dies while its call is paused costs nothing until resume`() async throws {
        let quiet = EventLoop.spawn(name: "quiet")  // of its own: nothing else happens on it
        let epoll = try #require(Mirror(reflecting: quiet).children.first { $0.label == "epoll" }?.value as? Int32)
        let (paused, dead) = (Gate(on: quiet), Gate(on: quiet))
        let server = ScriptedServer { peer in
            _ = peer.request()
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            _ = paused.waitBlocking()
            peer.reset()
            dead.open()
        }
        let run = Task(executorPreference: quiet) {
            let pool = try pool(server.port, on: quiet)
            let response = try await pool.get()
            let piping = Task(executorPreference: quiet) {
                try await response.pipe { _ in
                    response.pause()
                    paused.open()
                }
            }
            try await dead.wait()
            // A watched descriptor whose peer hung up has an event on every turn of the loop.
            let idle = Promise<Bool>(on: quiet)
            spawnThread(name: "watcher") { idle.succeed((0..<2_000).contains { _ in !hasEvents(epoll) }) }
            #expect(try await idle.value(), "the loop spins on a hang-up it does not want")
            response.resume()
            let error = await #expect(throws: UpstreamError.self) { try await piping.value }
            #expect(error?.code == .closedEarly)
        }
        try await run.value
    }

    /// An epoll descriptor is readable while an event waits in it.
    private func hasEvents(_ epoll: Int32) -> Bool {
        var descriptor = pollfd(fd: epoll, events: Int16(POLLIN), revents: 0)
        return poll(&descriptor, 1, 0) == 1
    }

    @Test func `a sink may give its call up`() async throws {
        let hungUp = Gate(on: loop)
        let server = ScriptedServer { peer in
            _ = peer.request()
            peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n2\r\ncd\r\n")
            if peer.waitForHangup() { hungUp.open() }
        }
        try await onLoop {
            let pool = try pool(server.port)
            let response = try await pool.get()
            let error = await #expect(throws: UpstreamError.self) { try await response.pipe { _ in response.cancel() } }
            #expect(error?.code == .cancelled)
            #expect(pool.openCount == 0)
            try await hungUp.wait()
        }
    }

    @Test func `a sink that gives up on the last byte wins over the end`() async throws {
        let server = ScriptedServer { peer in
            _ = peer.request()
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab")
            _ = peer.waitForHangup()
        }
        try await onLoop {
            let pool = try pool(server.port)
            let call = pool.begin(method: "GET", target: [UInt8(ascii: "/")], headers: [:], body: [])
            let error = await #expect(throws: UpstreamError.self) { try await call.pipe { _ in call.cancel() } }
            #expect(error?.code == .cancelled)
            #expect(pool.openCount == 0)
        }
    }

    @Test func `cancelling the task hangs up before the head has come`() async throws {
        let (arrived, hungUp) = (Gate(on: loop), Gate(on: loop))
        let server = ScriptedServer { peer in
            _ = peer.request()
            arrived.open()
            if peer.waitForHangup() { hungUp.open() }
        }
        try await onLoop {
            let pool = try pool(server.port)
            let task = Task(executorPreference: loop) { try await pool.fetch() }
            try await arrived.wait()
            task.cancel()
            let error = await #expect(throws: UpstreamError.self) { try await task.value }
            #expect(error?.code == .cancelled)
            try await hungUp.wait()
        }
    }

    @Test func `a server that never answers meets the first-byte deadline`() async throws {
        let server = ScriptedServer { peer in _ = peer.waitForHangup() }
        try await onLoop {
            let pool = try pool(server.port) { $0.firstByteWithin = .milliseconds(100) }
            #expect(try await pool.failure() == .timedOut(.firstByte))
            #expect(pool.openCount == 0)
        }
        #expect(server.connections == 1, "a deadline is not a dead connection: no second try")
    }

    @Test func `a server that falls silent meets the gap deadline, unless the call is paused`() async throws {
        let server = ScriptedServer { peer in
            _ = peer.request()
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            _ = peer.waitForHangup()
        }
        try await onLoop {
            let pool = try pool(server.port) { $0.gapWithin = .milliseconds(100) }
            let paused = try await pool.get("/paused")
            paused.pause()
            let (silent, seen) = (try await pool.get(), Seen())
            let error = await #expect(throws: UpstreamError.self) { try await silent.pipe(seen.take) }
            #expect(error?.code == .timedOut(.gap))
            #expect(seen.text == "half")
            #expect(pool.openCount == 1, "the paused one")
            paused.resume()
            let late = await #expect(throws: UpstreamError.self) { _ = try await paused.collect(upTo: 100) }
            #expect(late?.code == .timedOut(.gap))
        }
    }

    @Test func `an idle connection is closed in time`() async throws {
        let hungUp = Gate(on: loop)
        let server = ScriptedServer { peer in
            _ = peer.request()
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na")
            if peer.waitForHangup() { hungUp.open() }
        }
        try await onLoop {
            let pool = try pool(server.port) { $0.idleWithin = .milliseconds(50) }
            #expect(try await pool.fetch() == "200 a")
            try await hungUp.wait()
            #expect((pool.openCount, pool.idleCount) == (0, 0))
        }
    }
}

/// Tests whether the kernel of the server has the request.
struct UpstreamAcknowledgementTests {
    private func acknowledged(_ call: UpstreamResponse) async throws {
        for _ in 0..<10_000 where !call.isAcknowledged { try await loop.sleep(for: .milliseconds(2)) }
        try #require(call.isAcknowledged)
    }

    @Test func `a request is acknowledged when the server's kernel has all of it, before any answer`() async throws {
        let (accepted, reads) = (Gate(on: loop), Gate(on: loop))
        let server = ScriptedServer { peer in
            accepted.open()
            guard reads.waitBlocking() else { return }
            _ = peer.waitForHangup()
        }
        try await onLoop {
            // The request is larger than the buffers of both kernels, so it is not acknowledged
            // while the server does not read.
            let call = try pool(server.port).begin(
                method: "POST", target: Array("/".utf8), headers: [:], body: [UInt8](repeating: 7, count: 32 << 20))
            #expect(!call.isAcknowledged)
            try await accepted.wait()
            #expect(!call.isAcknowledged)
            reads.open()
            try await acknowledged(call)
            #expect(call.status == 0)
            call.cancel()
        }
    }

    @Test func `a call that was answered is acknowledged, also after its end`() async throws {
        let server = ScriptedServer { peer in
            _ = peer.request()
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
            _ = peer.waitForHangup()
        }
        try await onLoop {
            let call = try pool(server.port).begin(method: "POST", target: Array("/".utf8), headers: [:], body: [1])
            try await call.head()
            _ = try await call.collect(upTo: 10)
            #expect(call.isAcknowledged)
        }
    }

    @Test func `a call that two connections could not deliver is not acknowledged`() async throws {
        // Set here and to nil on the loop, while this test waits for it.
        nonisolated(unsafe) var server: ClosingServer? = ClosingServer(.close)
        let port = try #require(server).port
        try await onLoop {
            let pool = try pool(port)
            #expect(try await pool.fetch() == "200 a")
            #expect(server?.end() == true)
            // Nothing listens any more, so there is no second connection.
            server = nil
            let call = pool.begin(method: "POST", target: Array("/".utf8), headers: [:], body: [1])
            let error = await #expect(throws: UpstreamError.self) { try await call.head() }
            #expect(error?.code == .connectFailed)
            #expect(!call.isAcknowledged)
        }
    }

    @Test func `a call that was given up remembers whether its request was acknowledged`() async throws {
        let server = ScriptedServer { _ = $0.waitForHangup() }
        try await onLoop {
            let upstream = try pool(server.port)
            let call = upstream.begin(method: "POST", target: Array("/".utf8), headers: [:], body: [1])
            try await acknowledged(call)
            call.cancel()
            #expect(call.isAcknowledged)
            #expect(!call.isUnsent)
            let unsent = upstream.begin(method: "POST", target: Array("/".utf8), headers: [:], body: [1])
            #expect(unsent.isUnsent)
            unsent.cancel()
            #expect(!unsent.isAcknowledged)
        }
    }
}
