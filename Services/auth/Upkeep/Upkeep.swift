import Configuration
import Jobs
import Postgres
import Telemetry

/// The background work of auth. Each job fails and recovers by itself.
struct Upkeep: Sendable {
    /// Auth serves once these have succeeded: tokens can be signed, audit rows have their month, and
    /// the first administrator can sign in.
    let required: [Job]
    let others: [Job]

    init(_ auth: UseCases, pool: PostgresPool, settings: AuthSettings, log: Logger) {
        let clock = auth.accounts.clock
        let keys = Job("signing key rotation", every: .seconds(30)) { try await auth.keyring.refresh(now: clock()) }
        let firstAdmin = settings.admin.map { admin in
            Job("first administrator", every: nil) {
                guard try await auth.accounts.bootstrapAdmin(email: admin.email, password: admin.password.reveal()) else { return }
                log.info("first administrator created", ["email": .string(admin.email.text)])
            }
        }
        required = [keys] + (firstAdmin.map { [$0] } ?? [])
        others = [
            Job("session sweep", every: .seconds(30)) { try await auth.sessions.sweep() },
            Job("sign-in attempt sweep", every: .seconds(30)) { try await auth.accounts.sweepAttempts() },
            Job("device grant sweep", every: .seconds(30)) { try await auth.devices.sweep() },
            Job("openid attempt sweep", every: .seconds(30)) { try await auth.externalIdentities.sweep() },
            Job("mail", every: .seconds(1), within: .seconds(120)) { try await auth.mailer.run() },
            TimePartitions(of: "audit", by: .month, kept: settings.auditMonths, in: pool).job,
            Job("secret resealing", every: .seconds(3_600), within: .seconds(600), leader: pool) {
                let (keys, passwords) = (try await auth.keyring.reseal(), try await auth.accounts.resealPasswords())
                guard keys + passwords > 0 else { return }
                log.info("secrets resealed", ["signing_keys": .integer(keys), "passwords": .integer(passwords)])
            },
        ]
    }
}
