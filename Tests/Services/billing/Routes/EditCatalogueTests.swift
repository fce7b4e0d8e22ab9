import Contracts
import JSON
import Postgres
import TestSupport
import Testing
import Values

@testable import Billing

@Suite(.database(schema: "billing", migrations: "Shared/Outbox/Migrations", "Services/billing/Migrations"), .serialized)
struct EditCatalogueTests {
    private static let pro =
        #"{"id":"pro","name":"Pro","position":2,"monthly_credits":600,"features":["More"],"limits":{"endpoints":null,"requests_per_minute":700,"tokens_per_minute":null,"concurrency":null,"priority":1},"is_popular":true,"is_active":true}"#
    private static let basic =
        #"{"id":"basic","name":"Basic","credits":100,"bonus":5,"price_usd":9.5,"is_popular":false,"is_active":true}"#

    private static func plans(_ rows: String..., version: Int = 1) -> String {
        #"{"version":\#(version),"plans":[\#(rows.joined(separator: ","))]}"#
    }

    private static func packages(_ rows: String..., version: Int = 1) -> String {
        #"{"version":\#(version),"packages":[\#(rows.joined(separator: ","))]}"#
    }

    private func announced(_ server: BillingServer) async throws -> [CatalogueChanged] {
        try await server.pool.query(AnnouncedChanges()).map { try CatalogueChanged(decoding: $0) }
    }

    @Test func `only an administrator who signed in reads the lists, and a change needs a sign-in of the last 15 minutes`() async throws {
        try await BillingServer.with { server async throws in
            for path in ["/api/admin/plans", "/api/admin/packages"] {
                let body = path.hasSuffix("plans") ? Self.plans(Self.pro) : Self.packages(Self.basic)
                #expect(try await server.ask("GET", path).status == 401)
                #expect(try await server.ask("PUT", path, body).status == 401)
                for caller in [BillingServer.Caller.user, .adminsKey] {
                    #expect(try await server.ask("GET", path, as: caller).code == "admin_required")
                    #expect(try await server.ask("PUT", path, as: caller, body).code == "admin_required")
                }
                #expect(try await server.ask("GET", path, as: .staleAdmin).status == 200)
                #expect(try await server.ask("PUT", path, as: .staleAdmin, body).code == "reauthentication_required")
            }
            #expect(try await announced(server).isEmpty)
        }
    }

    @Test func `a list can be sent back as it was read, which changes nothing`() async throws {
        try await BillingServer.with { server async throws in
            for path in ["/api/admin/plans", "/api/admin/packages"] {
                let read = try await server.ask("GET", path, as: .admin)
                let again = try await server.ask("PUT", path, as: .admin, read.text)
                #expect((again.status, again.text) == (200, read.text))
            }
            #expect(try await announced(server).isEmpty)
        }
    }

