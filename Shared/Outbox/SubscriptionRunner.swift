package import AMQP
import Contracts
import EventLoop
import Jobs
import Messaging
package import Postgres
package import Telemetry

/// Receives the messages of all subscribed queues and has each take effect once.
///
/// A message is acknowledged after its transaction is committed, or after it stands in `dead_letter`, from where it is tried again
/// after 5 s, 30 s, 2 min, 10 min and 1 h and then parked. What cannot be read goes to the broker's dead-letter queue. While the
/// database is away messages stay unacknowledged and no new ones are taken; nothing is ever requeued, so that an outage does not use
/// up the broker's delivery limit. Confined to the pool's loop.
package final class SubscriptionRunner: @unchecked Sendable {
    // @unchecked Sendable: confined to its loop.

    package struct Configuration: Sendable {
        /// Messages of one queue handled at a time, and its prefetch. Messages of a queue are not handled in order.
        package var concurrencyMax = 8
        /// Pauses before repeating at once what failed by a conflict with another transaction.
        package var conflictPauses: [Duration] = [.milliseconds(50), .milliseconds(200), .seconds(1)]
        package var retryDelays: [Duration] = [.seconds(5), .seconds(30), .seconds(120), .seconds(600), .seconds(3600)]
        package var retrySweepEvery: Duration = .seconds(1)
        package var outagePauseMax: Duration = .seconds(10)
        package init() {}
    }

    private let pool: PostgresPool
    private let configuration: Configuration
    private let log: Logger
    private let metrics: MessageMetrics
    private let handling: MessageHandling
    private let subscriptions: [String: [String: Subscription]]
    private let consumers: [String: AMQPConsumer]
    private var stopped: Promise<Void>?

    /// - Parameter amqp: whose connection name gets the queue's name appended: each queue has a connection of its own.
    package init(
        pool: PostgresPool, amqp: AMQPConfiguration, subscriptions: [Subscription], configuration: Configuration = Configuration(),
        log: Logger, metrics: Metrics = .shared
    ) {
        self.pool = pool
        self.configuration = configuration
        self.log = log
        self.metrics = MessageMetrics(metrics)
        handling = MessageHandling(pool: pool, configuration: configuration, log: log, metrics: self.metrics)
        var table: [String: [String: Subscription]] = [:]
        for subscription in subscriptions {
            let earlier = table[subscription.queue.name, default: [:]].updateValue(subscription, forKey: subscription.type)
            precondition(earlier == nil, "two subscriptions for \(subscription.type) from \(subscription.queue.name)")
        }
        self.subscriptions = table
        consumers = Dictionary(
            uniqueKeysWithValues: table.keys.map { queue in
                var amqp = amqp
                amqp.connectionName += ":\(queue)"
                return (queue, AMQPConsumer(amqp, source: .queue(queue), prefetch: configuration.concurrencyMax, log: log))
            })
    }

    /// True when all queues are subscribed.
    package var isReady: Bool { consumers.values.allSatisfy(\.isConnected) }

    /// Runs until ``stop(within:)`` or cancellation; returns when nothing is being handled.
    package func run() async throws {
        pool.loop.preconditionCurrent()
        let over = Promise<Void>(on: pool.loop)
        stopped = over
        // A task that answers true ends the run.
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for consumer in consumers.values {
                group.addTask {
                    await consumer.run()
                    return false
                }
            }
            let retries = Job("message retries", every: configuration.retrySweepEvery, within: .seconds(3_600)) {
                try await self.retryDueMessages()
            }
            group.addTask { [pool, log] in
                try await retries.run(on: pool.loop, log: log)
                return false
            }
            group.addTask {
                try await self.receiveFromAll()
                return true
            }
            group.addTask {
                try await over.value()
                return true
            }
            while let isOver = try await group.next(), !isOver {}
            group.cancelAll()
        }
    }

    /// Takes no new messages, and waits at most `limit` for those that are being handled. The broker delivers the rest again,
    /// to any replica.
    package func stop(within limit: Duration = .seconds(10)) async {
        await withDiscardingTaskGroup { group in
            for consumer in consumers.values { group.addTask { await consumer.stop(within: limit) } }
        }
        // Concluded messages are done. Open ones (the database may be away) are given up.
        stopped?.succeed(())
    }

    // MARK: From the broker

    private func receiveFromAll() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (queue, consumer) in consumers { group.addTask { try await self.receive(from: queue, consumer) } }
            try await group.waitForAll()
        }
    }

    private func receive(from queue: String, _ consumer: AMQPConsumer) async throws {
        let slots = Slots(configuration.concurrencyMax, on: pool.loop)
        try await withThrowingDiscardingTaskGroup { group in
            do {
                while true {
                    // While the database is away those that are held fill the slots, or the pause ends: whichever comes first.
                    while handling.held > 0 { try await pool.loop.sleep(for: .milliseconds(100)) }
                    try await slots.waitForOne()
                    for delivery in try await consumer.next(max: slots.free) {
                        slots.take()
                        group.addTask {
                            defer { slots.giveBack() }
                            await self.conclude(delivery, from: queue, consumer)
                        }
                    }
                }
            } catch ConsumeError.stopped {
                // The group finishes the messages that were handed out.
            }
        }
    }

    private func conclude(_ delivery: Delivery, from queue: String, _ consumer: AMQPConsumer) async {
        do {
            switch try await outcome(of: delivery, from: queue) {
            case .handled, .duplicate, .postponed, .parked: consumer.ack(delivery)
            case .rejected: consumer.reject(delivery, requeue: false)
            }
        } catch is CancellationError {
            // Open: delivered again when the connection closes.
        } catch {
            log.error("message left unacknowledged", ["queue": .string(queue)], error: error)
        }
    }

    private func outcome(of delivery: Delivery, from queue: String) async throws -> MessageHandling.Outcome {
        guard let envelope = Envelope(delivery.properties) else {
            return rejected(delivery, queue, MessageRefused("no_envelope", "no UUID as message id, or no type"))
        }
        let message = ReceivedMessage(
            consumer: queue, exchange: delivery.exchange, routingKey: delivery.routingKey, envelope: envelope, body: delivery.body)
        guard let subscription = subscriptions[queue]?[envelope.type] else {
            return try await handling.refuse(message, MessageRefused("unknown_type", "no subscription for \(envelope.type)"))
        }
        let work: Subscription.Work
        do {
            work = try subscription.prepare(delivery.body)
        } catch {
            return rejected(delivery, queue, error)
        }
        return try await handling.handle(message, work)
    }

    private func rejected(_ delivery: Delivery, _ queue: String, _ error: any Error) -> MessageHandling.Outcome {
        log.error(
            "message malformed",
            [
                "queue": .string(queue), "type": .string(delivery.properties.type),
                "message.id": .string(delivery.properties.messageID),
            ], error: error)
        metrics.consumed(from: queue, outcome: MessageHandling.Outcome.rejected.rawValue).add()
        return .rejected
    }

    // MARK: From the table

    private func retryDueMessages() async throws {
        while let message = try await pool.first(TakeDueDeadLetter(consumers: Array(subscriptions.keys))) {
            _ = try await handling.retry(message, subscriptions[message.consumer]?[message.envelope.type])
        }
    }
}

/// Counts what is being handled. Confined to its loop.
private final class Slots: @unchecked Sendable {
    // @unchecked Sendable: confined to its loop.
    private(set) var free: Int
    private let loop: EventLoop
    private var waiter: Promise<Void>?

    init(_ count: Int, on loop: EventLoop) {
        free = count
        self.loop = loop
    }

    /// One task waits at a time.
    func waitForOne() async throws {
        guard free == 0 else { return }
        let wait = Promise<Void>(on: loop)
        waiter = wait
        try await wait.value()
    }

    func take() { free -= 1 }

    func giveBack() {
        free += 1
        waiter.take()?.succeed(())
    }
}
