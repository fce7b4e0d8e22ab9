import HTTP
import Identity
import JSON
import TestSupport
import Testing
import Values

@testable import Ledger

extension RoutesTests {
    /// ``RouteServer/ask(_:_:as:_:onBehalfOf:)`` compares each answer with its schema.
    @Test func `every operation answers a caller with credentials as the document promises`() async throws {
        try await withServer { server in
            let (admin, person) = (server.person(isAdmin: true), server.person())
            let web = server.service("web-gateway", for: person)
            let adjustment =
                #"{"user_id":"\#(person.userID)","type":"topup","amount":25.5,"reason":"x","idempotency_key":"\#(UserID.make())"}"#
            let deduction = #"{"amount":2.5,"description":"x","idempotency_key":"\#(UserID.make())","operation":"o"}"#
            let period = "from=2026-01-01&to=2026-01-03"
            var asked: Set<String> = []
            func ask(
                _ operation: String, _ query: String = "", as caller: Principal, _ body: String? = nil, status: Int = 200
            ) async throws {
                asked.insert(operation)
                let parts = operation.split(separator: " ")
                let name = String(parts[1]).replacing("{procedures}", with: "credits.balance,credits.history")
                let path = query.isEmpty ? name : "\(name)?\(query)"
                let answer = try await server.ask(
                    String(parts[0]), path, as: caller, body, onBehalfOf: caller.service == nil ? nil : person.userID)
                #expect(answer.status == status, "\(operation): \(answer.text)")
            }
            try await ask("POST /api/admin/credits/adjust", as: admin, adjustment, status: 201)
            try await ask("POST /api/admin/credits/adjust", as: admin, adjustment)
            try await ask("POST /api/credits/deduct", as: web, deduction, status: 201)
            try await ask("POST /api/credits/deduct", as: web, deduction)
            try await server.call(person, cost: credits(1), model: "m", operation: "o", tokens: (3, 4))
            try await ask("PUT /api/credits/limits", as: person, #"{"daily":20,"low_balance_level":null}"#)
            for path in ["/v1/credits", "/api/credits/balance", "/api/credits/limits", "/api/trpc/credits.balance"] {
                try await ask("GET \(path)", as: person)
            }
            for path in ["/api/credits/history", "/api/credits/transactions"] {
                try await ask("GET \(path)", as: person)
                try await ask("GET \(path)", "format=csv", as: person)
            }
            try await ask("GET /api/trpc/credits.history", as: person)
            for path in ["summary", "daily", "models", "operations"] {
                try await ask("GET /api/credits/usage/\(path)", as: person)
                try await ask("GET /api/credits/usage/\(path)", period, as: person)
            }
            try await ask("GET /api/trpc/{procedures}", "batch=1", as: person)
            try await ask("GET /api/admin/credits/balance", "user_id=\(person.userID)", as: admin)
            try await ask("GET /api/admin/credits/history", "user_id=\(person.userID)", as: admin)
            try await ask("GET /api/admin/credits/usage", period, as: admin)
            try await ask("GET /api/admin/credits/totals", period, as: admin)
            try await ask("GET /api/admin/credits/audit", as: admin)
            try await ask("GET /api/admin/credits/audit", "last=true", as: admin)
            #expect(asked == Set(server.operations))
        }
    }
}
