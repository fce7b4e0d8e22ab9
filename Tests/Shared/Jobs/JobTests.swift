import EventLoop
import Glibc
import Postgres
import Synchronization
import Telemetry
import TestSupport
import Testing

@testable import Jobs

@Suite(.database(schema: "jobs", migrations: "Shared/Outbox/Migrations"), .serialized)
struct JobTests {
    private let metrics = Metrics()
    private let runs = Runs()

    @Test func `a job runs at once and again after each interval`() async throws {
        let job = Job("counting", every: .milliseconds(1)) { runs.begin() }
        try await running(job) { try await until("five runs") { runs.count >= 5 } }
        #expect(job.hasSucceeded)
        #expect(count("succeeded", of: job) >= 5)
        #expect(metrics.gauge("job_last_success_timestamp_seconds", help: "", labels: ["job": "counting"]).current > 1_700_000_000)
    }

    @Test func `a failed run is repeated before the interval has passed, and has not succeeded`() async throws {
        let job = Job("failing twice", every: .seconds(86_400)) { if runs.begin() < 3 { throw Failed() } }
        try await running(job) {
            try await until("two failures") { count("failed", of: job) == 2 }
            try await until("a success") { job.hasSucceeded }
        }
        #expect(runs.count == 3)
        #expect(count("succeeded", of: job) == 1)
    }

    @Test func `one line reports a row of failures, and one its end`() async throws {
        let pipe = PipedLines()
        let job = Job("failing twice", every: .seconds(86_400)) { if runs.begin() < 3 { throw Failed() } }
        try await running(job, log: pipe.log) { try await until("a success") { job.hasSucceeded } }
        let lines = try pipe.lines().map { try #require($0.firstMatch(of: /"message":"([^"]*)"/)).output.1 }
        #expect(lines == ["job failed", "job recovered"])
    }

    @Test func `an error can ask for a rest of its own`() async throws {
        let job = Job("resting", every: .milliseconds(1), restAfter: { $0 is Failed ? .seconds(86_400) : nil }) {
            if runs.begin() == 3 { throw Failed() }
            if runs.count == 1 { throw CancellationError() }
        }
        let other = Job("going on", every: .milliseconds(1)) {}
        try await running(job) {
            try await until("the rest begins") { count("failed", of: job) == 2 }
            try await running(other) { try await until("time passes") { count("succeeded", of: other) >= 20 } }
        }
        #expect(runs.count == 3)
    }

    @Test func `a run that takes too long is cancelled and has failed`() async throws {
        let job = Job("stuck once", every: .seconds(86_400), within: .milliseconds(20)) {
            if runs.begin() == 1 { try await Promise<Void>(on: TestDatabase.loop).value() }
        }
        try await running(job) { try await until("the second run succeeds") { job.hasSucceeded } }
        #expect(runs.count == 2)
        #expect(count("failed", of: job) == 1)
    }

    @Test func `a job without an interval runs until it has succeeded once`() async throws {
        let job = Job("once", every: nil) { if runs.begin() == 1 { throw Failed() } }
        let other = Job("going on", every: .milliseconds(1)) {}
        try await running(job) {
            try await until("it succeeds") { job.hasSucceeded }
            try await running(other) { try await until("time passes") { count("succeeded", of: other) >= 20 } }
        }
        #expect(runs.count == 2)
    }

    @Test func `an error that no retry can mend ends the job`() async throws {
        struct Ending: JobEndingError {}
        let job = Job("ending", every: .milliseconds(1)) { throw Ending() }
        await #expect(throws: Ending.self) { try await run(job, log: TestDatabase.log) }
    }

    @Test func `one replica at a time runs a job that has a leader`() async throws {
        let database = TestDatabase.current
        try await database.withPool { one in
            try await database.withPool { two in
                let release = Promise<Void>(on: TestDatabase.loop)
                let leading = Job("led", every: .seconds(86_400), leader: one) {
                    runs.begin()
                    try await release.value()
                }
                let following = Job("led", every: .milliseconds(1), leader: two) { runs.begin() }
                try await running(leading) {
                    try await until("the leader runs") { runs.count == 1 }
                    try await running(following) {
                        try await until("the follower skips") { count("skipped", of: following) >= 5 }
                        #expect(runs.count == 1)
                        release.succeed(())
                        try await until("the follower leads") { runs.count >= 2 }
                    }
                }
            }
        }
    }

    @Test func `a failed, a slow and a cancelled leader leave the lead`() async throws {
        let database = TestDatabase.current
        try await database.withPool { one in
            try await database.withPool { two in
                let leading = Job("left", every: .seconds(86_400), within: .milliseconds(20), leader: one) {
                    if runs.begin() == 1 { throw Failed() }
                    try await Promise<Void>(on: TestDatabase.loop).value()
                }
                try await running(leading) { try await until("it was too slow") { count("failed", of: leading) >= 2 } }
                let following = Job("left", every: .milliseconds(1), leader: two) {}
                try await running(following) { try await until("the lead is free") { count("succeeded", of: following) >= 1 } }
            }
        }
    }

    // MARK: Support

    private func count(_ outcome: String, of job: Job) -> Int64 {
        metrics.counter("job_runs_total", help: "", labels: ["job": job.name, "outcome": outcome]).count
    }

    private func run(_ job: Job, log: Logger) async throws {
        try await Task(executorPreference: TestDatabase.loop) { try await job.run(on: TestDatabase.loop, log: log, metrics: metrics) }.value
    }

    private func running(_ job: Job, log: Logger = Logger(service: "test", level: .error), _ body: () async throws -> Void) async throws {
        let task = Task(executorPreference: TestDatabase.loop) {
            try await job.run(on: TestDatabase.loop, log: log, metrics: metrics)
        }
        let result: Result<Void, any Error>
        do { result = .success(try await body()) } catch { result = .failure(error) }
        task.cancel()
        _ = await task.result
        try result.get()
    }
}

private struct Failed: Error {}

private final class Runs: Sendable {
    private let runs = Mutex(0)
    var count: Int { runs.withLock { $0 } }

    /// - Returns: the number of the run, from 1.
    @discardableResult
    func begin() -> Int {
        runs.withLock { runs in
            runs += 1
            return runs
        }
    }
}
