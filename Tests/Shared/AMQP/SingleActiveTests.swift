import AMQP
import TestSupport
import Testing

/// Tests a queue that feeds one consumer at a time.
struct SingleActiveTests {
    @Test(arguments: ["classic", "quorum"])
    func `one of two consumers gets every message, and the other continues when it dies`(type: String) async throws {
        try await TestBroker.with { broker in
            try broker.declareQueue("work", arguments: #""x-queue-type":"\#(type)","x-single-active-consumer":true"#)
            let (first, second) = (try consumer(broker), try consumer(broker))
            async let firstRunning: Void = first.run()
            #expect(await first.connected(within: .seconds(10)))
            async let secondRunning: Void = second.run()
            #expect(await second.connected(within: .seconds(10)))

            try await withPublisher(broker) { publisher in
                let results = await publisher.publish(batch: (0..<10).map { message("\($0)", to: "work") }, within: .seconds(10))
                #expect(results.allSatisfy { $0.isSuccess })
            }
            // The first consumer gets its prefetch, settles one delivery, and gets one more.
            var held = try await gather(4, from: first)
            first.ack(held[0])
            held += try await gather(1, from: first)
            #expect(held.map(\.properties.messageID) == ["0", "1", "2", "3", "4"])
            let waiting = Task { try await second.next(max: 100) }

            await first.stop(within: .zero)
            await firstRunning
            var seen: [Int] = []
            var deliveries = try await waiting.value
            while true {
                for delivery in deliveries {
                    let number = try #require(Int(delivery.properties.messageID))
                    seen.append(number)
                    #expect(delivery.redelivered == (1...4).contains(number))
                    second.ack(delivery)
                }
                guard seen.count < 9 else { break }
                deliveries = try await second.next(max: 100)
            }
            // The second consumer gets nothing before the end of the first. Then it gets all
            // messages but the settled one, in order.
            #expect(seen == Array(1..<10))
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

    private func consumer(_ broker: TestBroker) throws -> AMQPConsumer {
        AMQPConsumer(
            try AMQPConfiguration(url: broker.url, connectionName: "test:consumer"), source: .queue("work"), prefetch: 4, log: log)
    }
}
