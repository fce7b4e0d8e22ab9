import Crypto
import Postgres
import Telemetry
import Values

/// Sign-in with OpenID providers, and the identities that users have there. Each use case is a file of
/// this folder.
struct ExternalIdentities: Sendable {
    let pool: PostgresPool
    let providers: OpenIDProviders
    let client: OpenIDClient
    let accounts: Accounts
    let masterKeys: MasterKeyRing
    /// `PUBLIC_URL`, of which the address for the provider's answer is made.
    let publicURL: String
    let metrics: AuthMetrics
    let log: Logger
    let clock: @Sendable () -> Instant

    /// The address that a provider sends a browser back to, as it is registered there.
    func redirectURI(_ provider: OpenIDProvider) -> String { "\(publicURL)/api/auth/oidc/\(provider.id)/callback" }

    /// Notes that a provider's answer is missing or not good enough.
    func note(_ flaw: OpenIDFlaw, of provider: OpenIDProvider) {
        metrics.openIDFailed.add()
        log.warning("openid provider failed", ["provider": .string(provider.id), "reason": .string(flaw.rawValue)])
    }

    /// The ways in which a user can sign in.
    struct WaysIn: Sendable {
        var hasPassword: Bool
        /// The oldest first.
        var identities: [ExternalIdentity]
    }

    func waysIn(of user: UserID) async throws -> WaysIn {
        let (hasPassword, identities) = try await pool.withConnection {
            try await $0.pipeline(HasPassword(userID: user), IdentitiesOfUser(userID: user))
        }
        return WaysIn(hasPassword: hasPassword.first ?? false, identities: identities)
    }

    /// Deletes attempts that have expired.
    func sweep() async throws {
        let now = clock()
        _ = try await pool.withConnection { try await $0.execute(SweepOpenIDAttempts(expiredBy: now)) }
    }
}
