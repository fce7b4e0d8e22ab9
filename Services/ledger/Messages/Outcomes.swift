import LedgerCore
import Telemetry

/// The counters of the commands of one queue, by outcome.
struct Outcomes: Sendable {
    let applied, refused, duplicate, conflict, awaiting, noted, invalid, malformed, dropped, failed, busy, kept: Counter
    /// The commands that were decided in small groups, because one of them was redelivered too
    /// often.
    let isolated: Counter
    let holdsExpired = Metrics.shared.counter("ledger_holds_expired_total", help: "Holds that ended by their expiry.")

    init(_ queue: String) {
        func counter(_ outcome: String) -> Counter {
            Metrics.shared.counter("ledger_commands_total", help: "Commands by outcome.", labels: ["queue": queue, "outcome": outcome])
        }
        (applied, refused, duplicate, conflict) = (counter("applied"), counter("refused"), counter("duplicate"), counter("conflict"))
        (awaiting, noted, invalid, malformed) = (counter("awaiting"), counter("noted"), counter("invalid"), counter("malformed"))
        (dropped, failed) = (counter("dropped"), counter("failed"))
        (busy, kept) = (counter("busy"), counter("kept"))
        isolated = Metrics.shared.counter(
            "ledger_commands_isolated_total", help: "Commands decided in small groups, because one was redelivered too often.",
            labels: ["queue": queue])
    }

    func note(_ decision: Decision) {
        switch decision {
        case .decided(let entry, _):
            (entry.status == .applied ? applied : refused).add()
            if entry.kind == .expire { holdsExpired.add() }
        case .duplicate: duplicate.add()
        case .conflict: conflict.add()
        case .refused: refused.add()
        case .awaitingFunds: awaiting.add()
        case .undecided: busy.add()
        case .noted: noted.add()
        case .invalid: invalid.add()
        }
    }
}
