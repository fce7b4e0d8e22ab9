import EventLoop
import Synchronization

/// The consumer's side of its channel: deliveries out, conclusions in.
final class ConsumerRole: ChannelRole, @unchecked Sendable {
    // @unchecked Sendable: `shared` is a Mutex; the rest is touched by the connection's thread only.
    struct Conclusion: Sendable {
        enum Kind { case acknowledge, reject(requeue: Bool) }
        var epoch: UInt64
        var tag: UInt64
        var kind: Kind
        /// Sent after the acknowledgement, over the same channel.
        var answer: OutgoingMessage?
    }

    typealias Waiter = CheckedContinuation<[Delivery], any Error>

    private struct Shared {
        var ready = FIFO<Delivery>()
        var waiters: [(id: UInt64, max: Int, waiter: Waiter)] = []
        /// Cancelled before they came to wait.
        var cancelledEarly: Set<UInt64> = []
        var lastWaiterID: UInt64 = 0
        var conclusions: [Conclusion] = []
        var isStopped = false
        /// The epoch of the open connection; zero without one.
        var epoch: UInt64 = 0

        /// - Returns: the waiting tasks, which the caller ends.
        mutating func stop() -> [Waiter] {
            isStopped = true
            ready = FIFO()
            defer { waiters = [] }
            return waiters.map(\.waiter)
        }
    }

    private let configuration: AMQPConfiguration
    private let source: AMQPConsumer.Source
    private let prefetch: Int
    private let onConnected: @Sendable () -> Void
    private let shared = Mutex(Shared())
    private var received: [Delivery] = []
    private var openTags = OpenTags()
    private var epoch: UInt64 = 0
    /// At the stop, the first that was not handed out: it and what comes after it is the next consumer's.
    private var firstLeft: UInt64 = 0

    init(
        _ configuration: AMQPConfiguration, source: AMQPConsumer.Source, prefetch: Int,
        onConnected: @escaping @Sendable () -> Void
    ) {
        precondition((1...65_535).contains(prefetch), "prefetch is 1 to 65535")
        self.configuration = configuration
        self.source = source
        self.prefetch = prefetch
        self.onConnected = onConnected
    }

    // MARK: For callers, on any thread

    func newWaiterID() -> UInt64 {
        shared.withLock { shared in
            shared.lastWaiterID += 1
            return shared.lastWaiterID
        }
    }

    func wait(_ id: UInt64, max: Int, _ waiter: Waiter) {
        let answer: Result<[Delivery], any Error>? = shared.withLock { shared in
            if shared.cancelledEarly.remove(id) != nil { return .failure(CancellationError()) }
            if !shared.ready.isEmpty { return .success(shared.ready.popFirst(max)) }
            if shared.isStopped { return .failure(ConsumeError.stopped) }
            shared.waiters.append((id, max, waiter))
            return nil
        }
        if let answer { waiter.resume(with: answer) }
    }

    func cancelWaiter(_ id: UInt64) {
        let waiter: Waiter? = shared.withLock { shared in
            guard let index = shared.waiters.firstIndex(where: { $0.id == id }) else {
                shared.cancelledEarly.insert(id)
                return nil
            }
            return shared.waiters.remove(at: index).waiter
        }
        waiter?.resume(throwing: CancellationError())
    }

    /// The cancellation may have come after the answer.
    func forgetWaiter(_ id: UInt64) { _ = shared.withLock { $0.cancelledEarly.remove(id) } }

    func isOut(_ delivery: Delivery) -> Bool { shared.withLock { $0.epoch == delivery.connectionEpoch } }

    func add(_ conclusion: Conclusion) { shared.withLock { $0.conclusions.append(conclusion) } }

    var hasWork: Bool { shared.withLock { !$0.conclusions.isEmpty } }

    // MARK: ChannelRole

    func setUp(_ channel: Channel) throws(ConnectionFailure) {
        epoch += 1
        shared.withLock { $0.epoch = epoch }
        openTags = OpenTags()
        try channel.limitPrefetch(prefetch)
        switch source {
        case .queue(let queue): try channel.consume(queue: queue, consumer: "consumer", acknowledged: true)
        case .exclusive(let prefix, let bindings):
            let queue = "\(prefix).\(Instance.epochSuffix(epoch))"
            try channel.declareExclusiveQueue(queue)
            for binding in bindings { try channel.bind(queue: queue, exchange: binding.exchange, routingKey: binding.routingKey) }
            try channel.consume(queue: queue, consumer: "consumer", acknowledged: true)
        }
    }

    func opened() { onConnected() }

    func pump(_ channel: Channel, now: MonotonicInstant) {
        // Bounded by prefetch: no caller can conclude more than was delivered.
        let conclusions = shared.withLock { $0.conclusions.take() }.filter { $0.epoch == epoch }
        for frame in openTags.conclude(conclusions) {
            switch frame {
            case .acknowledge(let tag, let multiple): channel.output.acknowledge(tag, multiple: multiple)
            case .reject(let tag, let requeue): channel.output.reject(tag, requeue: requeue)
            }
        }
        for answer in conclusions.compactMap(\.answer) {
            channel.output.publish(answer, from: configuration, expirationMilliseconds: 0, frameMax: channel.frameMax)
        }
    }

