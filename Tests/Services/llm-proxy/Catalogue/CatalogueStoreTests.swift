import Contracts
import Postgres
import TestSupport
import Testing
import Values

@testable import LLMProxy

@Suite(.serialized, .database(schema: "llm_proxy", migrations: "Shared/Outbox/Migrations", "Services/llm-proxy/Migrations"))
struct CatalogueStoreTests {
    static func file(prompt: String = "1", model: String, limits: String = "") throws -> ProvidersFile {
        try file(prompt: prompt, models: [model], limits: limits)
    }

    /// Each model has a provider of its own, `p-<model>`.
    static func file(prompt: String = "1", models: [String], limits: String = "") throws -> ProvidersFile {
        try file(providers: models.map { provider("p-\($0)", model: $0, prompt: prompt, members: limits) })
    }

    private static func provider(_ name: String, model: String, prompt: String = "1", members: String = "") -> String {
        """
        {"name": "\(name)", "base_url": "https://h/v1", "api_key_variable": "K", "models": [
          {"id": "\(model)", "prompt_usd_per_million": \(prompt), "completion_usd_per_million": 4,
           "context_tokens": 1000, "max_output_tokens": 500, "default_output_tokens": 100\(members)}]}
        """
    }

    private static func file(providers: [String]) throws -> ProvidersFile {
        try ProvidersFile(
            Array(#"{"providers": [\#(providers.joined(separator: ","))]}"#.utf8), kinds: ["openai"], variables: { _ in nil })
    }

    static func model(_ id: String, in pool: PostgresPool) async throws -> Catalogue.Model? {
        try await CatalogueStore(pool: pool).load()[id]
    }

    /// Sets a price of an administrator: 7 pico-dollars a token.
    private func setPrice(
        of model: String, at time: String = "clock_timestamp()", formula: String = "cost_plus", units: [String] = ["input", "output"],
        in pool: PostgresPool
    ) async throws {
        try await run(
            """
            WITH made AS (
                INSERT INTO price (model, provider, formula, markup_basis_points, credits_per_usd, minimum_charge, effective_at)
                VALUES ('\(model)', 'p-\(model)', '\(formula)', 0, 1000000000, 0, \(time))
                RETURNING version)
            INSERT INTO unit_price (version, unit, pico_usd)
            SELECT version, unit, 7 FROM made, unnest('{\(units.joined(separator: ","))}'::text[]) AS unit
            """, in: pool)
    }

    @Test func `a list applied again, and by eight replicas at once, makes one price version`() async throws {
        try await TestDatabase.current.withPool { pool in
            let store = CatalogueStore(pool: pool)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<8 { group.addTask { try await store.apply(Self.file(model: "same"), .standard) } }
                try await group.waitForAll()
            }
            #expect(try await pool.first(PriceVersions(model: "same")) == 1)
            #expect(try await Self.model("same", in: pool)?.price.units[.input] == PicoUSD(value: 1_000_000))
        }
    }

    @Test func `a model's limits in the table equal the file, defaults included, and follow its changes`() async throws {
        try await TestDatabase.current.withPool { pool in
            let store = CatalogueStore(pool: pool)
            try await store.apply(Self.file(model: "limited"), .standard)
            let defaults = ModelLimits(
                contextTokens: 1_000, maxOutputTokens: 500, defaultOutputTokens: 100, outputTokensLeast: 500, imageTokensMax: nil,
                reasoning: .hidden, outputLimitMember: .maxTokens)
            #expect(try await Self.model("limited", in: pool)?.limits == defaults)
            let more = #", "reasoning": "visible", "image_tokens_max": 85, "output_limit_member": "max_completion_tokens""#
            try await store.apply(Self.file(model: "limited", limits: more), .standard)
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
            try await CatalogueStore(pool: pool).apply(Self.file(model: "checked"), .standard)
            await #expect(throws: PostgresError.self) {
                try await pool.withConnection { try await $0.script("UPDATE model SET \(change) WHERE id = 'checked'") }
            }
        }
    }

    @Test func `a changed price is a new version, and the old one stays`() async throws {
        try await TestDatabase.current.withPool { pool in
            let store = CatalogueStore(pool: pool)
            try await store.apply(Self.file(prompt: "1", model: "changing"), .standard)
            let first = try #require(try await Self.model("changing", in: pool)).price
            try await store.apply(Self.file(prompt: "2", model: "changing"), .standard)
            let second = try #require(try await Self.model("changing", in: pool)).price
            #expect(second.version > first.version)
            #expect(second.units[.input] == PicoUSD(value: 2_000_000))
            #expect(try await pool.first(PriceVersions(model: "changing")) == 2)
        }
    }

