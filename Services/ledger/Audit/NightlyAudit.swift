import EventLoop
import Postgres
import Telemetry
import Values

/// Audits the ledger once a day. One of several ledgers runs the audit; all of them report its
/// result.
///
/// | metric | |
/// |---|---|
/// | `ledger_audit_findings` | of the last audit, nightly or requested |
/// | `ledger_audit_last_success_seconds` | Unix time of the end of the last that found nothing; 0: never yet |
final class NightlyAudit: @unchecked Sendable {
    // @unchecked Sendable: confined to the auditor's loop.
    private let auditor: Auditor
    private let time: TimeOfDay
    private let interval: Duration
    private let now: @Sendable () -> Instant
    private let log: Logger
    private var isFailing = false
    /// The time before which a failed audit is not repeated. It may have held a snapshot for an
    /// hour.
    private var restsUntil: Instant?
    private let findings = Metrics.shared.gauge("ledger_audit_findings", help: "Findings of the last audit.")
    private let lastSuccess = Metrics.shared.gauge(
        "ledger_audit_last_success_seconds", help: "Unix time of the end of the last audit that found nothing.")

    /// - Parameters:
    ///   - interval: the time between two looks at the clock and at the results of other ledgers.
    init(
        _ auditor: Auditor, at time: TimeOfDay, interval: Duration = .seconds(60), now: @escaping @Sendable () -> Instant = Instant.now,
        log: Logger
    ) {
        (self.auditor, self.time, self.interval, self.now, self.log) = (auditor, time, interval, now, log)
    }

    /// Runs until cancelled. One audit replaces all audits of nights in which no ledger ran. A new
    /// ledger runs its first audit in its first night.
    func run() async throws {
        let begun = now()
        while true {
            do {
                if restsUntil.map({ $0 <= now() }) ?? true {
                    try await look(since: begun)
                    (restsUntil, isFailing) = (nil, false)
                }
            } catch let error as PostgresError {
                let isAway = error.isDatabaseUnavailable
                if !isAway || !isFailing { log.warning("audit failed", error: error) }
                isFailing = true
                if !isAway { restsUntil = now() + Self.rest }
            }
            try await auditor.pool.loop.sleep(for: interval)
        }
    }

    private static let rest = Duration.seconds(6 * 3_600)

    private func look(since begun: Instant) async throws {
        let due = time.last(before: now())
        var summary = try await auditor.summary()
        if due > summary.lastDue ?? begun, try await auditor.run(due: due) != nil { summary = try await auditor.summary() }
        findings.set(summary.findings)
        lastSuccess.set(summary.lastSuccess?.seconds ?? 0)
    }
}

/// An hour and minute of UTC.
struct TimeOfDay: Equatable, Sendable {
    let minutes: Int64

    /// Reads `03:30`.
    init?(_ text: String) {
        guard text.utf8.count == 5, let moment = Instant("1970-01-01T\(text):00Z") else { return nil }
        minutes = moment.seconds / 60
    }

    /// The last moment of that time which is not after `now`.
    func last(before now: Instant) -> Instant {
        let today = Instant.startOf(day: now.day) + .seconds(minutes * 60)
        return today <= now ? today : Instant.startOf(day: now.day - 1) + .seconds(minutes * 60)
    }
}
