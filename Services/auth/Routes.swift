import Contracts
import HTTP
import HTTPWire
import Identity
import Postgres
import Telemetry
import Values

/// The HTTP door of auth. `Routes/` has the handlers. The use cases know no HTTP.
struct Routes: HTTPDoor {
    let accounts: Accounts
    let sessions: Sessions
    let keys: APIKeys
    let devices: Devices
    let keyring: SigningKeyring
    let authenticator: Authenticator
    /// Nil when the ledger does not say.
    let credits: @Sendable (AccountID) async -> Credits?
    /// `PUBLIC_URL`, and the issuer of tokens.
    let publicURL: String
    let log: Logger

    init(
        _ auth: UseCases, authenticator: Authenticator, credits: @escaping @Sendable (AccountID) async -> Credits?, publicURL: String,
        log: Logger
    ) {
        (accounts, sessions, keys, devices, keyring) = (auth.accounts, auth.sessions, auth.keys, auth.devices, auth.keyring)
        (self.authenticator, self.credits, self.publicURL, self.log) = (authenticator, credits, publicURL, log)
    }

    static let table: [Route<Routes>] = [
        Route(.post, ["/api/auth/register", "/register"], access: .public, rate: .credentials, Routes.register),
        Route(.post, ["/api/auth/login", "/login"], access: .public, rate: .credentials, Routes.login),
        Route(.post, ["/api/auth/refresh"], access: .public, rate: .credentials, Routes.refresh),
        Route(.post, ["/api/auth/logout"], access: .sessionOrBody, rate: .credentials, Routes.logout),
        Route(.get, ["/api/auth/me", "/me"], access: .credential(scope: "profile"), Routes.me),
        Route(.post, ["/api/keys"], access: .session(), Routes.createKey),
        Route(.get, ["/api/keys"], access: .session(), Routes.listKeys),
        Route(.delete, ["/api/keys/{id}"], access: .session(), Routes.revokeKey),
        Route(.post, ["/api/auth/device/code"], access: .public, rate: .credentials, errors: .oauth, Routes.requestDesktopCode),
        Route(.get, ["/api/auth/device/verify"], access: .session(), rate: .credentials, errors: .oauth, Routes.lookUpDevice),
        Route(
            .post, ["/api/auth/device/authorize"], access: .session(freshWithin: .seconds(12 * 3_600)), rate: .credentials, errors: .oauth,
            Routes.decideDevice),
        Route(.post, ["/api/auth/device/token"], access: .public, rate: .polls, errors: .oauth, Routes.pollDesktop),
        Route(.post, ["/oauth/device_authorization"], access: .public, rate: .credentials, errors: .oauth, Routes.requestDeviceCode),
        Route(.post, ["/oauth/token"], access: .public, rate: .polls, errors: .oauth, Routes.token),
        Route(.post, ["/oauth/revoke"], access: .public, rate: .credentials, errors: .oauth, Routes.revoke),
        Route(.get, ["/.well-known/jwks.json"], access: .public, Routes.jwks),
        Route(
            .get, ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"], access: .public, Routes.metadata),
    ]

    var gate: CallerGate<Principal> { authenticator.gate }

    /// Maps what may pass to 503: a lost or busy database, too many passwords, no signing key yet.
    func problem(for error: any Error, in trace: TraceContext) -> Problem? {
        switch error {
        case let error as PostgresError where error.isTransient:
            log.warning("request failed: database unavailable", error: error, trace: trace)
            return .unavailable("The account database is unavailable; retry later.")
        case is Passwords.Overloaded: return .overloaded(retryAfter: .seconds(2))
        case is Issuer.NoSigningKey: return .unavailable("No signing key is available yet; retry later.")
        default: return nil
        }
    }
}
