import Configuration
import Crypto
import Jobs
import Postgres
import Telemetry
import TestSupport
import Testing

@testable import Auth

@Suite(.authDatabase, .serialized) struct UpkeepTests {
    private let metrics = Metrics()

    @Test func `a failing sweep keeps neither tokens nor the first administrator away`() async throws {
        try await AuthUnderTest.with { auth in
            let settings = try AuthUnderTest.settings(["ADMIN_EMAIL": "admin@example.com", "ADMIN_PASSWORD": "operator's word"])
            let upkeep = Upkeep(auth.useCases, pool: auth.pool, settings: settings, log: AuthUnderTest.log)
            let sweep = try #require(upkeep.others.first { $0.name == "sign-in attempt sweep" })
            try await auth.pool.withConnection { try await $0.script("ALTER TABLE sign_in_attempt RENAME TO lost") }
            try await running(upkeep.required + upkeep.others) {
                try await until("the sweep has failed") { count("failed", of: sweep.name) >= 2 }
                try await until("auth can serve") { upkeep.required.allSatisfy(\.hasSucceeded) }
                #expect(!sweep.hasSucceeded)
                try await auth.pool.withConnection { try await $0.script("ALTER TABLE lost RENAME TO sign_in_attempt") }
                try await until("the sweep recovers") { upkeep.others.allSatisfy(\.hasSucceeded) }
            }
            let answer = try await auth.ask("POST", "/api/auth/login", AuthUnderTest.credentials("admin@example.com", "operator's word"))
            #expect(answer.status == 200)
        }
    }

    @Test func `another master key ends the job of the signing keys`() async throws {
        try await AuthUnderTest.with { auth in
            let settings = try AuthUnderTest.settings(["MASTER_KEY": "1:\(Base64.standard.encode([UInt8](repeating: 8, count: 32)))"])
            let other = UseCases(
                pool: auth.pool, settings: settings, passwords: auth.passwords, publicURL: AuthUnderTest.publicURL, metrics: metrics,
                log: AuthUnderTest.log)
            let keys = Upkeep(other, pool: auth.pool, settings: settings, log: AuthUnderTest.log).required
            #expect(keys.map(\.name) == ["signing key rotation"])
            await #expect(throws: KeyUnusable.self) {
                try await keys[0].run(on: TestDatabase.loop, log: AuthUnderTest.log, metrics: metrics)
            }
        }
    }

    private func count(_ outcome: String, of job: String) -> Int64 {
        metrics.counter("job_runs_total", help: "", labels: ["job": job, "outcome": outcome]).count
    }

    private func running(_ jobs: [Job], _ body: () async throws -> Void) async throws {
        let tasks = jobs.map { job in
            Task(executorPreference: TestDatabase.loop) { [metrics] in
                try await job.run(on: TestDatabase.loop, log: Logger(service: "auth", output: LogOutput(descriptor: -1)), metrics: metrics)
            }
        }
        let result: Result<Void, any Error>
        do { result = .success(try await body()) } catch { result = .failure(error) }
        for task in tasks { task.cancel() }
        for task in tasks { _ = await task.result }
        try result.get()
    }
}
