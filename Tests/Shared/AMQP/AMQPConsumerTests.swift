import AMQP
import Synchronization
import TestSupport
import Testing

struct AMQPConsumerTests {
    @Test func `at most the prefetch is open, and each concluded delivery lets another in`() async throws {
        try await filled(with: 20) { broker in
            try await withConsumer(broker, .queue("work"), prefetch: 5) { consumer in
                var out: [Delivery] = []
                while out.count < 5 { out += try await consumer.next(max: 100) }
                #expect(out.count == 5)
                for delivery in out[...1] { consumer.ack(delivery) }
                var more: [Delivery] = []
                while more.count < 2 { more += try await consumer.next(max: 100) }
                #expect(more.map(\.properties.messageID) == ["5", "6"])
            }
        }
    }

    @Test func `open deliveries are redelivered, marked so, after the connection is lost`() async throws {
        try await filled(with: 3) { broker in
            try await withConsumer(broker, .queue("work")) { consumer in
                let first = try await gather(3, from: consumer)
                consumer.ack(first[0])
                try await broker.closeConnections(until: { !consumer.isConnected })
                let again = try await gather(2, from: consumer)
                #expect(again.map(\.properties.messageID) == ["1", "2"])
                #expect(again.allSatisfy { $0.redelivered })
                // A delivery of the earlier connection must not conclude the one that has the same
                // tag now.
                for delivery in first { consumer.ack(delivery) }
                consumer.ack(again[0])
            }
            try await withConsumer(broker, .queue("work")) { consumer in
                let ids = try await gather(1, from: consumer).map(\.properties.messageID)
                #expect(ids == ["2"])
            }
        }
    }

    @Test func `acknowledging twice does nothing`() async throws {
        try await filled(with: 2) { broker in
            try await withConsumer(broker, .queue("work")) { consumer in
                let deliveries = try await gather(2, from: consumer)
                consumer.ack(deliveries[0])
                consumer.ack(deliveries[0])
                consumer.reject(deliveries[0], requeue: true)
                consumer.reject(deliveries[1], requeue: true)
                // If the broker had closed the channel, it would redeliver both.
                let again = try await gather(1, from: consumer)
                #expect(again.map(\.properties.messageID) == ["1"])
                #expect(again[0].connectionEpoch == deliveries[0].connectionEpoch)
                consumer.ack(again[0])
            }
        }
    }

    @Test func `deliveries may be concluded in any order, and no other delivery is concluded`() async throws {
        try await filled(with: 200) { broker in
            try await withConsumer(broker, .queue("work"), prefetch: 200) { consumer in
                let deliveries = try await gather(200, max: 200, from: consumer)
                for delivery in deliveries.shuffled() where !["7", "150"].contains(delivery.properties.messageID) {
                    if delivery.tag % 10 == 0 { consumer.reject(delivery, requeue: false) } else { consumer.ack(delivery) }
                }
                // If the broker had closed the channel, it would redeliver all messages.
                try await broker.closeConnections(until: { !consumer.isConnected })
                let again = try await gather(2, from: consumer)
                #expect(again.map(\.properties.messageID) == ["7", "150"])
                #expect(again.allSatisfy { $0.connectionEpoch == deliveries[0].connectionEpoch + 1 })
            }
        }
    }

    @Test func `a deleted queue is consumed again once it is back`() async throws {
        try await filled(with: 0) { broker in
            try await withConsumer(broker, .queue("work")) { consumer in
                try broker.deleteQueue("work")
                try broker.declareQueue("work")
                try await withPublisher(broker) { publisher in
                    try await publisher.publish(message("again", to: "work"), within: .seconds(30))
                }
                #expect(try await gather(1, from: consumer).map(\.properties.messageID) == ["again"])
            }
        }
    }

