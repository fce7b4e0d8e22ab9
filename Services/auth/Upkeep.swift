import Configuration
import Jobs
import Telemetry

/// The background work of auth. Each job fails and recovers by itself.
struct Upkeep: Sendable {
    /// Auth serves once these have succeeded: tokens can be signed, and the first administrator can
    /// sign in.
    let required: [Job]
    let others: [Job]

    init(keyring: SigningKeyring, accounts: Accounts, admin: AuthSettings.Admin?, log: Logger) {
        let keys = Job("signing key rotation", every: .seconds(30)) { try await keyring.refresh(now: accounts.clock()) }
        let firstAdmin = admin.map { admin in
            Job("first administrator", every: nil) {
                guard try await accounts.bootstrapAdmin(email: admin.email, password: admin.password.reveal()) else { return }
                log.info("first administrator created", ["email": .string(admin.email.text)])
            }
        }
        required = [keys] + (firstAdmin.map { [$0] } ?? [])
        others = [Job("session sweep", every: .seconds(30)) { try await accounts.sweep() }]
    }
}
