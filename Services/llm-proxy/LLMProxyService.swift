import Bootstrap
import Configuration
import Contracts
import EventLoop
import HTTP
import Identity
import Jobs
import Lifecycle
import Postgres
import Telemetry
import Values
import Web

/// Sells model calls: knows the caller, holds what the call may cost, streams the answer through, charges what it used.
///
/// One loop a core shares the port; each has its own provider connections. The ways to the ledger and to auth are shared.
@main
struct LLMProxyService {
    static func main() {
        Runtime.main(service: "llm-proxy", port: 8111, loops: .perCore) { runtime in try wire(runtime) }
    }

    private static func wire(_ runtime: Runtime) throws {
        let settings = try ProxySettings(runtime.environment)
        let file = try readProviders(settings.providersFile, runtime.environment)
        let list = try readModelList(settings.modelListFile)
        let keys = try ProviderKeys(of: file.providers) { name throws(ConfigurationError) in try runtime.environment.optionalSecret(name) }
        let pool = try runtime.database()
        let publisher = try runtime.publisher()
        let requests = try runtime.rpcClient("holds", answeredBy: "ledger")
        runtime.outbox(pool, publisher)
        let authenticator = try runtime.authenticator()

        let configured = keys.configured(among: file.providers)
        let catalogue = CurrentCatalogue(Catalogue(models: []))
        let keeper = CatalogueKeeper(
            store: CatalogueStore(pool: pool),
            wanted: .init(file: file, list: list, sellers: configured.intersection(list.providers(in: file)), rules: settings.pricing),
            catalogue: catalogue, log: runtime.log)
        let following = keeper.job
        runtime.add(following)
        runtime.require(following.name) { following.hasSucceeded }

        try runtime.subscribe(subscriptions(), in: pool)

        let ledger = LedgerClient(
            requests: requests, publisher: publisher, outbox: ChargeOutbox(pool: pool, loop: runtime.loop),
            replica: "\(runtime.service):\(runtime.configuration.httpPort)", timing: settings.timing, log: runtime.log)
        // Receipts have connections of their own, so that they cannot delay a charge to the outbox.
        let receiptPool = try runtime.database(connectionsMax: 2, statementTimeout: .seconds(5), name: "receipt database")
        runtime.add(TimePartitions(of: "receipt", by: .day, kept: settings.receiptDays, in: receiptPool).job)
        let writer = ReceiptWriter(pool: receiptPool, log: runtime.log)
        runtime.add(Component("receipts", on: receiptPool.loop, run: { try await writer.run() }, stop: { writer.stop() }))
        let shared = ReplicaState(
            keepReceipt: { writer.add($0) },
            switchOff: { route in Task(executorPreference: pool.loop) { await keeper.switchOff(route) } },
            skipsServiceCalls: settings.skipsServiceCalls)
        let receipts = Receipts(reader: ReceiptReader(pool: receiptPool, record: { try await ledger.record($0) }))
        let prices = PriceAdministration(pool: pool, list: list, configured: configured, rules: settings.pricing)
        let providers = ProviderAdministration(pool: pool, configured: configured)
        let repeated = RepeatedCalls(
            store: IdempotencyStore(pool: pool, record: { try await ledger.record($0) }), log: runtime.log)
        runtime.add(repeated.store.upkeep)
        let videos = VideoStore(pool: pool)
        let videoKeeper = VideoKeeper(
            store: videos, providers: ProviderConnections(loop: runtime.loop, keys: keys),
            report: { ledger.prolong($0) }, keepReceipt: { shared.note($0) }, log: runtime.log, canReport: { ledger.isConnected })
        for job in videoKeeper.jobs { runtime.add(job) }
        let topUpURL = runtime.configuration.topUpURL
        let balances = BalanceClient(rpc: requests, log: runtime.log)
        let pages = PricePages(
            catalogue: catalogue,
            site: Site(service: "llm-proxy", publicURL: AccessToken.issuer(publicURL: runtime.configuration.publicURL.reveal())),
            viewer: authenticator.gate.viewer, balance: { await balances.balance(of: $0) })
        runtime.serve { context in
            let services = CallServices(
                loop: context.loop, ledger: ledger,
                providers: ProviderConnections(loop: context.loop, keys: keys, timing: settings.providerTiming), shared: shared,
                log: context.log)
            return Routes(
                calls: ModelCalls(
                    services: services, catalogue: catalogue, repeated: repeated, topUpURL: topUpURL, simpleModel: settings.simpleModel),
                videos: Videos(services: services, catalogue: catalogue, store: videos, topUpURL: topUpURL),
                tokens: CountTokens(providers: services.providers, catalogue: catalogue),
                models: Models(catalogue: catalogue), receipts: receipts,
                balance: AccountBalance(ask: { try await ledger.balance(of: $0) }), usage: AdminUsage(pool: receiptPool),
                admin: AdminModels(prices: prices, log: context.log),
                providers: AdminProviders(providers: providers, log: context.log), pages: pages, gate: authenticator.gate,
                log: context.log
            ).router
        }
    }

    private static func readProviders(_ path: String, _ environment: Environment) throws(ConfigurationError) -> ProvidersFile {
        guard let bytes = Files.read(path) else {
            throw .malformed("PROVIDERS_FILE", found: path, expected: "a file of at most 16 MiB that can be read")
        }
        do {
            return try ProvidersFile(bytes, kinds: Set(ProviderKinds.adapters.keys), variables: environment.optionalString)
        } catch {
            throw .malformed("PROVIDERS_FILE", found: path, expected: "a list of providers (\(error))")
        }
    }

    private static func readModelList(_ path: String) throws(ConfigurationError) -> ModelList {
        guard let bytes = Files.read(path) else {
            throw .malformed("MODEL_LIST_FILE", found: path, expected: "a file of at most 16 MiB that can be read")
        }
        do {
            return try ModelList(bytes)
        } catch {
            throw .malformed("MODEL_LIST_FILE", found: path, expected: "a list of models (\(error))")
        }
    }
}
