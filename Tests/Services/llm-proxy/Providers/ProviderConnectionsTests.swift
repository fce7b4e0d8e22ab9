import Configuration
import Contracts
import EventLoop
import HTTP
import JSON
import TestSupport
import Testing
import UpstreamClient
import Values

@testable import LLMProxy

/// Tests connections to one provider whose row changes. Each row allows one connection.
struct ProviderConnectionsTests {
    private static func model(at url: String) -> Catalogue.Model {
        Catalogue.Model(
            id: "m", provider: Catalogue.Provider(name: "p", kind: "openai", baseURL: url, apiKeyVariable: "K"), providerModel: "m",
            price: PriceVersion(prompt: 0, completion: 0), limits: CallBoundTests.bound().model.limits, createdAt: .now())
    }

    private static func request() throws -> ModelRequest {
        try ChatCompletions().read(Array(ProxyUnderTest.body().utf8)).modelRequest
    }

    private static func with(
        _ body: @escaping @Sendable (ProviderConnections, ScriptedProvider, _ url: String) async throws -> Void
    ) async throws {
        let loop = TestDatabase.loop
        try await Task(executorPreference: loop) {
            let provider = ScriptedProvider()
            let server = try ProxyUnderTest.server(provider.router, on: loop)
            let url = "http://127.0.0.1:\(server.port)/v1"
            let entry = ProvidersFile.Provider(provider: model(at: url).provider, models: [], isPrivateNetwork: false)
            var pools = UpstreamPool.Configuration()
            pools.connectionsMax = 1
            let connections = ProviderConnections(loop: loop, keys: ProviderKeys(of: [entry]) { _ in Secret("k") }, pools: pools)
            try await body(connections, provider, url)
            await server.drain(within: .seconds(5))
        }.value
    }

    @Test func `a call that waits for a connection is served after the provider's row has changed`() async throws {
        try await Self.with { connections, provider, url in
            let limit = OutputLimit(tokens: 10, isSent: true, isClamped: false)
            let (before, after) = (Self.model(at: url), Self.model(at: url + "/"))
            let first = try connections.send(Self.request(), to: before, limit: limit)
            let waiting = try connections.send(Self.request(), to: before, limit: limit)
            let changed = try connections.send(Self.request(), to: after, limit: limit)
            try await until("two calls have arrived") { provider.calls.count == 2 }
            for call in provider.calls { call.send(tokens: 1, thenEnd: 1) }
            for call in [first, changed] {
                try await call.head()
                try await call.pipe { _ in }
            }
            try await until("the waiting call has arrived") { provider.calls.count == 3 }
            provider.calls[2].send(tokens: 1, thenEnd: 1)
            try await waiting.head()
            try await waiting.pipe { _ in }
            for call in [first, waiting, changed] { call.ended() }
        }
    }

    @Test func `a call with the older row does not end calls with the newer one`() async throws {
        try await Self.with { connections, provider, url in
            let limit = OutputLimit(tokens: 10, isSent: true, isClamped: false)
            let (before, after) = (Self.model(at: url), Self.model(at: url + "/"))
            let running = try connections.send(Self.request(), to: after, limit: limit)
            let waiting = try connections.send(Self.request(), to: after, limit: limit)
            let late = try connections.send(Self.request(), to: before, limit: limit)
            try await until("two calls have arrived") { provider.calls.count == 2 }
            for call in provider.calls { call.send(tokens: 1, thenEnd: 1) }
            try await until("the waiting call has arrived") { provider.calls.count == 3 }
            provider.calls[2].send(tokens: 1, thenEnd: 1)
            for call in [running, late, waiting] {
                try await call.head()
                try await call.pipe { _ in }
                call.ended()
            }
        }
    }
}
