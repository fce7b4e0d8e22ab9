import Contracts
import EventLoop
import HTTP
import HTTPClient
import HTTPWire
import Identity
import JSON
import Postgres
import Telemetry
import TestSupport
import Testing

@testable import Ledger

@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct RoutesTests {
    @Test(arguments: ["/v1/credits", "/api/credits/balance"])
    func `a balance says what is there, what is held and what can be spent`(path: String) async throws {
        try await withServer { server in
            let person = server.person()
            try await server.ledger.do(.grant(.purchase, amount: Credits(decimal: "10.000000001")!), account: person.accountID)
            try await server.ledger.do(hold(4), account: person.accountID)
            let answer = try await server.ask("GET", path, as: person)
            #expect(answer.status == 200)
            #expect(answer.json?.text(of: "balance") == "10.000000001")
            #expect(answer.json?.text(of: "held") == "4")
            #expect(answer.json?.text(of: "available") == "6.000000001")
            #expect(answer.json?.text(of: "currency") == #""credits""#)
            #expect(answer.json?.text(of: "plan") == #""free""#)
            #expect(answer.json?.text(of: "lots")?.contains(#""remaining":10.000000001"#) == true)
        }
    }

    @Test func `a person without an account has nothing`() async throws {
        try await withServer { server in
            let answer = try await server.ask("GET", "/v1/credits", as: server.person())
            #expect(answer.json?.text(of: "balance") == "0")
        }
    }

    @Test func `without credentials nothing is told`() async throws {
        try await withServer { server in
            for (method, path) in [
                ("GET", "/v1/credits"), ("GET", "/api/credits/history"), ("POST", "/api/admin/credits/adjust"),
                ("GET", "/api/admin/credits/audit"), ("GET", "/api/admin/credits/history"),
            ] {
                let answer = try await server.ask(method, path, as: nil)
                #expect(answer.status == 401)
                #expect(answer.code == "invalid_api_key")
            }
        }
    }

    @Test func `only administrators adjust, audit and look at others`() async throws {
        try await withServer { server in
            let person = server.person()
            for (method, path) in [
                ("POST", "/api/admin/credits/adjust"), ("GET", "/api/admin/credits/audit"), ("GET", "/api/admin/credits/history"),
            ] {
                let answer = try await server.ask(method, path, as: person)
                #expect(answer.status == 403)
                #expect(answer.code == "admin_required")
            }
        }
    }

    @Test func `an adjustment is applied once for its key`() async throws {
        try await withServer { server in
            let (admin, person) = (server.person(isAdmin: true), server.person())
            let body =
                #"{"user_id":"\#(person.userID)","type":"topup","amount":25.5,"reason":"thanks","idempotency_key":"k-\#(person.userID)"}"#
            let first = try await server.ask("POST", "/api/admin/credits/adjust", as: admin, body)
            #expect(first.status == 201)
            #expect(first.json?.text(of: "balance") == "25.5")
            let again = try await server.ask("POST", "/api/admin/credits/adjust", as: admin, body)
            #expect(again.status == 200)
            #expect(again.json?.text(of: "balance") == "25.5")
            let other = try await server.ask(
                "POST", "/api/admin/credits/adjust", as: admin, body.replacing("25.5", with: "26"))
            #expect(other.status == 409)
            #expect(other.code == "idempotency_conflict")
            let eight = try await concurrently(8) { index in
                try await server.ask(
                    "POST", "/api/admin/credits/adjust", as: admin, body.replacing("\"k-", with: "\"eight-")
                ).status
            }
            #expect(eight.filter { $0 == 201 }.count == 1)
            #expect(eight.filter { $0 == 200 }.count == 7)
            #expect(try await server.ask("GET", "/v1/credits", as: person).json?.text(of: "balance") == "51")

            // Who did it is for administrators to see.
            let own = try await server.lines("/api/credits/history", as: person)
            #expect(own.objects.map { $0.text(of: "metadata") } == ["{}", "{}"])
            let theirs = try await server.lines("/api/admin/credits/history?user_id=\(person.userID)", as: admin)
            #expect(try theirs.objects[0].object("metadata").string("admin_id") == admin.userID.description)
        }
    }

    @Test(arguments: [
        (#""amount":0"#, "amount"), (#""amount":-1"#, "amount"), (#""amount":1.0000000001"#, "amount"), (#""amount":1e3"#, "amount"),
        (#""amount":99999999999999999999"#, "amount"), (#""amount":2000000000"#, "amount"), (#""amount":"5""#, "amount"),
        (#""type":"gift""#, "type"), (#""user_id":"17""#, "user_id"), (#""reason":"""#, "reason"), (#""reason":"\u0000""#, "reason"),
        (#""idempotency_key":null"#, "idempotency_key"),
    ])
    func `a bad adjustment names its field`(member: String, param: String) async throws {
        try await withServer { server in
            let admin = server.person(isAdmin: true)
            var members = [
                "user_id": #""\#(UserID.make())""#, "type": #""topup""#, "amount": "5", "reason": #""x""#,
                "idempotency_key": #""\#(UserID.make())""#,
            ]
            let parts = member.split(separator: ":", maxSplits: 1)
            members[String(parts[0].filter { $0 != "\"" })] = String(parts[1])
            let body = "{" + members.map { #""\#($0)":\#($1)"# }.joined(separator: ",") + "}"
            let answer = try await server.ask("POST", "/api/admin/credits/adjust", as: admin, body)
            #expect(answer.status == 400)
            #expect(try answer.json?.object("error").string("param") == param)
        }
    }

    @Test func `an adjustment takes what is free and no more`() async throws {
        try await withServer { server in
            let (admin, person) = (server.person(isAdmin: true), server.person())
            try await server.ledger.do(.grant(.purchase, amount: credits(10)), account: person.accountID)
            try await server.ledger.do(hold(4), account: person.accountID)
            func take(_ amount: Int) async throws -> Answer {
                try await server.ask(
                    "POST", "/api/admin/credits/adjust", as: admin,
                    #"{"user_id":"\#(person.userID)","type":"adjustment","amount":-\#(amount),"reason":"x","idempotency_key":"\#(UserID.make())"}"#
                )
            }
            let tooMuch = try await take(7)
            #expect(tooMuch.status == 402)
            #expect(tooMuch.code == "insufficient_credits")
            #expect(try await take(6).status == 201)
        }
    }

    @Test func `history shows what changed the balance, newest first, page by page and by cursor`() async throws {
        try await withServer { server in
            let person = server.person()
            try await server.ledger.do(.grant(.planGrant, amount: credits(100)), account: person.accountID)
            for _ in 0..<7 {
                let id = ChargeID.make()
                try await server.ledger.do(hold(5), on: id, account: person.accountID)
                try await server.ledger.do(settle(2), on: id, account: person.accountID)
            }
            try await server.ledger.do(hold(5), account: person.accountID)

            let first = try await server.lines("/api/credits/history?limit=5", as: person)
            #expect(first.amounts == ["-2", "-2", "-2", "-2", "-2"])
            #expect(first.page.text(of: "total") == "8")
            #expect(first.page.text(of: "has_more") == "true")
            let second = try await server.lines("/api/credits/transactions?limit=5&page=2", as: person)
            #expect(second.amounts == ["-2", "-2", "100"])
            #expect(second.page.text(of: "has_more") == "false")
            let cursor = try first.page.string("next_cursor")
            let byCursor = try await server.lines("/api/credits/history?limit=5&cursor=\(cursor)", as: person)
            #expect(byCursor.amounts == second.amounts)
            let grants = try await server.lines("/api/credits/history?type=plan_grant,purchase", as: person)
            #expect(grants.amounts == ["100"])
            #expect(grants.objects[0].text(of: "balance_before") == "0")
            #expect(grants.objects[0].text(of: "balance_after") == "100")

            for query in ["limit=0", "limit=101", "page=0", "cursor=x", "cursor=-1", "type=hold", "type=nonsense"] {
                #expect(try await server.ask("GET", "/api/credits/history?\(query)", as: person).status == 400, "\(query)")
            }
            #expect(try await server.lines("/api/credits/history", as: server.person()).amounts == [])
            let admin = server.person(isAdmin: true)
            let seen = try await server.lines("/api/admin/credits/history?user_id=\(person.userID)&limit=5", as: admin)
            #expect(seen.amounts == first.amounts)
        }
    }

    @Test func `the audit finds nothing in what the ledger wrote, and names the row that somebody else changed`() async throws {
        try await withServer { server in
            let (admin, person) = (server.person(isAdmin: true), server.person())
            let id = ChargeID.make()
            try await server.ledger.do(.grant(.purchase, amount: credits(10)), account: person.accountID)
            try await server.ledger.do(hold(4), on: id, account: person.accountID)
            let clean = try await server.ask("GET", "/api/admin/credits/audit", as: admin)
            #expect(clean.json?.text(of: "consistent") == "true")

            try await server.tamper("UPDATE account SET posted = posted + 1 WHERE account_id = '\(person.accountID)'")
            #expect(try await server.findings(admin) == [["account", person.accountID.description]])
            try await server.tamper("UPDATE account SET posted = posted - 1 WHERE account_id = '\(person.accountID)'")

            try await server.tamper("UPDATE journal SET posted_after = posted_after - 1 WHERE charge_id = '\(id)'")
            #expect(try await server.findings(admin) == [["chain", person.accountID.description]])
            try await server.tamper("UPDATE journal SET posted_after = posted_after + 1 WHERE charge_id = '\(id)'")

            try await server.tamper("UPDATE open_hold SET amount = amount + 1 WHERE charge_id = '\(id)'")
            #expect(try await server.findings(admin) == [["held", person.accountID.description], ["hold", person.accountID.description]])
            try await server.tamper("UPDATE open_hold SET amount = amount - 1 WHERE charge_id = '\(id)'")
            #expect(try await server.findings(admin) == [])
        }
    }
}

struct Answer: Sendable {
    let status: Int
    let json: JSONObject?
    var code: String? { try? json?.object("error").string("code") }
}

extension JSONObject {
    /// A member's own characters.
    func text(of name: String) -> String? {
        members.first { $0.name == name }.map { String(decoding: bytes[$0.valueRange], as: UTF8.self) }
    }
}

/// The ledger's HTTP side over a real socket and a real database; who calls is told by a table of tokens.
final class RouteServer: @unchecked Sendable {
    // @unchecked Sendable: used on the test loop only.
    let ledger: StoreUnderTest
    private var people: [String: Principal] = [:]
    private var server: HTTPServer?
    private let client = HTTPClient(loop: TestDatabase.loop)

    init(_ ledger: StoreUnderTest) { self.ledger = ledger }

    func start() throws {
        let log = Logger(service: "ledger-test", level: .error)
        let routes = Routes(
            store: ledger.store, runner: ledger.runner, authenticate: { [self] in try principal($0) }, topUpURL: "http://gateway/billing",
            log: log)
        let server = HTTPServer(
            loop: TestDatabase.loop, configuration: HTTPServerConfiguration(host: "127.0.0.1", port: 0),
            handler: routes.router.handler(log: log, service: "ledger"), log: log)
        try server.start()
        self.server = server
    }

    func stop() async {
        await server?.drain(within: .seconds(1))
        client.close()
    }

    private func principal(_ request: Request) throws(Problem) -> Principal {
        guard let person = request.headers.string(for: "authorization").flatMap({ people[$0] }) else { throw .invalidAPIKey }
        return person
    }

    func person(isAdmin: Bool = false) -> Principal {
        let person = Principal(
            userID: .make(), kind: .session(.make()), roles: isAdmin ? ["admin"] : ["user"], scopes: [], plan: "free")
        people["Bearer \(person.userID)"] = person
        return person
    }

    func ask(_ method: String, _ path: String, as person: Principal?, _ body: String? = nil) async throws -> Answer {
        var headers: [(name: String, value: String)] = [("content-type", "application/json")]
        if let person { headers.append(("authorization", "Bearer \(person.userID)")) }
        let port = server?.port ?? 0
        let response = try await client.request(
            ClientRequest(method, "http://127.0.0.1:\(port)\(path)", headers: headers, body: body.map { Array($0.utf8) }))
        return Answer(status: response.status, json: try? JSONObject(response.body))
    }

    func lines(_ path: String, as person: Principal) async throws -> (page: JSONObject, objects: [JSONObject], amounts: [String]) {
        let answer = try await ask("GET", path, as: person)
        let page = try #require(answer.json)
        let objects = try page.array("transactions").map { value -> JSONObject in
            guard case .object(let object) = value else { throw JSONError.notAnObject }
            return object
        }
        return (page, objects, objects.map { $0.text(of: "amount") ?? "" })
    }

    func tamper(_ sql: String) async throws { try await ledger.pool.withConnection { try await $0.script(sql) } }

    /// Check and account of each finding.
    func findings(_ admin: Principal) async throws -> [[String]] {
        let answer = try await ask("GET", "/api/admin/credits/audit", as: admin)
        return try #require(answer.json).array("findings").map { value in
            guard case .object(let object) = value else { throw JSONError.notAnObject }
            return try [object.string("check"), object.string("account_id")]
        }
    }
}

private func withServer(_ body: @escaping @Sendable (RouteServer) async throws -> Void) async throws {
    try await withLedgers { ledgers in
        let server = RouteServer(ledgers[0])
        try server.start()
        let result: Result<Void, any Error>
        do { result = .success(try await body(server)) } catch { result = .failure(error) }
        await server.stop()
        try result.get()
    }
}
