import Bootstrap
import Configuration
import Contracts
import HTTP
import HTTPClient
import Identity
import Lifecycle
import Messaging
import Values
import Web

/// Decides what people have paid for or are given, and has the ledger grant it. ``StripeSettings`` has its variables.
@main
struct BillingService {
    static func main() {
        Runtime.main(service: "billing", port: 8103) { runtime in try wire(runtime) }
    }

    private static func wire(_ runtime: Runtime) throws {
        let log = runtime.log
        let pool = try runtime.database(connectionsMax: 12)
        let publisher = try runtime.publisher()
        runtime.outbox(pool, publisher)
        let settings = try StripeSettings(runtime.environment, publicURL: runtime.configuration.publicURL)
        let http = HTTPClient(loop: runtime.loop)
        let publicURL = AccessToken.issuer(publicURL: runtime.configuration.publicURL.reveal())
        let billing = UseCases(pool: pool, settings: settings, publicURL: publicURL, http: http, loop: runtime.loop, log: log)
        try runtime.subscribe(subscriptions(billing.freeMonths), in: pool)
        for job in [billing.freeMonths.job, billing.prices.job] + billing.sweeps.jobs { runtime.add(job) }
        runtime.add(Component("events", run: { try await billing.worker.run() }))
        let authenticator = try runtime.authenticator()
        let rpc = try runtime.rpcClient("ledger", answeredBy: "ledger")
        let balances = BalanceClient(rpc: rpc, log: log)
        runtime.serve { _ in
            Routes(
                billing: billing, gate: authenticator.gate, balance: { await balances.balance(of: $0) },
                charge: { try await rpc.ask($0, within: .milliseconds(500)) }, log: log
            ).router
        }
    }
}
