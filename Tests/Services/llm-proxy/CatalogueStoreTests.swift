import Contracts
import Postgres
import TestSupport
import Testing

@testable import LLMProxy

@Suite(.serialized, .database(schema: "llm_proxy", migrations: "Shared/Outbox/Migrations", "Services/llm-proxy/Migrations"))
struct CatalogueStoreTests {
    static func file(prompt: String = "1", model: String, limits: String = "") throws -> ProvidersFile {
        try ProvidersFile(
            Array(
                """
                {"providers": [{"name": "p-\(model)", "base_url": "http://h/v1", "api_key_variable": "K", "models": [
                  {"id": "\(model)", "prompt_usd_per_million": \(prompt), "completion_usd_per_million": 4,
                   "context_tokens": 1000, "max_output_tokens": 500, "default_output_tokens": 100\(limits)}]}]}
                """.utf8), variables: { _ in nil })
    }

    static func model(_ id: String, in pool: PostgresPool) async throws -> Catalogue.Model? {
        try await CatalogueStore(pool: pool).load(pricing: .standard).models[id]
    }

    @Test func `a list applied again, and by eight replicas at once, makes one price version`() async throws {
        try await TestDatabase.current.withPool { pool in
            let store = CatalogueStore(pool: pool)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<8 { group.addTask { try await store.apply(Self.file(model: "same")) } }
                try await group.waitForAll()
            }
            #expect(try await pool.first(PriceVersions(model: "same")) == 1)
            #expect(try await Self.model("same", in: pool)?.price.prompt == PicoUSD(value: 1_000_000))
        }
    }

    @Test func `a model's limits in the table equal the file, defaults included, and follow its changes`() async throws {
        try await TestDatabase.current.withPool { pool in
            let store = CatalogueStore(pool: pool)
            try await store.apply(Self.file(model: "limited"))
            let defaults = ModelLimits(
                contextTokens: 1_000, maxOutputTokens: 500, defaultOutputTokens: 100, outputTokensLeast: 500, imageTokensMax: nil,
                reasoning: .hidden, outputLimitMember: .maxTokens)
            #expect(try await Self.model("limited", in: pool)?.limits == defaults)
            let more = #", "reasoning": "visible", "image_tokens_max": 85, "output_limit_member": "max_completion_tokens""#
            try await store.apply(Self.file(model: "limited", limits: more))
            var changed = defaults
            (changed.reasoning, changed.imageTokensMax, changed.outputLimitMember) = (.visible, 85, .maxCompletionTokens)
            changed.outputTokensLeast = 64
            #expect(try await Self.model("limited", in: pool)?.limits == changed)
        }
    }

    @Test(arguments: [
        "max_output_tokens = 1001", "default_output_tokens = 501", "output_tokens_least = 0", "image_tokens_max = 0", "reasoning = 'some'",
        "output_limit_member = 'limit'",
    ])
    func `the table refuses values that the file may not have`(change: String) async throws {
        try await TestDatabase.current.withPool { pool in
            try await CatalogueStore(pool: pool).apply(Self.file(model: "checked"))
            await #expect(throws: PostgresError.self) {
                try await pool.withConnection { try await $0.script("UPDATE model SET \(change) WHERE id = 'checked'") }
            }
        }
    }

    @Test func `a changed price is a new version, and the old one stays`() async throws {
        try await TestDatabase.current.withPool { pool in
            let store = CatalogueStore(pool: pool)
            try await store.apply(Self.file(prompt: "1", model: "changing"))
            let first = try #require(try await Self.model("changing", in: pool)).price
            try await store.apply(Self.file(prompt: "2", model: "changing"))
            let second = try #require(try await Self.model("changing", in: pool)).price
            #expect(second.version > first.version)
            #expect(second.prompt == PicoUSD(value: 2_000_000))
            #expect(try await pool.first(PriceVersions(model: "changing")) == 2)
        }
    }

    @Test func `a model without a price, or switched off, or of a provider switched off, is not in the catalogue`() async throws {
        try await TestDatabase.current.withPool { pool in
            let store = CatalogueStore(pool: pool)
            for id in ["unpriced", "off", "orphan"] { try await store.apply(Self.file(model: id)) }
            for statement in [
                "DELETE FROM price WHERE model = 'unpriced'", "UPDATE model SET is_enabled = false WHERE id = 'off'",
                "UPDATE provider SET is_enabled = false WHERE name = 'p-orphan'",
            ] {
                try await pool.withConnection { try await $0.script(statement) }
            }
            let models = try await store.load(pricing: .standard).models
            for id in ["unpriced", "off", "orphan"] { #expect(models[id] == nil, "\(id)") }
        }
    }
}

private struct PriceVersions: Statement {
    static let sql = "SELECT count(*) FROM price WHERE model = $1"
    typealias Output = Int64
    var model: String

    func bind(_ parameters: inout Parameters) { parameters.append(model) }
}
