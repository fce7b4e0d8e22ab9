/// Why a publish was not confirmed. After `unroutable` and `saturated` no queue has the message; after `nacked` at least one of its queues
/// has not. After any other case the broker may have it, and sending it again under the same message id is the right answer.
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

/// Why an RPC has no answer. The request may have been carried out, except where ``neverArrived`` is true.
package enum RPCError: Error, Equatable, Sendable {
    /// The request was never handed to a connection. There was none, the broker had an alarm, or the connection was lost or the deadline
    /// passed while the request waited for its turn.
    case notSent(PublishError)
    case timedOut
    case unroutable(code: Int, text: String)
    case nacked
    case disconnected
    case blocked
    case saturated
    case closed(code: Int, text: String)
    case stopped

    /// True if no queue took the request, so that no service carries it out.
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

/// What ended a channel or a connection.
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

    /// The error of a request that was written and not answered.
    var rpcError: RPCError {
        if case .channelClosed(let code) = kind { return .closed(code: code, text: description) }
        return .disconnected
    }
}
