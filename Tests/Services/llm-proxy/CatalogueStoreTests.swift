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
                {"providers": [{"name": "p-\(model)", "base_url": "https://h/v1", "api_key_variable": "K", "models": [
                  {"id": "\(model)", "prompt_usd_per_million": \(prompt), "completion_usd_per_million": 4,
                   "context_tokens": 1000, "max_output_tokens": 500, "default_output_tokens": 100\(limits)}]}]}
                """.utf8), kinds: ["openai"], variables: { _ in nil })
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

    private func run(_ statement: String, in pool: PostgresPool) async throws {
        try await pool.withConnection { try await $0.script(statement) }
    }

    @Test func `an operator's price survives a start with the same list, and one with another price`() async throws {
        try await TestDatabase.current.withPool { pool in
            let store = CatalogueStore(pool: pool)
            try await store.apply(Self.file(prompt: "1", model: "edited"))
            try await run(
                "INSERT INTO price (model, prompt_pico_usd, completion_pico_usd, effective_at) "
                    + "VALUES ('edited', 7, 8, now() + interval '1 microsecond')", in: pool)
            for prompt in ["1", "2"] {
                try await store.apply(Self.file(prompt: prompt, model: "edited"))
                #expect(try await Self.model("edited", in: pool)?.price.prompt == PicoUSD(value: 7))
            }
            #expect(try await pool.first(PriceVersions(model: "edited")) == 2)
        }
    }

    @Test func `a price that begins later belongs to the operator too`() async throws {
        try await TestDatabase.current.withPool { pool in
            let store = CatalogueStore(pool: pool)
            try await store.apply(Self.file(prompt: "1", model: "planned"))
            try await run(
                "INSERT INTO price (model, prompt_pico_usd, completion_pico_usd, effective_at) "
                    + "VALUES ('planned', 7, 8, now() + interval '1 day')", in: pool)
            try await store.apply(Self.file(prompt: "2", model: "planned"))
            #expect(try await Self.model("planned", in: pool)?.price.prompt == PicoUSD(value: 1_000_000))
        }
    }

    @Test func `rows of the operator keep what the operator wrote`() async throws {
        try await TestDatabase.current.withPool { pool in
            let store = CatalogueStore(pool: pool)
            try await store.apply(Self.file(model: "owned"))
            try await run(
                "UPDATE provider SET base_url = 'https://other/v1', source = 'admin' WHERE name = 'p-owned'; "
                    + "UPDATE model SET default_output_tokens = 7, source = 'admin' WHERE id = 'owned'", in: pool)
            try await store.apply(Self.file(model: "owned"))
            let model = try #require(try await Self.model("owned", in: pool))
            #expect((model.provider.baseURL, model.limits.defaultOutputTokens) == ("https://other/v1", 7))
            // The file withdraws its own rows only.
            try await store.apply(Self.file(model: "another"))
            #expect(try await Self.model("owned", in: pool) != nil)
        }
    }

    @Test func `a model that the list no longer names is withdrawn, and comes back with the list`() async throws {
        try await TestDatabase.current.withPool { pool in
            let store = CatalogueStore(pool: pool)
            try await store.apply(Self.file(model: "dropped"))
            try await store.apply(Self.file(model: "kept"))
            let catalogue = try await store.load(pricing: .standard)
            #expect(catalogue.models["dropped"] == nil && catalogue.models["kept"] != nil)
            #expect(!catalogue.unpriced.contains("dropped"))
            try await store.apply(Self.file(model: "dropped"))
            #expect(try await Self.model("dropped", in: pool) != nil)
        }
    }

    @Test func `a model without a price, or switched off, or of a provider switched off, is not in the catalogue`() async throws {
        try await TestDatabase.current.withPool { pool in
            let store = CatalogueStore(pool: pool)
            for id in ["unpriced", "off", "orphan"] {
                try await store.apply(Self.file(model: id))
                try await run("UPDATE model SET source = 'admin' WHERE id = '\(id)'", in: pool)
            }
            for statement in [
                "DELETE FROM price WHERE model = 'unpriced'", "UPDATE model SET is_enabled = false WHERE id = 'off'",
                "UPDATE provider SET is_enabled = false WHERE name = 'p-orphan'",
            ] {
                try await pool.withConnection { try await $0.script(statement) }
            }
            let catalogue = try await store.load(pricing: .standard)
            for id in ["unpriced", "off", "orphan"] { #expect(catalogue.models[id] == nil, "\(id)") }
            #expect(catalogue.unpriced.intersection(["unpriced", "off", "orphan"]) == ["unpriced"])
        }
    }
}

private struct PriceVersions: Statement {
    static let sql = "SELECT count(*) FROM price WHERE model = $1"
    typealias Output = Int64
    var model: String

    func bind(_ parameters: inout Parameters) { parameters.append(model) }
}
