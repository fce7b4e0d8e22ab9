import EventLoop
package import Telemetry

/// Publishes with confirms over a connection of its own. Callable from any task on any loop.
///
/// Bounds: `unconfirmedMax` callers wait for a confirm, `acceptedMax` in all; one more is refused with `.saturated`. While there is
/// no connection, or the broker has an alarm, publishing fails at once: a caller that must not lose the message keeps it (the outbox).
/// A publish is not cancelled with its task; its deadline bounds it.
package final class AMQPPublisher: Sendable {
    private let role: PublisherRole
    private let thread: ChannelThread

    package init(_ configuration: AMQPConfiguration, log: Logger) {
        role = PublisherRole(configuration)
        thread = ChannelThread(configuration, role: role, log: ConnectionLog(configuration, log))
    }

    /// Keeps the connection, until ``stop(within:)`` or cancellation.
    package func run() async { await thread.run() }

    /// Refuses new messages, waits at most `limit` for the confirms under way, closes the connection.
    package func stop(within limit: Duration = .seconds(5)) async { await thread.stop(within: limit) }

    package var isConnected: Bool { thread.isConnected }

    /// Waits for the connection. False when `limit` passed first (late by at most one attempt to connect).
    package func connected(within limit: Duration) async -> Bool { await thread.connected(within: limit) }

    /// Returns when the broker has confirmed: a persistent message on a durable queue is then on disk (a quorum's disks).
    package func publish(_ message: OutgoingMessage, within limit: Duration) async throws(PublishError) {
        let result: Result<Void, PublishError> = await withCheckedContinuation { continuation in
            let deadline = MonotonicInstant.current() + limit
            if let refusal = role.accept([Submission(message: message, deadline: deadline, completion: .one(continuation))]) {
                continuation.resume(returning: .failure(refusal))
            } else {
                thread.wake()
            }
        }
        try result.get()
    }

    /// Publishes in the order given, written to the socket together; the results stand in the same order.
    package func publish(batch: [OutgoingMessage], within limit: Duration) async -> [Result<Void, PublishError>] {
        guard !batch.isEmpty else { return [] }
        return await withCheckedContinuation { continuation in
            let deadline = MonotonicInstant.current() + limit
            let collector = BatchCollector(count: batch.count, continuation)
            let submissions = batch.enumerated().map { index, message in
                Submission(message: message, deadline: deadline, completion: .partOfBatch(collector, index))
            }
            if let refusal = role.accept(submissions) {
                continuation.resume(returning: Array(repeating: .failure(refusal), count: batch.count))
            } else {
                thread.wake()
            }
        }
    }

    /// Hands the message over and forgets it; how it ended shows in the metrics only.
    package func send(_ message: OutgoingMessage, within limit: Duration) throws(PublishError) {
        if let refusal = role.accept([Submission(message: message, deadline: .current() + limit, completion: .forgotten)]) {
            throw refusal
        }
        thread.wake()
    }
}

struct Submission: Sendable {
    var message: OutgoingMessage
    var deadline: MonotonicInstant
    var completion: Completion
}

/// The caller that gets the result of a publish.
enum Completion: Sendable {
    case one(CheckedContinuation<Result<Void, PublishError>, Never>)
    case partOfBatch(BatchCollector, Int)
    case forgotten
    /// A request that is not written yet.
    case reply(Replies.Continuation)
    /// A written request, by its correlation id. ``Replies`` has its caller.
    case asked(String)
}

/// Gathers the results of a batch and wakes its publisher once.
final class BatchCollector: @unchecked Sendable {
    // @unchecked Sendable: after submission only the connection's thread touches the results.
    private var results: [Result<Void, PublishError>]
    private var missing: Int
    private let continuation: CheckedContinuation<[Result<Void, PublishError>], Never>

    init(count: Int, _ continuation: CheckedContinuation<[Result<Void, PublishError>], Never>) {
        results = Array(repeating: .success(()), count: count)
        missing = count
        self.continuation = continuation
    }

    func finish(_ index: Int, _ result: Result<Void, PublishError>) {
        results[index] = result
        missing -= 1
        if missing == 0 { continuation.resume(returning: results) }
    }
}
