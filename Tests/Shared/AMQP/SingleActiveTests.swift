import AMQP
import TestSupport
import Testing

/// Several queues over one consumer, and queues that feed one consumer at a time.
struct SingleActiveTests {
    private static let queues = ["shard.0", "shard.1", "shard.2"]

    @Test func `one consumer takes from several queues, each in its order, and stops all of them`() async throws {
        try await sharded { broker, publisher in
            // More than fit into one read, so that deliveries of the first queue come while the others are still being subscribed to.
            try await fill(publisher, each: 150)
            let consumer = try consumer(broker, prefetch: 100)
            async let running: Void = consumer.run()
            var seen: [String: [Int]] = [:]
            var received = 0
            while received < 450 {
                let deliveries = try await consumer.next(max: 64)
                for delivery in deliveries {
                    seen[delivery.routingKey, default: []].append(Int(delivery.properties.messageID)!)
                    consumer.ack(delivery)
                }
                received += deliveries.count
            }
            for queue in Self.queues { #expect(seen[queue] == Array(0..<150), "\(queue)") }

            await consumer.stop(within: .seconds(5))
            await running
            await #expect(throws: ConsumeError.stopped) { try await consumer.next(max: 1) }
            // Acknowledged and unsubscribed: somebody else finds what comes now, and nothing of what was.
            try await fill(publisher, each: 1)
            try await withConsumer(broker, .queues(Self.queues)) { next in
                let rest = try await gather(3, from: next)
                #expect(rest.map(\.routingKey).sorted() == Self.queues)
                #expect(rest.allSatisfy { !$0.redelivered })
            }
        }
    }

    @Test(arguments: ["classic", "quorum"])
    func `of two consumers one gets everything, and when it dies the other goes on where it was`(type: String) async throws {
        try await sharded(type) { broker, publisher in
            let (first, second) = (try consumer(broker, prefetch: 4), try consumer(broker, prefetch: 4))
            async let firstRunning: Void = first.run()
            #expect(await first.connected(within: .seconds(10)))
            async let secondRunning: Void = second.run()
            #expect(await second.connected(within: .seconds(10)))

            try await fill(publisher, each: 10)
            // Its prefetch of each queue, of which one is settled; then it has its prefetch again.
            var held = try await gather(12, from: first)
            for queue in Self.queues { first.ack(held.first { $0.routingKey == queue }!) }
            held += try await gather(3, from: first)
            #expect(Set(held.map(\.properties.messageID)) == ["0", "1", "2", "3", "4"])
            let waiting = Task { try await second.next(max: 100) }

            await first.stop(within: .zero)
            await firstRunning
            var seen: [String: [Int]] = [:]
            var deliveries = try await waiting.value
            while true {
                for delivery in deliveries {
                    seen[delivery.routingKey, default: []].append(Int(delivery.properties.messageID)!)
                    #expect(delivery.redelivered == (1...4).contains(Int(delivery.properties.messageID)!))
                    second.ack(delivery)
                }
                guard seen.values.map(\.count).reduce(0, +) < 27 else { break }
                deliveries = try await second.next(max: 100)
            }
            // Not one of them before the first was gone, all but the settled ones after, and in order.
            for queue in Self.queues { #expect(seen[queue] == Array(1..<10), "\(queue)") }
            await second.stop(within: .seconds(5))
            await secondRunning
        }
    }

    @Test func `a policy cannot make a queue feed one consumer at a time`() async throws {
        try await TestBroker.with { broker in
            #expect(throws: ManagementAPI.Failure.self) {
                try broker.declarePolicy("single", pattern: "^shard", definition: #""single-active-consumer":true"#)
            }
            try broker.declarePolicy("short", pattern: "^shard", definition: #""max-length":10"#)
        }
    }

    // MARK:

    private func sharded(_ type: String = "classic", _ body: (TestBroker, AMQPPublisher) async throws -> Void) async throws {
        try await TestBroker.with { broker in
            for queue in Self.queues {
                try broker.declareQueue(queue, arguments: #""x-queue-type":"\#(type)","x-single-active-consumer":true"#)
            }
            try await withPublisher(broker) { try await body(broker, $0) }
        }
    }

    private func fill(_ publisher: AMQPPublisher, each count: Int) async throws {
        let batch = (0..<count).flatMap { id in Self.queues.map { message("\(id)", to: $0) } }
        let results = await publisher.publish(batch: batch, within: .seconds(10))
        #expect(results.allSatisfy { $0.isSuccess })
    }

    private func consumer(_ broker: TestBroker, prefetch: Int) throws -> AMQPConsumer {
        AMQPConsumer(
            try AMQPConfiguration(url: broker.url, connectionName: "test:consumer"), source: .queues(Self.queues), prefetch: prefetch,
            log: log)
    }
}
