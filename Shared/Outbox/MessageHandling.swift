import EventLoop
import Postgres
import Telemetry
import Values

/// Handles one message to an end: its effect is committed, or it waits in `dead_letter`, or it was handled before.
///
/// An error of the message puts it into the table of dead letters. An error of the database is waited out, and the message
/// is kept.
final class MessageHandling: @unchecked Sendable {
    // @unchecked Sendable: confined to the pool's loop.

    enum Outcome: String {
        case handled
        case duplicate
        /// Will be tried again.
        case postponed
        /// Waits for a person.
        case parked
        /// Cannot be read or stored: given to the broker's dead-letter queue.
        case rejected
    }

    private let pool: PostgresPool
    private let configuration: SubscriptionRunner.Configuration
    private let log: Logger
    private let metrics: MessageMetrics
    /// Messages held back because the database does not answer.
    private(set) var held = 0

    init(pool: PostgresPool, configuration: SubscriptionRunner.Configuration, log: Logger, metrics: MessageMetrics) {
        self.pool = pool
        self.configuration = configuration
        self.log = log
        self.metrics = metrics
    }

    /// A message straight from the broker; acknowledge it when this returns.
    /// - Throws: `CancellationError` only: then it is not settled, and will come again.
    func handle(_ message: ReceivedMessage, _ work: Subscription.Work) async throws -> Outcome {
        try await observed(message, parent: message.envelope.trace, links: []) {
            do {
                return try await persevering { try await self.attempt(message, work, isRetry: false) }
            } catch let error as CancellationError {
                throw error
            } catch {
                return try await keep(message, because: error)
            }
        }
    }

    /// A message without a subscription, or older than the inbox remembers.
    func refuse(_ message: ReceivedMessage, _ reason: MessageRefused) async throws -> Outcome {
        try await observed(message, parent: message.envelope.trace, links: []) { try await keep(message, because: reason) }
    }

    /// A message out of `dead_letter`, taken by ``TakeDueDeadLetter``. It starts a trace of its own, linked to the sender's: an hour
    /// may have passed.
    func retry(_ message: ReceivedMessage, _ subscription: Subscription?) async throws -> Outcome {
        try await observed(message, parent: nil, links: message.envelope.trace.map { [$0] } ?? []) {
            do {
                guard let subscription else { throw MessageRefused("unknown_type", "no subscription for \(message.envelope.type)") }
                let work = try subscription.prepare(message.body)
                return try await persevering { try await self.attempt(message, work, isRetry: true) }
            } catch let error as CancellationError {
                throw error
            } catch {
                let failure = Failure(error)
                let delay = failure.isPermanent ? nil : delay(after: message.envelope.attempt)
                _ = try await persevering {
                    try await self.pool.execute(PostponeDeadLetter(message: message, failure: failure, delay: delay))
                }
                return noted(message, error, failure, delay)
            }
        }
    }

    private func attempt(_ message: ReceivedMessage, _ work: Subscription.Work, isRetry: Bool) async throws -> Outcome {
        try await pool.transaction { transaction in
            let isNew: Bool
            do {
                isNew = try await Inbox.claim(message.envelope, for: message.consumer, in: transaction)
            } catch let error as PostgresError where error.sqlState == Inbox.outOfRange {
                throw MessageRefused("id_out_of_range", "the id is older than what is remembered, or not of our time")
            }
            // Before the handler, which may commit together with its last statement.
            if isRetry { try await transaction.execute(ResolveDeadLetter(message: message)) }
            if isNew { try await Envelope.$current.withValue(message.envelope) { try await work(message.envelope, transaction) } }
            return isNew ? .handled : .duplicate
        }
    }

    private func keep(_ message: ReceivedMessage, because error: any Error) async throws -> Outcome {
        let failure = Failure(error)
        let delay = failure.isPermanent ? nil : delay(after: message.envelope.attempt)
        let save = SaveDeadLetter(message: message, failure: failure, delay: delay)
        var failures = 0
        while true {
            do {
                _ = try await persevering { try await self.pool.execute(save) }
                return noted(message, error, failure, delay)
            } catch let refusal as PostgresError where Self.concernsMessage(refusal) {
                log.error("message not stored", Self.fields(message), error: refusal)
                return .rejected
            } catch let outage as PostgresError {
                failures += 1
                try await holdBack(failures, outage)
            }
        }
    }

