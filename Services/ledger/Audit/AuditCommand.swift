import Bootstrap
import JSON
import LedgerCore
import Postgres
import Telemetry

/// `ledger audit [--all] [--json]`: audits now and prints the result. Status 0: no findings; 1:
/// findings; 2: the audit failed.
/// Moving the checkpoint happens after the result is printed, and its failure is a line of the log.
///
/// `--all` reads everything since the oldest checkpoint. An audit without findings moves the checkpoint
/// of later audits, as the nightly audit does. The command needs `DATABASE_URL` only; the ledger
/// may be running.
let auditCommand = Runtime.Command("audit", parameters: "[--all] [--json]", statusOfFailure: 2) { runtime, arguments in
    guard Set(arguments).isSubset(of: ["--all", "--json"]), Set(arguments).count == arguments.count else { return nil }
    let pool = try runtime.database(connectionsMax: 1)
    let auditor = Auditor(pool: pool, log: runtime.log)
    guard let run = try await auditor.run(all: arguments.contains("--all")) else { preconditionFailure("the process runs one audit") }
    if arguments.contains("--json") {
        print(String(decoding: JSONWriter.object { run.encode(into: &$0) }, as: UTF8.self))
    } else {
        print(run.text)
    }
    if run.audit.findings.isEmpty {
        // The result is printed. A later audit moves the checkpoint.
        do { try await auditor.close(at: run.started) } catch { runtime.log.warning("audit checkpoint failed", error: error) }
    }
    await pool.close()
    return run.audit.findings.isEmpty ? 0 : 1
}