    @Test func `an exclusive queue is declared and bound again after a lost connection`() async throws {
        try await TestBroker.with { broker in
            try broker.declareExchange("auth.evt", type: "topic")
            let connects = Mutex(0)
            try await withConsumer(
                broker, .exclusive(prefix: "test.inst.one", bindings: [("auth.evt", "apikey.revoked.#")]),
                onConnected: { connects.withLock { $0 += 1 } }
            ) { consumer in
                try await withPublisher(broker) { publisher in
                    var event = message("e-1", to: "apikey.revoked.v1", exchange: "auth.evt")
                    try await publisher.publish(event, within: .seconds(30))
                    #expect(try await gather(1, from: consumer).map(\.properties.messageID) == ["e-1"])

                    // Its queue goes with its connection: only what is published after the next one finds a queue.
                    try await broker.closeConnections(until: { !consumer.isConnected || connects.withLock { $0 } > 1 })
                    #expect(await consumer.connected(within: .seconds(10)))
                    #expect(await publisher.connected(within: .seconds(10)))
                    event.properties.messageID = "e-2"
                    try await publishUntilConfirmed(event, publisher)
                    let next = try await gather(1, from: consumer)
                    #expect(next.allSatisfy { $0.properties.messageID == "e-2" && $0.connectionEpoch == 2 })
                    #expect(connects.withLock { $0 } == 2)
                }
            }
        }
    }

    @Test func `a stop waits for the deliveries in work, and leaves the rest to the next consumer in order`() async throws {
        try await filled(with: 6) { broker in
            let consumer = AMQPConsumer(
                try AMQPConfiguration(url: broker.url, connectionName: "test:consumer"), source: .queue("work"), prefetch: 4, log: log)
            async let running: Void = consumer.run()
            var out = try await gather(2, max: 2, from: consumer)
            let hasStopped = Mutex(false)
            let stopping = Task {
                await consumer.stop(within: .seconds(10))
                hasStopped.withLock { $0 = true }
            }
            do { while true { out += try await consumer.next(max: 1) } } catch ConsumeError.stopped {}
            for delivery in out.dropLast() { consumer.ack(delivery) }
            #expect(!hasStopped.withLock { $0 })
            consumer.ack(out.last!)
            await stopping.value
            await running
            try await withConsumer(broker, .queue("work")) { next in
                let rest = try await gather(6 - out.count, from: next)
                #expect((out + rest).map(\.properties.messageID) == ["0", "1", "2", "3", "4", "5"])
            }
        }
    }

    @Test func `a cancelled task waits no longer`() async throws {
        try await filled(with: 0) { broker in
            try await withConsumer(broker, .queue("work")) { consumer in
                let waiting = Task { try await consumer.next(max: 1) }
                waiting.cancel()
                await #expect(throws: CancellationError.self) { try await waiting.value }
            }
        }
    }

    // MARK:

    private func filled(with count: Int, _ body: (TestBroker) async throws -> Void) async throws {
        try await TestBroker.with { broker in
            try broker.declareQueue("work", arguments: #""x-queue-type":"classic""#)
            try await withPublisher(broker) { publisher in
                let results = await publisher.publish(batch: (0..<count).map { message("\($0)", to: "work") }, within: .seconds(30))
                #expect(results.allSatisfy { $0.isSuccess })
            }
            try await body(broker)
        }
    }
}

/// At least `count`, as they come.
func gather(_ count: Int, max: Int = 100, from consumer: AMQPConsumer) async throws -> [Delivery] {
    var deliveries: [Delivery] = []
    while deliveries.count < count { deliveries += try await consumer.next(max: max) }
    return deliveries
}

/// Publishes as the outbox does: the same message until the broker has it. After an outage a publisher may take up to
/// ``AMQPConfiguration/reconnectWithin`` for its next attempt to connect.
func publishUntilConfirmed(_ message: OutgoingMessage, _ publisher: AMQPPublisher) async throws {
    for _ in 0..<20 {
        guard await publisher.connected(within: .seconds(60)) else { throw NotConnected() }
        do throws(PublishError) {
            return try await publisher.publish(message, within: .seconds(30))
        } catch {
            if case .unroutable = error { throw error }
        }
    }
    throw NotConnected()
}
