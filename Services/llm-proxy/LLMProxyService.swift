import Bootstrap
import Configuration
import Contracts
import EventLoop
import HTTP
import Identity
import Telemetry

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
        let keys = try readKeys(of: file, runtime.environment)
        let pool = try runtime.database()
        let publisher = try runtime.publisher()
        let requests = try runtime.rpcClient("holds", answeredBy: "ledger")
        runtime.outbox(pool, publisher)
        let authenticator = try runtime.authenticator()

        let catalogue = CurrentCatalogue(Catalogue(models: [], pricing: settings.pricing))
        let keeper = CatalogueKeeper(
            store: CatalogueStore(pool: pool), file: file, pricing: settings.pricing, catalogue: catalogue)
        runtime.add(keeper.job)
        runtime.require("catalogue") { !catalogue.current.models.isEmpty }

        let ledger = LedgerClient(
            requests: requests, publisher: publisher, outbox: ChargeOutbox(pool: pool, loop: runtime.loop),
            replica: "\(runtime.service):\(runtime.configuration.httpPort)", timing: settings.timing, log: runtime.log)
        let shared = ReplicaState()
        let topUpURL = runtime.configuration.topUpURL
        runtime.serve { context in
            Routes(
                chat: ChatService(
                    loop: context.loop, ledger: ledger, catalogue: catalogue, authenticator: authenticator, keys: keys,
                    shared: shared, topUpURL: topUpURL, log: context.log)
            ).router
        }
    }

    private static func readProviders(_ path: String, _ environment: Environment) throws(ConfigurationError) -> ProvidersFile {
        guard let bytes = Files.read(path) else {
            throw .malformed("PROVIDERS_FILE", found: path, expected: "a file of at most 16 MiB that can be read")
        }
        do {
            return try ProvidersFile(bytes, variables: environment.optionalString)
        } catch {
            throw .malformed("PROVIDERS_FILE", found: path, expected: "a list of providers (\(error))")
        }
    }

    private static func readKeys(of file: ProvidersFile, _ environment: Environment) throws(ConfigurationError) -> ProviderKeys {
        var secrets: [String: Secret] = [:]
        for (provider, _) in file.providers {
            secrets[provider.apiKeyVariable] = try environment.optionalSecret(provider.apiKeyVariable)
        }
        return ProviderKeys(secrets)
    }
}
