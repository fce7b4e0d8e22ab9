package import EventLoop
package import Postgres
import Synchronization
package import Telemetry
import Values

/// Background work that repeats until it is cancelled. The first run begins at once.
///
/// The next run begins ``interval`` after the end of a successful one, give or take a tenth, so that
/// replicas drift apart. A failed run is repeated after 0.1 s, 0.2 s … 5 s, but never later than
/// after the interval. A run that takes longer than its limit is cancelled and has failed.
///
/// | metric | |
/// |---|---|
/// | `job_runs_total{job,outcome}` | runs; the outcome is `succeeded`, `failed` or `skipped` |
/// | `job_last_success_timestamp_seconds{job}` | Unix time of the end of the last success; 0: never yet |
package final class Job: Sendable {
    package let name: String
    /// Nil: the work is done once it has succeeded.
    private let interval: Duration?
    private let limit: Duration
    private let leader: PostgresPool?
    private let restAfter: @Sendable (any Error) -> Duration?
    private let body: @Sendable () async throws -> Void
    private let succeeded = Atomic(false)

    /// - Parameters:
    ///   - interval: the time between two runs; nil: one success is enough.
    ///   - limit: the longest run.
    ///   - leader: if given, at most one replica runs the job at a time, and the others skip the
    ///     run. The pool lends one connection for the lock. `body` needs others, or none.
    ///   - restAfter: the pause after an error; nil: the usual one.
    ///   - body: the work. It may run twice: a leader that loses its connection works on.
    package init(
        _ name: String, every interval: Duration?, within limit: Duration = .seconds(60), leader: PostgresPool? = nil,
        restAfter: @escaping @Sendable (any Error) -> Duration? = { _ in nil }, _ body: @escaping @Sendable () async throws -> Void
    ) {
        (self.name, self.interval, self.limit, self.leader) = (name, interval, limit, leader)
        (self.restAfter, self.body) = (restAfter, body)
    }

    /// True after the first success.
    package var hasSucceeded: Bool { succeeded.load(ordering: .relaxed) }

    /// Repeats the work until it is cancelled.
    /// - Throws: `CancellationError`, or a ``JobEndingError``.
    package func run(on loop: EventLoop, log: Logger, metrics: Metrics = .shared) async throws {
        let metrics = JobMetrics(name, metrics)
        var failures = 0
        while true {
            do {
                guard try await runOnce(on: loop) else {
                    metrics.skipped.add()
                    try await loop.sleep(for: nextInterval ?? pause(after: 1))
                    continue
                }
                metrics.noteSuccess()
                succeeded.store(true, ordering: .relaxed)
                if failures > 0 { log.info("job recovered", ["job": .string(name), "failures": .integer(failures)]) }
                failures = 0
            } catch let error as any JobEndingError {
                throw error
            } catch {
                try Task.checkCancellation()
                failures += 1
                metrics.failed.add()
                if failures == 1 || failures % 20 == 0 {
                    log.warning("job failed", ["job": .string(name), "failures": .integer(failures)], error: error)
                }
                try await loop.sleep(for: restAfter(error) ?? pause(after: failures))
                continue
            }
            guard let nextInterval else { return try await Promise<Void>(on: loop).value() }
            try await loop.sleep(for: nextInterval)
        }
    }

    private var nextInterval: Duration? { interval.map { $0 * Double.random(in: 0.9...1.1) } }

    private func pause(after failures: Int) -> Duration {
        let usual = Duration.milliseconds(min(5_000, 50 << min(failures, 7))) * Double.random(in: 0.5...1)
        return interval.map { min($0, usual) } ?? usual
    }

    /// - Returns: false if another replica is running the job.
    private func runOnce(on loop: EventLoop) async throws -> Bool {
        guard let leader else {
            try await runWithinLimit(on: loop)
            return true
        }
        return try await leader.transaction { transaction in
            guard try await transaction.one(LeadJob(name: name, limit: limit)) else { return false }
            try await runWithinLimit(on: loop)
            return true
        }
    }

    private func runWithinLimit(on loop: EventLoop) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { [body] in try await body() }
            group.addTask { [limit] in
                try await loop.sleep(for: limit)
                throw JobTimedOut(limit: limit)
            }
            try await group.next()
            group.cancelAll()
        }
    }
}

/// An error that no later run of a job can mend. It ends the job, and with it the service.
package protocol JobEndingError: Error {}

/// The error of a run that took longer than its limit.
struct JobTimedOut: Error, CustomStringConvertible {
    let limit: Duration
    var description: String { "the run took longer than \(limit)" }
}

private struct JobMetrics: Sendable {
    let failed, skipped: Counter
    private let succeeded: Counter
    private let lastSuccess: Gauge

    init(_ job: String, _ metrics: Metrics) {
        func runs(_ outcome: String) -> Counter {
            metrics.counter("job_runs_total", help: "Runs of background jobs by outcome.", labels: ["job": job, "outcome": outcome])
        }
        (failed, skipped, succeeded) = (runs("failed"), runs("skipped"), runs("succeeded"))
        lastSuccess = metrics.gauge(
            "job_last_success_timestamp_seconds", help: "Unix time of the end of the last successful run.", labels: ["job": job])
    }

    func noteSuccess() {
        succeeded.add()
        lastSuccess.set(Instant.now().seconds)
    }
}

/// Takes the lead of a job until the end of the transaction. Returns false if another replica has it.
///
/// The transaction is idle while the job runs, and the server must not end it before the run's limit.
private struct LeadJob: Statement {
    let name: String
    let limit: Duration

    static let sql = """
        SELECT pg_try_advisory_xact_lock(hashtext('job'), hashtext(current_schema() || ':' || $1)),
            set_config('idle_in_transaction_session_timeout', $2, true)
        """

    func bind(_ parameters: inout Parameters) {
        parameters.append(name)
        parameters.append("\((limit + .seconds(10)).wholeMilliseconds)ms")
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Bool { try row.next() }
}
