import EventLoop
import HTTP
import HTTPWire
import Synchronization
import TestSupport
import Testing

/// The end of connections and calls when the server stops.
@Suite(.timeLimit(.minutes(1)))
struct DrainTests {
    /// A server whose `/slow` answers when the test says so, and that tells when its drain has begun.
    private struct LeavingServer {
        static let late = "late"

        let server: TestServer
        private let busy: RawClient
        private let go: Promise<Void>
        private let drained: Task<Void, Never>

        /// Runs one call of `/slow`, and begins to drain.
        /// - Parameter before: runs when the call has begun.
        init(before: (TestServer) -> Void) async throws {
            let (started, start) = AsyncStream.makeStream(of: Promise<Void>.self)
            let (stopping, stop) = AsyncStream.makeStream(of: Void.self)
            // A stalled machine must not close what a test still sends on.
            var configuration = HTTPServerConfiguration()
            configuration.drainIdleWithin = .seconds(60)
            let server = try await TestServer(configuration) { exchange in
                guard exchange.path == "/slow" else { return exchange.respond(200) }
                let go = Promise<Void>(on: exchange.loop)
                exchange.whenServerStops { stop.yield() }
                exchange.begin(200)
                start.yield(go)
                try? await go.value()
                exchange.write(Array(Self.late.utf8))
                exchange.end()
            }
            self.server = server
            busy = server.client()
            busy.send(get("/slow"))
            var calls = started.makeAsyncIterator()
            go = try #require(await calls.next())
            before(server)
            drained = Task(executorPreference: server.loop) { await server.server.drain(within: .seconds(30)) }
            var stops = stopping.makeAsyncIterator()
            _ = await stops.next()
        }

        /// Lets the call of `/slow` end.
        /// - Returns: its client.
        func letGo() -> RawClient {
            go.succeed(())
            return busy
        }

        /// Ends the connection of `/slow`, and waits for the end of the drain.
        func finished() async {
            busy.shutdownWrite()
            await drained.value
        }
    }

    @Test func `a call on a kept connection is answered after the drain began, and the connection ends`() async throws {
        var kept: RawClient?
        let leaving = try await LeavingServer { server in
            kept = server.client()
            kept?.send(get("/"))
            kept?.read { !$0.answers.isEmpty }
        }
        let client = try #require(kept)
        client.send(get("/"))
        #expect(client.readToEnd() == .closed)
        #expect(client.statuses == [200, 200])
        #expect(client.answers.last?.head.contains("\r\nconnection: close") == true)
        _ = leaving.letGo()
        await leaving.finished()
    }

    @Test func `a stream that began before the drain leaves its connection open for one more call`() async throws {
        let leaving = try await LeavingServer { _ in }
        let client = leaving.letGo()
        client.read { $0.text.hasSuffix("\(LeavingServer.late)\r\n0\r\n\r\n") }
        client.send(get("/"))
        #expect(client.readToEnd() == .closed)
        let answers = client.text.ranges(of: "HTTP/1.1 200 OK")
        #expect(answers.count == 2)
        #expect(answers.last.map { client.text[$0.lowerBound...].contains("\r\nconnection: close") } == true)
        await leaving.finished()
    }

    @Test func `calls that wait in the kernel when the drain begins are answered`() async throws {
        let server = try await TestServer { exchange in exchange.respond(200) }
        let clients = await Task(executorPreference: server.loop) {
            // The loop accepts nothing while it runs this.
            let clients = (0..<100).map { _ in server.client() }
            for client in clients { client.send(get("/")) }
            await server.server.drain(within: .seconds(30))
            return clients
        }.value
        for client in clients {
            #expect(client.readToEnd() == .closed)
            #expect(client.statuses == [200])
        }
    }

    @Test func `a client that still sends a refused body is not reset by a drain`() async throws {
        var configuration = HTTPServerConfiguration()
        configuration.lingerWithin = .seconds(30)
        let server = try await TestServer(configuration) { router in router.on(.post, "/", bodyBytesMax: 1_000) { _ in .noContent } }
        var client: RawClient? = server.client()
        client?.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000\r\n\r\n")
        #expect(client?.readToEnd() == .closed)
        #expect(client?.statuses == [413])
        let drained = Task(executorPreference: server.loop) { await server.server.drain(within: .zero) }
        try await until { await Task(executorPreference: server.loop) { server.server.isDraining }.value }
        let piece = [UInt8](repeating: UInt8(ascii: "x"), count: 62_500)
        #expect((0..<16).allSatisfy { _ in client?.send(piece) == true })
        client = nil
        await drained.value
    }

