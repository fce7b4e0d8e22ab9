import TestSupport
import Testing

@testable import LLMProxy

@Suite(.serialized, .database(schema: "llm_proxy", migrations: "Shared/Outbox/Migrations", "Services/llm-proxy/Migrations"))
struct ModelsTests {
    @Test func `reading models and prices holds nothing`() async throws {
        try await ProxyUnderTest.with { proxy in
            for path in ["/v1/models", "/v1/models/m", "/pricing"] { #expect(try await proxy.get(path).status == 200, "\(path)") }
            // The ledger decides in order: it would have seen an earlier hold before this one.
            _ = proxy.send(ProxyUnderTest.body())
            try await until("the provider is called") { !proxy.provider.calls.isEmpty }
            #expect(proxy.ledger.holds.count == 1)
        }
    }
}
