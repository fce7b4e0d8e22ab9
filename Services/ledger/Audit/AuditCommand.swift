import Bootstrap
import JSON
import Postgres

/// `ledger audit [--json]`: audits now and says what it found. Status 0: consistent; 1: something was found; 2: it could not be run.
///
/// Needs `DATABASE_URL` only; the ledger may be running.
let auditCommand = Runtime.Command("audit", parameters: "[--json]", statusOfFailure: 2) { runtime, arguments in
    guard arguments.isEmpty || arguments == ["--json"] else { return nil }
    let pool = try runtime.database(connectionsMax: 1)
    let run = try await Auditor(pool: pool, log: runtime.log).run()
    await pool.close()
    if arguments.isEmpty {
        print(run.text)
    } else {
        print(String(decoding: JSONWriter.object { run.encode(into: &$0) }, as: UTF8.self))
    }
    return run.audit.findings.isEmpty ? 0 : 1
}
