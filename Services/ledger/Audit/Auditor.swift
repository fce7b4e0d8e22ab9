import LedgerCore
import Postgres
import Synchronization
import Telemetry
import Values

/// Runs audits and keeps their results.
///
/// Runs on the loop of its pool. An audit on a loop of its own delays no decision.
struct Auditor: Sendable {
    let pool: PostgresPool
    let log: Logger
    private let running = RunningAudits()

    /// Runs an audit now, unless one runs in this process already. A client that repeats its
    /// request after a time-out takes no further connection.
    /// - Parameter all: reads everything since the oldest checkpoint, not only since the newest one.
    /// - Returns: nil if an audit runs in this process already.
    func run(all: Bool = false) async throws -> AuditRun? {
        guard running.begin(unlessOneRuns: true) else { return nil }
        defer { running.end() }
        return try await run(due: nil, all: all)
    }

    /// Runs the audit that was due at `due`, unless a ledger ran it already or is running it. If
    /// the audit finds nothing, moves the checkpoint of later audits and folds old usage.
    func run(due: Instant) async throws -> AuditRun? {
        _ = running.begin(unlessOneRuns: false)
        defer { running.end() }
        guard let run = try await run(due: due, all: false) else { return nil }
        if run.audit.findings.isEmpty { try await close(at: run.started) }
        return run
    }

    /// Moves the checkpoint of later audits, folds the usage before it and deletes results of 400 days
    /// ago. Call it after an audit without findings.
    func close(at now: Instant) async throws {
        try await withTaskExecutorPreference(pool.loop) {
            for checkpoint in try await Checkpoints(pool: pool).advance(at: now) {
                log.info("audit checkpoint moved", ["checkpoint": .describing(checkpoint)])
            }
            let folded = try await UsageFolding(pool: pool).run()
            if folded > 0 { log.info("usage folded", ["rows": .integer(folded)]) }
            _ = try await pool.pipeline(DeleteOldAuditRuns())
        }
    }

    private func run(due: Instant?, all: Bool) async throws -> AuditRun? {
        let run = try await withTaskExecutorPreference(pool.loop) {
            try await pool.transaction(isolation: .repeatableRead) { transaction -> AuditRun? in
                try await transaction.execute(LockCheckpoints())
                if let due {
                    guard try await transaction.one(ClaimAudit(due: due)) else { return nil }
                }
                let started = try await transaction.one(ReadClock())
                let audit = try await Audit.run(in: transaction, all: all)
                let finished = try await transaction.one(ReadClock())
                let run = AuditRun(due: due, started: started, finished: finished, audit: audit)
                try await transaction.execute(KeepAuditRun(run: run))
                return run
            }
        }
        if let run { report(run) }
        return run
    }

    /// - Parameter isNightly: true for the last audit that was due at its time.
    func last(isNightly: Bool = false) async throws -> AuditRun? {
        try await withTaskExecutorPreference(pool.loop) {
            try await pool.withConnection { try await $0.first(ReadLastAuditRun(isNightly: isNightly)) }
        }
    }

    func summary() async throws -> AuditSummary {
        try await withTaskExecutorPreference(pool.loop) { try await pool.withConnection { try await $0.one(ReadAuditSummary()) } }
    }

    private func report(_ run: AuditRun) {
        let audit = run.audit
        for finding in audit.findings {
            var fields: LogFields = ["check": .string(finding.check)]
            if let account = finding.account { fields.append("account.id", .describing(account)) }
            if let charge = finding.charge { fields.append("charge.id", .describing(charge)) }
            if let seq = finding.seq { fields.append("seq", .integer(seq)) }
            fields.append("detail", .string(finding.detail))
            log.error("audit mismatch", fields)
        }
        guard audit.findings.isEmpty else { return }
        log.info(
            "audit passed",
            [
                "from": .describing(audit.from), "entries": .integer(audit.entries), "accounts": .integer(audit.accounts),
                "duration_ms": .milliseconds(run.finished - run.started),
            ])
    }
}

/// The number of audits that run in this process.
private final class RunningAudits: Sendable {
    private let count = Mutex(0)

    /// - Returns: false if the audit must not begin.
    func begin(unlessOneRuns: Bool) -> Bool {
        count.withLock { count in
            if unlessOneRuns, count > 0 { return false }
            count += 1
            return true
        }
    }

    func end() { count.withLock { $0 -= 1 } }
}

/// An audit that was run, and when.
struct AuditRun: Sendable {
    /// The time at which a nightly audit was due. Nil: an operator or an administrator asked for
    /// the audit.
    var due: Instant?
    var started: Instant
    var finished: Instant
    var audit: Audit
}

/// The state of all audits of the database, by every ledger.
struct AuditSummary: Sendable {
    var lastDue: Instant?
    var findings: Int64
    var lastSuccess: Instant?
}