    private func run(_ statement: String, in pool: PostgresPool) async throws {
        try await pool.withConnection { try await $0.script(statement) }
    }

    @Test func `an operator's price survives a start with the same list, and one with another price`() async throws {
        try await TestDatabase.current.withPool { pool in
            let store = CatalogueStore(pool: pool)
            try await store.apply(Self.file(prompt: "1", model: "edited"), .standard)
            try await setPrice(of: "edited", in: pool)
            for prompt in ["1", "2"] {
                try await store.apply(Self.file(prompt: prompt, model: "edited"), .standard)
                #expect(try await Self.model("edited", in: pool)?.price.units[.input] == PicoUSD(value: 7))
            }
            #expect(try await pool.first(PriceVersions(model: "edited")) == 2)
        }
    }

    @Test func `a price that begins later belongs to the operator too`() async throws {
        try await TestDatabase.current.withPool { pool in
            let store = CatalogueStore(pool: pool)
            try await store.apply(Self.file(prompt: "1", model: "planned"), .standard)
            try await setPrice(of: "planned", at: "now() + interval '1 day'", in: pool)
            try await store.apply(Self.file(prompt: "2", model: "planned"), .standard)
            #expect(try await Self.model("planned", in: pool)?.price.units[.input] == PicoUSD(value: 1_000_000))
        }
    }

    @Test func `rows of the operator keep what the operator wrote`() async throws {
        try await TestDatabase.current.withPool { pool in
            let store = CatalogueStore(pool: pool)
            try await store.apply(Self.file(model: "owned"), .standard)
            try await run(
                "UPDATE provider SET base_url = 'https://other/v1', source = 'admin' WHERE name = 'p-owned'; "
                    + "UPDATE model SET default_output_tokens = 7, source = 'admin' WHERE id = 'owned'; "
                    + "UPDATE route SET source = 'admin' WHERE model = 'owned'", in: pool)
            try await store.apply(Self.file(model: "owned"), .standard)
            let model = try #require(try await Self.model("owned", in: pool))
            #expect((model.provider.baseURL, model.limits.defaultOutputTokens) == ("https://other/v1", 7))
            // The file withdraws its own rows only.
            try await store.apply(Self.file(model: "another"), .standard)
            #expect(try await Self.model("owned", in: pool) != nil)
        }
    }

    @Test func `a model that the list no longer names is withdrawn, and comes back with the list`() async throws {
        try await TestDatabase.current.withPool { pool in
            let store = CatalogueStore(pool: pool)
            try await store.apply(Self.file(model: "dropped"), .standard)
            try await store.apply(Self.file(model: "kept"), .standard)
            let catalogue = try await store.load()
            #expect(catalogue["dropped"] == nil && catalogue["kept"] != nil)
            #expect(!catalogue.unpriced.contains("dropped"))
            try await store.apply(Self.file(model: "dropped"), .standard)
            #expect(try await Self.model("dropped", in: pool) != nil)
        }
    }

    @Test func `another markup or minimum is a new version of every price, and the version says it`() async throws {
        try await TestDatabase.current.withPool { pool in
            let store = CatalogueStore(pool: pool)
            try await store.apply(Self.file(model: "ruled"), .standard)
            let flat = PricingRule(formula: .perToken(creditsPer1kTokens: Credits(whole: 2)), minimumCharge: Credits(whole: 1))
            try await store.apply(Self.file(model: "ruled"), PricingRules(tokens: flat, media: .standard))
            try await store.apply(Self.file(model: "ruled"), PricingRules(tokens: flat, media: .standard))
            #expect(try await Self.model("ruled", in: pool)?.price.rule == flat)
            #expect(try await pool.first(PriceVersions(model: "ruled")) == 2)
        }
    }

