import AMQP
import Synchronization
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
                    // RabbitMQ 3.10 writes the name of a new quorum queue to disk only after a while.
                    // Killed before that, it starts with an empty queue that never elects a
                    // leader, which is not what is tested here.
                    try node.restart()
                    try await publishUntilConfirmed(message("first", to: "work"), publisher)
                    let confirmed = Confirmed()
                    let failures = await withTaskGroup(of: PublishError?.self) { group in
                        for writer in 0..<4 {
                            group.addTask { await publishUntilRefused(publisher, writer: writer, confirmed) }
                        }
                        // Under load: the kill falls into the middle of many batches.
                        _ = try? await until("500 messages are confirmed") { confirmed.ids.withLock { $0.count >= 500 } }
                        node.kill()
                        return await group.reduce(into: []) { $0.append($1) }
                    }
                    #expect(failures.allSatisfy { $0 == .disconnected }, "\(failures)")

                    try node.start()
                    #expect(await publisher.connected(within: .seconds(60)))
                    try await publishUntilConfirmed(message("last", to: "work"), publisher)
                    let missing = try await withConsumer(broker, .queue("work")) { consumer in
                        var missing = confirmed.ids.withLock { $0 }.union(["last"])
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

    @Test func `a frozen broker times callers out, and work resumes when it thaws`() async throws {
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
                        async let call = outcome(client, within: .milliseconds(300))
                        let results = await publisher.publish(batch: batch, within: .milliseconds(300))
                        let failure = await call
                        #expect(results.allSatisfy { $0.failure == .timedOut })
                        #expect(failure == .timedOut)

                        // Two missed heartbeats end the connection; then the answer comes at once.
                        try await until("the broker is given up") {
                            await publishFailure(message("late", to: "ledger.rpc.hold"), publisher, within: .milliseconds(200))
                                == .disconnected
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

    @Test func `a memory alarm blocks publishers until it ends, and does not affect consumers`() async throws {
        try await PrivateBroker.with { node in
            try await TestBroker.with(url: node.url, api: node.api) { broker in
                try broker.declareQueue("work")
                try await withPublisher(broker) { publisher in
                    try await publisher.publish(message("before", to: "work"), within: .seconds(30))
                    try node.starve()
                    // The broker speaks of its alarm only to who publishes.
                    try await until("publishing is blocked") {
                        await publishFailure(message("during", to: "work"), publisher, within: .milliseconds(500)) == .blocked
                    }
                    #expect(publisher.isConnected)
                    try await withConsumer(broker, .queue("work")) { consumer in
                        let first = try await gather(1, from: consumer)
                        #expect(first[0].properties.messageID == "before")
                    }
                    try node.feed()
                    try await until("publishing goes on") {
                        await publishFailure(message("after", to: "work"), publisher, within: .seconds(1)) == nil
                    }
                }
            }
        }
    }
}

/// Makes a body of 100,000 bytes and as many more as its number.
private func large(_ index: Int) -> [UInt8] { Array(repeating: 0, count: 100_000 + index) }

/// The ids of confirmed messages.
private final class Confirmed: Sendable {
    let ids = Mutex<Set<String>>([])
}

/// Publishes batches, one after the other, until the first that fails.
/// - Returns: why it failed.
private func publishUntilRefused(_ publisher: AMQPPublisher, writer: Int, _ confirmed: Confirmed) async -> PublishError? {
    for batch in 0..<10_000 {
        let ids = (0..<50).map { "\(writer)-\(batch)-\($0)" }
        let failures = await publisher.publish(batch: ids.map { message($0, to: "work") }, within: .seconds(30)).map(\.failure)
        confirmed.ids.withLock { $0.formUnion(zip(ids, failures).filter { $0.1 == nil }.map(\.0)) }
        if let failure = failures.compactMap(\.self).first { return failure }
    }
    return nil
}

private func publishFailure(_ message: OutgoingMessage, _ publisher: AMQPPublisher, within limit: Duration) async -> PublishError? {
    await publisher.publish(batch: [message], within: limit)[0].failure
}