    func received(_ event: Channel.Event, _ channel: Channel) throws(ConnectionFailure) {
        switch event {
        case .delivered(var delivery):
            try openTags.delivered(delivery.tag)
            delivery.connectionEpoch = epoch
            received.append(delivery)
        case .consumerLost: throw ConnectionFailure(kind: .consumerLost, description: "the broker ended the subscription")
        default: break
        }
    }

    /// Hands over what this read brought, to those who wait in the order they came.
    func batchEnded() {
        guard !received.isEmpty else { return }
        let served: [(Waiter, [Delivery])] = shared.withLock { shared in
            let received = received.take()
            guard !shared.isStopped else { return [] }
            shared.ready.append(received)
            var served: [(Waiter, [Delivery])] = []
            while !shared.ready.isEmpty, !shared.waiters.isEmpty {
                let next = shared.waiters.removeFirst()
                served.append((next.waiter, shared.ready.popFirst(next.max)))
            }
            return served
        }
        for (waiter, deliveries) in served { waiter.resume(returning: deliveries) }
    }

    func blocked(_ isBlocked: Bool) {}
    func expire(now: MonotonicInstant) -> MonotonicInstant { .never }

    func lost(_ failure: ConnectionFailure) {
        received = []
        // Not handed out yet: the broker delivers them again.
        shared.withLock { ($0.ready, $0.epoch) = (FIFO(), 0) }
        openTags = OpenTags()
    }

    /// Only the end of the connection gives everything back to its queue in order: a subscription that is cancelled while deliveries are
    /// out makes the broker feed the next consumer at once, with what comes after them.
    func stopping(_ channel: Channel) {
        let waiters = shared.withLock { shared in
            firstLeft = shared.ready.first?.tag ?? openTags.next
            return shared.stop()
        }
        for waiter in waiters { waiter.resume(throwing: ConsumeError.stopped) }
    }

    var isDrained: Bool { openTags.first >= firstLeft && !hasWork }

    func ended() {
        let waiters = shared.withLock { shared in
            shared.epoch = 0
            return shared.stop()
        }
        for waiter in waiters { waiter.resume(throwing: ConsumeError.stopped) }
    }
}

/// Which delivery tags of a channel are out. Tags come in order, from 1.
struct OpenTags {
    private var isConcluded: [Bool] = []
    private var head = 0
    /// The first that is not concluded.
    private(set) var first: UInt64 = 1
    /// The one to come.
    var next: UInt64 { first + UInt64(isConcluded.count - head) }

    /// - Throws: a violation of the protocol, if the tag is not the next one.
    mutating func delivered(_ tag: UInt64) throws(ConnectionFailure) {
        guard tag == next else {
            throw ConnectionFailure(kind: .protocolViolation, description: "delivery tag \(tag) instead of \(next)")
        }
        isConcluded.append(false)
    }

    /// Concludes deliveries at the broker.
    enum Frame: Equatable {
        case acknowledge(UInt64, multiple: Bool)
        case reject(UInt64, requeue: Bool)
    }

    /// Concludes deliveries, and returns the frames to send:
    ///
    /// - one frame for each reject
    /// - one acknowledgement for all deliveries before the oldest open one
    /// - one acknowledgement for each other delivery
    ///
    /// The broker closes the channel (406) for a tag that it has concluded already. So each delivery
    /// is concluded once, and the multiple acknowledgement carries a tag that is acknowledged now.
    mutating func conclude(_ conclusions: [ConsumerRole.Conclusion]) -> [Frame] {
        var frames: [Frame] = []
        var acknowledged: [UInt64] = []
        for conclusion in conclusions where mark(conclusion.tag) {
            switch conclusion.kind {
            case .acknowledge: acknowledged.append(conclusion.tag)
            case .reject(let requeue): frames.append(.reject(conclusion.tag, requeue: requeue))
            }
        }
        let before = acknowledged.filter { $0 < first }
        if let last = before.max() { frames.append(.acknowledge(last, multiple: before.count > 1)) }
        return frames + acknowledged.filter { $0 > first }.map { .acknowledge($0, multiple: false) }
    }

    /// Marks a delivery as concluded. Returns false if the tag was concluded before, or was never
    /// delivered.
    private mutating func mark(_ tag: UInt64) -> Bool {
        guard tag >= first, tag < next else { return false }
        let index = head + Int(tag - first)
        guard !isConcluded[index] else { return false }
        isConcluded[index] = true
        while head < isConcluded.count, isConcluded[head] {
            head += 1
            first += 1
        }
        if head > 1_024 || head == isConcluded.count {
            isConcluded.removeFirst(head)
            head = 0
        }
        return true
    }
}
