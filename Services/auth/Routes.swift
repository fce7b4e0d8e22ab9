import Contracts
import HTTP
import HTTPWire
import Identity
import Postgres
import Telemetry
import Values
import Web

/// The HTTP door of auth. `Routes/` has the handlers. The use cases know no HTTP.
struct Routes: HTTPDoor {
    let accounts: Accounts
    let sessions: Sessions
    let keys: APIKeys
    let devices: Devices
    let externalIdentities: ExternalIdentities
    let admin: AdminUsers
    let keyring: SigningKeyring
    let introspection: TokenIntrospection
    let authenticator: Authenticator
    /// Nil when the ledger does not say.
    let balance: @Sendable (AccountID) async -> Balance?
    /// `PUBLIC_URL`, and the issuer of tokens.
    let publicURL: String
    /// The pages.
    let site: Site
    let log: Logger

    init(
        _ auth: UseCases, authenticator: Authenticator, balance: @escaping @Sendable (AccountID) async -> Balance?, publicURL: String,
        log: Logger
    ) {
        site = Site(service: "auth", publicURL: publicURL, clock: auth.accounts.clock)
        (accounts, sessions, keys, devices) = (auth.accounts, auth.sessions, auth.keys, auth.devices)
        (admin, keyring, introspection) = (auth.admin, auth.keyring, auth.introspection)
        externalIdentities = auth.externalIdentities
        (self.authenticator, self.balance, self.publicURL, self.log) = (authenticator, balance, publicURL, log)
    }

