import EventLoop
import Synchronization
import Telemetry

/// Publishes with confirms: messages come in through a mailbox, results go out. With ``Replies`` it
/// also waits for the answers to its messages.
final class PublisherRole: ChannelRole, @unchecked Sendable {
    // @unchecked Sendable: `shared` is a Mutex; the rest is touched by the connection's thread only.
    private let configuration: AMQPConfiguration
    private let metrics: PublishMetrics?
    private let shared = Mutex(Shared())
    /// Taken from the mailbox and not yet written, because the window or the socket is full.
    private var waiting = FIFO<Submission>()
    private var window = ConfirmWindow<Completion>()
    private var numbers = PublishNumbers()
    private var replies: Replies?
    private var waitingSeenAt = MonotonicInstant(nanoseconds: 0)
    private var isBlocked = false
    private var finished = 0

    /// Bytes gathered before the socket is given a chance.
    private static let outputBytesMax = 1 << 18

    private struct Shared {
        var gate = Gate()
        var mailbox: [Submission] = []
        var accepted = 0
    }

    /// - Parameter replies: nil for a publisher, which counts the outcomes of its messages.
    init(_ configuration: AMQPConfiguration, replies: Replies? = nil) {
        self.configuration = configuration
        self.replies = replies
        metrics = replies == nil ? PublishMetrics(role: configuration.connectionName) : nil
    }

    /// All or nothing. Any thread.
    func accept(_ submissions: [Submission]) -> PublishError? {
        shared.withLock { shared in
            if let refusal = shared.gate.refusal { return refusal }
            guard shared.accepted + submissions.count <= configuration.acceptedMax else { return .saturated }
            shared.accepted += submissions.count
            if shared.mailbox.isEmpty { shared.mailbox = submissions } else { shared.mailbox += submissions }
            return nil
        }
    }

    var hasWork: Bool { shared.withLock { !$0.mailbox.isEmpty } }

    // MARK: ChannelRole

    func setUp(_ channel: Channel) throws(ConnectionFailure) {
        try replies?.setUp(channel)
        try channel.selectConfirms()
    }

    func opened() { shared.withLock { $0.gate.open() } }

    func pump(_ channel: Channel, now: MonotonicInstant) {
        waiting.append(shared.withLock { $0.mailbox.take() })
        while window.awaited < configuration.unconfirmedMax, window.count < configuration.windowMax,
            channel.output.pending < Self.outputBytesMax
        {
            guard var next = waiting.popFirst() else { return }
            guard next.deadline > now else {
                finish(next.completion, .timedOut, wasSent: false)
                continue
            }
            if case .reply(let continuation) = next.completion {
                next.completion = .asked(replies!.ask(&next.message, until: next.deadline, now: now, continuation))
            }
            numbers.assign(to: &next.message)
            channel.output.publish(
                next.message, from: configuration, expirationMilliseconds: next.message.properties.expirationMilliseconds,
                frameMax: channel.frameMax)
            window.append(next.completion, deadline: next.deadline, now: now, next.message)
        }
    }

    func received(_ event: Channel.Event, _ channel: Channel) throws(ConnectionFailure) {
        switch event {
        case .acknowledged(let tag, let multiple):
            try window.conclude(tag: tag, multiple: multiple) { completion, returned in
                finish(completion, returned.map { .unroutable(code: $0.code, text: $0.text) }, wasSent: true)
            }
        case .rejected(let tag, let multiple):
            try window.conclude(tag: tag, multiple: multiple) { completion, _ in finish(completion, .nacked, wasSent: true) }
        case .returned(let returned): window.markReturned(returned)
        case .delivered(let delivery):
            guard let continuation = replies?.answered(by: delivery) else { return }
            finished += 1
            continuation.resume(returning: .success(delivery))
        case .consumerLost: throw ConnectionFailure(kind: .consumerLost, description: "the broker ended the subscription to replies")
        default: break
        }
    }

    func batchEnded() {
        guard finished > 0 else { return }
        shared.withLock { $0.accepted -= finished }
        finished = 0
    }

    /// During an alarm the broker reads nothing from this connection. A message that was written
    /// may still be confirmed afterwards; a request is of no use by then.
    func blocked(_ isBlocked: Bool) {
        self.isBlocked = isBlocked
        shared.withLock { $0.gate.isBlocked = isBlocked }
        if isBlocked {
            dropWaiting(.blocked)
            failRequests(.blocked)
        } else {
            window.restart(now: .current())
        }
        batchEnded()
    }

    /// - Throws: if a message has had no confirm for ``AMQPConfiguration/confirmWithin``, or for
    ///   ``AMQPConfiguration/confirmWithinWhenFull`` with a full window behind it. A new channel has
    ///   a new window.
    func expire(now: MonotonicInstant) throws(ConnectionFailure) -> MonotonicInstant {
        for continuation in replies?.expired(now: now) ?? [] { fail(continuation, .timedOut) }
        window.expire(now: now) { finish($0, .timedOut, wasSent: true) }
        expireWaiting(now)
        batchEnded()
        metrics?.unconfirmed.set(Int64(window.awaited))
        var next = min(window.nextDeadline, replies?.nextDeadline ?? .never)
        if !waiting.isEmpty { next = min(next, waitingSeenAt + .milliseconds(20)) }
        guard !isBlocked, let oldest = window.oldest else { return next }
        let limit = window.count < configuration.windowMax ? configuration.confirmWithin : configuration.confirmWithinWhenFull
        guard now < oldest + limit else {
            throw ConnectionFailure(kind: .confirmMissing, description: "no confirm within \(limit)")
        }
        return min(next, oldest + limit)
    }

