import Contracts
import JSON
import Postgres
import TestSupport
import Testing
import Values

@testable import LLMProxy

@Suite(.serialized, .database(schema: "llm_proxy", migrations: "Shared/Outbox/Migrations", "Services/llm-proxy/Migrations"))
struct AdminModelsTests {
    private static let units = #"[{"unit":"input","usd_per_million":2},{"unit":"output","usd_per_million":8.5}]"#

    private static func price(_ members: String = "", model: String = "sure", units: String = units) -> String {
        #"{"model":"\#(model)","provider":"openai","units":\#(units)\#(members)}"#
    }

    private static func later(_ duration: Duration) -> String { #","effective_at":"\#((Instant.now() + duration).description)""# }

    /// The credits that a new installation sells.
    private static let offers = CatalogueChanged(
        version: 2, changedAt: Instant(microseconds: 0),
        plans: [
            .init(id: "free", features: noLimits, monthlyCredits: Credits(whole: 10), monthCents: nil, yearCents: nil, isActive: true),
            .init(id: "pro", features: noLimits, monthlyCredits: Credits(whole: 500), monthCents: 2_900, yearCents: 31_320, isActive: true),
        ],
        packages: [
            .init(id: "enterprise", credits: Credits(whole: 5_000), bonus: Credits(whole: 750), priceCents: 25_000, isActive: true),
            .init(id: "old", credits: Credits(whole: 5_000), bonus: .zero, priceCents: 1, isActive: false),
        ])
    private static let noLimits = PlanFeatures(
        endpoints: nil, requestsPerMinute: nil, tokensPerMinute: nil, concurrency: nil, priority: 0)

    // MARK: Access and reads

    @Test func `only an administrator reads, and a change needs a sign-in of the last 15 minutes`() async throws {
        try await AdminServer.with { server async throws in
            let reads = ["/api/admin/models", "/api/admin/pricing/1"]
            let writes = ["/api/admin/models": #"{"model":"sure","is_enabled":false}"#, "/api/admin/pricing": Self.price()]
            for path in reads {
                #expect(try await server.ask("GET", path, as: nil).status == 401)
                for caller in [AdminServer.Caller.user, .adminsKey] {
                    #expect(try await server.ask("GET", path, as: caller).status == 403)
                }
            }
            #expect(try await server.ask("GET", "/api/admin/models", as: .staleAdmin).status == 200)
            for (path, body) in writes {
                #expect(try await server.ask("PUT", path, as: nil, body).status == 401)
                #expect(try await server.ask("PUT", path, as: .user, body).code == "admin_required")
                #expect(try await server.ask("PUT", path, as: .staleAdmin, body).code == "reauthentication_required")
            }
            #expect(try await server.model("sure").bool("is_sold"))
        }
    }

    @Test func `every model is listed with its price, its date, and the reasons why it is not sold`() async throws {
        try await AdminServer.with { server async throws in
            let list = try await server.ask("GET", "/api/admin/models").json
            #expect(try list.object("list").string("date") == "2026-07-24")
            #expect(try list.array("models").compactMap(\.object).map { try $0.string("id") } == ["brush", "sure", "unsure"])
            let sure = try await server.model("sure")
            #expect(try sure.bool("is_sold") && sure.texts("not_sold_because") == [])
            #expect(try sure.object("price").string("source_date") == "2026-07-24")
            #expect(
                try sure.object("price").array("units").compactMap(\.object).map { try $0.decimalText("usd_per_million") } == ["1", "4"])
            #expect(try await server.model("unsure").texts("not_sold_because") == ["one_source"])
            #expect(try await server.model("brush").texts("not_sold_because") == ["no_endpoint"])
        }
    }

    // MARK: Models

    @Test func `a doubtful price is sold once it is confirmed, and a dry run confirms nothing`() async throws {
        try await AdminServer.with { server async throws in
            let version = try await server.model("unsure").object("price").integer("version")
            let body = #"{"model":"unsure","confirm_version":\#(version)"#
            let dry = try await server.ask("PUT", "/api/admin/models", body + #","dry_run":true}"#).json
            #expect(try dry.bool("dry_run") && dry.bool("changed"))
            #expect(try dry.array("before").first?.object?.bool("is_sold") == false)
            #expect(try dry.array("after").first?.object?.bool("is_sold") == true)
            #expect(try await !server.model("unsure").bool("is_sold"))
            #expect(try await server.ask("PUT", "/api/admin/models", body + "}").json.bool("changed"))
            #expect(try await server.model("unsure").bool("is_sold"))
            #expect(try await !server.ask("PUT", "/api/admin/models", body + "}").json.bool("changed"))
            let other = try await server.ask("PUT", "/api/admin/models", #"{"model":"sure","confirm_version":\#(version)}"#)
            #expect(other.status == 404)
        }
    }

    @Test func `a model that is switched off is not sold, and switching it on mends a route that served what has no price`() async throws {
        try await AdminServer.with { server async throws in
            let store = CatalogueStore(pool: server.pool)
            #expect(try await server.ask("PUT", "/api/admin/models", #"{"model":"sure","is_enabled":false}"#).status == 200)
            #expect(try await server.model("sure").texts("not_sold_because") == ["switched_off"])
            #expect(try await store.load()["sure"] == nil)
            try await server.pool.withConnection { try await $0.script("UPDATE route SET is_enabled = false WHERE model = 'sure'") }
            #expect(try await server.ask("PUT", "/api/admin/models", #"{"model":"sure","is_enabled":true}"#).status == 200)
            #expect(try await store.load()["sure"] != nil)
            #expect(try await server.ask("PUT", "/api/admin/models", #"{"model":"no","is_enabled":true}"#).status == 404)
            #expect(try await server.ask("PUT", "/api/admin/models", #"{"model":"sure"}"#).param == "is_enabled")
        }
    }

    // MARK: Prices

    @Test func `a price is a new version, and the same price again is none`() async throws {
        try await AdminServer.with { server async throws in
            let dry = try await server.ask("PUT", "/api/admin/pricing", Self.price(#","dry_run":true"#)).json
            #expect(try dry.bool("changed"))
            #expect(try dry.object("price").string("source") == "admin")
            #expect(try await server.model("sure").object("price").string("source") == "list")
            let put = try await server.ask("PUT", "/api/admin/pricing", Self.price()).json
            let version = try put.object("price").integer("version")
            #expect(try put.bool("changed"))
            let again = try await server.ask("PUT", "/api/admin/pricing", Self.price()).json
            #expect(try !again.bool("changed"))
            #expect(try again.object("price").integer("version") == version)
            let shown = try await server.ask("GET", "/api/admin/pricing/\(version)").json
            #expect(try shown.array("units").compactMap(\.object).map { try $0.decimalText("usd_per_million") } == ["2", "8.5"])
            #expect(try await CatalogueStore(pool: server.pool).load()["sure"]?.price.version == version)
            #expect(try await server.ask("GET", "/api/admin/pricing/999999").status == 404)
            #expect(try await server.ask("GET", "/api/admin/pricing/x").status == 404)
        }
    }

    @Test func `an administrator's price has no doubts`() async throws {
        try await AdminServer.with { server async throws in
            let same = #"[{"unit":"input","usd_per_million":1},{"unit":"output","usd_per_million":4}]"#
            #expect(try await server.ask("PUT", "/api/admin/pricing", Self.price(model: "unsure", units: same)).json.bool("changed"))
            #expect(try await server.model("unsure").bool("is_sold"))
        }
    }

    @Test func `a later price is in force from its time on`() async throws {
        try await AdminServer.with { server async throws in
            let put = try await server.ask("PUT", "/api/admin/pricing", Self.price(Self.later(.seconds(3_600)))).json
            let version = try put.object("price").integer("version")
            let model = try await server.model("sure")
            #expect(try model.object("price").string("source") == "list")
            #expect(try model.object("next_price").integer("version") == version)
            #expect(try await CatalogueStore(pool: server.pool).load()["sure"]?.price.version != version)
            let again = try await server.ask("PUT", "/api/admin/pricing", Self.price(Self.later(.seconds(7_200)))).json
            #expect(try !again.bool("changed"))
        }
    }

    @Test func `a price has conditions and a rule of its own`() async throws {
        try await AdminServer.with { server async throws in
            let units =
                #"[{"unit":"input","usd_per_million":2},{"unit":"output","usd_per_million":8},{"unit":"cached_input","usd_per_million":0.2},"#
                + #"{"unit":"input","above_input_tokens":500,"usd_per_million":4},{"unit":"output","above_input_tokens":500,"usd_per_million":8},"#
                + #"{"unit":"input","service_tier":"flex","usd_per_million":1},{"unit":"output","service_tier":"flex","usd_per_million":4}]"#
            let rule =
                #","rule":{"formula":"cost_plus","markup_basis_points":0,"credits_per_usd":10,"min_credits":0.5,"byok_fee_basis_points":100}"#
            #expect(try await server.ask("PUT", "/api/admin/pricing", Self.price(rule, units: units)).status == 200)
            let price = try #require(try await CatalogueStore(pool: server.pool).load()["sure"]?.price)
            #expect(price.rows.count == 7)
            #expect(price.rule.minimumCharge == Credits(decimal: "0.5"))
            #expect(price.rule.byokFeeBasisPoints == 100)
            #expect(price.credits(for: Usage(promptTokens: 1_000_000, completionTokens: 0)) == Credits(whole: 40))
        }
    }

    @Test(
        arguments: [
            (price(model: "none"), nil), (price(units: "[]"), "units"),
            (price(units: #"[{"unit":"ouptut","usd_per_million":1}]"#), "units[0].unit"),
            (price(units: #"[{"unit":"input","usd_per_million":1}]"#), "units"),
            (price(units: #"[{"unit":"input","usd_per_million":-1}]"#), "units[0].usd_per_million"),
            (price(units: #"[{"unit":"input","usd_per_million":1e3}]"#), "units[0].usd_per_million"),
            (price(units: #"[{"unit":"input","usd_per_million":1,"tier":"flex"}]"#), "units[0].tier"),
            (price(units: #"[{"unit":"input","usd_per_million":1,"service_tier":"fast"}]"#), "units[0].service_tier"),
            (price(units: #"[{"unit":"input","usd_per_million":1,"above_input_tokens":-1}]"#), "units[0].above_input_tokens"),
            (price(units: #"[{"usd_per_million":1}]"#), "units[0].unit"), (price(units: "[1]"), "units[0]"),
            (price(later(.seconds(-60))), "effective_at"), (price(later(.seconds(400 * 86_400))), "effective_at"),
            (price(#","effective_at":"tomorrow""#), "effective_at"), (price(#","at":1"#), "at"),
            (price(#","rule":{"formula":"auction"}"#), "formula"),
            (price(#","rule":{"formula":"cost_plus","markup_basis_points":100001,"credits_per_usd":1}"#), "rule.markup_basis_points"),
            (price(#","rule":{"formula":"per_token","credits_per_1k_tokens":-1}"#), "rule.credits_per_1k_tokens"),
            (price(#","rule":{"formula":"per_token","credits_per_usd":1}"#), "credits_per_usd"),
        ] as [(String, String?)])
    func `a price that cannot be charged is refused by name`(body: String, param: String?) async throws {
        try await AdminServer.with { server async throws in
            let answer = try await server.ask("PUT", "/api/admin/pricing", body)
            #expect(answer.status == (param == nil ? 404 : 400))
            #expect(answer.param == param)
        }
    }

    // MARK: Margins

    @Test func `the margin check compares what is sold with what a credit buys, and a dry run shows the effect of a price`() async throws {
        try await AdminServer.with { server async throws in
            #expect(try await server.ask("GET", "/api/admin/models").json.array("margins").isEmpty)
            _ = try await server.pool.execute(PutCreditOffers(change: Self.offers))
            let margins = try await server.ask("GET", "/api/admin/models").json.array("margins").compactMap(\.object)
            #expect(try margins.map { try $0.string("offer") } == ["package:enterprise", "plan:pro:month", "plan:pro:year"])
            #expect(try margins.allSatisfy { try !$0.bool("is_negative") })
            #expect(try margins[0].decimalText("earned_usd_per_credit") == "0.043478260869")
            #expect(try margins[0].decimalText("provider_usd_per_credit") == "0.034782608696")
            let rule = #","dry_run":true,"rule":{"formula":"cost_plus","markup_basis_points":0,"credits_per_usd":20}"#
            let dry = try await server.ask("PUT", "/api/admin/pricing", Self.price(rule)).json.array("margins").compactMap(\.object)
            #expect(try dry.map { try $0.bool("is_negative") } == [true, false, false])
        }
    }

    @Test func `an older message about what is sold changes nothing`() async throws {
        try await AdminServer.with { server async throws in
            var older = Self.offers
            (older.version, older.packages) = (1, [])
            for change in [Self.offers, older] { _ = try await server.pool.execute(PutCreditOffers(change: change)) }
            #expect(try await CatalogueStore(pool: server.pool).offers().count == 3)
        }
    }
}