    @Test func `two drains at once both return`() async throws {
        let leaving = try await LeavingServer { _ in }
        let server = leaving.server
        let second = Task(executorPreference: server.loop) { await server.server.drain(within: .seconds(30)) }
        _ = leaving.letGo()
        await leaving.finished()
        await second.value
    }

    @Test func `draining ends idle connections, lets running requests finish, and refuses new ones`() async throws {
        let (started, start) = AsyncStream.makeStream(of: Promise<Void>.self)
        let server = try await TestServer { exchange in
            if exchange.path == "/slow" {
                let go = Promise<Void>(on: exchange.loop)
                start.yield(go)
                try? await go.value()
            }
            exchange.respond(200)
        }
        let (idle, busy) = (server.client(), server.client())
        idle.send(get("/"))
        idle.read { !$0.answers.isEmpty }
        busy.send(get("/slow"))
        var iterator = started.makeAsyncIterator()
        let go = try #require(await iterator.next())

        let drained = Task(executorPreference: server.loop) { await server.server.drain(within: .seconds(30)) }
        #expect(idle.readToEnd() == .closed)
        go.succeed(())
        #expect(busy.readToEnd() == .closed)
        #expect(busy.statuses == [200])
        #expect(busy.text.contains("\r\nconnection: close\r\n"))
        await drained.value
    }

    @Test func `draining waits for a handler whose client has left, and informs the handler`() async throws {
        let (events, say) = AsyncStream.makeStream(of: String.self)
        let server = try await TestServer { exchange in
            let (gone, stops) = (Promise<Void>(on: exchange.loop), Promise<Void>(on: exchange.loop))
            exchange.onClose = { gone.succeed(()) }
            say.yield("running")
            try? await gone.value()
            exchange.whenServerStops { stops.succeed(()) }
            say.yield("client left")
            try? await stops.value(within: .seconds(20), elseReturn: ())
            try? await exchange.loop.sleep(for: .milliseconds(1))
            say.yield("finished")
        }
        var iterator = events.makeAsyncIterator()
        do {
            let client = server.client()
            client.send(get("/"))
            #expect(await iterator.next() == "running")
        }
        #expect(await iterator.next() == "client left")
        await Task(executorPreference: server.loop) { await server.server.drain(within: .seconds(30)) }.value
        say.yield("drained")
        #expect(await iterator.next() == "finished")
        #expect(await iterator.next() == "drained")
    }

    @Test func `draining waits for a cancelled handler`() async throws {
        let (events, say) = AsyncStream.makeStream(of: String.self)
        let server = try await TestServer { exchange in
            let gone = Promise<Void>(on: exchange.loop)
            exchange.onClose = { gone.succeed(()) }
            say.yield("running")
            try? await gone.value()
            exchange.whenServerStops { say.yield("told") }
            try? await exchange.loop.sleep(for: .milliseconds(1))
            say.yield("finished")
        }
        let client = server.client()
        client.send(get("/"))
        var iterator = events.makeAsyncIterator()
        #expect(await iterator.next() == "running")
        await Task(executorPreference: server.loop) { await server.server.drain(within: .milliseconds(50)) }.value
        say.yield("drained")
        #expect(await iterator.next() == "told")
        #expect(await iterator.next() == "finished")
        #expect(await iterator.next() == "drained")
    }

    @Test func `handlers that still run when draining ends are cancelled`() async throws {
        let (events, say) = AsyncStream.makeStream(of: String.self)
        let server = try await TestServer { exchange in
            exchange.begin(200)
            exchange.write(Array("part".utf8))
            let gone = Promise<Void>(on: exchange.loop)
            exchange.onClose = { gone.succeed(()) }
            say.yield("running")
            try? await gone.value()
            say.yield("told")
        }
        let client = server.client()
        client.send(get("/"))
        var iterator = events.makeAsyncIterator()
        #expect(await iterator.next() == "running")
        await Task(executorPreference: server.loop) { await server.server.drain(within: .milliseconds(50)) }.value
        #expect(await iterator.next() == "told")
        #expect(client.readToEnd() != .deadline)
        #expect(!client.text.hasSuffix("0\r\n\r\n"))
    }
}
