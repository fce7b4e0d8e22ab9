import Contracts
import Postgres
import Telemetry

/// Runs audits and keeps what they found.
///
/// On the loop of its pool, whoever asks: given one apart from that of the decisions, a long look at the past holds none of them up.
struct Auditor: Sendable {
    let pool: PostgresPool
    let log: Logger

    /// Now.
    func run() async throws -> AuditRun {
        guard let run = try await run(due: nil) else { preconditionFailure("only an audit that is due can be somebody else's") }
        return run
    }

    /// The audit of that moment, unless another ledger runs it or it was run.
    func run(due: Instant?) async throws -> AuditRun? {
        let run = try await withTaskExecutorPreference(pool.loop) {
            try await pool.transaction(isolation: .repeatableRead) { transaction -> AuditRun? in
                if let due {
                    guard try await transaction.one(ClaimAudit(due: due)) else { return nil }
                }
                let started = try await transaction.one(ReadClock())
                let audit = try await Audit.run(in: transaction)
                let finished = try await transaction.one(ReadClock())
                let run = AuditRun(due: due, started: started, finished: finished, audit: audit)
                try await transaction.execute(KeepAuditRun(run: run))
                return run
            }
        }
        if let run { report(run) }
        return run
    }

    func last() async throws -> AuditRun? {
        try await withTaskExecutorPreference(pool.loop) { try await pool.withConnection { try await $0.first(ReadLastAuditRun()) } }
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
            log.error("the journal and the tables part", fields)
        }
        guard audit.findings.isEmpty else { return }
        log.info(
            "audit passed",
            [
                "entries": .integer(audit.entries), "accounts": .integer(audit.accounts),
                "duration_ms": .milliseconds(run.finished - run.started),
            ])
    }
}

/// An audit that was run, and when.
struct AuditRun: Sendable {
    /// When a nightly one should have begun; nil: somebody asked for it.
    var due: Instant?
    var started: Instant
    var finished: Instant
    var audit: Audit
}

/// What a service knows of all audits, its own and those of others.
struct AuditSummary: Sendable {
    var lastDue: Instant?
    var findings: Int64
    var lastSuccess: Instant?
}
