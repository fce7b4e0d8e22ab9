import EventLoop
import Synchronization
import Telemetry

/// The publisher's side of its channel: mailbox in, confirms out.
final class PublisherRole: ChannelRole, @unchecked Sendable {
    // @unchecked Sendable: `shared` is a Mutex; the rest is touched by the connection's thread only.
    private let configuration: AMQPConfiguration
    private let metrics: PublishMetrics
    private let shared = Mutex(Shared())
    /// Taken from the mailbox, not yet written: the window or the socket is full.
    private var waiting = FIFO<Submission>()
    private var window = ConfirmWindow<Completion>()
    private var waitingSeenAt = MonotonicInstant(nanoseconds: 0)
    private var finished = 0

    /// Bytes gathered before the socket is given a chance.
    private static let outputBytesMax = 1 << 18

    private struct Shared {
        var gate = Gate.disconnected
        var mailbox: [Submission] = []
        var accepted = 0
    }

    init(_ configuration: AMQPConfiguration) {
        self.configuration = configuration
        metrics = PublishMetrics(role: configuration.connectionName)
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

    func setUp(_ channel: Channel) throws(ConnectionFailure) { try channel.selectConfirms() }

    func opened() { shared.withLock { $0.gate.open() } }

    func pump(_ channel: Channel, now: MonotonicInstant) {
        waiting.append(shared.withLock { $0.mailbox.take() })
        while window.count < configuration.unconfirmedMax, channel.output.pending < Self.outputBytesMax {
            guard let next = waiting.popFirst() else { return }
            guard next.deadline > now else {
                finish(next.completion, .failure(.timedOut))
                continue
            }
            channel.output.publish(
                next.message, from: configuration, expirationMilliseconds: next.message.properties.expirationMilliseconds,
                frameMax: channel.frameMax)
            window.append(next.completion, deadline: next.deadline, next.message)
        }
    }

    func received(_ event: Channel.Event, _ channel: Channel) {
        switch event {
        case .acknowledged(let tag, let multiple):
            window.settle(tag: tag, multiple: multiple) { completion, returned in
                finish(completion, returned.map { .failure(.unroutable(code: $0.code, text: $0.text)) } ?? .success(()))
            }
        case .rejected(let tag, let multiple):
            window.settle(tag: tag, multiple: multiple) { completion, _ in finish(completion, .failure(.nacked)) }
        case .returned(let returned): window.markReturned(returned)
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
        if isBlocked { dropWaiting(.blocked) }
    }

    func expire(now: MonotonicInstant) -> MonotonicInstant {
        window.expire(now: now) { finish($0, .failure(.timedOut)) }
        expireWaiting(now)
        batchEnded()
        metrics.unconfirmed.set(Int64(window.count))
        return min(window.nextDeadline, waiting.isEmpty ? .never : waitingSeenAt + .milliseconds(20))
    }

    /// Those behind a full window: their deadlines are not in order, so all are looked at, but only every 20 ms.
    private func expireWaiting(_ now: MonotonicInstant) {
        guard !waiting.isEmpty, now >= waitingSeenAt + .milliseconds(20) else { return }
        waitingSeenAt = now
        for late in waiting.removeAll(where: { $0.deadline <= now }) { finish(late.completion, .failure(.timedOut)) }
    }

    func lost(_ failure: ConnectionFailure) {
        let isStopped = shared.withLock { shared in
            if !failure.isOfChannelOnly { shared.gate.close() }
            return shared.gate == .stopped
        }
        let error = isStopped ? PublishError.stopped : failure.publishError
        window.reset { completion, returned in
            finish(completion, .failure(returned.map { .unroutable(code: $0.code, text: $0.text) } ?? error))
        }
        // What was not written has no part in what closed the channel, and goes over the next.
        if failure.isOfChannelOnly { batchEnded() } else { dropWaiting(error) }
    }

    func stopping(_ channel: Channel) { shared.withLock { $0.gate = .stopped } }

    var isDrained: Bool { window.count == 0 && waiting.isEmpty && !hasWork }

    func ended() {
        shared.withLock { $0.gate = .stopped }
        dropWaiting(.stopped)
    }

    // MARK:

    private func dropWaiting(_ error: PublishError) {
        waiting.append(shared.withLock { $0.mailbox.take() })
        while let next = waiting.popFirst() { finish(next.completion, .failure(error)) }
        batchEnded()
    }

    private func finish(_ completion: Completion, _ result: Result<Void, PublishError>) {
        finished += 1
        metrics.count(result)
        completion.finish(result)
    }
}

/// Whether callers are let in.
enum Gate {
    case disconnected
    case open
    case blocked
    case stopped

    var refusal: PublishError? {
        switch self {
        case .disconnected: .disconnected
        case .open: nil
        case .blocked: .blocked
        case .stopped: .stopped
        }
    }

    // What has been stopped stays so.
    mutating func open() { if self != .stopped { self = .open } }
    mutating func close() { if self != .stopped { self = .disconnected } }
    mutating func block(_ isBlocked: Bool) { if self != .stopped { self = isBlocked ? .blocked : .open } }
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
