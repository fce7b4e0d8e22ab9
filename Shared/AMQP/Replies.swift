import EventLoop
import Telemetry

/// The requests of a channel that wait for an answer, by correlation id. Confined to the thread of
/// the connection.
struct Replies {
    typealias Continuation = CheckedContinuation<Result<Delivery, RPCError>, Never>

    private struct Request {
        var deadline: MonotonicInstant
        var continuation: Continuation
    }

    private let service: String
    private let exchange: String
    private let answerer: String
    private let metrics: RPCMetrics
    private var requests: [String: Request] = [:]
    private var queue = ""
    private var epoch: UInt64 = 0
    private var asked: UInt64 = 0
    /// Never later than the earliest deadline.
    private(set) var nextDeadline = MonotonicInstant.never

    /// - Parameters:
    ///   - exchange: the exchange of the answers.
    ///   - answerer: the broker's user whose answers are accepted. The broker checks the `user-id`
    ///     of every message against the user of its connection.
    init(service: String, through exchange: String, answeredBy answerer: String, _ metrics: RPCMetrics) {
        (self.service, self.exchange, self.answerer, self.metrics) = (service, exchange, answerer, metrics)
    }

    var isEmpty: Bool { requests.isEmpty }

    /// Declares this channel's own queue, and binds it to the exchange by its name.
    mutating func setUp(_ channel: Channel) throws(ConnectionFailure) {
        epoch += 1
        queue = "\(service).reply.\(Instance.name).\(Instance.epochSuffix(epoch))"
        try channel.declareExclusiveQueue(queue)
        try channel.bind(queue: queue, exchange: exchange, routingKey: queue)
        try channel.consume(queue: queue, consumer: "replies", acknowledged: false)
    }

    /// Prepares a request and keeps its requester until the answer or the deadline.
    /// - Returns: the correlation id.
    mutating func ask(
        _ message: inout OutgoingMessage, until deadline: MonotonicInstant, now: MonotonicInstant, _ continuation: Continuation
    ) -> String {
        // Two calls may send one message id. The first may be answered and still have no confirm.
        asked += 1
        let correlation = "\(message.properties.correlationID)/\(asked)"
        message.properties.correlationID = correlation
        message.properties.replyTo = queue
        message.properties.expirationMilliseconds = max(1, Int((deadline - now).milliseconds))
        requests[correlation] = Request(deadline: deadline, continuation: continuation)
        nextDeadline = min(nextDeadline, deadline)
        return correlation
    }

    /// Returns the requester that the delivery answers. Counts an answer that is late, or that
    /// another user sent.
    mutating func answered(by delivery: Delivery) -> Continuation? {
        guard delivery.properties.userID == answerer else {
            metrics.foreign.add()
            return nil
        }
        guard let request = take(delivery.properties.correlationID) else {
            metrics.late.add()
            return nil
        }
        return request
    }

    mutating func take(_ correlation: String) -> Continuation? { requests.removeValue(forKey: correlation)?.continuation }

    mutating func takeAll() -> [Continuation] {
        defer { (requests, nextDeadline) = ([:], .never) }
        return requests.values.map(\.continuation)
    }

    mutating func expired(now: MonotonicInstant) -> [Continuation] {
        guard nextDeadline <= now else { return [] }
        nextDeadline = .never
        var expired: [Continuation] = []
        for (correlation, request) in requests {
            if request.deadline <= now {
                requests[correlation] = nil
                expired.append(request.continuation)
            } else {
                nextDeadline = min(nextDeadline, request.deadline)
            }
        }
        return expired
    }
}
