/// The reason why a publish was not confirmed. After `unroutable` and `saturated` no queue has the
/// message. After `nacked` at least one of its queues does not have it. After any other case the
/// broker may have it, so send it again under the same message id.
package enum PublishError: Error, Equatable, Sendable {
    /// Returned by the broker (basic.return): no queue is bound for this key. 312 NO_ROUTE.
    case unroutable(code: Int, text: String)
    /// Refused by the broker (basic.nack): the queue is full, or failed.
    case nacked
    case timedOut
    case disconnected
    /// The broker has a memory or disk alarm and takes nothing from this connection.
    case blocked
    /// More than `acceptedMax` wait already.
    case saturated
    /// The broker closed the channel, because of this message or one sent with it: 404 no such exchange, 403 refused.
    case closed(code: Int, text: String)
    case stopped
}

/// The reason why an RPC has no answer. A service may have carried out the request, unless
/// ``neverArrived`` is true.
package enum RPCError: Error, Equatable, Sendable {
    /// The request was never handed to a connection. There was no connection, or the broker had an
    /// alarm. Or the request waited for its turn until the connection was lost or the deadline
    /// passed.
    case notSent(PublishError)
    case timedOut
    case unroutable(code: Int, text: String)
    case nacked
    case disconnected
    case blocked
    case saturated
    case closed(code: Int, text: String)
    case stopped

    /// The error of a request that was written and not answered.
    init(_ error: PublishError) {
        self =
            switch error {
            case .unroutable(let code, let text): .unroutable(code: code, text: text)
            case .nacked: .nacked
            case .timedOut: .timedOut
            case .disconnected: .disconnected
            case .blocked: .blocked
            case .saturated: .saturated
            case .closed(let code, let text): .closed(code: code, text: text)
            case .stopped: .stopped
            }
    }

    /// True if no queue took the request. No service then carries it out.
    package var neverArrived: Bool {
        switch self {
        case .notSent, .unroutable, .nacked, .saturated: true
        case .timedOut, .disconnected, .blocked, .closed, .stopped: false
        }
    }
}

package enum ConsumeError: Error, Equatable, Sendable {
    /// ``AMQPConsumer/stop(within:)`` was called: nothing more is handed out.
    case stopped
}

/// The reason why a channel or a connection ended.
struct ConnectionFailure: Error, Sendable, CustomStringConvertible {
    enum Kind: Sendable, Equatable {
        case connectFailed
        case loginRefused
        case missedHeartbeats
        /// The broker ended the subscription: the queue was deleted or its node went down.
        case consumerLost
        case socket
        /// A declaration was refused: 404 no such queue, 403 no right to it.
        case setUpRefused(code: Int)
        /// The broker closed the channel; the connection is still good.
        case channelClosed(code: Int)
        case connectionClosed(code: Int)
        case protocolViolation
        /// A message had no confirm for too long. RabbitMQ withholds the confirm of a quorum queue
        /// without a majority.
        case confirmMissing

        var name: String {
            switch self {
            case .connectFailed: "connect_failed"
            case .loginRefused: "login_refused"
            case .missedHeartbeats: "missed_heartbeats"
            case .consumerLost: "consumer_lost"
            case .setUpRefused: "set_up_refused"
            case .socket: "socket"
            case .channelClosed: "channel_closed"
            case .connectionClosed: "connection_closed"
            case .protocolViolation: "protocol_violation"
            case .confirmMissing: "confirm_missing"
            }
        }
    }

    var kind: Kind
    var description: String

    /// The channel is opened again at once, on the same connection: callers need not be sent away.
    var isOfChannelOnly: Bool {
        if case .channelClosed = kind { true } else { false }
    }

    /// The error of a message that was written and not confirmed.
    var publishError: PublishError {
        if case .channelClosed(let code) = kind { return .closed(code: code, text: description) }
        return .disconnected
    }
}
