import EventLoop
import HTTP
import HTTPWire
import Synchronization
import TestSupport
import Testing

/// What a connection may cost: time, number, and what happens when the server leaves.
@Suite(.timeLimit(.minutes(1)))
struct DeadlineTests {
    private static func short(_ change: (inout HTTPServerConfiguration) -> Void) -> HTTPServerConfiguration {
        var configuration = HTTPServerConfiguration()
        change(&configuration)
        return configuration
    }

    @Test(arguments: ["GET / HTT", "GET / HTTP/1.1\r\nHost: t\r\n", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\n12345"])
    func `a request that does not arrive in time is told 408`(part: String) async throws {
        let configuration = Self.short {
            $0.headWithin = .milliseconds(50)
            $0.bodyWithin = .milliseconds(50)
        }
        let server = try await TestServer(configuration) { exchange in exchange.respond(200) }
        let (statuses, end, text) = server.say(part, within: 5_000)
        #expect(statuses == [408])
        #expect(end == .closed)
        #expect(text.contains(#""code":"request_timeout""#))
    }

    @Test func `a head is not given more time by trickling`() async throws {
        let server = try await TestServer(Self.short { $0.headWithin = .milliseconds(300) }) { exchange in exchange.respond(200) }
        let client = server.client()
        client.send("GET / HTTP/1.1\r\n")
        var pieces = 0
        while client.read(within: 50, until: { !$0.received.isEmpty }) == .deadline, pieces < 200 {
            client.send("X: y\r\n")
            pieces += 1
        }
        #expect(client.statuses == [408])
    }

    @Test(arguments: ["", "GET / HTTP/1.1\r\nHost: t\r\n\r\n"])
    func `a silent connection is closed silently`(before: String) async throws {
        let configuration = Self.short {
            $0.headWithin = .milliseconds(50)
            $0.idleWithin = .milliseconds(50)
        }
        let server = try await TestServer(configuration) { exchange in exchange.respond(200) }
        let (statuses, end, _) = server.say(before, within: 5_000)
        #expect(statuses == (before.isEmpty ? [] : [200]))
        #expect(end == .closed)
    }

    @Test func `a handler may take longer than any of the client's deadlines`() async throws {
        let configuration = Self.short {
            $0.headWithin = .milliseconds(10)
            $0.bodyWithin = .milliseconds(10)
            $0.idleWithin = .milliseconds(10)
            $0.writeStallWithin = .milliseconds(10)
        }
        let (started, start) = AsyncStream.makeStream(of: Wait<Void>.self)
        let server = try await TestServer(configuration) { exchange in
            let go = Wait<Void>(on: exchange.loop)
            start.yield(go)
            try? await go.value()
            exchange.respond(200)
        }
        let client = server.client()
        client.send(post("/", "body"))
        var iterator = started.makeAsyncIterator()
        let go = try #require(await iterator.next())
        // Silent connections of the same deadlines are closed meanwhile, one after the other.
        for _ in 0..<2 { #expect(server.client().readToEnd() == .closed) }
        go.succeed(())
        client.read { !$0.answers.isEmpty }
        #expect(client.statuses == [200])
    }

    @Test func `a connection beyond the limit is told 503 and one that ends makes room`() async throws {
        let server = try await TestServer(Self.short { $0.connectionsMax = 2 }) { exchange in exchange.respond(200) }
        var kept: [RawClient] = []
        for _ in 0..<2 {
            let client = server.client()
            client.send(get("/"))
            client.read { !$0.answers.isEmpty }
            kept.append(client)
        }
        let (statuses, end, text) = server.say(get("/"))
        #expect(statuses == [503])
        #expect(end == .closed)
        #expect(text.contains(#""code":"overloaded""#))
        #expect(text.contains("\r\nretry-after: 1\r\n"))
        kept.removeLast()
        // The server learns of the free place by an event of its own.
        var answer = 503
        for _ in 0..<100 where answer == 503 { answer = server.say(get("/", "Connection: close\r\n")).statuses.first ?? 503 }
        #expect(answer == 200)
    }

    @Test func `draining ends idle connections, lets running requests finish, and refuses new ones`() async throws {
        let (started, start) = AsyncStream.makeStream(of: Wait<Void>.self)
        let server = try await TestServer { exchange in
            if exchange.path == "/slow" {
                let go = Wait<Void>(on: exchange.loop)
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
        let inFlight = await Task(executorPreference: server.loop) { server.server.inFlight }.value
        #expect(inFlight == 0)
    }

    @Test func `draining waits for a handler whose client has left, and tells the handler`() async throws {
        let (events, say) = AsyncStream.makeStream(of: String.self)
        let server = try await TestServer { exchange in
            let (gone, stops) = (Wait<Void>(on: exchange.loop), Wait<Void>(on: exchange.loop))
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

    @Test func `a handler that is broken off is waited for`() async throws {
        let (events, say) = AsyncStream.makeStream(of: String.self)
        let server = try await TestServer { exchange in
            let gone = Wait<Void>(on: exchange.loop)
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

    @Test func `what still runs when draining ends is broken off`() async throws {
        let (events, say) = AsyncStream.makeStream(of: String.self)
        let server = try await TestServer { exchange in
            exchange.begin(200)
            exchange.write(Array("part".utf8))
            let gone = Wait<Void>(on: exchange.loop)
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
