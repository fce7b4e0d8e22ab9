import Bootstrap
import LedgerCore
import Postgres

/// `ledger detach-month 2026-05 [--dry-run]`: see ``MonthDetachment``. Status 0: done, or possible; 1: refused; 2: it could not be run.
let detachMonthCommand = Runtime.Command("detach-month", parameters: "YYYY-MM [--dry-run]", statusOfFailure: 2) { runtime, arguments in
    guard let month = arguments.first.flatMap(JournalMonth.init), arguments.count == 1 || arguments.dropFirst() == ["--dry-run"] else {
        return nil
    }
    let pool = try runtime.database(connectionsMax: 1)
    let outcome = try await MonthDetachment(pool: pool).run(month, isDryRun: arguments.count > 1)
    await pool.close()
    print(outcome.text(month))
    if case .refused = outcome { return 1 }
    return 0
}

extension MonthDetachment.Outcome {
    /// Returns one line for the operator.
    func text(_ month: JournalMonth) -> String {
        switch self {
        case .detached: "detached: archive journal_\(month.description.replacing("-", with: "_")), then drop it"
        case .possible: "can be detached"
        case .refused(let refusal): "refused: \(refusal.text)"
        }
    }
}

extension MonthDetachment.Refusal {
    fileprivate var text: String {
        switch self {
        case .notTheOldest(let oldest): "the journal begins with \(oldest)"
        case .tooRecent: "the running month and the \(MonthDetachment.monthsKept - 1) before it stay"
        case .openHolds(let holds): "\(holds) of its holds are open"
        case .commandsWaiting(let commands): "\(commands) dead letters wait to be tried again, and may be about its charges"
        case .notAudited:
            "it has entries that were decided after the audit's checkpoint; run `ledger audit`, or try again after the 8th of next month"
        case .busy: "an audit, a backup or another reader kept the journal locked; try again later"
        case .timedOut: "a statement ran for longer than the database allows; try again at a time with less load"
        }
    }
}
