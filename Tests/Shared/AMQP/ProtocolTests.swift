import AMQP
import EventLoop
import Synchronization
import TestSupport
import Testing

/// A broker that a test scripts, because RabbitMQ does these things only in a cluster or never.
struct ProtocolTests {
    @Test func `a withheld confirm stops no other message, and the connection is renewed`() async throws {
        let server = ScriptedServer { peer in
            let broker = ScriptedBroker(peer: peer)
            guard broker.open(), broker.selectConfirms() else { return }
            var tag: UInt64 = 0
            while broker.publish() {
                tag += 1
                if peer.number > 1 || tag > 1 { broker.acknowledge(tag) }
            }
        }
        try await withPublisher(server, { $0.confirmWithin = .seconds(2) }) { publisher in
            // Immediate: the first of all messages.
            let withheld = Task.immediate { await publisher.publish(batch: [message("withheld", to: "work")], within: .seconds(20)) }
            let others = await publisher.publish(batch: (0..<600).map { message("\($0)", to: "work") }, within: .seconds(10))
            #expect(others.allSatisfy { $0.isSuccess })
            #expect(await withheld.value[0].failure == .disconnected)
            #expect(await publisher.connected(within: .seconds(10)))
            try await publisher.publish(message("after", to: "work"), within: .seconds(10))
        }
        #expect(server.connections == 2)
    }

    @Test func `a withheld confirm in front of a full window renews the connection before its time`() async throws {
        let server = ScriptedServer { peer in
            let broker = ScriptedBroker(peer: peer)
            guard broker.open(), broker.selectConfirms() else { return }
            var tag: UInt64 = 0
            while broker.publish() {
                tag += 1
                if peer.number > 1 || tag > 1 { broker.acknowledge(tag) }
            }
        }
        try await withPublisher(server, { $0.windowMax = 600 }) { publisher in
            // Immediate: the first of all messages. Its caller gives up before the age that no message may reach.
            let withheld = Task.immediate { await publisher.publish(batch: [message("withheld", to: "work")], within: .seconds(20)) }
            let others = await publisher.publish(batch: (0..<600).map { message("\($0)", to: "work") }, within: .seconds(25))
            #expect(others.prefix(599).allSatisfy { $0.isSuccess })
            #expect(others[599].failure == .disconnected)
            #expect(await withheld.value[0].failure == .disconnected)
            #expect(await publisher.connected(within: .seconds(10)))
            try await publisher.publish(message("after", to: "work"), within: .seconds(10))
        }
        #expect(server.connections == 2)
    }

    @Test(arguments: ["amqp", "amqps"])
    func `a host is looked up with a deadline, and an unknown host is the reported reason`(scheme: String) async throws {
        let configuration = try AMQPConfiguration(
            url: "\(scheme)://guest:guest@does-not-exist.invalid/", connectionName: "test:look-up")
        #expect(try await firstLine(of: configuration).contains("cannot look up does-not-exist.invalid: "))
    }

    @Test func `the end of an answered request's time fails no later request of the same message id`() async throws {
        let loop = EventLoop.spawn(name: "test")
        let isOver = Gate(on: loop)
        let server = ScriptedServer { peer in
            let broker = ScriptedBroker(peer: peer)
            guard broker.open(), broker.listenForReplies(), broker.selectConfirms() else { return }
            guard let first = broker.published() else { return }
            broker.reply(tag: 1, to: first.correlationID, from: "auth")
            guard let second = broker.published(), broker.publish(), isOver.waitBlocking() else { return }
            broker.reply(tag: 2, to: second.correlationID, from: "auth")
            _ = peer.waitForHangup()
        }
        let client = RPCClient(try configuration(server), service: "test", answeredBy: "auth", log: log)
        async let running: Void = client.run()
        #expect(await client.connected(within: .seconds(10)))
        @Sendable func ask(_ id: String, within limit: Duration) async -> RPCError? {
            do throws(RPCError) {
                _ = try await client.call(
                    exchange: "auth.rpc", routingKey: "key", type: "test.v1", body: [1], messageID: id, within: limit)
                return nil
            } catch {
                return error
            }
        }
        #expect(await ask("same", within: .seconds(1)) == nil)
        let second = Task.immediate { await ask("same", within: .seconds(20)) }
        // Its time ends after that of the first request, which has no confirm either.
        #expect(await ask("other", within: .seconds(1)) == .timedOut)
        isOver.open()
        #expect(await second.value == nil)
        await client.stop(within: .zero)
        await running
    }

    @Test func `messages whose callers gave up take no place of later ones`() async throws {
        let server = ScriptedServer { peer in
            let broker = ScriptedBroker(peer: peer)
            guard broker.open(), broker.selectConfirms() else { return }
            var tag: UInt64 = 0
            while broker.publish() {
                tag += 1
                if tag > 10 { broker.acknowledge(tag) }
            }
        }
        try await withPublisher(server, { $0.unconfirmedMax = 10 }) { publisher in
            let lost = await publisher.publish(batch: (0..<10).map { message("\($0)", to: "work") }, within: .milliseconds(100))
            #expect(lost.allSatisfy { $0.failure == .timedOut })
            try await publisher.publish(message("next", to: "work"), within: .seconds(10))
        }
    }

    @Test func `a confirm of tag 0 settles all messages`() async throws {
        let server = ScriptedServer { peer in
            let broker = ScriptedBroker(peer: peer)
            guard broker.open(), broker.selectConfirms() else { return }
            for _ in 0..<3 { guard broker.publish() else { return } }
            broker.acknowledge(0, multiple: true)
            _ = peer.waitForHangup()
        }
        try await withPublisher(server) { publisher in
            let results = await publisher.publish(batch: (0..<3).map { message("\($0)", to: "work") }, within: .seconds(10))
            #expect(results.allSatisfy { $0.isSuccess })
        }
    }

