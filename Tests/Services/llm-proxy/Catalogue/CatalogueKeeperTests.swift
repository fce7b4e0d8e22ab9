import Contracts
import EventLoop
import Jobs
import Postgres
import Telemetry
import TestSupport
import Testing
import Values

@testable import LLMProxy

@Suite(.serialized, .database(schema: "llm_proxy", migrations: "Shared/Outbox/Migrations", "Services/llm-proxy/Migrations"))
struct CatalogueKeeperTests {
    private func keeper(_ model: String, _ catalogue: CurrentCatalogue, in pool: PostgresPool, log: Logger = ProxyUnderTest.log) throws
        -> CatalogueKeeper
    {
        CatalogueKeeper(
            store: CatalogueStore(pool: pool), wanted: .init(file: try CatalogueStoreTests.file(model: model), rules: .standard),
            catalogue: catalogue, log: log)
    }

    /// Runs the job of a keeper once, to its success or its first failure.
    private func run(_ keeper: CatalogueKeeper, in pool: PostgresPool, log: Logger = ProxyUnderTest.log) async throws {
        let (job, metrics) = (keeper.job, Metrics())
        let failures = metrics.counter("job_runs_total", help: "", labels: ["job": job.name, "outcome": "failed"])
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await job.run(on: pool.loop, log: log, metrics: metrics) }
            try await until("the job has run") { job.hasSucceeded || failures.count > 0 }
            group.cancelAll()
        }
    }

    private func script(_ text: String, in pool: PostgresPool) async throws {
        try await pool.withConnection { try await $0.script(text) }
    }

    @Test func `the job applies the file once, then follows the tables`() async throws {
        try await TestDatabase.current.withPool { pool in
            let catalogue = CurrentCatalogue(Catalogue(models: []))
            let keeper = try keeper("followed", catalogue, in: pool)
            try await run(keeper, in: pool)
            #expect(catalogue.current["followed"] != nil)
            try await script("DELETE FROM route WHERE model = 'followed'", in: pool)
            try await run(keeper, in: pool)
            #expect(catalogue.current["followed"] == nil)
        }
    }

    @Test func `a failure leaves the catalogue that was loaded last`() async throws {
        try await TestDatabase.current.withPool { pool in
            let catalogue = CurrentCatalogue(Catalogue(models: []))
            let keeper = try keeper("lasting", catalogue, in: pool)
            try await run(keeper, in: pool)
            try await script("ALTER TABLE route RENAME TO route_gone", in: pool)
            try await run(keeper, in: pool, log: Logger(service: "x", output: LogOutput(descriptor: -1)))
            try await script("ALTER TABLE route_gone RENAME TO route", in: pool)
            #expect(catalogue.current["lasting"] != nil)
        }
    }

    @Test func `a route that served what has no price stays off, also after the next start`() async throws {
        try await TestDatabase.current.withPool { pool in
            let catalogue = CurrentCatalogue(Catalogue(models: []))
            let keeper = try keeper("spoken", catalogue, in: pool)
            try await run(keeper, in: pool)
            await keeper.switchOff(try #require(catalogue.current["spoken"]))
            #expect(catalogue.current["spoken"] == nil)
            try await run(try self.keeper("spoken", catalogue, in: pool), in: pool)
            #expect(catalogue.current["spoken"] == nil)
        }
    }

    @Test func `a call at an old price does not switch off a route that has a newer one`() async throws {
        try await TestDatabase.current.withPool { pool in
            let catalogue = CurrentCatalogue(Catalogue(models: []))
            let keeper = try keeper("mended", catalogue, in: pool)
            try await run(keeper, in: pool)
            let old = try #require(catalogue.current["mended"])
            await keeper.switchOff(old)
            try await script(
                """
                WITH made AS (
                    INSERT INTO price (model, provider, formula, credits_per_1k, minimum_charge)
                    VALUES ('mended', 'p-mended', 'per_token', 1, 0)
                    RETURNING version)
                INSERT INTO unit_price (version, unit, pico_usd)
                SELECT version, unit, 7 FROM made, unnest('{input,output,audio_input}'::text[]) AS unit;
                UPDATE route SET is_enabled = true WHERE model = 'mended'
                """, in: pool)
            await keeper.switchOff(old)
            let mended = try #require(catalogue.current["mended"])
            await keeper.switchOff(mended)
            #expect(catalogue.current["mended"] == nil)
        }
    }

    @Test func `a price comes into force at its time, while the tables stay as they are`() async throws {
        try await TestDatabase.current.withPool { pool in
            let catalogue = CurrentCatalogue(Catalogue(models: []))
            let keeper = try keeper("timed", catalogue, in: pool)
            try await run(keeper, in: pool)
            let price = NewPrice(
                model: "timed", provider: "p-timed", rule: .standard,
                rows: [UnitPriceRow(unit: .input, price: PicoUSD(value: 7)), UnitPriceRow(unit: .output, price: PicoUSD(value: 7))],
                source: .admin, effectiveAt: .now() + .seconds(2))
            let version = try #require(try await pool.first(PutPriceIfChanged(price: price)))
            try await run(keeper, in: pool)
            #expect(catalogue.current["timed"].map { $0.price.version < version } == true)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await keeper.job.run(on: pool.loop, log: ProxyUnderTest.log, metrics: Metrics()) }
                try await until("the price is in force") { catalogue.current["timed"]?.price.version == version }
                group.cancelAll()
            }
        }
    }

    @Test func `an offer that can lose money is logged once`() async throws {
        try await TestDatabase.current.withPool { pool in
            let lines = PipedLines()
            let keeper = try keeper("sold", CurrentCatalogue(Catalogue(models: [])), in: pool, log: lines.log)
            func sell(_ cents: Int64, version: Int64) async throws {
                let package = CatalogueChanged.Package(
                    id: "small", credits: Credits(whole: 100), bonus: .zero, priceCents: cents, isActive: true)
                _ = try await pool.execute(
                    PutCreditOffers(
                        change: CatalogueChanged(version: version, changedAt: Instant(microseconds: 0), plans: [], packages: [package])))
            }
            try await sell(348, version: 1)
            try await run(keeper, in: pool)
            try await sell(347, version: 2)
            for _ in 1...2 { try await run(keeper, in: pool) }
            try await script("UPDATE route SET weight = 2 WHERE model = 'sold'", in: pool)
            try await run(keeper, in: pool)
            let logged = try lines.lines().filter { $0.contains("margin negative") }
            #expect(logged.count == 1)
            #expect(logged.first?.contains(#""offer":"package:small""#) == true)
        }
    }

    @Test func `a route that has no price is logged once`() async throws {
        try await TestDatabase.current.withPool { pool in
            let lines = PipedLines()
            let keeper = try keeper("free", CurrentCatalogue(Catalogue(models: [])), in: pool, log: lines.log)
            try await run(keeper, in: pool)
            try await script(
                "INSERT INTO price (model, provider, formula, credits_per_1k, minimum_charge) VALUES ('free', 'p-free', 'per_token', 1, 0)",
                in: pool)
            for _ in 1...2 { try await run(keeper, in: pool) }
            let logged = try lines.lines().filter { $0.contains("route refused: no price") }
            #expect(logged.count == 1)
            #expect(logged.first?.contains(#""model":"free""#) == true)
        }
    }
}
