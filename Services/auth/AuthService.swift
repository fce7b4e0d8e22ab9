import AMQP
import Bootstrap
import Configuration
import Contracts
import Crypto
import EventLoop
import HTTP
import Identity
import Lifecycle
import Outbox
import Postgres
import Telemetry

/// People, sessions, access tokens, API keys.
///
/// Next to the variables of every service:
///
/// | variable | default | |
/// |---|---|---|
/// | `PUBLIC_URL` | `http://127.0.0.1:8080` | the issuer of tokens |
/// | `MASTER_KEY` | required | 32 bytes in base64: seals signing keys and password hashes, derives the refresh token key |
/// | `TOKEN_TTL` | `15m` | 1m…1h: life of an access token |
/// | `ADMIN_EMAIL`, `ADMIN_PASSWORD` | none | made administrator at the start, when there is none yet |
/// | `HASH_THREADS` | `2` | 1…64: password hashes computed at once, 19 MiB each |
@main
struct AuthService {
    static func main() {
        Runtime.main(service: "auth", port: 8101) { runtime in
            let settings = try AuthSettings(runtime.environment)
            let log = runtime.log
            let pool = try runtime.database()
            let publicURL = AccessToken.issuer(publicURL: runtime.configuration.publicURL.reveal())

            let keyring = SigningKeyring(pool: pool, masterKey: settings.masterKey, tokenLife: settings.tokenLife, log: log)
            let passwords = Passwords(masterKey: settings.masterKey, threads: settings.hashThreads)
            let revocations = LocalRevocations()
            let accounts = Accounts(
                pool: pool, passwords: passwords, keyring: keyring, gate: MintGate(issuer: publicURL, tokenLife: settings.tokenLife),
                masterKey: settings.masterKey, log: log, onRevocation: { revocations.tell($0) })
            let keys = APIKeys(pool: pool, onRevocation: { revocations.tell($0) })
            let source = LocalIdentitySource(accounts: accounts, keys: keys)
            let authenticator = Authenticator(
                service: "auth", publicURL: publicURL, amqp: try runtime.broker("revocations"), source: source, log: log)
            revocations.listener = authenticator

            let publisher = try runtime.publisher()
            let relay = OutboxRelay(pool: pool, publisher: publisher, log: log)
            runtime.add(Component("outbox", run: { try await relay.run() }, stop: { await relay.stop() }))
            let rpc = try runtime.rpcClient("balances", answeredBy: "ledger")
            let care = KeyCare(keyring: keyring, accounts: accounts, admin: settings.admin, log: log)
            runtime.add(Component("signing keys", run: { try await care.run() }))
            runtime.require("signing keys") { care.isReady }
            runtime.add(Component("authenticator", run: { try await authenticator.run() }, stop: { await authenticator.stop() }))
            let requests = try runtime.consumer(
                "requests", from: .queue(Topology.authRequests.name), prefetch: QuestionServer.atOnceMax)
            let questions = QuestionServer(consumer: requests, source: source, log: log)
            runtime.add(Component("questions", run: { try await questions.run() }, stop: { await requests.stop() }))

            let balances = BalanceSource(rpc: rpc, log: log)
            runtime.serve { _ in
                var router = Router()
                Routes(
                    accounts: accounts, keys: keys, authenticator: authenticator, credits: { await balances.available(to: $0) },
                    publicURL: publicURL
                ).add(to: &router)
                return router
            }
        }
    }
}

/// The variables of auth.
struct AuthSettings: Sendable {
    let masterKey: MasterKey
    let tokenLife: Duration
    let hashThreads: Int
    /// Nil where the first administrator is made otherwise.
    let admin: (email: EmailAddress, password: Secret)?

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
        admin = (email, password)
    }
}
