package import AMQP
import Contracts
import EventLoop
import Jobs
import Messaging
package import Postgres
import Synchronization
package import Telemetry

/// Publishes what the outbox holds, with confirms, and marks it sent.
///
/// Commits of this process wake it. Otherwise it looks every 250 ms, or every second if it found
/// nothing lately. Among the replicas one relay works at a time. It sends an unconfirmed message
/// again under the same id.
///
/// In each sweep every ordering key gets a turn, and so do the messages without a key, whatever
/// other messages wait or fail. A message may miss its turn only if the broker closes the channel
/// and messages to other routing keys then wait for their confirms. A statement reads at most 1,000
/// rows and does not read a backlog to find the rows behind it.
///
/// It also maintains the tables: it makes partitions of the inbox ahead of time and deletes old
/// rows. Confined to the loop of the pool.
package final class OutboxRelay: @unchecked Sendable {
    // @unchecked Sendable: confined to its loop, except `wake()` and the registry, which is a Mutex.

    package struct Configuration: Sendable {
        package var confirmWithin: Duration = .seconds(5)
        /// A transaction starts no further round after this time, so that other keys get their
        /// turn.
        package var runWithin: Duration = .milliseconds(250)
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
    private var sleeping: Promise<Void>?
    private var sweepsWithoutWork = 0
    /// The last ordering key that had its turn in an unfinished sweep; empty between sweeps.
    private var walkedTo = ""

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
            for job in MessageUpkeep(pool: pool, metrics: metrics).jobs {
                group.addTask { [pool, log] in try await job.run(on: pool.loop, log: log) }
            }
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
                isWoken = false
                let found = try await sendWhatIsDue()
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
                    log.warning("outbox relay failed", ["failures": .integer(failures)], error: error)
                }
                let ceiling = min(5_000, 100 << min(failures, 6))
                try await pool.loop.sleep(for: .milliseconds(Int.random(in: ceiling / 2...ceiling)))
            }
        }
    }

    private func pause(for limit: Duration) async throws {
        if isWoken || isStopped { return }
        let wait = Promise<Void>(on: pool.loop)
        sleeping = wait
        defer { sleeping = nil }
        try await wait.value(within: limit, elseReturn: ())
    }

    /// Sweeps until nothing more can be sent now.
    /// - Returns: true if a message was sent or refused.
    private func sendWhatIsDue() async throws -> Bool {
        var tally = Tally()
        defer {
            if let reason = tally.failure {
                log.error("outbox messages failed", ["messages": .integer(tally.failed), "reason": .string(reason)])
            }
        }
        // Without a broker the rows stay as they are: the fault is not theirs, so it must not count against them.
        while publisher.isConnected, try await sweep(&tally) {}
        return tally.sent + tally.failed > 0
    }

    private struct Tally {
        var sent = 0
        var failed = 0
        /// The error of the first message that failed.
        var failure: String?

        mutating func add(_ batch: OutboxBatch) {
            sent += batch.sent.count
            failed += batch.failed.count
            failure = failure ?? batch.failed.first?.reason
        }
    }

    /// Gives each ordering key one turn, page by page. Gives the messages without a key one turn
    /// with each page.
    ///
    /// Failed messages get a turn with the first page, and with each next page while some of them
    /// succeed. Otherwise each page could wait for the confirms of a queue without a leader. A
    /// sweep that another relay interrupts continues after its last key at the next call.
    /// - Returns: true if another sweep may send more now.
    private func sweep(_ tally: inout Tally) async throws -> Bool {
        // A sweep that continues has not looked at the keys before its start.
        var hasProgress = !walkedTo.isEmpty
        var takesFailed = true
        while let page = try await sendPage(after: walkedTo, takesFailed: takesFailed) {
            tally.add(page.batch)
            walkedTo = page.walkedTo
            if page.batch.isBrokerDown { return false }
            hasProgress = hasProgress || page.batch.hasProgress
            takesFailed = takesFailed && page.batch.hasRecovered
            if walkedTo.isEmpty { return hasProgress }
            // A pause, so that a long walk over waiting keys does not keep the database busy.
            if !page.batch.hasProgress { try await pool.loop.sleep(for: .milliseconds(20)) }
        }
        return false
    }

    private struct Page {
        var batch: OutboxBatch
        /// The last key of the page; empty after the last key of all.
        var walkedTo: String
    }

    /// Sends messages without a key, and messages of the keys after `key`, in one transaction.
    /// - Returns: nil if another relay has the outbox.
    private func sendPage(after key: String, takesFailed: Bool) async throws -> Page? {
        try await pool.transaction { transaction in
            guard try await transaction.one(ClaimOutbox()) else { return nil }
            let (new, failed, walk) = try await transaction.pipeline(
                TakeNewMessages(), TakeFailedMessages(limit: takesFailed ? 200 : 0), WalkKeys(key: key))
            let keys = walk.filter(\.isDue).map(\.key)
            let runs = keys.isEmpty ? [] : try await transaction.query(TakeRuns(keys: keys))
            var batch = OutboxBatch(new + failed + runs)
            let isEmpty = batch.round.isEmpty
            let until = MonotonicInstant.current() + configuration.runWithin
            while !batch.round.isEmpty, !Task.isCancelled, MonotonicInstant.current() < until {
                batch.finishRound(await publish(batch.round))
            }
            // A cancelled relay commits too. If this commit fails, the relay sends the confirmed
            // messages again.
            if !isEmpty { try await transaction.commit(MarkSent(seqs: batch.sent), MarkFailed(failures: batch.failed)) }
            return Page(batch: batch, walkedTo: walk.last.flatMap { $0.isLimit ? $0.key : nil } ?? "")
        }
    }

    /// Publishes messages, and those that a closed channel interrupted once more.
    /// - Returns: the results in the order of the messages; nil for a message that was not tried
    ///   again, because time is up.
    private func publish(_ due: [DueMessage]) async -> [Result<Void, PublishError>?] {
        let started = MonotonicInstant.current()
        let outgoing = due.map(outgoing)
        var results: [Result<Void, PublishError>?] = await publisher.publish(batch: outgoing, within: configuration.confirmWithin)
        // A missing exchange or right closes the channel for all messages. It depends on exchange
        // and routing key only, so the messages that share both are published together again.
        let interrupted = results.indices.filter { if case .failure(.closed) = results[$0] { true } else { false } }
        let groups = Dictionary(grouping: interrupted) { [outgoing[$0].exchange, outgoing[$0].routingKey] }
        // A single group is at fault itself.
        if interrupted.count < due.count || groups.count > 1 {
            // A group may wait for its confirms. Postgres ends a transaction that is idle for 30 s.
            let until = started + configuration.confirmWithin * 2
            for group in groups.values {
                let again: [Result<Void, PublishError>?] =
                    MonotonicInstant.current() < until
                    ? await publisher.publish(batch: group.map { outgoing[$0] }, within: configuration.confirmWithin)
                    : group.map { _ in nil }
                for (index, result) in zip(group, again) { results[index] = result }
            }
        }
        metrics.confirmSeconds.observe(MonotonicInstant.current() - started)
        for case let result? in results { metrics.count(published: result) }
        return results
    }

    private func outgoing(_ message: DueMessage) -> OutgoingMessage {
        let envelope = Envelope(
            messageID: message.id, conversationID: message.conversationID, causationID: message.causationID, type: message.type,
            sender: "", trace: TraceContext(traceparent: message.traceparent), sentAt: message.createdAt)
        return OutgoingMessage(
            exchange: message.exchange, routingKey: message.routingKey, body: message.body,
            properties: envelope.properties(from: log.service),
            isNumbered: Topology.isRevocation(exchange: message.exchange, routingKey: message.routingKey))
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