    @Test func `a changed plan is stored, shown, and announced with the limits of all plans`() async throws {
        try await BillingServer.with { server async throws in
            let answer = try await server.ask("PUT", "/api/admin/plans", as: .admin, Self.plans(Self.pro))
            #expect(answer.status == 200)
            #expect(try answer.json.integer("version") == 2)
            #expect(try answer.json.rows("plans").map { $0.text(of: "monthly_credits") } == ["10", "600", "5000"])
            let seen = try await server.ask("GET", "/api/credits/plans").json.rows("plans")[1]
            #expect(seen.text(of: "features") == #"["More"]"#)
            let message = try #require(try await announced(server).first)
            #expect(message.version == 2)
            #expect(message.plans.map(\.id) == ["free", "pro", "enterprise"])
            #expect(
                message.plans.map(\.features) == [
                    Catalogue.atStart.plans[0].limits,
                    PlanFeatures(endpoints: nil, requestsPerMinute: 700, tokensPerMinute: nil, concurrency: nil, priority: 1),
                    Catalogue.atStart.plans[2].limits,
                ])
        }
    }

    @Test func `a new installation is announced once, and so is each change of a price at Stripe`() async throws {
        try await BillingServer.with { server async throws in
            func put(_ cents: Int64?) async throws {
                let prices = cents.map {
                    [UpsertPlanPrice(priceID: "price_1", plan: "pro", interval: .month, amountCents: $0, currency: "usd")]
                }
                try await server.pool.transaction { try await $0.put(prices ?? []) }
            }
            for cents in [nil, nil, 2_900, 2_900, 3_100, nil] as [Int64?] { try await put(cents) }
            #expect(try await announced(server).map { $0.plans[1].monthCents } == [nil, 2_900, 3_100, nil])
            #expect(try await announced(server).map(\.version) == [2, 3, 4, 5])
        }
    }

    @Test func `a changed package sets the price of its size and of the amounts above it`() async throws {
        try await BillingServer.with { server async throws in
            let answer = try await server.ask("PUT", "/api/admin/packages", as: .admin, Self.packages(Self.basic))
            #expect(try answer.json.rows("packages")[1].text(of: "price_usd") == "9.50")
            let catalogue = try await CatalogueStore(pool: server.pool).read().catalogue
            #expect([100, 101].map { catalogue.offer(credits: $0)?.amountCents } == [950, 960])
            let packages = try #require(try await announced(server).first).packages
            #expect(packages.map(\.id) == ["starter", "basic", "standard", "pro", "business", "enterprise"])
            #expect(
                packages[1] == .init(id: "basic", credits: Credits(whole: 100), bonus: Credits(whole: 5), priceCents: 950, isActive: true))
            #expect(try await announced(server).map(\.version) == [2])
        }
    }

    @Test func `rows can be added, swap their positions and sizes, and be switched off`() async throws {
        try await BillingServer.with { server async throws in
            let enterprise = Self.pro.replacing(#""pro""#, with: #""enterprise""#)
            let swapped = Self.plans(Self.pro.replacing(#""position":2"#, with: #""position":3"#), enterprise)
            let plans = try await server.ask("PUT", "/api/admin/plans", as: .admin, swapped)
            #expect(try plans.json.rows("plans").map { try $0.string("id") } == ["free", "enterprise", "pro"])

            let starter = Self.basic.replacing(#""basic""#, with: #""starter""#)
            let off = Self.basic.replacing(#""basic""#, with: #""old""#).replacing(#""is_active":true"#, with: #""is_active":false"#)
            let body = Self.packages(Self.basic.replacing(#""credits":100"#, with: #""credits":50"#), starter, off, version: 2)
            let packages = try await server.ask("PUT", "/api/admin/packages", as: .admin, body)
            #expect(try packages.json.rows("packages").prefix(3).map { try $0.string("id") } == ["basic", "old", "starter"])
            let seen = try await server.ask("GET", "/api/credits/packages").json.rows("packages")
            #expect(try seen.prefix(3).map { try $0.string("id") } == ["basic", "starter", "standard"])
        }
    }

    @Test func `a change from an older version is refused, also of two at once`() async throws {
        try await BillingServer.with { server async throws in
            let first = try await server.ask("PUT", "/api/admin/packages", as: .admin, Self.packages(Self.basic))
            #expect(first.status == 200)
            let second = try await server.ask("PUT", "/api/admin/plans", as: .admin, Self.plans(Self.pro))
            #expect((second.status, second.code) == (409, "conflict"))
            #expect(second.message == "The catalogue has changed since version 1. Read it again, then repeat the change.")
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for credits in 1...6 {
                    group.addTask {
                        let row = Self.pro.replacing("600", with: "\(credits)")
                        return try await server.ask("PUT", "/api/admin/plans", as: .admin, Self.plans(row, version: 2)).status
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(statuses.sorted() == [200, 409, 409, 409, 409, 409])
            #expect(try await announced(server).map(\.version) == [2, 3])
        }
    }

    private static let badPlans: [(part: String, bad: String, param: String)] = [
        (#""name":"Pro""#, #""name":"""#, "plans[0].name"), (#""id":"pro""#, #""id":"Pro""#, "plans[0].id"),
        (#""id":"pro""#, #""id":"\#(String(repeating: "p", count: 33))""#, "plans[0].id"), (#""id":"pro","#, "", "plans[0].id"),
        (#""position":2"#, #""position":1"#, "plans[0].position"), (#""position":2"#, #""position":32768"#, "plans[0].position"),
        (#""position":2"#, #""position":-1"#, "plans[0].position"), (#""position":2"#, #""position":2.5"#, "plans[0].position"),
        ("600", "0", "plans[0].monthly_credits"), ("600", "1000001", "plans[0].monthly_credits"),
        (#"["More"]"#, #"["More",7]"#, "plans[0].features"), (#"["More"]"#, #"["\u0007"]"#, "plans[0].features"),
        (#"["More"]"#, "[\(Array(repeating: #""x""#, count: 21).joined(separator: ","))]", "plans[0].features"),
        (#""endpoints":null,"#, "", "plans[0].limits.endpoints"),
        (#""endpoints":null"#, #""endpoints":["Chat"]"#, "plans[0].limits.endpoints"),
        (#""concurrency":null,"#, "", "plans[0].limits.concurrency"),
        (#""concurrency":null"#, #""concurrency":0"#, "plans[0].limits.concurrency"),
        ("700", "2147483648", "plans[0].limits.requests_per_minute"), (#""priority":1"#, #""priority":null"#, "plans[0].limits.priority"),
        (#""priority":1"#, #""priority":1,"rpm":5"#, "plans[0].limits.rpm"),
        (#""is_active":true"#, #""is_active":1"#, "plans[0].is_active"),
        (#""is_active":true"#, #""is_active":true,"price_usd":3"#, "plans[0].price_usd"),
        (#""id":"pro""#, #""id":"pro","id":"pro""#, "id"), (#""version":1"#, #""version":"1""#, "version"),
        (#""version":1,"#, "", "version"), (#""version":1"#, #""version":1,"force":true"#, "force"),
    ]

    @Test func `a bad plan names its member`() async throws {
        try await BillingServer.with { server async throws in
            let body = Self.plans(Self.pro)
            for (part, bad, param) in Self.badPlans {
                #expect(body.contains(part))
                let answer = try await server.ask(
                    "PUT", "/api/admin/plans", as: .admin, body.replacing(part, with: bad, maxReplacements: 1))
                #expect((answer.status, answer.param) == (400, param), "\(answer.text)")
            }
            #expect(try await server.ask("GET", "/api/admin/plans", as: .admin).json.integer("version") == 1)
        }
    }

    @Test func `a price is taken to the cent, and a bad one is refused by name`() async throws {
        try await BillingServer.with { server async throws in
            func put(_ price: String, version: Int = 1) async throws -> BillingServer.Answer {
                let body = Self.packages(Self.basic.replacing("9.5", with: price), version: version)
                return try await server.ask("PUT", "/api/admin/packages", as: .admin, body)
            }
            for bad in ["9.505", "-9.5", "-0.5", "0.49", "1000000", "1e1", #""9.50""#, "99999999999999999999.00"] {
                let answer = try await put(bad)
                #expect((answer.status, answer.param) == (400, "packages[0].price_usd"), "\(answer.text)")
            }
            let prices =
                [("9.1", 910), ("9.05", 905), ("0.5", 50), ("0.51", 51), ("999999.99", 99_999_999), ("7", 700)] as [(String, Int64)]
            for (index, (text, cents)) in prices.enumerated() {
                #expect(try await put(text, version: index + 1).status == 200)
                #expect(try await CatalogueStore(pool: server.pool).read().catalogue.offer(credits: 100)?.amountCents == cents)
            }
        }
    }

    @Test func `rules between rows name the row, the rule and the remedy`() async throws {
        try await BillingServer.with { server async throws in
            func refusal(_ path: String, _ body: String) async throws -> [String?] {
                let answer = try await server.ask("PUT", path, as: .admin, body)
                #expect(answer.status == 400)
                return [answer.param, answer.message]
            }
            let free = Self.pro.replacing(#""pro""#, with: #""free""#)
            #expect(
                try await refusal("/api/admin/plans", Self.plans(free)) == [
                    "plans[0].position", "`position` is that of the plan 'pro'; give each plan a position of its own.",
                ])
            let off = free.replacing(#""position":2"#, with: #""position":1"#).replacing(#""is_active":true"#, with: #""is_active":false"#)
            #expect(
                try await refusal("/api/admin/plans", Self.plans(off)) == [
                    "plans[0].is_active", "`is_active` must be true for the plan 'free', which every new user gets.",
                ])
            #expect(
                try await refusal("/api/admin/packages", Self.packages(Self.basic.replacing("basic", with: "other"))) == [
                    "packages[0].credits",
                    "`credits` is the size of the active package 'basic'; switch that one off, or choose another size.",
                ])
            #expect(try await refusal("/api/admin/packages", Self.packages()) == ["packages", "`packages` must have 1 to 100 rows."])
            #expect(try await refusal("/api/admin/packages", #"{"version":1,"packages":[7]}"#) == ["packages[0]", "Expected an object."])
        }
    }
}

private struct AnnouncedChanges: Statement {
    static let sql = "SELECT body FROM outbox WHERE type = 'catalogue.changed.v1' ORDER BY seq"
    typealias Output = [UInt8]

    func bind(_ parameters: inout Parameters) {}
    static func decode(_ row: inout RowReader) throws(PostgresError) -> [UInt8] { try row.next([UInt8].self) }
}