    /// True if the table takes every message but this one: a value that no column takes, such as a
    /// NUL in its type, or a row that ends the connection again and again.
    private static func concernsMessage(_ error: PostgresError) -> Bool {
        error.code == .connectionLost || ["22", "23", "54"].contains(error.sqlState?.prefix(2))
    }

    private func delay(after attempts: Int) -> Duration? {
        attempts <= configuration.retryDelays.count ? configuration.retryDelays[attempts - 1] : nil
    }

    private func noted(_ message: ReceivedMessage, _ error: any Error, _ failure: Failure, _ delay: Duration?) -> Outcome {
        let fields = Self.fields(message) + ["error.class": .string(failure.errorClass)]
        if let delay {
            log.warning("message postponed", fields + ["retry.in_ms": .milliseconds(delay)], error: error)
            return .postponed
        }
        log.error("message parked", fields, error: error)
        return .parked
    }

    private static func fields(_ message: ReceivedMessage) -> LogFields {
        [
            "type": .string(message.envelope.type), "message.id": .describing(message.envelope.messageID),
            "conversation.id": .describing(message.envelope.conversationID), "queue": .string(message.consumer),
            "attempt": .integer(message.envelope.attempt),
        ]
    }

    // MARK: Conflicts and outages

    /// Repeats `body` at once on conflicts that pass, and for as long as it takes while the database is away. An unknown commit is
    /// repeated too: the claim tells whether it was one.
    private func persevering<Value>(_ body: () async throws -> Value) async throws -> Value {
        var conflicts = 0
        var outages = 0
        while true {
            do {
                return try await body()
            } catch let error as PostgresError {
                if Task.isCancelled { throw CancellationError() }
                if error.isDatabaseUnavailable {
                    // Six in a row while others get through: it is this message that kills its connections.
                    if outages >= 6, pool.isReady, error.code == .connectionLost { throw error }
                    outages += 1
                    try await holdBack(outages, error)
                } else if Self.passes(error), conflicts < configuration.conflictPauses.count {
                    let pause = configuration.conflictPauses[conflicts]
                    conflicts += 1
                    try await pool.loop.sleep(for: pause * Double.random(in: 0.5...1))
                } else {
                    throw error
                }
            }
        }
    }

    private static func passes(_ error: PostgresError) -> Bool {
        ["40001", "40P01", "55P03", "57014"].contains(error.sqlState)
    }

    private func holdBack(_ outages: Int, _ error: PostgresError) async throws {
        held += 1
        defer { held -= 1 }
        if outages == 1 { log.warning("message held: database unavailable", error: error) }
        let ceiling = min(configuration.outagePauseMax, .milliseconds(100 << min(outages, 10)))
        try await pool.loop.sleep(for: ceiling * Double.random(in: 0.5...1))
    }

    // MARK: One line, one span

    private func observed(
        _ message: ReceivedMessage, parent: TraceContext?, links: [TraceContext], _ body: () async throws -> Outcome
    ) async throws -> Outcome {
        let envelope = message.envelope
        let started = MonotonicInstant.current()
        let destination = "\(message.exchange):\(message.routingKey):\(message.consumer)"
        return try await Tracer.shared.withSpan("process \(destination)", kind: .consumer, parent: parent, links: links) { span in
            span.set("messaging.system", "rabbitmq")
            span.set("messaging.destination.name", .string(destination))
            span.set("messaging.message.id", .describing(envelope.messageID))
            span.set("messaging.message.conversation_id", .describing(envelope.conversationID))
            let outcome = try await body()
            span.set("outcome", .string(outcome.rawValue))
            let took = MonotonicInstant.current() - started
            metrics.handleSeconds.observe(took)
            metrics.consumed(from: message.consumer, outcome: outcome.rawValue).add()
            if outcome == .duplicate { metrics.duplicates.add() }
            if outcome == .handled, let sentAt = envelope.sentAt { metrics.criticalSeconds.observe(max(.zero, Instant.now() - sentAt)) }
            // A failure has its log line already.
            if outcome == .handled || outcome == .duplicate {
                log.info(
                    "message handled",
                    [
                        "type": .string(envelope.type), "message.id": .describing(envelope.messageID),
                        "conversation.id": .describing(envelope.conversationID), "queue": .string(message.consumer),
                        "outcome": .string(outcome.rawValue), "attempt": .integer(envelope.attempt), "duration_ms": .milliseconds(took),
                    ])
            }
            return outcome
        }
    }
}
