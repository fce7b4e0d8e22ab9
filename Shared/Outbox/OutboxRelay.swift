package import AMQP
import Contracts
import EventLoop
package import Postgres
import Synchronization
package import Telemetry

/// Publishes what the outbox holds, with confirms, and marks it sent.
///
/// Woken by commits of this process; otherwise looks every 250 ms, every second when there was nothing for a while. Relays of several
/// replicas share the work by partitions of the ordering key. A message whose confirm was not seen is sent again under the same id.
/// Also keeps the tables in shape: partitions of the inbox ahead of time, old rows away. Confined to the pool's loop.
package final class OutboxRelay: @unchecked Sendable {
    // @unchecked Sendable: confined to its loop, except `wake()` and the registry, which is a Mutex.

    package struct Configuration: Sendable {
        package var batchMax = 200
        package var confirmWithin: Duration = .seconds(5)
        package var sweepEvery: Duration = .milliseconds(250)
        package var sweepEveryWhenIdle: Duration = .seconds(1)
        package init() {}
    }

    private let pool: PostgresPool
    private let publisher: AMQPPublisher
    private let configuration: Configuration
    private let log: Logger
    private let metrics: MessageMetrics

    private var isWoken = false
    private var isStopped = false
    private var sleeping: Wait<Void>?
    private var sweepsWithoutWork = 0

    package init(
        pool: PostgresPool, publisher: AMQPPublisher, configuration: Configuration = Configuration(), log: Logger,
        metrics: Metrics = .shared
    ) {
        self.pool = pool
        self.publisher = publisher
        self.configuration = configuration
        self.log = log
        self.metrics = MessageMetrics(metrics)
    }

    /// Runs until ``stop()`` or cancellation. Errors of database and broker are waited out.
    package func run() async throws {
        pool.loop.preconditionCurrent()
        Self.registry.withLock { $0[ObjectIdentifier(self)] = Weak(relay: self) }
        defer { Self.registry.withLock { $0[ObjectIdentifier(self)] = nil } }
        try await withThrowingTaskGroup(of: Void.self) { group in
            let upkeep = Upkeep(pool: pool, log: log, metrics: metrics)
            group.addTask { try await upkeep.run() }
            try await relay()
            group.cancelAll()
        }
    }

    /// Sends what is due once more and ends ``run()``.
    package func stop() async {
        isStopped = true
        wake()
    }

    /// Callable from any thread; cheap when the relay is busy.
    package func wake() {
        if pool.loop.isCurrent { noteWork() } else { pool.loop.execute { self.noteWork() } }
    }

    private func noteWork() {
        isWoken = true
        sleeping?.succeed(())
    }

    // MARK: The relay

    private func relay() async throws {
        var failures = 0
        while true {
            let isLast = isStopped
            do {
                let wasWoken = isWoken
                isWoken = false
                let found = try await sendWhatIsDue(looksFirst: !wasWoken)
                failures = 0
                sweepsWithoutWork = found ? 0 : sweepsWithoutWork + 1
                if isLast { return }
                try await pause(for: sweepsWithoutWork > 20 ? configuration.sweepEveryWhenIdle : configuration.sweepEvery)
            } catch let error as CancellationError {
                throw error
            } catch {
                if isLast { return }
                failures += 1
                if failures == 1 || failures % 20 == 0 {
                    log.warning("outbox not relayed", ["failures": .integer(failures)], error: error)
                }
                let ceiling = min(5_000, 100 << min(failures, 6))
                try await pool.loop.sleep(for: .milliseconds(Int.random(in: ceiling / 2...ceiling)))
            }
        }
    }

    private func pause(for limit: Duration) async throws {
        if isWoken || isStopped { return }
        let wait = Wait<Void>(on: pool.loop)
        sleeping = wait
        defer { sleeping = nil }
        try await wait.value(within: limit, elseReturn: ())
    }

    /// - Returns: whether anything was due.
    private func sendWhatIsDue(looksFirst: Bool) async throws -> Bool {
        // Without a broker the rows stay as they are: the fault is not theirs, so it must not count against them.
        guard publisher.isConnected else { return false }
        if looksFirst, try await !pool.one(HasDueMessages()) { return false }
        var found = 0
        while try await sendBatch(&found) {}
        return found > 0
    }

    /// - Returns: whether there may be more.
    private func sendBatch(_ found: inout Int) async throws -> Bool {
        try await pool.transaction { transaction in
            let (_, due) = try await transaction.pipeline(ClaimPartitions(), TakeDueMessages(limit: Int64(configuration.batchMax)))
            guard !due.isEmpty else {
                await transaction.rollback()
                return false
            }
            found += due.count
            var sent: [Int64] = []
            var failed: [(seq: Int64, reason: String)] = []
            var isDown = false
            for (message, result) in zip(due, await publish(due)) {
                switch result {
                case .success: sent.append(message.seq)
                case .failure(let error):
                    switch error {
                    case .unroutable, .nacked, .closed: failed.append((message.seq, "\(error)"))
                    case .timedOut, .disconnected, .blocked, .saturated, .stopped: isDown = true
                    }
                }
            }
            // Cancelled or not, what the broker has confirmed is worth remembering; if this fails it is sent twice.
            try await transaction.commit(MarkSent(seqs: sent), MarkFailed(failures: failed))
            if let first = failed.first {
                log.error("messages refused by the broker", ["messages": .integer(failed.count), "reason": .string(first.reason)])
            }
            // A batch that was not full leaves only what waits behind it in its keys; what comes now wakes the relay.
            return !isDown && !sent.isEmpty && (due.count == configuration.batchMax || due.contains { $0.isKeyed })
        }
    }

    private func publish(_ due: [DueMessage]) async -> [Result<Void, PublishError>] {
        let started = MonotonicInstant.current()
        let outgoing = due.map(outgoing)
        var results = await publisher.publish(batch: outgoing, within: configuration.confirmWithin)
        // A missing exchange or right closes the channel under all of them: alone, only the guilty one fails.
        if due.count > 1 {
            for index in results.indices {
                guard case .failure(.closed) = results[index] else { continue }
                results[index] = await publisher.publish(batch: [outgoing[index]], within: configuration.confirmWithin)[0]
            }
        }
        metrics.confirmSeconds.observe(MonotonicInstant.current() - started)
        for result in results { metrics.count(published: result) }
        return results
    }

    private func outgoing(_ message: DueMessage) -> OutgoingMessage {
        let envelope = Envelope(
            messageID: message.id, conversationID: message.conversationID, causationID: message.causationID, type: message.type,
            sender: "", trace: TraceContext(traceparent: message.traceparent), sentAt: message.createdAt)
        return OutgoingMessage(
            exchange: message.exchange, routingKey: message.routingKey, body: message.body,
            properties: envelope.properties(from: log.service))
    }

    // MARK: Waking

    private struct Weak: Sendable {
        weak let relay: OutboxRelay?
    }

    private static let registry = Mutex<[ObjectIdentifier: Weak]>([:])

    /// A process has one relay; where tests run several, waking one too many costs it a look.
    static func wakeAll() {
        for weak in registry.withLock({ Array($0.values) }) { weak.relay?.wake() }
    }
}