    static let table: [Route<Routes>] = [
        Route(.post, ["/api/auth/register"], access: .public, rate: .credentials, Routes.register),
        Route(.post, ["/api/auth/login"], access: .public, rate: .credentials, Routes.login),
        Route(.post, ["/api/auth/refresh"], access: .public, rate: .credentials, Routes.refresh),
        Route(.post, ["/api/auth/logout"], access: .sessionOrBody, rate: .credentials, Routes.logout),
        Route(.get, ["/api/auth/me", "/me"], access: .credential(scope: "profile"), Routes.me),
        Route(.patch, ["/api/auth/me"], access: .session(), Routes.changeMe),
        Route(.get, ["/api/auth/sessions"], access: .session(), Routes.listSessions),
        Route(.delete, ["/api/auth/sessions"], access: .session(), Routes.endOtherSessions),
        Route(.delete, ["/api/auth/sessions/{id}"], access: .session(), Routes.endSession),
        Route(.post, ["/api/auth/email/verify"], access: .public, rate: .credentials, Routes.verifyEmail),
        Route(.post, ["/api/auth/email/resend"], access: .session(), rate: .credentials, Routes.resendVerification),
        Route(.post, ["/api/auth/email/change"], access: .session(), rate: .credentials, Routes.changeEmail),
        Route(.post, ["/api/auth/password/forgot"], access: .public, rate: .credentials, Routes.forgotPassword),
        Route(.post, ["/api/auth/password/reset"], access: .public, rate: .credentials, Routes.resetPassword),
        Route(.post, ["/api/auth/password/change"], access: .session(), rate: .credentials, Routes.changePassword),
        Route(.get, ["/api/auth/identities"], access: .session(), Routes.listIdentities),
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
        Route(.post, ["/oauth/introspect"], access: .serviceWithoutUser, errors: .oauth, Routes.introspect),
        Route(.get, ["/api/admin/users"], access: .admin(), Routes.listUsers),
        Route(.get, ["/api/admin/users/{id}"], access: .admin(), Routes.showUser),
        Route(.get, ["/api/admin/users/{id}/audit"], access: .admin(), Routes.auditOfUser),
        Route(.post, ["/api/admin/users/{id}/deactivate"], access: .admin(freshWithin: .seconds(900)), Routes.deactivateUser),
        Route(.post, ["/api/admin/users/{id}/reactivate"], access: .admin(freshWithin: .seconds(900)), Routes.reactivateUser),
        Route(.post, ["/api/admin/users/{id}/role"], access: .admin(freshWithin: .seconds(900)), Routes.setRole),
        Route(.delete, ["/api/admin/users/{id}/sessions"], access: .admin(freshWithin: .seconds(900)), Routes.endSessionsOfUser),
        Route(.get, ["/.well-known/jwks.json"], access: .public, Routes.jwks),
        Route(
            .get, ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"], access: .public, Routes.metadata),

        // Pages.
        Route(.get, ["/"], access: .public, errors: .page, Routes.showStart),
        Route(.get, ["/login"], access: .public, errors: .pageOrOpenAI, Routes.showLogin),
        Route(.post, ["/login"], access: .public, rate: .credentials, errors: .pageOrOpenAI, Routes.submitLogin),
        Route(.get, ["/register"], access: .public, errors: .pageOrOpenAI, Routes.showRegister),
        Route(.post, ["/register"], access: .public, rate: .credentials, errors: .pageOrOpenAI, Routes.submitRegister),
        Route(.post, ["/logout"], access: .sessionOrBody, errors: .page, Routes.submitLogout),
        Route(.post, ["/language"], access: .sessionOrBody, errors: .page, Routes.submitLanguage),
        Route(.get, ["/verify"], access: .public, errors: .page, Routes.showVerify),
        Route(.post, ["/verify"], access: .public, rate: .credentials, errors: .page, Routes.submitVerify),
        Route(.get, ["/reset"], access: .public, errors: .page, Routes.showReset),
        Route(.post, ["/reset"], access: .public, rate: .credentials, errors: .page, Routes.submitReset),
        Route(
            .get, ["/auth/device"], access: .session(freshWithin: .seconds(12 * 3_600)), rate: .credentials, errors: .page,
            Routes.showDevice),
        Route(
            .post, ["/auth/device"], access: .session(freshWithin: .seconds(12 * 3_600)), rate: .credentials, errors: .page,
            Routes.submitDevice),
        Route(.get, ["/logout", "/language"], access: .public, errors: .page, Routes.showStart),
        Route(.get, ["/settings"], access: .session(), errors: .page, Routes.showProfile),
        Route(.post, ["/settings"], access: .session(), errors: .page, Routes.submitProfile),
        Route(.get, ["/settings/email"], access: .session(), errors: .page, Routes.showEmail),
        Route(.post, ["/settings/email"], access: .session(), rate: .credentials, errors: .page, Routes.submitEmail),
        Route(.get, ["/settings/sessions"], access: .session(), errors: .page, Routes.showSessions),
        Route(.get, ["/settings/sessions/others"], access: .session(), errors: .page, Routes.askEndOfOthers),
        Route(.post, ["/settings/sessions/others"], access: .session(), errors: .page, Routes.submitEndOfOthers),
        Route(.get, ["/settings/sessions/{id}"], access: .session(), errors: .page, Routes.askEndOfSession),
        Route(.post, ["/settings/sessions/{id}"], access: .session(), errors: .page, Routes.submitEndOfSession),
        Route(.get, ["/settings/keys"], access: .session(), errors: .page, Routes.showKeys),
        Route(.get, ["/settings/keys/new"], access: .session(), errors: .page, Routes.showNewKey),
        Route(.post, ["/settings/keys/new"], access: .session(), errors: .page, Routes.submitNewKey),
        Route(.get, ["/settings/keys/{id}"], access: .session(), errors: .page, Routes.askRevocation),
        Route(.post, ["/settings/keys/{id}"], access: .session(), errors: .page, Routes.submitRevocation),
        Route(.get, ["/settings/password"], access: .session(), errors: .page, Routes.showPassword),
        Route(.post, ["/settings/password"], access: .session(), rate: .credentials, errors: .page, Routes.submitPassword),
        Route(.get, ["/admin/users"], access: .admin(), errors: .page, Routes.showUsers),
        Route(.get, ["/admin/users/{id}"], access: .admin(), errors: .page, Routes.showUserPage),
        Route(.get, ["/admin/users/{id}/audit"], access: .admin(), errors: .page, Routes.showAudit),
        Route(.get, ["/admin/users/{id}/{act}"], access: .admin(freshWithin: .seconds(900)), errors: .page, Routes.askAct),
        Route(.post, ["/admin/users/{id}/{act}"], access: .admin(freshWithin: .seconds(900)), errors: .page, Routes.submitAct),
        Route(.get, ["/api/auth/oidc/{provider}/start"], access: .public, rate: .credentials, errors: .page, Routes.beginOpenID),
        Route(.get, ["/api/auth/oidc/{provider}/callback"], access: .public, rate: .credentials, errors: .page, Routes.finishOpenID),
        Route(
            .get, ["/settings/sign-in/link"], access: .session(), rate: .credentials, errors: .page, Routes.showSettingsOfSignIn),
        Route(
            .post, ["/settings/sign-in/link"], access: .session(freshWithin: linkFreshness), rate: .credentials, errors: .page,
            Routes.linkIdentity),
        Route(
            .get, ["/settings/sign-in/unlink"], access: .session(freshWithin: linkFreshness), rate: .credentials, errors: .page,
            Routes.askUnlink),
        Route(
            .post, ["/settings/sign-in/unlink"], access: .session(freshWithin: linkFreshness), rate: .credentials, errors: .page,
            Routes.unlinkIdentity),
        Route(.get, ["/assets/auth/{file}"], access: .public, errors: .page, Routes.showAsset),
    ]

    var gate: CallerGate<Principal> { authenticator.gate }

    func page(for problem: Problem, to exchange: Exchange) -> Response {
        site.page(for: problem, to: exchange, authenticator.cached(exchange.headers, cookie: .accepted))
    }

    /// The viewer of a page of a signed-in person, with the balance.
    func viewer(_ request: Request, _ caller: Principal) async -> Viewer {
        var viewer = site.viewer(request, caller)
        viewer.balance = await balance(caller.accountID)
        return viewer
    }

    func showAsset(_ request: Request) async throws -> Response { try site.assets.answer(request.pathParameters["file"]) }

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