    /// Looks at the messages behind a full window every 20 ms, because their deadlines have no order.
    private func expireWaiting(_ now: MonotonicInstant) {
        guard !waiting.isEmpty, now >= waitingSeenAt + .milliseconds(20) else { return }
        waitingSeenAt = now
        for late in waiting.removeAll(where: { $0.deadline <= now }) { finish(late.completion, .timedOut, wasSent: false) }
    }

    func lost(_ failure: ConnectionFailure) {
        let isStopped = shared.withLock { shared in
            if !failure.isOfChannelOnly { shared.gate.close() }
            return shared.gate.isStopped
        }
        if !failure.isOfChannelOnly { isBlocked = false }
        let error = isStopped ? PublishError.stopped : failure.publishError
        failRequests(error)
        window.reset { completion, returned in
            finish(completion, returned.map { .unroutable(code: $0.code, text: $0.text) } ?? error, wasSent: true)
        }
        // A message that was not written did not close the channel. It goes over the next one.
        if !failure.isOfChannelOnly { dropWaiting(error) }
        batchEnded()
    }

    func stopping(_ channel: Channel) { shared.withLock { $0.gate.isStopped = true } }

    var isDrained: Bool { window.awaited == 0 && waiting.isEmpty && !hasWork && replies?.isEmpty != false }

    func ended() {
        shared.withLock { $0.gate.isStopped = true }
        dropWaiting(.stopped)
        batchEnded()
    }

    // MARK: Results

    private func dropWaiting(_ error: PublishError) {
        waiting.append(shared.withLock { $0.mailbox.take() })
        while let next = waiting.popFirst() { finish(next.completion, error, wasSent: false) }
    }

    private func failRequests(_ error: PublishError) {
        for continuation in replies?.takeAll() ?? [] { fail(continuation, error) }
    }

    private func fail(_ request: Replies.Continuation, _ error: PublishError) {
        finished += 1
        request.resume(returning: .failure(RPCError(error)))
    }

    private func finish(_ completion: Completion, _ error: PublishError?, wasSent: Bool) {
        if case .asked(let correlation) = completion {
            // A confirmed request waits for its answer.
            if let error, let request = replies?.take(correlation) { fail(request, error) }
            return
        }
        finished += 1
        let result: Result<Void, PublishError> = error.map { .failure($0) } ?? .success(())
        metrics?.count(result)
        switch completion {
        case .one(let continuation): continuation.resume(returning: result)
        case .partOfBatch(let collector, let index): collector.finish(index, result)
        case .reply(let request): request.resume(returning: .failure(.notSent(error ?? .stopped)))
        case .forgotten, .asked: break
        }
    }
}

/// Whether callers are let in.
struct Gate {
    private var isOpen = false
    /// The broker has an alarm. The connection keeps it when its channel is opened again.
    var isBlocked = false
    /// Stays true.
    var isStopped = false

    var refusal: PublishError? {
        if isStopped { .stopped } else if !isOpen { .disconnected } else if isBlocked { .blocked } else { nil }
    }

    mutating func open() { isOpen = true }
    mutating func close() { (isOpen, isBlocked) = (false, false) }
}

extension Array {
    /// The elements, leaving none.
    mutating func take() -> [Element] {
        var taken: [Element] = []
        swap(&self, &taken)
        return taken
    }
}

/// A queue over an array: what has been taken from the front is dropped in one go.
struct FIFO<Element> {
    private var elements: [Element] = []
    private var head = 0

    var count: Int { elements.count - head }
    var isEmpty: Bool { head == elements.count }

    mutating func append(_ more: [Element]) {
        guard !more.isEmpty else { return }
        if isEmpty { (elements, head) = (more, 0) } else { elements += more }
    }

    var first: Element? { isEmpty ? nil : elements[head] }

    mutating func popFirst() -> Element? {
        guard head < elements.count else { return nil }
        defer {
            head += 1
            compact()
        }
        return elements[head]
    }

    mutating func popFirst(_ limit: Int) -> [Element] {
        let taken = Array(elements[head..<min(elements.count, head + limit)])
        head += taken.count
        compact()
        return taken
    }

    mutating func removeAll(where isUnwanted: (Element) -> Bool) -> [Element] {
        guard !isEmpty else { return [] }
        let removed = elements[head...].filter(isUnwanted)
        guard !removed.isEmpty else { return [] }
        elements = elements[head...].filter { !isUnwanted($0) }
        head = 0
        return removed
    }

    /// An element stays referenced until then: at most 1,024 of them, or half.
    private mutating func compact() {
        if head == elements.count {
            elements.removeAll(keepingCapacity: elements.count <= 4_096)
            head = 0
        } else if head >= 1_024, head * 2 >= elements.count {
            elements.removeFirst(head)
            head = 0
        }
    }
}
