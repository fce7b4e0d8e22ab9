import EventLoop
package import Telemetry

/// Receives from one queue over a connection of its own. Callable from any task on any loop.
///
/// At most `prefetch` deliveries are out and unsettled: that bounds memory here. After a lost connection the broker
/// delivers again what was not acknowledged; each loss counts as a failed delivery of every one of them (delivery-limit), so prefetch
/// no more than is worked on.
///
/// Of a queue with `x-single-active-consumer` one subscriber gets everything and the others wait for its end: connected is then not yet
/// receiving, and nothing tells the difference.
package final class AMQPConsumer: Sendable {
    package enum Source: Sendable {
        /// A durable queue that the broker's definitions declare.
        case queue(String)
        /// A queue of this connection alone, declared anew as `<prefix>.<epoch>` after each connect, then bound, then consumed. What is
        /// published while disconnected is lost to it.
        case exclusive(prefix: String, bindings: [(exchange: String, routingKey: String)])
    }

    private let role: ConsumerRole
    private let thread: ChannelThread

    /// - Parameter onConnected: called on the connection's thread each time the subscription is made anew, before its first delivery
    ///   can be had from ``next(max:)``: the moment to fetch a snapshot that what follows is compared with. Must not block.
    package init(
        _ configuration: AMQPConfiguration, source: Source, prefetch: Int, log: Logger,
        onConnected: @escaping @Sendable () -> Void = {}
    ) {
        role = ConsumerRole(source: source, prefetch: prefetch, onConnected: onConnected)
        thread = ChannelThread(configuration, role: role, log: ConnectionLog(configuration, log))
    }

    /// Keeps the subscription, until ``stop(within:)`` or cancellation.
    package func run() async { await thread.run() }

    /// Hands out no more, waits at most `limit` until what was handed out is settled, closes the connection. The rest, and what is not
    /// settled by then, is delivered again in its order, to somebody.
    package func stop(within limit: Duration = .seconds(10)) async { await thread.stop(within: limit) }

    /// While true there is no connection: what is out goes back to the queue, in order, and on to the next subscriber; what is settled
    /// of it later is not heard. Afterwards this one subscribes anew, behind the others.
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

    /// Returns whether the connection that brought this delivery is open. Afterwards the broker gives the delivery to the next consumer.
    package func isOut(_ delivery: Delivery) -> Bool { role.isOut(delivery) }

    /// Acknowledges this delivery and no other; deliveries may be settled in any order. Nothing is waited for: an acknowledgement that does
    /// not reach the broker means one more delivery.
    package func ack(_ delivery: Delivery) {
        settle(ConsumerRole.Settlement(epoch: delivery.connectionEpoch, tag: delivery.tag, kind: .acknowledge))
    }

    /// Gives the delivery back to the queue, counted as an attempt, or to its dead-letter exchange.
    package func reject(_ delivery: Delivery, requeue: Bool) {
        settle(ConsumerRole.Settlement(epoch: delivery.connectionEpoch, tag: delivery.tag, kind: .reject(requeue: requeue)))
    }

    private func settle(_ settlement: ConsumerRole.Settlement) {
        role.add(settlement)
        thread.wake()
    }
}
