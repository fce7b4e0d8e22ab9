import JSON
import Postgres
import TestSupport
import Testing

@testable import LLMProxy

@Suite(.serialized, .database(schema: "llm_proxy", migrations: "Shared/Outbox/Migrations", "Services/llm-proxy/Migrations"))
struct AdminUsageTests {
    @Test func `the receipts of the span are summed by model and provider, and by operation`() async throws {
        try await AdminServer.with { server in
            try await server.pool.withConnection {
                try await $0.script(
                    """
                    INSERT INTO receipt (
                        charge_id, account_id, request_id, model, provider, operation, usage, is_estimated, is_stream, is_skipped, ended_by, price_version,
                        cost_pico_usd, held, price, started_at, duration_ms)
                    SELECT
                        overlay(uuidv7_floor(now() - moved)::text PLACING '7' FROM 15 FOR 1)::uuid, gen_random_uuid(), 'r', model, 'p', nullif(model, 'b'), '{}',
                        model = 'a', false, false, 'completed', 1, 1000000, 1, 2000000000, now(), 1
                    FROM (VALUES ('a', interval '1 second'), ('a', interval '2 seconds'), ('b', interval '3 seconds'), ('c', interval '26 hours'))
                        AS rows (model, moved)
                    """)
            }
            let answer = try await server.ask("GET", "/api/v1/llm/usage")
            let models = try answer.json.array("models").compactMap(\.object)
            #expect(try models.map { try $0.string("model") } == ["a", "b", "c"])
            #expect(try (models[0].integer("calls"), models[0].integer("estimated_calls")) == (2, 2))
            let operations = try answer.json.array("operations").compactMap(\.object)
            #expect(try operations.map { try $0.optionalString("operation") } == ["a", "c", nil])
            #expect(try operations.map { try $0.integer("calls") } == [2, 1, 1])
            #expect(try (models[0].decimalText("credits"), models[0].decimalText("upstream_cost_usd")) == ("4", "0.000002000000"))
        }
    }

    @Test(arguments: [("from=x", "from"), ("to=2026-01-01T00:00:00Z&from=2027-01-01T00:00:00Z", "from"), ("to=1", "to")])
    func `a span that is no span is refused by name`(query: String, param: String) async throws {
        try await AdminServer.with { server in
            let answer = try await server.ask("GET", "/api/v1/llm/usage?" + query)
            #expect((answer.status, answer.param) == (400, param))
        }
    }
}
