import EventLoop
import Synchronization
import Telemetry

/// The asker's side of its channel: requests out with confirms, replies in without acknowledgement.
final class RPCRole: ChannelRole, @unchecked Sendable {
    // @unchecked Sendable: `shared` is a Mutex; the rest is touched by the connection's thread only.
    struct Call: Sendable {
        var message: OutgoingMessage
        var deadline: MonotonicInstant
        var continuation: CheckedContinuation<Result<Delivery, RPCError>, Never>
    }

    private struct Pending {
        var deadline: MonotonicInstant
        var continuation: CheckedContinuation<Result<Delivery, RPCError>, Never>
    }

    private struct Shared {
        var gate = Gate.disconnected
        var mailbox: [Call] = []
        var accepted = 0
    }

    private let configuration: AMQPConfiguration
    private let service: String
    private let shared = Mutex(Shared())
    private let late: Counter
    private var waiting = FIFO<Call>()
    /// By correlation id.
    private var pending: [String: Pending] = [:]
    private var window = ConfirmWindow<String>()
    private var nextDeadline = MonotonicInstant.never
    private var replyQueue = ""
    private var epoch: UInt64 = 0
    private var duplicates: UInt64 = 0
    private var finished = 0

    private static let outputBytesMax = 1 << 18

    init(_ configuration: AMQPConfiguration, service: String) {
        self.configuration = configuration
        self.service = service
        late = Metrics.shared.counter(
            "rpc_late_replies_total", help: "Replies nobody waited for any more.", labels: ["role": configuration.connectionName])
    }

    var lateReplies: Int { Int(late.count) }

    /// Any thread.
    func accept(_ call: Call) -> RPCError? {
        shared.withLock { shared in
            if let refusal = shared.gate.refusal { return .notSent(refusal) }
            guard shared.accepted < configuration.acceptedMax else { return .saturated }
            shared.accepted += 1
            shared.mailbox.append(call)
            return nil
        }
    }

    var hasWork: Bool { shared.withLock { !$0.mailbox.isEmpty } }

    // MARK: ChannelRole

    func setUp(_ channel: Channel) throws(ConnectionFailure) {
        epoch += 1
        replyQueue = "\(service).reply.\(Instance.name).\(Instance.epochSuffix(epoch))"
        try channel.declareExclusiveQueue(replyQueue)
        try channel.bind(queue: replyQueue, exchange: "rpc.reply", routingKey: replyQueue)
        try channel.consume(queue: replyQueue, consumer: "replies", acknowledged: false)
        try channel.selectConfirms()
    }

    func opened() { shared.withLock { $0.gate.open() } }

    func pump(_ channel: Channel, now: MonotonicInstant) {
        waiting.append(shared.withLock { $0.mailbox.take() })
        while channel.output.pending < Self.outputBytesMax, var call = waiting.popFirst() {
            let remaining = call.deadline - now
            guard remaining > .zero else {
                finish(call.continuation, .failure(.notSent(.timedOut)))
                continue
            }
            var correlation = call.message.properties.correlationID
            if pending[correlation] != nil {
                // The same request asked twice at once: two calls, one message id.
                duplicates += 1
                correlation += "/\(duplicates)"
                call.message.properties.correlationID = correlation
            }
            call.message.properties.replyTo = replyQueue
            channel.output.publish(
                call.message, from: configuration, expirationMilliseconds: max(1, Int(remaining.milliseconds)),
                frameMax: channel.frameMax)
            pending[correlation] = Pending(deadline: call.deadline, continuation: call.continuation)
            window.append(correlation, deadline: .never, call.message)
            nextDeadline = min(nextDeadline, call.deadline)
        }
        if !waiting.isEmpty { nextDeadline = min(nextDeadline, now + .milliseconds(20)) }
    }

    func received(_ event: Channel.Event, _ channel: Channel) throws(ConnectionFailure) {
        switch event {
        case .delivered(let tag, let redelivered, let exchange, let routingKey, let properties, let body):
            guard let call = pending.removeValue(forKey: properties.correlationID) else {
                late.add()
                return
            }
            finish(
                call.continuation,
                .success(
                    Delivery(
                        tag: tag, connectionEpoch: epoch, exchange: exchange, routingKey: routingKey, redelivered: redelivered,
                        receivedAt: channel.lastReceived, body: body, properties: properties)))
        case .returned(let returned):
            // Comes before the ack: no need to wait for that.
            fail(returned.correlationID, .unroutable(code: returned.code, text: returned.text))
        case .acknowledged(let tag, let multiple): window.settle(tag: tag, multiple: multiple) { _, _ in }
        case .rejected(let tag, let multiple):
            window.settle(tag: tag, multiple: multiple) { correlation, _ in fail(correlation, .nacked) }
        case .consumerLost: throw ConnectionFailure(kind: .consumerLost, description: "the broker ended the subscription to replies")
        default: break
        }
    }

    func batchEnded() {
        guard finished > 0 else { return }
        shared.withLock { $0.accepted -= finished }
        finished = 0
    }

    func blocked(_ isBlocked: Bool) {
        shared.withLock { $0.gate.block(isBlocked) }
        // Sent ones too: the broker does not read them before its alarm ends.
        guard isBlocked else { return }
        failPending(.blocked)
        failWaiting(.blocked)
        batchEnded()
    }

    func expire(now: MonotonicInstant) -> MonotonicInstant {
        guard nextDeadline <= now else { return nextDeadline }
        nextDeadline = .never
        for (correlation, call) in pending {
            if call.deadline <= now {
                fail(correlation, .timedOut)
            } else {
                nextDeadline = min(nextDeadline, call.deadline)
            }
        }
        for call in waiting.removeAll(where: { $0.deadline <= now }) {
            finish(call.continuation, .failure(.notSent(.timedOut)))
        }
        if !waiting.isEmpty { nextDeadline = min(nextDeadline, now + .milliseconds(20)) }
        batchEnded()
        return nextDeadline
    }

    func lost(_ failure: ConnectionFailure) {
        let isStopped = shared.withLock { shared in
            if !failure.isOfChannelOnly { shared.gate.close() }
            return shared.gate == .stopped
        }
        failPending(isStopped ? .stopped : failure.rpcError)
        // What was not written has no part in what closed the channel, and goes over the next.
        if !failure.isOfChannelOnly { failWaiting(isStopped ? .stopped : .disconnected) }
        batchEnded()
        window.reset { _, _ in }
        nextDeadline = .never
    }

    func stopping(_ channel: Channel) { shared.withLock { $0.gate = .stopped } }

    var isDrained: Bool { pending.isEmpty && waiting.isEmpty && !hasWork }

    func ended() {
        shared.withLock { $0.gate = .stopped }
        failWaiting(.stopped)
    }

    // MARK:

    private func fail(_ correlation: String, _ error: RPCError) {
        guard let call = pending.removeValue(forKey: correlation) else { return }
        finish(call.continuation, .failure(error))
    }

    private func failPending(_ error: RPCError) {
        for call in pending.values { finish(call.continuation, .failure(error)) }
        pending.removeAll()
    }

    private func failWaiting(_ reason: PublishError) {
        waiting.append(shared.withLock { $0.mailbox.take() })
        while let call = waiting.popFirst() { finish(call.continuation, .failure(.notSent(reason))) }
    }

    private func finish(
        _ continuation: CheckedContinuation<Result<Delivery, RPCError>, Never>, _ result: Result<Delivery, RPCError>
    ) {
        finished += 1
        continuation.resume(returning: result)
    }
}
