import HTTP
import Identity
import JSON
import TestSupport
import Testing
import Values

@testable import Ledger

extension RoutesTests {
    @Test func `usage by type, model, operation and day equals the charges`() async throws {
        try await withServer { server in
            let person = server.person()
            try await server.ledger.do(.grant(.purchase, amount: credits(100)), account: person.accountID)
            try await server.call(person, cost: Credits(decimal: "0.000000001")!, model: "small", operation: "chat", tokens: (1, 2))
            try await server.call(person, cost: credits(2), model: "large", operation: "chat", tokens: (10, 20))
            try await server.call(person, cost: credits(3), model: "large", tokens: (100, 200))

            let summary = try await server.object("/api/credits/usage/summary", as: person)
            #expect(
                summary.text(of: "types")
                    == #"[{"type":"purchase","credits":100,"transactions":1},{"type":"usage","credits":-5.000000001,"transactions":3}]"#)
            let usage = #"{"credits_used":5.000000001,"charges":3,"prompt_tokens":111,"completion_tokens":222,"overage":0}"#
            #expect(summary.text(of: "usage") == usage)

            let models = try await server.object("/api/credits/usage/models", as: person)
            #expect(try models.objects("models").map { $0.text(of: "model") } == [#""large""#, #""small""#])
            #expect(try models.objects("models").map { $0.text(of: "credits_used") } == ["5", "0.000000001"])
            #expect(models.text(of: "other") == "null")
            #expect(models.text(of: "usage") == usage)
            let first = try await server.object("/api/credits/usage/models?limit=1", as: person)
            #expect(try first.objects("models").map { $0.text(of: "model") } == [#""large""#])
            #expect(
                first.text(of: "other")
                    == #"{"credits_used":0.000000001,"charges":1,"prompt_tokens":1,"completion_tokens":2,"overage":0}"#)

            let operations = try await server.object("/api/credits/usage/operations", as: person)
            #expect(try operations.objects("operations").map { $0.text(of: "operation") } == ["null", #""chat""#])
            #expect(try operations.objects("operations").map { $0.text(of: "credits_used") } == ["3", "2.000000001"])

            let days = try await server.object("/api/credits/usage/daily", as: person).objects("days")
            #expect(days.count == 30)
            #expect(days.dropLast().allSatisfy { $0.text(of: "charges") == "0" && $0.text(of: "changes") == "{}" })
            #expect(days.last?.text(of: "credits_used") == "5.000000001")
            #expect(days.last?.text(of: "changes") == #"{"purchase":100,"usage":-5.000000001}"#)
            #expect(try await server.object("/api/credits/usage/summary", as: server.person()).text(of: "types") == "[]")
        }
    }

    @Test(arguments: [
        ("tz=Mars/Olympus", "tz"), ("tz=EST5EDT4,M3.2.0", "tz"), ("tz=europe/berlin", "tz"), ("from=2026-11-20&to=2026-11-19", "from"),
        ("from=2030-01-01", "from"), ("from=nonsense", "from"), ("to=20261120", "to"), ("from=2025-01-01&to=2026-11-20", "from"),
        ("from=2026-11-20&from=2026-11-20", "from"),
    ])
    func `a bad parameter of usage is named`(query: String, param: String) async throws {
        try await withServer { server in
            for path in ["summary", "daily", "models", "operations"] {
                let answer = try await server.ask("GET", "/api/credits/usage/\(path)?\(query)", as: server.person())
                #expect(answer.status == 400, "\(path)")
                #expect(answer.param == param)
            }
            let limit = try await server.ask("GET", "/api/credits/usage/models?limit=1001", as: server.person())
            #expect(limit.param == "limit")
        }
    }
}

/// A test of all accounts together needs a database of its own.
@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct AllAccountsUsageTests {
    @Test func `totals and the usage of all users add up over all accounts`() async throws {
        try await withServer { server in
            let (admin, ada, bob) = (server.person(isAdmin: true), server.person(), server.person())
            let purchase = ChargeID.make()
            try await server.ledger.do(.grant(.purchase, amount: credits(10)), on: purchase, account: ada.accountID)
            try await server.ledger.do(.grant(.bonus, amount: credits(20)), account: bob.accountID)
            try await server.call(ada, cost: credits(4), model: "small", operation: "chat")
            try await server.call(bob, cost: Credits(decimal: "1.5")!, model: "large", operation: "chat")
            try await server.ledger.do(hold(3), account: bob.accountID)
            try await server.ledger.do(.reverse(grant: purchase, target: credits(10), version: 1), account: ada.accountID)

            let totals = try await server.object("/api/admin/credits/totals", as: admin)
            #expect(totals.text(of: "accounts") == "2")
            #expect(totals.text(of: "balance") == "14.5")
            #expect(totals.text(of: "held") == "3")
            #expect(totals.text(of: "owed") == "4")
            #expect(
                totals.text(of: "types")
                    == #"[{"type":"bonus","credits":20,"transactions":1},{"type":"clawback","credits":-10,"transactions":1},"#
                    + #"{"type":"purchase","credits":10,"transactions":1},{"type":"usage","credits":-5.5,"transactions":2}]"#)
            let today = try #require(try totals.objects("days").last)
            #expect(today.text(of: "changes") == #"{"bonus":20,"clawback":-10,"purchase":10,"usage":-5.5}"#)
            #expect(today.text(of: "credits_used") == "5.5")

            func names(_ query: String, _ list: String, _ name: String) async throws -> [String?] {
                try await server.object("/api/admin/credits/usage?\(query)", as: admin).objects(list).map { $0.text(of: name) }
            }
            #expect(try await names("", "models", "credits_used") == ["4", "1.5"])
            #expect(try await names("by=operation", "operations", "credits_used") == ["5.5"])
            #expect(try await names("by=day", "days", "credits_used").last == "5.5")
            #expect(try await names("by=type", "types", "credits") == ["20", "-10", "10", "-5.5"])
            #expect(try await names("user_id=\(bob.userID)", "models", "model") == [#""large""#])
            for (query, param) in [("by=colour", "by"), ("user_id=7", "user_id"), ("tz=Nowhere", "tz")] {
                #expect(try await server.ask("GET", "/api/admin/credits/usage?\(query)", as: admin).param == param)
            }
        }
    }

}

extension RouteServer {
    func object(_ path: String, as person: Principal) async throws -> JSONObject {
        let answer = try await ask("GET", path, as: person)
        #expect(answer.status == 200, "\(answer.text)")
        return try #require(answer.json)
    }
}
