import HTTP
import JSON
import Postgres
import TestSupport
import Testing

@testable import LLMProxy

/// Tests the switch of a provider at the doors of the proxy.
@Suite(.serialized, .database(schema: "llm_proxy", migrations: "Shared/Outbox/Migrations", "Services/llm-proxy/Migrations"))
struct AdminProvidersTests {
    private static let prefixes = ["/api/admin/providers", "/api/v1/llm/providers"]

    @Test(arguments: prefixes)
    func `administrators see each provider with its models`(prefix: String) async throws {
        try await AdminServer.with { server in
            let answer = try await server.ask("GET", prefix)
            let providers = try answer.json.array("providers").compactMap(\.object)
            #expect(try providers.map { try $0.string("name") } == ["openai"])
            #expect(try providers[0].texts("models") == ["sure", "unsure"])
            #expect(try (providers[0].bool("is_enabled"), providers[0].bool("has_key")) == (true, true))
        }
    }

    @Test(arguments: prefixes)
    func `a provider that is switched off sells nothing, until it is switched on again`(prefix: String) async throws {
        try await AdminServer.with { server in
            let store = CatalogueStore(pool: server.pool)
            func load() async throws -> Catalogue {
                try await Task(executorPreference: server.pool.loop) { try await store.load() }.value
            }
            #expect(try await load()["sure"] != nil)
            for _ in 0..<2 {
                let off = try await server.ask("POST", prefix + "/openai/disable")
                #expect(try (off.status, off.json.bool("is_enabled")) == (200, false))
            }
            let catalogue = try await load()
            #expect(catalogue["sure"] == nil)
            #expect(catalogue.problem(of: "sure").code == .providerDisabled)
            #expect(catalogue.problem(of: "nothing").code == .modelNotFound)
            #expect(try await server.model("sure").texts("not_sold_because") == ["provider_switched_off"])
            #expect(try await server.ask("POST", prefix + "/openai/enable").json.bool("is_enabled"))
            #expect(try await load()["sure"] != nil)
        }
    }

    @Test func `an unknown provider is 404`() async throws {
        try await AdminServer.with { server in
            let answer = try await server.ask("POST", "/api/admin/providers/nothing/disable")
            #expect(answer.status == 404)
        }
    }

    @Test(arguments: [("staleAdmin", "reauthentication_required"), ("adminsKey", "admin_required"), ("user", "admin_required")])
    func `only an administrator who signed in a moment ago switches a provider`(caller: String, code: String) async throws {
        try await AdminServer.with { server in
            let answer = try await server.ask("POST", "/api/admin/providers/openai/disable", as: .init(rawValue: caller))
            #expect(answer.code == code)
            let provider = try await server.ask("GET", "/api/admin/providers").json.array("providers")[0].object
            #expect(try provider?.bool("is_enabled") == true)
        }
    }
}
