import EventLoop
import Glibc
package import Telemetry

/// Asks and waits for the answer: requests and replies travel over one connection of its own, so that neither waits behind
/// anything else. Callable from any task on any loop; what is found out is told at once.
///
/// Replies come to an exclusive queue `<service>.reply.<instance>.<epoch>`, bound to their exchange by its own name.
/// Requests are transient and expire in the queue with the caller's deadline.
package final class RPCClient: Sendable {
    private let role: PublisherRole
    private let thread: ChannelThread
    private let metrics: RPCMetrics

    /// - Parameters:
    ///   - exchange: the exchange of the replies.
    ///   - answerer: the broker's user of the service that answers. A reply of another user is
    ///     dropped.
    package init(
        _ configuration: AMQPConfiguration, service: String, repliesThrough exchange: String, answeredBy answerer: String, log: Logger
    ) {
        metrics = RPCMetrics(role: configuration.connectionName)
        role = PublisherRole(configuration, replies: Replies(service: service, through: exchange, answeredBy: answerer, metrics))
        thread = ChannelThread(configuration, role: role, log: ConnectionLog(configuration, log))
    }

    /// Keeps the connection, until ``stop(within:)`` or cancellation.
    package func run() async { await thread.run() }

    /// Refuses new calls, waits at most `limit` for the answers under way, closes the connection.
    package func stop(within limit: Duration = .seconds(5)) async { await thread.stop(within: limit) }

    package var isConnected: Bool { thread.isConnected }

    /// Waits for the connection. False when `limit` passed first (late by at most one attempt to connect).
    package func connected(within limit: Duration) async -> Bool { await thread.connected(within: limit) }

    /// Replies that came after their caller had given up, counted for all clients of this connection name.
    package var lateReplies: Int { Int(metrics.late.count) }

    /// - Parameter messageID: names the request for its receiver; the same one again means the same request.
    /// - Throws: at once if no queue is bound, the queue is full, or there is no connection.
    ///   Cancelling the task does not cancel the call; `limit` bounds it.
    package func call(
        exchange: String, routingKey: String, type: String, body: [UInt8], headers: [(String, String)] = [], messageID: String,
        within limit: Duration
    ) async throws(RPCError) -> Delivery {
        let properties = MessageProperties(
            messageID: messageID, correlationID: messageID, type: type, timestamp: UInt64(time(nil)),
            persistent: false, headers: headers)
        let message = OutgoingMessage(exchange: exchange, routingKey: routingKey, body: body, properties: properties)
        let started = MonotonicInstant.current()
        let result: Result<Delivery, RPCError> = await withCheckedContinuation { continuation in
            let request = Submission(message: message, deadline: started + limit, completion: .reply(continuation))
            if let refusal = role.accept([request]) {
                continuation.resume(returning: .failure(refusal == .saturated ? .saturated : .notSent(refusal)))
            } else {
                thread.wake()
            }
        }
        metrics.observe(result, MonotonicInstant.current() - started)
        return try result.get()
    }
}
