import JSON
import Postgres
import Values

/// True for one ledger: the others find it claimed or run.
struct ClaimAudit: Statement {
    typealias Output = Bool
    let due: Instant

    static let sql = """
        SELECT pg_try_advisory_xact_lock(hashtextextended('nightly audit', 0)) AND NOT EXISTS (SELECT FROM audit_run WHERE due >= $1)
        """

    func bind(_ parameters: inout Parameters) { parameters.append(due) }
}

/// Writes a result.
struct KeepAuditRun: Statement {
    let run: AuditRun

    static let sql = """
        INSERT INTO audit_run (due, started, finished, audited_from, accounts, entries, open_holds, posted, held, findings)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8::numeric * 1000000000, $9::numeric * 1000000000, $10)
        """

    func bind(_ parameters: inout Parameters) {
        parameters.append(run.due)
        parameters.append(run.started)
        parameters.append(run.finished)
        parameters.append(run.audit.from)
        parameters.append(run.audit.accounts)
        parameters.append(run.audit.entries)
        parameters.append(run.audit.holds)
        parameters.append(run.audit.posted)
        parameters.append(run.audit.held)
        var json = JSONWriter()
        json.array { json in
            for finding in run.audit.findings { json.object { finding.encode(into: &$0) } }
        }
        parameters.append(JSONText(json.bytes))
    }
}

/// Deletes results that are more than 400 days old. It does not belong into the snapshot of an
/// audit, where two audits that overlap would delete the same row and one would fail.
struct DeleteOldAuditRuns: Statement {
    static let sql = "DELETE FROM audit_run WHERE started < clock_timestamp() - interval '400 days'"
}

struct ReadLastAuditRun: Statement {
    /// True if only an audit that was due at its time counts.
    let isNightly: Bool

    static let sql = """
        SELECT
            due, started, finished, audited_from, accounts, entries, open_holds, trim_scale(posted * 0.000000001)::text,
            trim_scale(held * 0.000000001)::text, findings
        FROM audit_run
        WHERE due IS NOT NULL OR NOT $1
        ORDER BY audit_run_id DESC
        LIMIT 1
        """

    func bind(_ parameters: inout Parameters) { parameters.append(isNightly) }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> AuditRun {
        let (due, started, finished) = try (row.next(Instant?.self), row.next(Instant.self), row.next(Instant.self))
        var audit = try Audit(&row)
        let findings = try row.next(JSONText.self)
        do {
            audit.findings = try (JSONValue(findings.bytes).array ?? []).compactMap(\.object).map(AuditFinding.init)
        } catch {
            throw PostgresError(.typeMismatch, "the findings of an audit cannot be read", cause: error)
        }
        return AuditRun(due: due, started: started, finished: finished, audit: audit)
    }
}

struct ReadAuditSummary: Statement {
    static let sql = """
        SELECT
            (SELECT max(due) FROM audit_run),
            coalesce((SELECT jsonb_array_length(findings) FROM audit_run ORDER BY audit_run_id DESC LIMIT 1), 0)::bigint,
            (SELECT max(finished) FROM audit_run WHERE findings = '[]')
        """

    static func decode(_ row: inout RowReader) throws(PostgresError) -> AuditSummary {
        try AuditSummary(lastDue: row.next(Instant?.self), findings: row.next(), lastSuccess: row.next(Instant?.self))
    }
}
