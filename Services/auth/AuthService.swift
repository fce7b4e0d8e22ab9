import AMQP
import Bootstrap
import Configuration
import Contracts
import HTTP
import Identity
import Jobs
import Lifecycle
import Postgres
import Telemetry
import Web

/// People, sessions, access tokens, API keys. ``AuthSettings`` has its variables.
@main
struct AuthService {
    static func main() {
        Runtime.main(service: "auth", port: 8101, commands: [rotateSigningKeyCommand]) { runtime in try wire(runtime) }
    }

    private static func wire(_ runtime: Runtime) throws {
        let settings = try AuthSettings(runtime.environment)
        let log = runtime.log
        let pool = try runtime.database()
        let publicURL = AccessToken.issuer(publicURL: runtime.configuration.publicURL.reveal())
        let passwords = Passwords(masterKeys: settings.masterKeys, threads: settings.hashThreads)
        let auth = UseCases(pool: pool, settings: settings, passwords: passwords, publicURL: publicURL, log: log)

        let publisher = try runtime.publisher()
        runtime.outbox(pool, publisher)
        let rpc = try runtime.rpcClient("balances", answeredBy: "ledger")
        let upkeep = Upkeep(auth, pool: pool, settings: settings, log: log)
        for job in upkeep.required { runtime.require(job.name) { job.hasSucceeded } }
        for job in upkeep.required + upkeep.others { runtime.add(job) }
        let authenticator = try runtime.authenticator(source: auth.identities)
        auth.revocations.listener = authenticator
        runtime.add(RevocationHeartbeats(publisher: publisher, authenticator: authenticator).job)
        let requests = try runtime.consumer("requests", from: .queue(Topology.authRequests.name), prefetch: IntrospectionServer.atOnceMax)
        let introspection = IntrospectionServer(consumer: requests, source: auth.identities, log: log)
        runtime.add(Component("introspection", run: { try await introspection.run() }, stop: { await requests.stop() }))
        try runtime.subscribe(subscriptions(auth), in: pool)

        let balances = BalanceClient(rpc: rpc, log: log)
        runtime.serve { _ in
            Routes(
                auth, authenticator: authenticator, balance: { await balances.balance(of: $0) }, publicURL: publicURL, log: log
            ).router
        }
    }
}