    private static let unknownConfirms: [(UInt64, Bool)] = [(0, false), (2, false), (2, true), (.max, true)]

    @Test(arguments: unknownConfirms)
    func `a confirm of a message that was never published ends the connection`(tag: UInt64, multiple: Bool) async throws {
        let server = ScriptedServer { peer in
            let broker = ScriptedBroker(peer: peer)
            guard broker.open(), broker.selectConfirms() else { return }
            guard broker.publish() else { return }
            if peer.number == 1 { broker.acknowledge(tag, multiple: multiple) } else { broker.acknowledge(1) }
            _ = peer.waitForHangup()
        }
        try await withPublisher(server) { publisher in
            let first = await publisher.publish(batch: [message("a", to: "work")], within: .seconds(10))
            #expect(first[0].failure == .disconnected)
            #expect(await publisher.connected(within: .seconds(10)))
            try await publisher.publish(message("b", to: "work"), within: .seconds(10))
        }
    }

    /// The tag of the first delivery, and the length of its body, which is one byte.
    private static let brokenDeliveries: [(UInt64, UInt64)] = [
        (7, 1), (0, 1), (1, .max), (1, 0x8000_0000_0000_0000), (1, 0x0100_0001), (1, 0),
    ]

    @Test(arguments: brokenDeliveries)
    func `a delivery that breaks the protocol ends the connection`(tag: UInt64, bodyCount: UInt64) async throws {
        let server = ScriptedServer { peer in
            let broker = ScriptedBroker(peer: peer)
            guard broker.open(), broker.subscribe() else { return }
            if peer.number == 1 {
                broker.deliver(tag: tag, body: [1], bodyCount: bodyCount)
            } else {
                broker.deliver(tag: 1, body: [2], bodyCount: 1)
            }
            _ = peer.waitForHangup()
        }
        let consumer = AMQPConsumer(try configuration(server), source: .queue("work"), prefetch: 10, log: log)
        async let running: Void = consumer.run()
        var bodies: [[UInt8]] = []
        while bodies.last != [2] { bodies += try await consumer.next(max: 10).map(\.body) }
        // An empty body is a message. The byte after it breaks the protocol.
        #expect(bodies.filter { !$0.isEmpty } == [[2]])
        await consumer.stop(within: .zero)
        await running
    }

    @Test func `an alarm of the broker outlives a closed channel`() async throws {
        let loop = EventLoop.spawn(name: "test")
        let (reopened, over) = (Gate(on: loop), Gate(on: loop))
        let server = ScriptedServer { peer in
            let broker = ScriptedBroker(peer: peer)
            guard broker.open(), broker.selectConfirms() else { return }
            broker.block()
            broker.closeChannel()
            guard broker.wait(for: [20, 41]), broker.openChannel(), broker.selectConfirms() else { return }
            reopened.open()
            guard over.waitBlocking() else { return }
            broker.unblock()
            guard broker.publish() else { return }
            broker.acknowledge(1)
            _ = peer.waitForHangup()
        }
        try await withPublisher(server) { publisher in
            while !reopened.isOpen { await Task.yield() }
            #expect(await publisher.connected(within: .seconds(10)))
            for _ in 0..<20 {
                let during = await publisher.publish(batch: [message("during", to: "work")], within: .milliseconds(10))
                #expect(during[0].failure == .blocked)
            }
            over.open()
            var last = PublishError.blocked as PublishError?
            while last == .blocked {
                last = await publisher.publish(batch: [message("after", to: "work")], within: .seconds(10))[0].failure
            }
            #expect(last == nil)
        }
    }

    @Test func `no frame is cut in two when a channel is opened again over a full socket`() async throws {
        let count = 200
        let broken = Mutex(false)
        let server = ScriptedServer { peer in
            let broker = ScriptedBroker(peer: peer)
            guard broker.open(), broker.selectConfirms() else { return }
            guard peer.number == 1 else {
                broken.withLock { $0 = true }
                return
            }
            peer.waitUntilFull(quietFor: 1_000)
            broker.closeChannel()
            // The client handles the close while nothing can be sent.
            peer.waitUntilFull(quietFor: 1_000)
            guard broker.wait(for: [20, 41]), broker.openChannel(), broker.selectConfirms() else { return }
            var tag: UInt64 = 0
            while broker.publish() {
                tag += 1
                broker.acknowledge(tag)
            }
        }
        try await withPublisher(server) { publisher in
            let batch = (0..<count).map { index in
                var large = message("\(index)", to: "work")
                large.body = Array(repeating: 0, count: 100_000)
                return large
            }
            _ = await publisher.publish(batch: batch, within: .seconds(10))
            #expect(await publisher.connected(within: .seconds(10)))
            try await publisher.publish(message("after", to: "work"), within: .seconds(10))
        }
        #expect(!broken.withLock { $0 })
    }

    private func configuration(_ server: ScriptedServer) throws -> AMQPConfiguration {
        var configuration = try AMQPConfiguration(url: "amqp://guest:guest@127.0.0.1:\(server.port)/", connectionName: "test:scripted")
        configuration.reconnectWithin = .milliseconds(100)
        return configuration
    }

    private func withPublisher(
        _ server: ScriptedServer, _ adjust: (inout AMQPConfiguration) -> Void = { _ in }, _ body: (AMQPPublisher) async throws -> Void
    ) async throws {
        var configuration = try configuration(server)
        adjust(&configuration)
        let publisher = AMQPPublisher(configuration, log: log)
        async let running: Void = publisher.run()
        #expect(await publisher.connected(within: .seconds(10)))
        try await body(publisher)
        await publisher.stop(within: .zero)
        await running
    }
}
