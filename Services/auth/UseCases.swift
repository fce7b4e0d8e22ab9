import Crypto
import HTTPClient
import Postgres
import SMTP
import Telemetry
import Values

/// The use cases of auth over one database, and what they share.
struct UseCases: Sendable {
    let accounts: Accounts
    let sessions: Sessions
    let keys: APIKeys
    let devices: Devices
    let externalIdentities: ExternalIdentities
    let admin: AdminUsers
    let keyring: SigningKeyring
    let revocations: Revocations
    let identities: IdentityAnswers
    let introspection: TokenIntrospection
    let mailer: Mailer

    /// - Parameter publicURL: the issuer of tokens.
    init(
        pool: PostgresPool, settings: AuthSettings, passwords: Passwords, publicURL: String, metrics: Metrics = .shared, log: Logger,
        clock: @escaping @Sendable () -> Instant = Instant.now
    ) {
        let tokenLife = settings.tokenLife
        let authMetrics = AuthMetrics(metrics)
        keyring = SigningKeyring(pool: pool, masterKeys: settings.masterKeys, tokenLife: tokenLife, log: log)
        revocations = Revocations(tokenLife: tokenLife)
        let issuer = Issuer(
            keyring: keyring, gate: MintGate(issuer: publicURL, tokenLife: tokenLife), masterKeys: settings.masterKeys)
        accounts = Accounts(
            pool: pool, passwords: passwords, issuer: issuer, revocations: revocations, limits: settings.limits,
            browserKeys: BrowserCookieKeys(settings.masterKeys),
            requiresVerifiedEmail: settings.requiresVerifiedEmail, metrics: authMetrics,
            log: log, clock: clock)
        sessions = Sessions(
            pool: pool, issuer: issuer, revocations: revocations, metrics: authMetrics, log: log, clock: clock)
        keys = APIKeys(pool: pool, issuer: issuer, revocations: revocations, clock: clock)
        devices = Devices(
            pool: pool, issuer: issuer, sessions: sessions, clients: settings.clients, limits: settings.deviceLimits,
            codeKeys: UserCodeKeys(settings.masterKeys), metrics: authMetrics, log: log, clock: clock)
        externalIdentities = ExternalIdentities(
            pool: pool, providers: settings.providers, client: OpenIDClient(http: HTTPClient(loop: pool.loop), log: log, clock: clock),
            accounts: accounts, masterKeys: settings.masterKeys, publicURL: publicURL, metrics: authMetrics, log: log, clock: clock)
        introspection = TokenIntrospection(pool: pool, issuer: issuer, keys: keys, clock: clock)
        admin = AdminUsers(pool: pool, revocations: revocations, clock: clock)
        mailer = Mailer(
            pool: pool, smtp: SMTPClient(settings.mail), linkKey: settings.masterKeys.current.key.derived(for: "one-time link v1"),
            publicURL: publicURL, metrics: MailMetrics(metrics), log: log, clock: clock)
        identities = IdentityAnswers(
            pool: pool, keyring: keyring, revocations: revocations, keys: keys, tokenLife: tokenLife, clock: clock)
    }
}
