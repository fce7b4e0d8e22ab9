import Contracts
import HTTP
import Identity
import JSON
import TestSupport
import Testing
import Text

@testable import Ledger

extension RoutesTests {
    @Test func `a procedure answers in tRPC's envelope what the plain path answers`() async throws {
        try await withServer { server in
            let person = server.person()
            try await server.ledger.do(.grant(.purchase, amount: credits(10)), account: person.accountID)
            for _ in 0..<3 { try await server.call(person, cost: credits(1), model: "m") }
            let balance = try await server.ask("GET", "/api/trpc/credits.balance", as: person)
            #expect(balance.status == 200)
            let plain = try await server.ask("GET", "/api/credits/balance", as: person)
            #expect(balance.text == #"{"result":{"data":\#(plain.text)}}"#)
            for (input, query) in [
                ("", ""), (#"{"limit":2,"page":2}"#, "limit=2&page=2"),
                (#"{"type":["usage","bonus"],"limit":1}"#, "type=usage,bonus&limit=1"),
                (#"{"type":"purchase","cursor":null,"direction":"forward"}"#, "type=purchase"), ("null", ""),
                (#"{"cursor":3}"#, "cursor=3"),
                (#"{"from":"2026-01-01","tz":"Asia/Bangkok","q":"M & m"}"#, "from=2026-01-01&tz=Asia/Bangkok&q=M%20%26%20m"),
            ] {
                let called = try await server.ask(
                    "GET", "/api/trpc/credits.history?input=\(PercentEncoding.encode(input))", as: person)
                let plain = try await server.ask("GET", "/api/credits/history?\(query)", as: person)
                #expect(called.text == #"{"result":{"data":\#(plain.text)}}"#, "\(input)")
            }
        }
    }

    @Test func `a batch answers each procedure in its order, and 207 when their statuses differ`() async throws {
        try await withServer { server in
            let person = server.person()
            try await server.ledger.do(.grant(.purchase, amount: credits(10)), account: person.accountID)
            func batch(_ names: String, _ input: String) async throws -> (status: Int, answers: [JSONObject]) {
                let answer = try await server.ask(
                    "GET", "/api/trpc/\(names)?batch=1&input=\(PercentEncoding.encode(input))", as: person)
                return (answer.status, try JSONValue(answer.body).array?.compactMap(\.object) ?? [])
            }
            let both = try await batch("credits.balance,credits.history", #"{"1":{"limit":1}}"#)
            #expect(both.status == 200)
            #expect(try both.answers[0].object("result").object("data").text(of: "balance") == "10")
            #expect(try both.answers[1].object("result").object("data").text(of: "limit") == "1")
            #expect(try await batch("credits.balance", "{}").answers.count == 1)
            #expect(try await batch("credits.history%2Ccredits.history", #"{"0":{"limit":1},"1":{"limit":2}}"#).answers.count == 2)

            let mixed = try await batch("credits.balance,credits.history,credits.packages", #"{"1":{"limit":0}}"#)
            #expect(mixed.status == 207)
            #expect(mixed.answers[0].has("result"))
            #expect(try mixed.answers[1].object("error").integer("code") == -32_600)
            #expect(try mixed.answers[1].object("error").object("data").string("param") == "limit")
            #expect(try mixed.answers[2].object("error").object("data").string("code") == "NOT_FOUND")
            #expect(try await batch("credits.x,credits.y", "{}").status == 404)
            let many = try await server.ask(
                "GET", "/api/trpc/\(Array(repeating: "credits.balance", count: 11).joined(separator: ","))?batch=1", as: person)
            #expect(many.status == 400)
        }
    }

    @Test(arguments: [
        ("credits.history?input=%7B", "PARSE_ERROR", -32_700, 400), ("credits.history?input=%5B%5D", "PARSE_ERROR", -32_700, 400),
        ("credits.history?input=%7B%22limit%22%3A%7B%7D%7D", "BAD_REQUEST", -32_600, 400),
        ("credits.history?input=%7B%22limit%22%3A1.5%7D", "BAD_REQUEST", -32_600, 400),
        ("credits.history?input=%7B%22type%22%3A%5B%22usage%22%2C7%5D%7D", "BAD_REQUEST", -32_600, 400),
        ("credits.history?input=%FF", "BAD_REQUEST", -32_600, 400), ("a,b?batch=1&x=%FF", "BAD_REQUEST", -32_600, 400),
        ("credits.history?batch=1&input=%7B%220%22%3A7%7D", "BAD_REQUEST", -32_600, 400),
        ("credits.nothing", "NOT_FOUND", -32_004, 404), ("credits.balance,credits.history", "NOT_FOUND", -32_004, 404),
    ])
    func `a procedure's error has tRPC's shape`(path: String, code: String, number: Int64, status: Int) async throws {
        try await withServer { server in
            let answer = try await server.ask("GET", "/api/trpc/\(path)", as: server.person())
            #expect(answer.status == status)
            let object = try answer.json ?? JSONValue(answer.body).array?.first?.object
            let error = try #require(try object?.object("error"))
            #expect(try error.integer("code") == number)
            #expect(try error.object("data").string("code") == code)
            #expect(try error.object("data").integer("httpStatus") == Int64(status))
        }
    }

    @Test func `a procedure without credentials is unauthorized, and with a key without the scope forbidden`() async throws {
        try await withServer { server in
            let answer = try await server.ask("GET", "/api/trpc/credits.balance", as: nil)
            #expect(answer.status == 401)
            #expect(answer.header("www-authenticate") != nil)
            let error = try #require(try answer.json?.object("error"))
            #expect(try error.integer("code") == -32_001)
            #expect(
                error.text(of: "data")
                    == #"{"code":"UNAUTHORIZED","httpStatus":401,"path":"credits.balance","reason":"invalid_api_key","param":null}"#)
            let batch = try await server.ask("GET", "/api/trpc/credits.balance,credits.history?batch=1", as: nil)
            #expect(batch.status == 401)
            #expect(batch.header("www-authenticate") == answer.header("www-authenticate"))
            #expect(try JSONValue(batch.body).array?.count == 2)
            let key = server.key(of: server.person(), scopes: ["llm"])
            let forbidden = try await server.ask("GET", "/api/trpc/credits.history", as: key)
            #expect(forbidden.status == 403)
            #expect(try forbidden.json?.object("error").integer("code") == -32_003)
        }
    }
}
