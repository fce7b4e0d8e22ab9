import AMQP
import TestSupport
import Testing

struct AMQPPublisherTests {
    @Test func `a confirmed message is in the queue with all its properties`() async throws {
        try await TestBroker.with { broker in
            try broker.declareQueue("work", arguments: #""x-queue-type":"quorum""#)
            try await withPublisher(broker, { $0.appID = "tests/1" }) { publisher in
                var sent = message("m-1", to: "work")
                sent.properties.correlationID = "c-1"
                sent.properties.timestamp = 1_700_000_000
                sent.properties.headers = [("traceparent", "00-ab-cd-01"), ("x-causation-id", "grüße")]
                try await publisher.publish(sent, within: .seconds(30))
                try await withConsumer(broker, .queue("work")) { consumer in
                    let delivery = try #require(try await consumer.next(max: 10).first)
                    var expected = sent.properties
                    expected.userID = "admin"
                    expected.appID = "tests/1"
                    // The quorum queue adds its own.
                    #expect(delivery.properties.header("x-delivery-count") ?? "0" == "0")
                    var received = delivery.properties
                    received.headers.removeAll { $0.0 == "x-delivery-count" }
                    #expect(received == expected)
                    #expect(delivery.body == sent.body)
                    #expect(delivery.routingKey == "work")
                    #expect(!delivery.redelivered)
                    consumer.ack(delivery)
                }
            }
        }
    }

    @Test func `a body longer than a frame arrives whole`() async throws {
        try await TestBroker.with { broker in
            try broker.declareQueue("work")
            try await withPublisher(broker) { publisher in
                for count in [0, 1, 131_064, 131_065, 300_000] {
                    var sent = message("m-\(count)", to: "work")
                    sent.body = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) }
                    try await publisher.publish(sent, within: .seconds(30))
                    try await withConsumer(broker, .queue("work")) { consumer in
                        let delivery = try #require(try await consumer.next(max: 1).first)
                        #expect(delivery.body == sent.body)
                        consumer.ack(delivery)
                    }
                }
            }
        }
    }

    @Test func `a batch of ten thousand is confirmed, each message once and in order`() async throws {
        try await TestBroker.with { broker in
            try broker.declareQueue("work", arguments: #""x-queue-type":"quorum""#)
            try await withPublisher(broker) { publisher in
                let results = await publisher.publish(batch: (0..<10_000).map { message("\($0)", to: "work") }, within: .seconds(30))
                #expect(results.allSatisfy { $0.isSuccess })
            }
            try await withConsumer(broker, .queue("work"), prefetch: 500) { consumer in
                var ids: [String] = []
                while ids.count < 10_000 {
                    let deliveries = try await consumer.next(max: 500)
                    ids += deliveries.map(\.properties.messageID)
                    for delivery in deliveries { consumer.ack(delivery) }
                }
                #expect(ids == (0..<10_000).map(String.init))
            }
        }
    }

    @Test func `a message without a bound queue is returned as unroutable, and its neighbours are not`() async throws {
        try await TestBroker.with { broker in
            try broker.declareQueue("work")
            try await withPublisher(broker) { publisher in
                let results = await publisher.publish(
                    batch: [message("a", to: "work"), message("b", to: "nowhere"), message("c", to: "work")], within: .seconds(30))
                #expect(results.map(\.failure) == [nil, .unroutable(code: 312, text: "NO_ROUTE"), nil])
            }
        }
    }

    @Test func `a full queue refuses one message more`() async throws {
        try await TestBroker.with { broker in
            try broker.declareQueue("small", arguments: #""x-max-length":2,"x-overflow":"reject-publish""#)
            try await withPublisher(broker) { publisher in
                var refused: [PublishError?] = []
                for index in 0..<4 {
                    do throws(PublishError) {
                        try await publisher.publish(message("\(index)", to: "small"), within: .seconds(30))
                        refused.append(nil)
                    } catch {
                        refused.append(error)
                    }
                }
                #expect(refused == [nil, nil, .nacked, .nacked])
            }
        }
    }

    @Test func `a missing exchange closes the channel with 404, and the next publish works at once`() async throws {
        try await TestBroker.with { broker in
            try broker.declareQueue("work")
            try await withPublisher(broker) { publisher in
                let error = await #expect(throws: PublishError.self) {
                    try await publisher.publish(message("a", to: "work", exchange: "no-such"), within: .seconds(30))
                }
                guard case .closed(let code, let text) = error else {
                    Issue.record("expected closed, not \(String(describing: error))")
                    return
                }
                #expect(code == 404)
                #expect(text.contains("no-such"))
                try await publisher.publish(message("b", to: "work"), within: .seconds(30))
            }
        }
    }

    @Test func `a message above the window is refused as saturated`() async throws {
        try await TestBroker.with { broker in
            try broker.declareQueue("work")
            try await withPublisher(broker, { $0.acceptedMax = 10 }) { publisher in
                let refused = await publisher.publish(batch: (0..<11).map { message("\($0)", to: "work") }, within: .seconds(30))
                #expect(refused.allSatisfy { $0.failure == .saturated })
                let taken = await publisher.publish(batch: (0..<10).map { message("\($0)", to: "work") }, within: .seconds(30))
                #expect(taken.allSatisfy { $0.isSuccess })
            }
        }
    }

    @Test func `publishing before there is a connection, and after the end, is refused at once`() async throws {
        try await TestBroker.with { broker in
            let publisher = AMQPPublisher(try AMQPConfiguration(url: broker.url, connectionName: "test:publisher"), log: log)
            await #expect(throws: PublishError.disconnected) {
                try await publisher.publish(message("a", to: "work"), within: .seconds(60))
            }
            await publisher.stop()
            await #expect(throws: PublishError.stopped) {
                try await publisher.publish(message("a", to: "work"), within: .seconds(60))
            }
        }
    }

    @Test func `a connection that an operator closed is opened again`() async throws {
        try await TestBroker.with { broker in
            try broker.declareQueue("work")
            try await withPublisher(broker) { publisher in
                try await publisher.publish(message("a", to: "work"), within: .seconds(30))
                try await broker.closeConnections(until: { !publisher.isConnected })
                #expect(await publisher.connected(within: .seconds(10)))
                try await publisher.publish(message("b", to: "work"), within: .seconds(30))
            }
        }
    }
}

extension Result where Success == Void, Failure == PublishError {
    var isSuccess: Bool { failure == nil }
    var failure: PublishError? {
        if case .failure(let error) = self { error } else { nil }
    }
}
