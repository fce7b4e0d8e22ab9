import JSON
import Postgres
import TestSupport
import Testing

@testable import Billing

@Suite(.database(schema: "billing", migrations: "Shared/Outbox/Migrations", "Services/billing/Migrations"), .serialized)
struct ShowCatalogueTests {
    @Test func `a new installation has the plans and packages of the price list`() async throws {
        let fresh = try await TestDatabase.create(
            schema: "billing", migrations: ["Shared/Outbox/Migrations", "Services/billing/Migrations"])
        let read = try await fresh.withPool { try await CatalogueStore(pool: $0).read() }
        #expect(read.catalogue == .atStart)
        #expect(read.number == 1)
        try await fresh.drop()
    }

    @Test func `the packages come in the order of their sizes, with exact prices`() async throws {
        try await BillingServer.with { server async throws in
            let answer = try await server.ask("GET", "/api/credits/packages")
            #expect(answer.status == 200)
            let packages = try answer.json.rows("packages")
            #expect(try packages.map { try $0.string("id") } == ["starter", "basic", "standard", "pro", "business", "enterprise"])
            #expect(packages.map { $0.text(of: "price_usd") } == ["5.00", "9.00", "20.00", "35.00", "60.00", "250.00"])
            #expect(packages.map { $0.text(of: "bonus") } == ["0", "5", "15", "40", "100", "750"])
            #expect(try packages.filter { try $0.bool("is_popular") }.map { try $0.string("name") } == ["Standard"])
            #expect(try answer.json.text(of: "custom_amount") == #"{"credits_min":10,"credits_max":100000}"#)
        }
    }

    @Test func `a package that is switched off is not shown, and cents are not rounded`() async throws {
        try await BillingServer.with { server async throws in
            try await server.pool.withConnection {
                try await $0.script(
                    "UPDATE package SET is_active = false WHERE id <> 'starter'; UPDATE package SET price_cents = 99999909 WHERE id = 'starter'"
                )
            }
            let packages = try await server.ask("GET", "/api/credits/packages").json.rows("packages")
            #expect(packages.map { $0.text(of: "price_usd") } == ["999999.09"])
        }
    }

    @Test func `a plan has its current prices in USD, and null where it is not sold`() async throws {
        try await BillingServer.with { server async throws in
            try await server.pool.withConnection {
                try await $0.script(
                    """
                    INSERT INTO plan_price (price_id, plan, billing_interval, amount_cents, currency, is_current)
                    VALUES ('p1', 'pro', 'month', 2900, 'usd', true), ('p2', 'pro', 'month', 1900, 'usd', false),
                        ('p3', 'pro', 'year', 31320, 'usd', true), ('p4', 'enterprise', 'year', 9, 'eur', true);
                    UPDATE plan SET is_active = false WHERE id = 'enterprise'
                    """)
            }
            let plans = try await server.ask("GET", "/api/credits/plans").json.rows("plans")
            #expect(try plans.map { try $0.string("id") } == ["free", "pro"])
            #expect(plans.map { $0.text(of: "prices_usd") } == [#"{"month":0.00,"year":0.00}"#, #"{"month":29.00,"year":313.20}"#])
            #expect(plans.map { $0.text(of: "monthly_credits") } == ["10", "500"])
            #expect(plans[1].text(of: "features") == #"["All generation types","Priority queue","API access"]"#)
            #expect(
                plans[0].text(of: "limits")
                    == #"{"endpoints":["chat","embeddings","images","keys"],"requests_per_minute":60,"tokens_per_minute":100000,"concurrency":8,"priority":0}"#
            )
            try await server.pool.withConnection { try await $0.script("UPDATE plan SET is_active = true") }
            let enterprise = try #require(try await server.ask("GET", "/api/credits/plans").json.rows("plans").last)
            #expect(enterprise.text(of: "prices_usd") == #"{"month":null,"year":null}"#, "its price is in euros")
        }
    }

    @Test func `the packages are a tRPC query, alone and in a batch of one`() async throws {
        try await BillingServer.with { server async throws in
            let plain = try await server.ask("GET", "/api/credits/packages").text
            let path = "/api/trpc/credits.packages"
            for query in ["", "?input=%7B%7D", "?input=null", "?input="] {
                let answer = try await server.ask("GET", path + query)
                #expect(answer.text == #"{"result":{"data":\#(plain)}}"#, "\(query)")
            }
            #expect(try await server.ask("GET", path + "?batch=1&input=%7B%220%22%3A%7B%7D%7D").text == #"[{"result":{"data":\#(plain)}}]"#)
            for (query, code) in [("?batch=2", "BAD_REQUEST"), ("?input=%7B", "PARSE_ERROR"), ("?batch=1&input=7", "PARSE_ERROR")] {
                let answer = try await server.ask("GET", path + query)
                #expect(answer.status == 400)
                let error = try answer.body.first == UInt8(ascii: "[") ? JSONValue(answer.body).array?[0].object : answer.json
                #expect(try error?.object("error").object("data").string("code") == code, "\(query)")
            }
        }
    }
}
