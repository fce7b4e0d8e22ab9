import Postgres
import TestSupport
import Values

@testable import Ledger

/// Runs `body` with ledgers on one database whose clock the test moves, then audits the database.
/// Does this once for each database.
func withMovedClock(
    _ count: Int = 1, at now: Instant = Instant.now(), _ body: @escaping @Sendable ([StoreUnderTest]) async throws -> Void
) async throws {
    try await TestDatabase.current.withPool { pool in try await pool.withConnection { try await $0.script(ownClock) } }
    try await withLedgers(count, configure: { $0.searchPath = "ledger, pg_catalog" }) { ledgers in
        try await ledgers[0].moveClock(to: now)
        try await body(ledgers)
    }
}

extension StoreUnderTest {
    func moveClock(to now: Instant) async throws { try await pool.withConnection { _ = try await $0.execute(SetClock(now: now)) } }

    /// Moves the clock and audits, as a ledger does in that night.
    @discardableResult
    func night(_ now: Instant) async throws -> [Audit.Finding]? {
        try await moveClock(to: now)
        return try await Auditor(pool: pool, log: silent).run(due: now)?.audit.findings
    }

    /// Returns the findings of an audit from the newest opening. If it has none, audits everything
    /// and returns those findings.
    func findings() async throws -> [Audit.Finding] {
        let findings = try await Audit.run(on: pool).findings
        return findings.isEmpty ? try await Audit.run(on: pool, all: true).findings : findings
    }
}

extension ChargeID {
    /// Makes an id as of `time`.
    static func made(at time: Instant) -> ChargeID {
        var random = SystemRandomNumberGenerator()
        return ChargeID(rawValue: .make(milliseconds: time.microseconds / 1_000, using: &random))
    }
}

extension JournalMonth {
    static func + (month: JournalMonth, months: Int64) -> JournalMonth { JournalMonth(index: month.index + months) }
}

extension Duration {
    static func days(_ days: Int64) -> Duration { .seconds(days * 86_400) }
}