    @Test func `a model at two providers is called by priority, then by weight`() async throws {
        try await TestDatabase.current.withPool { pool in
            let store = CatalogueStore(pool: pool)
            try await store.apply(
                Self.file(providers: [
                    Self.provider("last", model: "shared", members: #","priority":1"#), Self.provider("one", model: "shared"),
                    Self.provider("three", model: "shared", members: #","weight":3"#),
                ]), .standard)
            let catalogue = try await store.load()
            var random = SplitMix64(seed: 9)
            var drawn: [String: Int] = [:]
            for _ in 0..<4_000 { drawn[try #require(catalogue.routes(to: "shared", using: &random).first).provider.name, default: 0] += 1 }
            #expect(Set(drawn.keys) == ["one", "three"])
            #expect((900..<1_100).contains(drawn["one"] ?? 0), "\(drawn)")
            #expect(catalogue.sorted.filter { $0.id == "shared" }.count == 1)
        }
    }

    @Test func `a charge can be computed again from the version that its receipt names, alone`() async throws {
        try await TestDatabase.current.withPool { pool in
            let store = CatalogueStore(pool: pool)
            try await store.apply(Self.file(model: "kept-1"), .standard)
            let rule = PricingRule(
                formula: .costPlus(markupBasisPoints: 777, creditsPerUSD: Credits(nano: 12_345_678_901)), minimumCharge: Credits(nano: 3),
                byokFeeBasisPoints: 9)
            let rows = [
                UnitPriceRow(unit: .input, price: PicoUSD(value: 7)), UnitPriceRow(unit: .cachedInput, price: PicoUSD(value: 1)),
                UnitPriceRow(unit: .output, price: PicoUSD(value: 11)),
                UnitPriceRow(unit: .input, aboveInputTokens: 100, price: PicoUSD(value: 14)),
                UnitPriceRow(unit: .output, aboveInputTokens: 100, price: PicoUSD(value: 13)),
                UnitPriceRow(unit: .input, tier: .flex, price: PicoUSD(value: 3)),
                UnitPriceRow(unit: .output, tier: .flex, price: PicoUSD(value: 5)),
            ]
            _ = try await pool.first(
                PutPriceIfChanged(price: NewPrice(model: "kept-1", provider: "p-kept-1", rule: rule, rows: rows, source: .admin)))
            let sold = try #require(try await Self.model("kept-1", in: pool)).price
            try await store.apply(Self.file(prompt: "9", model: "kept-1"), .standard)
            let read = try #require(try await pool.first(FindPrice(version: sold.version)) ?? nil)
            #expect(read.price == sold)
            #expect(Set(read.price.rows) == Set(rows) && read.price.rule == rule)
        }
    }

    // MARK: The list

    private static func list(agree: String = "true", input: String = "1", output: String = #","max_output_tokens":500"#) throws -> ModelList
    {
        try ModelList(
            Array(
                """
                {"date":"2026-07-24","about":"x","origins":{},"models":[{"id":"listed-1","provider":"p-first","mode":"chat","max_input_tokens":1000\(output),
                  "prices":{"input_usd_per_million":"\(input)","output_usd_per_million":"4","input_flex_usd_per_million":"0.5",
                  "output_flex_usd_per_million":"2"},"two_sources_agree":\(agree)}]}
                """.utf8))
    }

    @Test func `a model of the list is sold where its provider has a key, and the file takes its place`() async throws {
        try await TestDatabase.current.withPool { pool in
            let store = CatalogueStore(pool: pool)
            let file = try Self.file(model: "first")
            try await store.apply(file, .standard, list: Self.list())
            #expect(try await Self.model("listed-1", in: pool) == nil)
            try await store.apply(file, .standard, list: Self.list(), sellers: ["p-first"])
            let listed = try #require(try await Self.model("listed-1", in: pool))
            #expect(listed.price.rows.count == 4)
            var flex = Usage(promptTokens: 2, completionTokens: 1)
            flex.tier = .flex
            #expect(listed.price.cost(of: flex) == PicoUSD(value: 2 * 500_000 + 2_000_000))
            try await store.apply(file, .standard, list: Self.list(), sellers: ["p-first"])
            #expect(try await pool.first(PriceVersions(model: "listed-1")) == 1)
            let named = try Self.file(providers: [Self.provider("p-first", model: "listed-1", prompt: "9")])
            try await store.apply(named, .standard, list: Self.list(), sellers: ["p-first"])
            #expect(try await Self.model("listed-1", in: pool)?.price.units[.input] == PicoUSD(value: 9_000_000))
            try await store.apply(file, .standard, list: Self.list())
            #expect(try await Self.model("listed-1", in: pool) == nil)
        }
    }

    @Test func `a price with doubts is not sold before an administrator confirms this version`() async throws {
        try await TestDatabase.current.withPool { pool in
            let store = CatalogueStore(pool: pool)
            let file = try Self.file(model: "first")
            try await store.apply(file, .standard, list: Self.list(agree: "null", input: "2"), sellers: ["p-first"])
            var catalogue = try await store.load()
            #expect(catalogue["listed-1"] == nil && !catalogue.unpriced.contains("listed-1"))
            try await run(
                "INSERT INTO price_confirmation (version, confirmed_by) SELECT version, gen_random_uuid() FROM price_in_force WHERE model = 'listed-1'",
                in: pool)
            #expect(try await Self.model("listed-1", in: pool)?.price.units[.input] == PicoUSD(value: 2_000_000))
            try await store.apply(file, .standard, list: Self.list(agree: "false", input: "3"), sellers: ["p-first"])
            catalogue = try await store.load()
            #expect(catalogue["listed-1"] == nil)
            try await store.apply(file, .standard, list: Self.list(input: "3"), sellers: ["p-first"])
            #expect(try await Self.model("listed-1", in: pool) != nil)
        }
    }

    @Test func `a price without a price of each token is no price`() async throws {
        try await TestDatabase.current.withPool { pool in
            let store = CatalogueStore(pool: pool)
            try await store.apply(Self.file(model: "half"), .standard)
            try await setPrice(of: "half", in: pool)
            #expect(try await Self.model("half", in: pool) != nil)
            try await setPrice(of: "half", units: ["input", "ouptut"], in: pool)
            let catalogue = try await store.load()
            #expect(catalogue["half"] == nil)
            #expect(catalogue.unpriced.contains("half"))
            #expect(catalogue.unpricedRoutes.contains(.init(model: "half", provider: "p-half")))
        }
    }

    @Test func `a formula that the proxy does not know is no price`() async throws {
        try await TestDatabase.current.withPool { pool in
            let store = CatalogueStore(pool: pool)
            try await store.apply(Self.file(model: "newer"), .standard)
            try await run("ALTER TABLE price DROP CONSTRAINT price_formula_whole", in: pool)
            try await setPrice(of: "newer", formula: "auction", in: pool)
            let catalogue = try await store.load()
            #expect(catalogue["newer"] == nil)
            #expect(catalogue.unpriced.contains("newer"))
        }
    }

    @Test(arguments: [
        "UPDATE price SET minimum_charge = 1", "DELETE FROM price WHERE version = 0", "TRUNCATE price CASCADE",
        "UPDATE unit_price SET pico_usd = 1", "DELETE FROM unit_price", "TRUNCATE unit_price",
        "INSERT INTO unit_price (version, unit, pico_usd) SELECT version, 'audio_input', 9 FROM price_in_force",
    ])
    func `a price never changes`(statement: String) async throws {
        try await TestDatabase.current.withPool { pool in
            _ = await #expect(throws: PostgresError.self) { try await run(statement, in: pool) }
        }
    }

    @Test func `a replica that writes last sets the price, even if its transaction began first`() async throws {
        try await TestDatabase.current.withPool { pool in
            let store = CatalogueStore(pool: pool)
            try await pool.transaction { early in
                _ = try await early.query(ReadTime())
                try await store.apply(Self.file(prompt: "2", model: "raced"), .standard)
                let late = try Self.file(prompt: "3", model: "raced").providers[0]
                _ = try await early.query(LockCatalogue())
                _ = try await early.query(PutPriceIfChanged(price: NewPrice(late.models[0], provider: "p-raced", rules: .standard)))
            }
            #expect(try await Self.model("raced", in: pool)?.price.units[.input] == PicoUSD(value: 3_000_000))
        }
    }

    @Test func `the dearest route that a call can take is shown`() async throws {
        try await TestDatabase.current.withPool { pool in
            let store = CatalogueStore(pool: pool)
            try await store.apply(
                Self.file(providers: [
                    Self.provider("a", model: "listed", prompt: "1"), Self.provider("b", model: "listed", prompt: "3"),
                    Self.provider("c", model: "listed", prompt: "9", members: #","priority":1"#),
                ]), .standard)
            let catalogue = try await store.load()
            #expect(catalogue["listed"]?.provider.name == "c")
            #expect(catalogue.sorted.first { $0.id == "listed" }?.provider.name == "c")
        }
    }

    @Test func `a model without a price, or switched off, or of a provider switched off, is not in the catalogue`() async throws {
        try await TestDatabase.current.withPool { pool in
            let store = CatalogueStore(pool: pool)
            let off = ["unpriced", "off", "orphan", "unrouted"]
            try await store.apply(Self.file(models: off), .standard)
            try await setPrice(of: "unpriced", units: [], in: pool)
            for statement in [
                "UPDATE route SET is_enabled = false WHERE model = 'unrouted'",
                "UPDATE model SET is_enabled = false WHERE id = 'off'",
                "UPDATE provider SET is_enabled = false WHERE name = 'p-orphan'",
            ] {
                try await pool.withConnection { try await $0.script(statement) }
            }
            let catalogue = try await store.load()
            for id in off { #expect(catalogue[id] == nil, "\(id)") }
            #expect(catalogue.unpriced.intersection(off) == ["unpriced"])
        }
    }
}

private struct ReadTime: Statement {
    static let sql = "SELECT now()"
    typealias Output = Instant
}

private struct PriceVersions: Statement {
    static let sql = "SELECT count(*) FROM price WHERE model = $1"
    typealias Output = Int64
    var model: String

    func bind(_ parameters: inout Parameters) { parameters.append(model) }
}
