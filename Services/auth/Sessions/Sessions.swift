import Postgres
import Telemetry
import Values

/// Sessions of people. Each use case is a file of this folder.
struct Sessions: Sendable {
    let pool: PostgresPool
    let issuer: Issuer
    let revocations: Revocations
    let metrics: AuthMetrics
    let log: Logger
    let clock: @Sendable () -> Instant

    /// Deletes sessions a month after their end. Until then, a late refresh gets `token_revoked` and a
    /// forged one `invalid_refresh_token`.
    func sweep() async throws {
        let now = clock()
        _ = try await pool.withConnection { try await $0.execute(SweepSessions(endedBefore: now + .seconds(-30 * 86_400))) }
    }
}
