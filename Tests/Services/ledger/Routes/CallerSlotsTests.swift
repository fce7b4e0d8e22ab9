import EventLoop
import HTTP
import Identity
import Postgres
import TestSupport
import Testing
import Values

@testable import Ledger

extension RoutesTests {
    @Test func `reads take no connection from decisions, and decisions none from reads`() async throws {
        try await withServer { server in
            let person = server.person()
            let web = server.service("web", for: person)
            try await server.ledger.do(.grant(.purchase, amount: credits(10)), account: person.accountID)
            try await server.ledger.reads.withAll(2) {
                let answer = try await server.ask(
                    "POST", "/api/credits/deduct", as: web,
                    #"{"amount":1,"description":"x","idempotency_key":"\#(person.userID)"}"#, onBehalfOf: person.userID)
                #expect(answer.status == 201)
            }
            try await server.ledger.pool.withAll(2) {
                for (method, path) in Self.forEverybody {
                    let answer = try await server.ask(method, path, as: person)
                    #expect(answer.status == 200, "\(path)")
                }
                let export = try await server.ask("GET", "/api/credits/history?format=csv", as: person)
                #expect(export.status == 200)
            }
        }
    }

    @Test func `two reads of one caller run at once, and further ones are refused with retry-after`() async throws {
        try await withServer { server in
            let (person, other) = (server.person(), server.person())
            var held = [try await server.slots.take(for: person.accountID), try await server.slots.take(for: person.accountID)]
            for path in ["history", "history?format=csv", "usage/summary", "usage/daily", "usage/models", "usage/operations"] {
                let refused = try await server.ask("GET", "/api/credits/\(path)", as: person)
                #expect(refused.status == 429, "\(path)")
                #expect(refused.code == "rate_limited")
                #expect(refused.header("retry-after") == "1")
            }
            #expect(try await server.ask("GET", "/api/trpc/credits.history", as: person).status == 429)
            #expect(try await server.ask("GET", "/v1/credits", as: person).status == 200)
            #expect(try await server.ask("GET", "/api/credits/history", as: other).status == 200)
            held.removeLast()
            // An export returns its slot when it is read, and when its client leaves.
            for method in ["GET", "HEAD", "GET"] {
                #expect(try await server.ask(method, "/api/credits/history?format=csv", as: person).status == 200)
            }
            #expect(try await server.ask("GET", "/api/credits/history", as: person).status == 200)
            withExtendedLifetime(held) {}
        }
    }

    @Test func `reads of an API key do not keep the owner from setting a limit`() async throws {
        try await withServer { server in
            let person = server.person()
            let key = server.key(of: person, scopes: ["credits"])
            let reads = [try await server.slots.take(for: key.accountID), try await server.slots.take(for: key.accountID)]
            #expect(try await server.ask("GET", "/api/credits/history", as: key).status == 429)
            #expect(try await server.ask("PUT", "/api/credits/limits", as: person, #"{"daily":1}"#).status == 200)

            let changes = [
                try await server.settingSlots.take(for: person.accountID), try await server.settingSlots.take(for: person.accountID),
            ]
            let refused = try await server.ask("PUT", "/api/credits/limits", as: person, #"{"daily":2}"#)
            #expect(refused.status == 429)
            #expect(refused.text.contains("changes of settings"))
            withExtendedLifetime((reads, changes)) {}
        }
    }

    @Test func `a waiting read gets the next free slot, and the line is bounded`() async throws {
        try await TestDatabase.onLoop {
            let slots = CallerSlots(of: "reads", loop: TestDatabase.loop, patience: .seconds(60))
            let account = AccountID.make()
            let statuses = try await concurrently(30) { _ in
                do {
                    // Running requests yield first, so that all requests have come before a slot is
                    // free.
                    return try await slots.during(account) {
                        for _ in 0..<100 { await Task.yield() }
                        return 200
                    }
                } catch let problem as Problem { return problem.status }
            }
            #expect(statuses.count { $0 == 200 } == CallerSlots.runningMax + CallerSlots.waitingMax)
            #expect(statuses.count { $0 == 429 } == 20)
            #expect(try await slots.during(account) { true })
        }
    }
}

extension PostgresPool {
    /// Runs `body` while another task has all `count` connections.
    func withAll(_ count: Int, _ body: () async throws -> Void) async throws {
        guard count > 0 else { return try await body() }
        try await withConnection { _ in try await withAll(count - 1, body) }
    }
}
