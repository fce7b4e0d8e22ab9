import AMQP
import TestSupport
import Testing

/// Each with a broker of its own: killed, frozen, starved.
@Suite(.serialized)
struct BrokerFaultTests {
    @Test func `every message confirmed before the broker was killed is there after its restart`() async throws {
        try await PrivateBroker.with { node in
            try await TestBroker.with(url: node.url, api: node.api) { broker in
                try broker.declareQueue("work", arguments: #""x-queue-type":"quorum""#)
                try await withPublisher(broker) { publisher in
                    var confirmed: Set<String> = []
                    var failures: [PublishError] = []
                    try await withThrowingTaskGroup(of: [(String, PublishError?)].self) { group in
                        for writer in 0..<4 {
                            group.addTask { await publishUntilRefused(publisher, writer: writer) }
                        }
                        group.addTask {
                            // Under load: the kill falls into the middle of many batches.
                            let killed = Task { [node] in
                                try await publish(for: .seconds(4), publisher)
                                node.kill()
                            }
                            try await killed.value
                            return []
                        }
                        for try await results in group {
                            for (id, error) in results {
                                if let error { failures.append(error) } else { confirmed.insert(id) }
                            }
                        }
                    }
                    #expect(confirmed.count >= 500)
                    #expect(failures.allSatisfy { $0 == .disconnected })
                    #expect(!failures.isEmpty)

                    try node.start()
                    #expect(await publisher.connected(within: .seconds(60)))
                    try await publishUntilConfirmed(message("last", to: "work"), publisher)
                    let missing = try await withConsumer(broker, .queue("work")) { consumer in
                        var missing = confirmed.union(["last"])
                        while !missing.isEmpty {
                            let deliveries = try await consumer.next(max: 100)
                            for delivery in deliveries {
                                missing.remove(delivery.properties.messageID)
                                consumer.ack(delivery)
                            }
                            if deliveries.last!.properties.messageID == "last" { break }
                        }
                        return missing
                    }
                    #expect(missing.isEmpty)
                }
            }
        }
    }

    @Test func `nobody waits past his deadline for a frozen broker, and all goes on when it thaws`() async throws {
        try await PrivateBroker.with { node in
            try await TestBroker.with(url: node.url, api: node.api) { broker in
                try declareHolds(broker)
                try await withPublisher(broker, { $0.heartbeat = .seconds(1) }) { publisher in
                    try await withRPCClient(broker) { client in
                        node.freeze()
                        // More than the socket's buffers hold.
                        let batch = (0..<200).map { index in
                            var large = message("\(index)", to: "ledger.rpc.hold")
                            large.body = Array(repeating: 0, count: 100_000)
                            return large
                        }
                        let started = ContinuousClock.now
                        async let call = outcome(client, within: .milliseconds(300))
                        let results = await publisher.publish(batch: batch, within: .milliseconds(300))
                        let failure = await call
                        #expect(ContinuousClock.now - started < .seconds(2))
                        #expect(results.allSatisfy { $0.failure == .timedOut })
                        #expect(failure == .timedOut)

                        // Two missed heartbeats end the connection; then the answer comes at once.
                        var error: PublishError?
                        while error != .disconnected {
                            try #require(ContinuousClock.now - started < .seconds(20))
                            error = await publisher.publish(batch: [message("late", to: "ledger.rpc.hold")], within: .milliseconds(200))[0]
                                .failure
                        }

                        node.thaw()
                        try await publishUntilConfirmed(message("thawed", to: "ledger.rpc.hold"), publisher)
                    }
                }
            }
        }
    }

    @Test(arguments: [Duration.milliseconds(500), .seconds(30)])
    func `a call that failed as never sent reaches no queue, at its deadline or when a frozen broker is given up`(
        limit: Duration
    ) async throws {
        try await PrivateBroker.with { node in
            try await TestBroker.with(url: node.url, api: node.api) { broker in
                try declareHolds(broker)
                try await withRPCClient(broker, { $0.heartbeat = .seconds(limit > .seconds(1) ? 1 : 60) }) { client in
                    node.freeze()
                    // The messages are more than the buffers of the socket hold, so some are
                    // written and some are not.
                    let failures = await withTaskGroup(of: (Int, RPCError?).self) { group in
                        for index in 0..<300 {
                            group.addTask { (index, await outcome(client, body: large(index), within: limit)) }
                        }
                        return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
                    }
                    let unsent = Set(failures.filter { $0.value.neverArrived }.keys)
                    #expect(failures.count == 300)
                    #expect(!unsent.isEmpty && unsent.count < 300)
                    #expect(unsent.allSatisfy { failures[$0] == .notSent(limit > .seconds(1) ? .disconnected : .timedOut) })
                    node.thaw()
                    try await withConsumer(broker, .queue("ledger.rpc.hold"), prefetch: 1_000) { server in
                        // This message arrives after all messages that were written.
                        #expect(await client.connected(within: .seconds(20)))
                        async let last = outcome(client, body: large(1_000), within: .seconds(5))
                        var arrived: Set<Int> = []
                        while !arrived.contains(1_000) {
                            for delivery in try await server.next(max: 100) {
                                arrived.insert(delivery.body.count - 100_000)
                                server.ack(delivery)
                            }
                        }
                        #expect(arrived.isDisjoint(with: unsent))
                        #expect(await last == .timedOut)
                    }
                }
            }
        }
    }

    @Test func `a memory alarm blocks publishers at once and not for ever, and leaves consumers alone`() async throws {
        try await PrivateBroker.with { node in
            try await TestBroker.with(url: node.url, api: node.api) { broker in
                try broker.declareQueue("work")
                try await withPublisher(broker) { publisher in
                    try await publisher.publish(message("before", to: "work"), within: .seconds(5))
                    try node.starve()
                    // The broker speaks of its alarm only to who publishes.
                    let started = ContinuousClock.now
                    var error: PublishError?
                    while error != .blocked {
                        try #require(ContinuousClock.now - started < .seconds(20))
                        error = await publisher.publish(batch: [message("during", to: "work")], within: .milliseconds(500))[0].failure
                    }
                    #expect(publisher.isConnected)
                    try await withConsumer(broker, .queue("work")) { consumer in
                        let first = try await gather(1, from: consumer)
                        #expect(first[0].properties.messageID == "before")
                    }
                    try node.feed()
                    while error != nil {
                        try #require(ContinuousClock.now - started < .seconds(60))
                        error = await publisher.publish(batch: [message("after", to: "work")], within: .seconds(1))[0].failure
                    }
                }
            }
        }
    }
}

/// Makes a body of 100,000 bytes and as many more as its number.
private func large(_ index: Int) -> [UInt8] { Array(repeating: 0, count: 100_000 + index) }

/// Batches, one after the other, until the first that fails: each id with how it ended.
private func publishUntilRefused(_ publisher: AMQPPublisher, writer: Int) async -> [(String, PublishError?)] {
    var ends: [(String, PublishError?)] = []
    for batch in 0..<10_000 {
        let ids = (0..<50).map { "\(writer)-\(batch)-\($0)" }
        let results = await publisher.publish(batch: ids.map { message($0, to: "work") }, within: .seconds(30))
        ends += zip(ids, results.map(\.failure))
        if results.contains(where: { !$0.isSuccess }) { break }
    }
    return ends
}

/// Publishes beside the others. RabbitMQ 3.10 writes the name of a new quorum queue to disk only after a while: killed before that, it
/// starts with an empty queue that never elects a leader, which is not what is tested here.
private func publish(for duration: Duration, _ publisher: AMQPPublisher) async throws {
    let started = ContinuousClock.now
    while ContinuousClock.now - started < duration {
        let results = await publisher.publish(batch: (0..<10).map { message("mark-\($0)", to: "work") }, within: .seconds(30))
        try #require(results.allSatisfy { $0.isSuccess })
    }
}
