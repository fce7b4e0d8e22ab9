import EventLoop
import HTTP
import HTTPWire
import Synchronization
import TestSupport
import Testing

/// The bounds of a connection: time and number.
@Suite(.timeLimit(.minutes(1)))
struct DeadlineTests {
    private static func short(_ change: (inout HTTPServerConfiguration) -> Void) -> HTTPServerConfiguration {
        var configuration = HTTPServerConfiguration()
        change(&configuration)
        return configuration
    }

    @Test(arguments: ["GET / HTT", "GET / HTTP/1.1\r\nHost: t\r\n", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\n12345"])
    func `a request that does not arrive in time gets 408`(part: String) async throws {
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
        let (started, start) = AsyncStream.makeStream(of: Promise<Void>.self)
        let server = try await TestServer(configuration) { exchange in
            let go = Promise<Void>(on: exchange.loop)
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

    @Test func `a connection beyond the limit gets 503, and one that ends makes room`() async throws {
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
}
