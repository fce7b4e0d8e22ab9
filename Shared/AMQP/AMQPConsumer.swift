import EventLoop
package import Telemetry

/// Receives from one queue over a connection of its own. Callable from any task on any loop.
///
/// At most `prefetch` deliveries are handed out and open, which limits memory. After a lost
/// connection the broker redelivers every delivery that was not acknowledged. Each loss counts as a
/// failed delivery of each of them (delivery-limit), so choose a prefetch no larger than the work
/// at hand.
///
/// A queue with `x-single-active-consumer` feeds one subscriber; the others wait until it ends.
/// Such a subscriber is connected and receives nothing. Nothing shows whether it is the active one.
package final class AMQPConsumer: Sendable {
    package enum Source: Sendable {
        /// A durable queue that the broker's definitions declare.
        case queue(String)
        /// A queue of this connection alone, declared again as `<prefix>.<epoch>` after each connect, then bound, then consumed. What is
        /// published while disconnected is lost to it.
        case exclusive(prefix: String, bindings: [(exchange: String, routingKey: String)])
    }

    private let role: ConsumerRole
    private let thread: ChannelThread

    /// - Parameter onConnected: called on the connection's thread each time the subscription is made again, before its first delivery
    ///   can be had from ``next(max:)``: the moment to fetch a snapshot that what follows is compared with. Must not block.
    package init(
        _ configuration: AMQPConfiguration, source: Source, prefetch: Int, log: Logger,
        onConnected: @escaping @Sendable () -> Void = {}
    ) {
        role = ConsumerRole(configuration, source: source, prefetch: prefetch, onConnected: onConnected)
        thread = ChannelThread(configuration, role: role, log: ConnectionLog(configuration, log))
    }

    /// Keeps the subscription, until ``stop(within:)`` or cancellation.
    package func run() async { await thread.run() }

    /// Hands out no more, waits at most `limit` until what was handed out is concluded, closes the connection. The rest, and what is not
    /// concluded by then, is delivered again in its order, to any consumer.
    package func stop(within limit: Duration = .seconds(10)) async { await thread.stop(within: limit) }

    /// Closes the connection while true. The open deliveries go back to the queue, in order,
    /// and on to the next subscriber. Later conclusions of them have no effect. When false again,
    /// this consumer subscribes again, behind the others.
    package func setSuspended(_ isSuspended: Bool) { thread.setSuspended(isSuspended) }

    package var isConnected: Bool { thread.isConnected }

    /// Waits for the subscription. False when `limit` passed first (late by at most one attempt to connect).
    package func connected(within limit: Duration) async -> Bool { await thread.connected(within: limit) }

    /// Waits until at least one delivery is there, then gives all that wait, up to `max`, in the order in which they came.
    /// - Throws: ``ConsumeError/stopped`` after ``stop(within:)``; `CancellationError`.
    package func next(max: Int) async throws -> [Delivery] {
        let id = role.newWaiterID()
        defer { role.forgetWaiter(id) }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { role.wait(id, max: max, $0) }
        } onCancel: {
            role.cancelWaiter(id)
        }
    }

    /// Returns whether the connection that brought this delivery is open. If it is closed, the
    /// broker gives the delivery to the next consumer.
    package func isOut(_ delivery: Delivery) -> Bool { role.isOut(delivery) }

    /// Acknowledges this delivery and no other. Deliveries may be concluded in any order. Does not
    /// wait for the broker: a lost acknowledgement means one more delivery.
    package func ack(_ delivery: Delivery) {
        conclude(ConsumerRole.Conclusion(epoch: delivery.connectionEpoch, tag: delivery.tag, kind: .acknowledge))
    }

    /// Acknowledges a request, and sends its answer. Does not wait for the broker.
    ///
    /// Both go over the channel that brought the request, in this order. So the broker does not
    /// deliver a request again whose answer arrived. If that channel is lost, nothing is sent.
    /// `redelivered` is only a hint: a classic queue of RabbitMQ 3.10.8 no longer sets it after an
    /// orderly restart of the broker with transient messages that were never delivered.
    package func answer(_ request: Delivery, with answer: OutgoingMessage) {
        conclude(
            ConsumerRole.Conclusion(epoch: request.connectionEpoch, tag: request.tag, kind: .acknowledge, answer: answer))
    }

    /// Gives the delivery back to the queue, counted as an attempt, or to its dead-letter exchange.
    package func reject(_ delivery: Delivery, requeue: Bool) {
        conclude(ConsumerRole.Conclusion(epoch: delivery.connectionEpoch, tag: delivery.tag, kind: .reject(requeue: requeue)))
    }

    private func conclude(_ conclusion: ConsumerRole.Conclusion) {
        role.add(conclusion)
        thread.wake()
    }
}
