import Contracts
import HTTP
import Identity
import JSON
import TestSupport
import Testing
import Values

@testable import Ledger

extension RoutesTests {
    private static func deduction(_ members: [String: String] = [:], key: String = UserID.make().description) -> String {
        var all = ["amount": "2.5", "description": #""Report""#, "idempotency_key": #""\#(key)""#]
        all.merge(members) { $1 }
        return "{" + all.filter { $0.value != "" }.map { #""\#($0)":\#($1)"# }.joined(separator: ",") + "}"
    }

    @Test func `a server deducts once for its key`() async throws {
        try await withServer { server in
            let person = server.person()
            let web = server.service("web-gateway", for: person)
            try await server.ledger.do(.grant(.purchase, amount: credits(10)), account: person.accountID)
            let key = UserID.make().description
            let body = Self.deduction(["operation": #""reports.make""#, "metadata": #"{"page":7,"prompt_tokens":"many"}"#], key: key)
            @Sendable func deduct(_ body: String) async throws -> Answer {
                try await server.ask("POST", "/api/credits/deduct", as: web, body, onBehalfOf: person.userID)
            }
            let first = try await deduct(body)
            #expect(first.status == 201)
            #expect(first.json?.text(of: "balance") == "7.5")
            #expect(first.json?.text(of: "available") == "7.5")
            let again = try await deduct(body)
            #expect(again.status == 200)
            #expect(again.text == first.text)
            #expect(try await server.conversations(of: person) == [first.header("x-request-id")])
            let transaction = try #require(try again.json?.object("transaction"))
            #expect(try transaction.string("description") == "Report")
            #expect(transaction.text(of: "amount") == "-2.5")
            #expect(try transaction.object("metadata").string("service") == "web-gateway")
            #expect(try transaction.object("metadata").object("metadata").integer("page") == 7)

            let other = try await deduct(Self.deduction(["amount": "3"], key: key))
            #expect(other.status == 409)
            #expect(other.code == "idempotency_conflict")
            // The key is the server's own: for another user it is a conflict, for another server another key.
            let stranger = server.person()
            let crossed = try await server.ask("POST", "/api/credits/deduct", as: web, body, onBehalfOf: stranger.userID)
            #expect(crossed.code == "idempotency_conflict")
            let mcp = server.service("mcp-server", for: person)
            #expect(try await server.ask("POST", "/api/credits/deduct", as: mcp, body, onBehalfOf: person.userID).status == 201)

            let racing = Self.deduction()
            let statuses = try await concurrently(8) { _ in try await deduct(racing).status }
            #expect(statuses.sorted() == [200, 200, 200, 200, 200, 200, 200, 201])
            #expect(try await server.ask("GET", "/v1/credits", as: person).json?.text(of: "balance") == "2.5")

            let line = try await server.lines("/api/credits/history?q=reports.make&limit=1", as: person).objects[0]
            #expect(try !line.object("metadata").has("idempotency_key"))
            let operations = try await server.object("/api/credits/usage/operations", as: person).objects("operations")
            #expect(operations.map { $0.text(of: "credits_used") } == ["5", "2.5"])
        }
    }

    @Test func `further operations of a quarter of an hour are recorded as other`() async throws {
        try await withServer { server in
            let person = server.person()
            let web = server.service("web-gateway", for: person)
            try await server.ledger.do(.grant(.purchase, amount: credits(10)), account: person.accountID)
            // If a quarter of an hour begins meanwhile, two of them still have fewer places than
            // there are names.
            let count = 2 * Operations.namesMax + 1
            let statuses = try await concurrently(count) { number in
                let body = Self.deduction(["amount": "0.01", "operation": #""operation \#(number)""#])
                return try await server.ask("POST", "/api/credits/deduct", as: web, body, onBehalfOf: person.userID).status
            }
            #expect(statuses == [Int](repeating: 201, count: count))
            let operations = try await server.object("/api/credits/usage/operations?limit=1000", as: person).objects("operations")
            #expect(try operations.contains { try $0.optionalString("operation") == Operations.other })
            #expect(operations.count <= 2 * (Operations.namesMax + 1))
        }
    }

    @Test func `the user is named by the header or in the body`() async throws {
        try await withServer { server in
            let (person, other) = (server.person(), server.person())
            let web = server.service("web", for: person)
            try await server.ledger.do(.grant(.purchase, amount: credits(10)), account: person.accountID)
            func deduct(_ members: [String: String], header: UserID?) async throws -> Answer {
                try await server.ask("POST", "/api/credits/deduct", as: web, Self.deduction(members), onBehalfOf: header)
            }
            let named = ["user_id": #""\#(person.userID)""#]
            #expect(try await deduct(named, header: nil).status == 201)
            #expect(try await deduct(named, header: person.userID).status == 201)
            let crossed = try await deduct(named, header: other.userID)
            #expect(crossed.status == 400)
            #expect(crossed.param == "user_id")
            let nobody = try await deduct([:], header: nil)
            #expect(nobody.status == 400)
            #expect(nobody.param == "x-on-behalf-of")
        }
    }

    @Test func `users and API keys cannot deduct`() async throws {
        try await withServer { server in
            let admin = server.person(isAdmin: true)
            for caller in [admin, server.person(), server.key(of: admin, scopes: ["credits"])] {
                let answer = try await server.ask(
                    "POST", "/api/credits/deduct", as: caller, Self.deduction(), onBehalfOf: caller.userID)
                #expect(answer.status == 403)
                #expect(answer.code == "insufficient_scope")
            }
        }
    }

    @Test func `a deduction is all or nothing, and a refusal is final for its key`() async throws {
        try await withServer { server in
            let person = server.person()
            let web = server.service("web", for: person)
            func deduct(_ body: String) async throws -> Answer {
                try await server.ask("POST", "/api/credits/deduct", as: web, body, onBehalfOf: person.userID)
            }
            let nobody = try await deduct(Self.deduction())
            #expect(nobody.status == 402)
            #expect(nobody.code == "insufficient_credits")
            try await server.ledger.do(.grant(.purchase, amount: credits(2)), account: person.accountID)
            let body = Self.deduction()
            let refused = try await deduct(body)
            #expect(refused.status == 402)
            #expect(refused.header("x-should-retry") == "false")
            let error = try #require(try refused.json?.object("error"))
            #expect(error.text(of: "balance") == "2")
            #expect(error.text(of: "required") == "2.5")
            #expect(try error.string("top_up_url") == "http://gateway/billing")
            try await server.ledger.do(.grant(.purchase, amount: credits(20)), account: person.accountID)
            #expect(try await deduct(body).status == 402)
            #expect(try await deduct(Self.deduction()).status == 201)

            for (name, limits) in [("daily", #"{"daily":3}"#), ("monthly", #"{"daily":null,"monthly":4}"#)] {
                _ = try await server.ask("PUT", "/api/credits/limits", as: person, limits)
                let limited = try await deduct(Self.deduction())
                #expect(limited.status == 402)
                #expect(limited.code == "spending_limit_reached")
                let error = try #require(try limited.json?.object("error"))
                #expect(try error.string("limit") == name)
                #expect(try error.string("limit_scope") == "account")
                #expect(try Instant(error.string("resets_at"))! > .now())
            }
            #expect(try await server.ask("GET", "/v1/credits", as: person).json?.text(of: "balance") == "19.5")
        }
    }

    @Test(arguments: [
        ("amount", "0"), ("amount", "-1"), ("amount", "1.0000000001"), ("amount", "1e3"), ("amount", "99999999999999999999"),
        ("amount", "1000000000.000000001"), ("amount", #""5""#), ("amount", ""), ("amount", "null"), ("description", ""),
        ("description", #""""#), ("description", #""\u0000""#), ("description", #""\u0085""#), ("description", "7"),
        ("description", #""\#(String(repeating: "x", count: 501))""#), ("idempotency_key", ""), ("idempotency_key", #""""#),
        ("idempotency_key", #""e\#(String(repeating: "\u{0301}", count: 200))""#), ("operation", #""""#), ("operation", "7"),
        ("operation", #""\#(String(repeating: "x", count: 201))""#), ("metadata", "[]"), ("metadata", #""x""#),
        ("metadata", #"{"a":"\u0000"}"#), ("metadata", #"{"a\u0000":1}"#), ("metadata", #"{"a":1e200000}"#),
        ("metadata", #"{"a":[{"b":1e131071}]}"#), ("metadata", #"{"a":-1E-301}"#), ("metadata", #"{"a":1e+99999999999999999999}"#),
        ("metadata", #"{"a":0.\#(String(repeating: "1", count: 39))}"#),
        ("metadata", #"{"a":[\#(Array(repeating: "1e300", count: 60).joined(separator: ","))]}"#),
        ("metadata", #"{"a":"\#(String(repeating: "x", count: 8_190))"}"#),
        ("user_id", #""17""#), ("user_id", "17"),
    ])
    func `a bad deduction names its field`(name: String, value: String) async throws {
        try await withServer { server in
            let person = server.person()
            try await server.ledger.do(.grant(.purchase, amount: credits(10)), account: person.accountID)
            let answer = try await server.ask(
                "POST", "/api/credits/deduct", as: server.service("web", for: person), Self.deduction([name: value]),
                onBehalfOf: person.userID)
            #expect(answer.status == 400)
            #expect(answer.param == name)
            #expect(try await server.ask("GET", "/v1/credits", as: person).json?.text(of: "balance") == "10")
        }
    }

    @Test func `a deduction of held credits is undecided, and may be repeated under its key`() async throws {
        try await withServer { server in
            let person = server.person()
            try await server.ledger.do(.grant(.purchase, amount: credits(10)), account: person.accountID)
            let call = ChargeID.make()
            try await server.ledger.do(hold(9), on: call, account: person.accountID)
            let body = Self.deduction()
            func deduct() async throws -> Answer {
                try await server.ask(
                    "POST", "/api/credits/deduct", as: server.service("web", for: person), body, onBehalfOf: person.userID)
            }
            let held = try await deduct()
            #expect(held.status == 503)
            #expect(held.code == "credits_held")
            #expect(held.header("retry-after") == "2")
            try await server.ledger.do(.void, on: call, account: person.accountID)
            #expect(try await deduct().status == 201)
        }
    }

    @Test func `a body is an object within the limit`() async throws {
        try await withServer { server in
            let person = server.person()
            let web = server.service("web", for: person)
            let long = try await server.ask(
                "POST", "/api/credits/deduct", as: web, String(repeating: " ", count: 65_537), onBehalfOf: person.userID)
            #expect(long.status == 413)
            #expect(long.code == "payload_too_large")
            for body in ["", "[]", "{", "{}{}"] {
                for user in [person.userID, nil] {
                    let answer = try await server.ask("POST", "/api/credits/deduct", as: web, body, onBehalfOf: user)
                    #expect(answer.status == 400)
                    #expect(answer.code == "invalid_json")
                }
                #expect(try await server.ask("POST", "/api/credits/deduct", as: nil, body).status == 401)
            }
        }
    }
}
