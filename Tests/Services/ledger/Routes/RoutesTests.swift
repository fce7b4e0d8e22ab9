import HTTP
import Identity
import JSON
import TestSupport
import Testing
import Values

@testable import Ledger
@testable import LedgerCore

/// One database for the routes that are asked about one account at a time; its tests stand in several files.
@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct RoutesTests {
    static let forEverybody = [
        ("GET", "/v1/credits"), ("GET", "/api/credits/balance"), ("GET", "/api/credits/history"), ("GET", "/api/credits/transactions"),
        ("GET", "/api/credits/usage/summary"), ("GET", "/api/credits/usage/daily"), ("GET", "/api/credits/usage/models"),
        ("GET", "/api/credits/usage/operations"), ("GET", "/api/credits/limits"),
    ]

    static let forAdministrators = [
        ("POST", "/api/admin/credits/adjust"), ("GET", "/api/admin/credits/audit"), ("GET", "/api/admin/credits/history"),
        ("GET", "/api/admin/credits/balance"), ("GET", "/api/admin/credits/totals"), ("GET", "/api/admin/credits/usage"),
    ]

    @Test func `a request without credentials is refused`() async throws {
        try await withServer { server in
            for (method, path) in Self.forEverybody + Self.forAdministrators + [
                ("PUT", "/api/credits/limits"), ("POST", "/api/credits/deduct"),
            ] {
                let answer = try await server.ask(method, path, as: nil, method == "GET" ? nil : "{}")
                #expect(answer.status == 401, "\(path)")
                #expect(answer.code == "invalid_api_key")
            }
        }
    }

    @Test func `a key without the scope for credits reads nothing, one with it reads everything`() async throws {
        try await withServer { server in
            let person = server.person()
            let (stranger, reader) = (server.key(of: person, scopes: ["llm"]), server.key(of: person, scopes: ["credits"]))
            for (method, path) in Self.forEverybody {
                let refused = try await server.ask(method, path, as: stranger)
                #expect(refused.status == 403, "\(path)")
                #expect(refused.code == "insufficient_scope")
                let answer = try await server.ask(method, path, as: reader)
                #expect(answer.status == 200, "\(path)")
                #expect(answer.header("cache-control") == "no-store")
            }
        }
    }

    @Test func `only signed-in administrators adjust, audit and read other accounts`() async throws {
        try await withServer { server in
            let admin = server.person(isAdmin: true)
            for caller in [server.person(), server.key(of: admin)] {
                for (method, path) in Self.forAdministrators {
                    let answer = try await server.ask(method, path, as: caller, method == "GET" ? nil : "{}")
                    #expect(answer.status == 403, "\(path)")
                    #expect(answer.code == "admin_required")
                }
            }
        }
    }

    @Test func `a server reads the account of the user that it names, and administers nothing`() async throws {
        try await withServer { server in
            let (person, other) = (server.person(), server.person())
            try await server.ledger.do(.grant(.purchase, amount: credits(7)), account: person.accountID)
            let web = server.service("web", for: person)
            for (method, path) in Self.forEverybody {
                let mine = try await server.ask(method, path, as: person)
                let read = try await server.ask(method, path, as: web, onBehalfOf: person.userID)
                #expect(read.status == 200, "\(path)")
                // The plan is the only difference: a server knows the id of its user only.
                #expect(read.text == mine.text.replacing(#""plan":"free""#, with: #""plan":"""#), "\(path)")
                let unnamed = try await server.ask(method, path, as: web)
                #expect((unnamed.status, unnamed.param) == (400, "x-on-behalf-of"), "\(path)")
            }
            #expect(try await server.ask("GET", "/v1/credits", as: web, onBehalfOf: other.userID).json?.text(of: "balance") == "0")
            for (method, path) in Self.forAdministrators {
                let answer = try await server.ask(method, path, as: web, method == "GET" ? nil : "{}", onBehalfOf: person.userID)
                #expect((answer.status, answer.code) == (403, "admin_required"), "\(path)")
            }
        }
    }

    @Test func `a server of an unknown user reads zeros, is refused a deduction, and opens no account`() async throws {
        try await withServer { server in
            let stranger = UserID.make()
            let web = server.service("web", for: server.person())
            for (method, path) in Self.forEverybody {
                #expect(try await server.ask(method, path, as: web, onBehalfOf: stranger).status == 200, "\(path)")
            }
            let deduction = #"{"amount":1,"description":"x","idempotency_key":"\#(stranger)"}"#
            let refused = try await server.ask("POST", "/api/credits/deduct", as: web, deduction, onBehalfOf: stranger)
            #expect((refused.status, refused.code) == (402, "insufficient_credits"))
            let admin = server.person(isAdmin: true)
            let account = try await server.ask("GET", "/api/admin/credits/balance?user_id=\(stranger)", as: admin)
            #expect(account.json?.text(of: "is_open") == "false")
            #expect(account.json?.text(of: "available") == "0")
            #expect(account.json?.text(of: "overdraft") == "0")
        }
    }

    @Test(arguments: ["/v1/credits", "/api/credits/balance"])
    func `a balance has the posted, the held and the available credits`(path: String) async throws {
        try await withServer { server in
            let person = server.person()
            try await server.ledger.do(.grant(.purchase, amount: Credits(decimal: "10.000000001")!), account: person.accountID)
            try await server.ledger.do(hold(4), account: person.accountID)
            let answer = try await server.ask("GET", path, as: person)
            #expect(answer.status == 200)
            #expect(answer.json?.text(of: "balance") == "10.000000001")
            #expect(answer.json?.text(of: "held") == "4")
            #expect(answer.json?.text(of: "available") == "6.000000001")
            #expect(answer.json?.text(of: "owed") == nil)
            #expect(answer.json?.text(of: "currency") == #""credits""#)
            #expect(answer.json?.text(of: "plan") == #""free""#)
            #expect(answer.json?.text(of: "lots")?.contains(#""remaining":10.000000001"#) == true)
            #expect(answer.json?.text(of: "next_expiry") == "null")
        }
    }

    @Test func `a balance has the next expiry and the debt`() async throws {
        try await withServer { server in
            let person = server.person()
            let soon = Instant(microseconds: (Instant.now() + .seconds(86_400)).microseconds / 1_000_000 * 1_000_000)
            try await server.ledger.do(.grant(.bonus, amount: credits(3), expiresAt: soon + .seconds(60)), account: person.accountID)
            try await server.ledger.do(.grant(.planGrant, amount: credits(2), expiresAt: soon), account: person.accountID)
            let purchase = ChargeID.make()
            try await server.ledger.do(.grant(.purchase, amount: credits(5)), on: purchase, account: person.accountID)
            let next = try await server.ask("GET", "/v1/credits", as: person).json?.object("next_expiry")
            #expect(next?.text(of: "credits") == "2")
            #expect(try next?.string("expires_at") == soon.description)

            try await server.ledger.do(.settle(amount: credits(8)), account: person.accountID)
            try await server.ledger.do(.reverse(grant: purchase, target: credits(5), version: 1), account: person.accountID)
            let broke = try await server.ask("GET", "/v1/credits", as: person)
            #expect(broke.json?.text(of: "balance") == "-3")
            #expect(broke.json?.text(of: "owed") == "3")
            #expect(broke.json?.text(of: "available") == "0")
        }
    }

    @Test func `a user without an account has zero credits`() async throws {
        try await withServer { server in
            let answer = try await server.ask("GET", "/v1/credits", as: server.person())
            #expect(answer.json?.text(of: "balance") == "0")
            let admin = server.person(isAdmin: true)
            let theirs = try await server.ask("GET", "/api/admin/credits/balance?user_id=\(UserID.make())", as: admin)
            #expect(theirs.json?.text(of: "is_open") == "false")
            #expect(theirs.json?.text(of: "available") == "0")
        }
    }

    @Test func `an administrator reads the balance of any user`() async throws {
        try await withServer { server in
            let (admin, person) = (server.person(isAdmin: true), server.person())
            try await server.ledger.do(.grant(.purchase, amount: credits(7)), account: person.accountID)
            _ = try await server.ask("PUT", "/api/credits/limits", as: person, #"{"daily":2}"#)
            let answer = try await server.ask("GET", "/api/admin/credits/balance?user_id=\(person.userID)", as: admin)
            #expect(answer.json?.text(of: "balance") == "7")
            #expect(answer.json?.text(of: "daily_limit") == "2")
            #expect(answer.json?.text(of: "is_open") == "true")
            for query in ["", "?user_id=", "?user_id=17", "?user_id=\(person.userID)&user_id=\(person.userID)"] {
                let answer = try await server.ask("GET", "/api/admin/credits/balance\(query)", as: admin)
                #expect(answer.status == 400, "\(query)")
                #expect(answer.param == "user_id")
            }
        }
    }
}
