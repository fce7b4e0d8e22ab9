import EventLoop
import Postgres
import Synchronization
import Telemetry
import TestSupport
import Testing
import Values

@testable import Ledger

@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct NightlyAuditTests {
    @Test(arguments: [
        ("2026-11-20T03:30:00Z", "2026-11-20T03:30:00Z"), ("2026-11-20T23:59:59Z", "2026-11-20T03:30:00Z"),
        ("2026-11-20T03:29:59.999999Z", "2026-11-19T03:30:00Z"), ("2026-03-01T00:00:00Z", "2026-02-28T03:30:00Z"),
    ])
    func `the last occurrence of a time of day before a moment is found`(now: String, expected: String) throws {
        let time = try #require(TimeOfDay("03:30"))
        #expect(time.last(before: try #require(Instant(now))) == Instant(expected))
    }

    @Test(arguments: ["3:30", "24:00", "03:60", "03:30:00", "noon", ""])
    func `a malformed time of day is refused`(text: String) { #expect(TimeOfDay(text) == nil) }

    @Test func `one of several ledgers audits each night, and a missed night is made up for once`() async throws {
        try await withAuditors(3) { auditors in
            let clock = ManualClock("2030-01-01T03:29:00Z")
            let nights = try auditors.map { NightlyAudit($0, at: try night, interval: .milliseconds(5), now: { clock.now }, log: silent) }
            try await running(nights) {
                // Once when it begins, once for its first look.
                try await until("all have begun") { clock.timesAsked >= 6 }
                clock.set("2030-01-01T03:30:00Z")
                try await until("the first night is audited") { try await dues(auditors[0]).count == 1 }
                clock.set("2030-01-02T03:45:00Z")
                try await until("the second night is audited") { try await dues(auditors[0]).count == 2 }
                // All ledgers sleep for some nights.
                clock.set("2030-01-06T10:00:00Z")
                try await until("the nights after are made up for") { try await dues(auditors[0]).count == 3 }
            }
            #expect(
                try await dues(auditors[0]) == [
                    Instant("2030-01-01T03:30:00Z"), Instant("2030-01-02T03:30:00Z"), Instant("2030-01-06T03:30:00Z"),
                ])
        }
    }

    @Test func `one of several simultaneous requests audits`() async throws {
        try await withAuditors(3) { auditors in
            let due = try #require(Instant("2031-01-01T03:30:00Z"))
            let runs = try await concurrently(6) { try await auditors[$0 % 3].run(due: due) }
            #expect(runs.compactMap { $0 }.count == 1)
            #expect(try await auditors[0].run(due: due) == nil)
            #expect(try await auditors[0].run(due: due + .days(-1)) == nil)
        }
    }

    @Test func `a finding of the night is stored, and every ledger reports it`() async throws {
        try await withAuditors(2) { auditors in
            let clock = ManualClock("2032-01-01T00:00:00Z")
            let account = AccountID.make()
            let findings = Metrics.shared.gauge("ledger_audit_findings", help: "")
            let lastSuccess = Metrics.shared.gauge("ledger_audit_last_success_seconds", help: "")
            let clean = try #require(try await auditors[1].run())
            try await auditors[0].pool.withConnection {
                try await $0.script("INSERT INTO account (account_id, posted) VALUES ('\(account)', 1)")
            }
            clock.set("2032-01-02T03:30:00Z")
            // The other ledger audits; this one reports.
            #expect(try await auditors[1].run(due: try night.last(before: clock.now))?.audit.findings.count == 1)
            try await running([NightlyAudit(auditors[0], at: try night, interval: .milliseconds(5), now: { clock.now }, log: silent)]) {
                try await until("the finding is told") { findings.current == 1 }
                #expect(lastSuccess.current == clean.finished.seconds)
            }
            let kept = try await auditors[0].last()
            #expect(kept?.audit.findings.map(Named.init) == [Named("account", account, seq: 0)])
            #expect(kept?.due == Instant("2032-01-02T03:30:00Z"))
            try await auditors[0].pool.withConnection { try await $0.script("DELETE FROM account WHERE account_id = '\(account)'") }
        }
    }

    @Test func `audits that overlap keep both results, and a clean audit deletes results of 400 days ago`() async throws {
        try await withAuditors(2) { auditors in
            try await auditors[0].pool.script(
                """
                INSERT INTO audit_run (started, finished, audited_from, accounts, entries, open_holds, posted, held, findings)
                SELECT at, at, 'epoch', 0, 0, 0, 0, 0, '[]' FROM (SELECT clock_timestamp() - interval '401 days' AS at) AS old
                """)
            let before = try await auditors[0].pool.one(CountAuditRuns())
            let run = try await auditors[0].pool.transaction(isolation: .repeatableRead) { transaction in
                _ = try await transaction.one(ReadClock())
                // Begins later and ends earlier.
                let other = try #require(try await auditors[1].run())
                try await transaction.execute(KeepAuditRun(run: other))
                return other
            }
            #expect(try await auditors[0].pool.one(CountAuditRuns()) == before + 2)
            try await auditors[0].close(at: run.started)
            #expect(try await auditors[0].pool.one(CountAuditRuns()) == before + 1)
        }
    }

    private var night: TimeOfDay { get throws { try #require(TimeOfDay("03:30")) } }

    private func dues(_ auditor: Auditor) async throws -> [Instant] {
        try await auditor.pool.withConnection { try await $0.query(ReadDues()) }
    }

    private func withAuditors(_ count: Int, _ body: @escaping @Sendable ([Auditor]) async throws -> Void) async throws {
        try await withLedgers(count) { ledgers in
            try await body(
                ledgers.map { Auditor(pool: $0.pool, log: Logger(service: "x", level: .error, output: LogOutput(descriptor: -1))) })
        }
    }

    private func running(_ nights: [NightlyAudit], _ body: () async throws -> Void) async throws {
        let tasks = nights.map { night in Task(executorPreference: TestDatabase.loop) { try await night.run() } }
        let result: Result<Void, any Error>
        do { result = .success(try await body()) } catch { result = .failure(error) }
        for task in tasks { task.cancel() }
        for task in tasks { _ = await task.result }
        try result.get()
    }
}

private final class ManualClock: Sendable {
    private let state: Mutex<(now: Instant, timesAsked: Int)>

    init(_ text: String) { state = Mutex((Instant(text)!, 0)) }

    var now: Instant {
        state.withLock {
            $0.timesAsked += 1
            return $0.now
        }
    }
    var timesAsked: Int { state.withLock { $0.timesAsked } }
    func set(_ text: String) { state.withLock { $0.now = Instant(text)! } }
}

private struct ReadDues: Statement {
    typealias Output = Instant
    static let sql = "SELECT due FROM audit_run WHERE due IS NOT NULL ORDER BY due"
}

private struct CountAuditRuns: Statement {
    typealias Output = Int64
    static let sql = "SELECT count(*) FROM audit_run"
}
