import Configuration
import Crypto
import Telemetry

/// The variables of auth, next to the common ones.
///
/// | variable | default | |
/// |---|---|---|
/// | `PUBLIC_URL` | `http://127.0.0.1:8080` | the issuer of tokens |
/// | `MASTER_KEY` | required | 32 bytes in base64: seals signing keys and password hashes, derives the refresh token key |
/// | `TOKEN_TTL` | `15m` | 1m…1h: life of an access token |
/// | `ADMIN_EMAIL`, `ADMIN_PASSWORD` | none | the first administrator, made at the start if the installation has no administrator |
/// | `HASH_THREADS` | `2` | 1…64: password hashes computed at once, 19 MiB each |
struct AuthSettings: Sendable {
    let masterKey: MasterKey
    let tokenLife: Duration
    let hashThreads: Int
    /// Nil where the first administrator is made otherwise.
    let admin: Admin?

    /// The first administrator.
    struct Admin: Sendable {
        let email: EmailAddress
        let password: Secret
    }

    init(_ environment: Environment) throws(ConfigurationError) {
        guard let key = MasterKey(base64: try environment.secret("MASTER_KEY").reveal()) else {
            throw .malformed("MASTER_KEY", found: nil, expected: "32 bytes in base64 (openssl rand -base64 32)")
        }
        masterKey = key
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
