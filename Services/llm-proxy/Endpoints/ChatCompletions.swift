import Configuration
import Contracts
import EventLoop
import HTTP
import HTTPWire
import Identity
import JSON
import Telemetry
import UpstreamClient

/// The parts that the calls of one loop share: connections to providers, the ledger's client, the catalogue.
final class ChatService: @unchecked Sendable {
    // @unchecked Sendable: confined to `loop`, like the pools it holds.

    let loop: EventLoop
    let ledger: LedgerClient
    let catalogue: CurrentCatalogue
    let shared: ReplicaState
    let topUpURL: String
    let log: Logger

    let authenticator: Authenticator
    private let keys: ProviderKeys
    private var pools: [Catalogue.Provider: ProviderConnections] = [:]

    init(
        loop: EventLoop, ledger: LedgerClient, catalogue: CurrentCatalogue, authenticator: Authenticator, keys: ProviderKeys,
        shared: ReplicaState, topUpURL: String, log: Logger
    ) {
        self.shared = shared
        self.loop = loop
        self.ledger = ledger
        self.catalogue = catalogue
        self.authenticator = authenticator
        self.keys = keys
        self.topUpURL = topUpURL
        self.log = log
    }

    /// `POST /v1/chat/completions`
    func complete(_ exchange: Exchange, _ context: RequestContext, caller: Principal) async {
        do {
            try await MeteredCall(exchange, context, principal: caller, service: self).run()
        } catch let problem as Problem {
            exchange.respond(problem)
        } catch {
            log.error("chat call failed", error: error, trace: context.trace)
            exchange.respond(.internalError)
        }
    }

    // MARK: Providers

    /// - Throws: when there is no way to `provider`: better known before credits are held.
    func requireProvider(to provider: Catalogue.Provider) throws { _ = try connections(to: provider) }

    /// Starts a call; the answer can be cancelled from here on.
    func send(_ body: [UInt8], to provider: Catalogue.Provider) throws -> UpstreamResponse {
        let connections = try connections(to: provider)
        return connections.pool.begin(
            method: "POST", target: connections.chatTarget, headers: connections.headers, body: body)
    }

    private struct ProviderConnections {
        var pool: UpstreamPool
        var chatTarget: [UInt8]
        var headers: HeaderBlock
    }

    private func connections(to provider: Catalogue.Provider) throws -> ProviderConnections {
        if let known = pools[provider] { return known }
        guard let key = keys[provider.apiKeyVariable] else { throw Problem.providerDisabled(provider.name) }
        guard let endpoint = provider.endpoint, let origin = Origin(String(endpoint.origin)) else {
            throw Problem.providerError(provider.name, "The address of the provider '\(provider.name)' cannot be read.")
        }
        var headers: HeaderBlock = ["content-type": "application/json", "accept": "application/json, text/event-stream"]
        headers.add("authorization", "Bearer " + key.reveal())
        let made = ProviderConnections(
            pool: try UpstreamPool(loop: loop, origin: origin), chatTarget: Array((endpoint.path + "/chat/completions").utf8),
            headers: headers)
        pools[provider] = made
        return made
    }

    // MARK: What a provider's failure is to the caller

    func problem(for error: UpstreamError, of provider: Catalogue.Provider) -> Problem {
        log.warning("provider failed", ["provider": .string(provider.name)], error: error)
        switch error.code {
        case .timedOut: return .providerTimeout(provider.name)
        case .saturated: return .overloaded()
        default: return .providerError(provider.name, "The provider '\(provider.name)' could not be reached or broke off.")
        }
    }

    /// A refusal of the request itself is passed on; anything else is the provider's trouble, or ours with it.
    func problem(forStatus status: Int, body: [UInt8], retryAfter: String?, of provider: Catalogue.Provider) -> Problem {
        let error = (try? JSONObject(body).optionalObject("error")) ?? nil
        let message = (try? error?.optionalString("message")) ?? nil
        switch status {
        case 400, 404, 413, 415, 422:
            return .invalidRequest(
                message ?? "The provider '\(provider.name)' refused the request.", param: (try? error?.optionalString("param")) ?? nil)
        default:
            var problem = Problem.providerError(
                provider.name, "The provider '\(provider.name)' answered \(status).", upstreamStatus: status)
            if let retryAfter, let seconds = Int(retryAfter), (0...3_600).contains(seconds) { problem.headers.add("retry-after", seconds) }
            return problem
        }
    }
}
