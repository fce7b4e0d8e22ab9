import Configuration
import Crypto
import Jobs
import SMTP
import Telemetry

/// The variables of auth, next to the common ones.
///
/// | variable | default | |
/// |---|---|---|
/// | `PUBLIC_URL` | `http://127.0.0.1:8080` | the issuer of tokens |
/// | `MASTER_KEY` | required | keys like `2:<base64>,1:<base64>`, 32 bytes each: the first seals signing keys and password hashes, each derives a key of refresh tokens |
/// | `TOKEN_TTL` | `15m` | 1m…1h: life of an access token |
/// | `ADMIN_EMAIL`, `ADMIN_PASSWORD` | none | the first administrator, made at the start if the installation has no administrator |
/// | `HASH_THREADS` | `2` | 1…64: passwords checked at once, 19 MiB each; one more thread hashes those of new users |
/// | `REQUIRE_VERIFIED_EMAIL` | `true` | `false`: the free credits come at registration |
/// | `AUDIT_MONTHS` | `13` | 2…120: months that audit rows are kept |
///
/// ``AccountLimits``, ``DeviceLimits``, ``OAuthClients``, ``OpenIDProviders`` and `SMTPConfiguration` have further ones.
struct AuthSettings: Sendable {
    let masterKeys: MasterKeyRing
    let tokenLife: Duration
    let hashThreads: Int
    let limits: AccountLimits
    let clients: OAuthClients
    let deviceLimits: DeviceLimits
    let providers: OpenIDProviders
    let mail: SMTPConfiguration
    let auditMonths: Int
    /// False: the free credits come at registration.
    let requiresVerifiedEmail: Bool
    /// Nil where the first administrator is made otherwise.
    let admin: Admin?

    /// The first administrator.
    struct Admin: Sendable {
        let email: EmailAddress
        let password: Secret
    }

    init(_ environment: Environment) throws(ConfigurationError) {
        let ring = try environment.secret("MASTER_KEY").reveal()
        do throws(MasterKeyRing.Flaw) {
            masterKeys = try MasterKeyRing(ring)
        } catch {
            throw .malformed("MASTER_KEY", found: nil, expected: "\(error) (make one with: echo 1:$(openssl rand -base64 32))")
        }
        limits = try AccountLimits(environment)
        clients = try OAuthClients(environment)
        deviceLimits = try DeviceLimits(environment)
        providers = try OpenIDProviders(environment)
        requiresVerifiedEmail = try environment.bool("REQUIRE_VERIFIED_EMAIL", default: true)
        mail = try SMTPConfiguration(environment)
        auditMonths = try environment.integer("AUDIT_MONTHS", default: 13, in: TimePartitions.Unit.month.keptRange)
        tokenLife = try environment.duration("TOKEN_TTL", default: .seconds(900), in: .seconds(60) ... .seconds(3_600))
        hashThreads = try environment.integer("HASH_THREADS", default: 2, in: 1...64)
        guard let text = environment.optionalString("ADMIN_EMAIL") else {
            admin = nil
            return
        }
        guard let email = EmailAddress(text) else {
            throw .malformed("ADMIN_EMAIL", found: text, expected: "an address like admin@example.com")
        }
        let password = try environment.secret("ADMIN_PASSWORD")
        if let refusal = PasswordPolicy.refusal(of: password.reveal(), for: email) {
            throw .malformed("ADMIN_PASSWORD", found: nil, expected: "an acceptable password: \(refusal.message)")
        }
        admin = Admin(email: email, password: password)
    }
}
