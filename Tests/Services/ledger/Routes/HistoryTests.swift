import HTTP
import HTTPClient
import Identity
import JSON
import Postgres
import TestSupport
import Testing
import Values

@testable import Ledger
@testable import LedgerCore

extension RoutesTests {
    @Test func `history shows what changed the balance, newest first, page by page and by cursor`() async throws {
        try await withServer { server in
            let person = server.person()
            try await server.ledger.do(.grant(.planGrant, amount: credits(100)), account: person.accountID)
            for _ in 0..<7 { try await server.call(person, cost: credits(2), model: "m") }
            try await server.ledger.do(hold(5), account: person.accountID)

            let first = try await server.lines("/api/credits/history?limit=5", as: person)
            #expect(first.amounts == ["-2", "-2", "-2", "-2", "-2"])
            #expect(first.page.text(of: "total") == "8")
            #expect(first.page.text(of: "total_is_exact") == "true")
            #expect(first.page.text(of: "has_more") == "true")
            let second = try await server.lines("/api/credits/transactions?limit=5&page=2", as: person)
            #expect(second.amounts == ["-2", "-2", "100"])
            #expect(second.page.text(of: "has_more") == "false")
            #expect(second.page.text(of: "next_cursor") == "null")
            let cursor = try first.page.string("next_cursor")
            let byCursor = try await server.lines("/api/credits/history?limit=5&cursor=\(cursor)", as: person)
            #expect(byCursor.amounts == second.amounts)
            #expect(byCursor.page.text(of: "total") == "null")
            let grants = try await server.lines("/api/credits/history?type=plan_grant,purchase", as: person)
            #expect(grants.amounts == ["100"])
            #expect(grants.objects[0].text(of: "balance_before") == "0")
            #expect(grants.objects[0].text(of: "balance_after") == "100")
            #expect(try await server.lines("/api/credits/history?type=usage,bonus&limit=100", as: person).amounts.count == 7)

            #expect(try await server.lines("/api/credits/history", as: server.person()).amounts == [])
            let admin = server.person(isAdmin: true)
            let seen = try await server.lines("/api/admin/credits/history?user_id=\(person.userID)&limit=5", as: admin)
            #expect(seen.amounts == first.amounts)
        }
    }

    @Test(arguments: [
        ("limit=", "limit"), ("page=", "page"), ("limit=0", "limit"), ("limit=101", "limit"), ("limit=x", "limit"),
        ("limit=1&limit=2", "limit"), ("page=0", "page"),
        ("page=10001", "page"), ("cursor=x", "cursor"), ("cursor=-1", "cursor"), ("cursor=0", "cursor"),
        ("cursor=99999999999999999999", "cursor"), ("type=hold", "type"), ("type=void", "type"), ("type=nonsense", "type"),
        ("type=usage,", "type"), ("from=yesterday", "from"), ("from=2026-02-30", "from"), ("from=1999-12-31", "from"),
        ("to=2200-01-01", "to"), ("to=2026-11-20T25:00:00Z", "to"), ("to=2026-11-20T10:00:00%2B7", "to"),
        ("from=2026-11-20&to=2026-11-19", "from"), ("from=2026-11-20T00:00:00Z&to=2026-11-20T00:00:00Z", "from"),
        ("tz=Mars/Olympus", "tz"), ("tz=UTC%2B3", "tz"), ("tz=X%2B3", "tz"), ("from=2026-11-20&tz='", "tz"),
        ("q=%01", "q"), ("q=\(String(repeating: "x", count: 201))", "q"), ("format=xml", "format"), ("format=csv&page=2", "page"),
        ("format=csv&limit=20", "limit"), ("format=csv&cursor=5", "cursor"),
    ])
    func `a bad parameter of history is named`(query: String, param: String) async throws {
        try await withServer { server in
            let answer = try await server.ask("GET", "/api/credits/history?\(query)", as: server.person())
            #expect(answer.status == 400)
            #expect(answer.code == "invalid_request")
            #expect(answer.param == param)
        }
    }

    @Test func `unknown parameters and empty fields, but for numbers, are ignored`() async throws {
        try await withServer { server in
            let person = server.person()
            try await server.ledger.do(.grant(.bonus, amount: credits(1)), account: person.accountID)
            let path = "/api/credits/history?type=&q=&from=&to=&tz=&cursor=&format=&colour=blue"
            #expect(try await server.lines(path, as: person).amounts == ["1"])
        }
    }

    @Test func `a search looks at description, model, operation and id, in any case`() async throws {
        try await withServer { server in
            let (admin, person) = (server.person(isAdmin: true), server.person())
            _ = try await server.ask(
                "POST", "/api/admin/credits/adjust", as: admin,
                #"{"user_id":"\#(person.userID)","type":"bonus","amount":50,"reason":"Sorry, 100% our_fault","idempotency_key":"\#(UserID.make())"}"#
            )
            let id = try await server.call(person, cost: credits(1), model: "gpt-Large", operation: "pmItems.enhanceWithContext")
            try await server.call(person, cost: credits(2), model: "small", operation: "queue.addToQueue")
            for (text, amounts) in [
                ("GPT-l", ["-1"]), ("pmitems.", ["-1"]), ("QUEUE", ["-2"]), ("sorry", ["50"]), ("100%25", ["50"]), ("our_", ["50"]),
                ("%25", ["50"]), ("s_a", []), (id.description, ["-1"]), (String(id.description.suffix(12)).uppercased(), ["-1"]),
                ("small%0Aqueue", nil), (admin.userID.description, []),
            ] as [(String, [String]?)] {
                guard let amounts else {
                    #expect(try await server.ask("GET", "/api/credits/history?q=\(text)", as: person).status == 400)
                    continue
                }
                #expect(try await server.lines("/api/credits/history?q=\(text)", as: person).amounts == amounts, "\(text)")
            }
            #expect(try await server.lines("/api/credits/history?q=s&type=usage&limit=1", as: person).amounts == ["-2"])
        }
    }
}
