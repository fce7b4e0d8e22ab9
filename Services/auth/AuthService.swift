import AMQP
import Bootstrap
import Configuration
import Contracts
import HTTP
import Identity
import Jobs
import Lifecycle
import Outbox
import Postgres
import Telemetry

/// People, sessions, access tokens, API keys. ``AuthSettings`` has its variables.
@main
struct AuthService {
    static func main() {
        Runtime.main(service: "auth", port: 8101) { runtime in try wire(runtime) }
    }

    private static func wire(_ runtime: Runtime) throws {
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

        runtime.outbox(pool, try runtime.publisher())
        let rpc = try runtime.rpcClient("balances", answeredBy: "ledger")
        let upkeep = Upkeep(keyring: keyring, accounts: accounts, admin: settings.admin, log: log)
        for job in upkeep.required { runtime.require(job.name) { job.hasSucceeded } }
        for job in upkeep.required + upkeep.others { runtime.add(job) }
        let authenticator = try runtime.authenticator(source: source)
        revocations.listener = authenticator
        let requests = try runtime.consumer("requests", from: .queue(Topology.authRequests.name), prefetch: IntrospectionServer.atOnceMax)
        let introspection = IntrospectionServer(consumer: requests, source: source, log: log)
        runtime.add(Component("introspection", run: { try await introspection.run() }, stop: { await requests.stop() }))

        let balances = BalanceClient(rpc: rpc, log: log)
        runtime.serve { _ in
            Routes(
                accounts: accounts, keys: keys, authenticator: authenticator, credits: { await balances.available(to: $0) },
                publicURL: publicURL
            ).router
        }
    }
}
