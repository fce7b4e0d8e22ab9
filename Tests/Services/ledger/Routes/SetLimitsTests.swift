import Contracts
import HTTP
import Identity
import JSON
import Postgres
import TestSupport
import Testing
import Values

@testable import Ledger

extension RoutesTests {
    @Test func `limits are set, changed one by one, and removed by null`() async throws {
        try await withServer(limits: Self.withLevel) { server in
            let person = server.person()
            let none = try await server.object("/api/credits/limits", as: person)
            #expect(["daily", "monthly", "low_balance_level"].allSatisfy { none.text(of: $0) == "null" })
            #expect(none.text(of: "default_low_balance_level") == "1")
            #expect(none.text(of: "spent_today") == "0")
            #expect(none.text(of: "keys") == "[]")

            func set(_ body: String) async throws -> [String?] {
                let answer = try await server.ask("PUT", "/api/credits/limits", as: person, body)
                #expect(answer.status == 200, "\(answer.text)")
                return ["daily", "monthly", "low_balance_level"].map { answer.json?.text(of: $0) }
            }
            #expect(try await set(#"{"daily":2.5,"monthly":100,"low_balance_level":3}"#) == ["2.5", "100", "3"])
            #expect(try await set(#"{"daily":0}"#) == ["0", "100", "3"])
            #expect(try await set("{}") == ["0", "100", "3"])
            #expect(try await set(#"{"daily":null,"low_balance_level":null}"#) == ["null", "100", "null"])
            // The account has no grant yet.
            #expect(try await server.ask("GET", "/v1/credits", as: person).json?.text(of: "balance") == "0")
        }
    }

    @Test func `credits spent today and this month count against the limits, and a key's separately`() async throws {
        try await withServer { server in
            let person = server.person()
            try await server.ledger.do(.grant(.purchase, amount: credits(100)), account: person.accountID)
            _ = try await server.ask("PUT", "/api/credits/limits", as: person, #"{"daily":5}"#)
            try await server.call(person, cost: credits(2), model: "m")
            let id = ChargeID.make()
            _ = try await server.ledger.do([
                Command(
                    id: id, account: person.accountID,
                    action: hold(3, keyLimits: SpendingLimits(daily: credits(4))),
                    key: APIKeyID(rawValue: "abcdefghij"))
            ])
            let limits = try await server.object("/api/credits/limits", as: person)
            #expect(limits.text(of: "spent_today") == "2")
            #expect(limits.text(of: "spent_this_month") == "2")
            #expect(limits.text(of: "held") == "3")
            #expect(
                limits.text(of: "keys")
                    == #"[{"id":"abcdefghij","daily":4,"monthly":null,"spent_today":0,"spent_this_month":0,"held":3}]"#)
            let resets = try limits.object("resets")
            #expect(try Instant(resets.string("daily"))! > .now())
            #expect(try resets.string("monthly").hasSuffix("-01T00:00:00.000000Z"))
            // 5 a day, 2 spent, 3 held.
            #expect(try await server.ledger.do(hold(1), account: person.accountID) == .awaiting(0))
            _ = try await server.ask("PUT", "/api/credits/limits", as: person, #"{"daily":null}"#)
            #expect(try await server.ledger.do(hold(1), account: person.accountID) == .applied(1))
        }
    }

    @Test func `a signed-in user sets limits, and a key or a server only reads them`() async throws {
        try await withServer { server in
            let person = server.person()
            for caller in [server.key(of: person), server.key(of: person, scopes: ["credits"]), server.service("web", for: person)] {
                let answer = try await server.ask(
                    "PUT", "/api/credits/limits", as: caller, #"{"daily":null}"#, onBehalfOf: person.userID)
                #expect(answer.status == 403)
                #expect(answer.code == "session_required")
                let read = try await server.ask("GET", "/api/credits/limits", as: caller, onBehalfOf: person.userID)
                #expect(read.status == 200)
            }
        }
    }

    @Test(arguments: [
        (#"{"daily":-1}"#, "invalid_request", "daily"), (#"{"daily":"5"}"#, "invalid_request", "daily"),
        (#"{"monthly":1.0000000001}"#, "invalid_request", "monthly"), (#"{"monthly":1e2}"#, "invalid_request", "monthly"),
        (#"{"monthly":4000000000.000000001}"#, "invalid_request", "monthly"), (#"{"monthly":true}"#, "invalid_request", "monthly"),
        (#"{"low_balance_level":99999999999}"#, "invalid_request", "low_balance_level"),
        (#"{"dailly":5}"#, "unknown_parameter", "dailly"), (#"{"daily":5,"daily":6}"#, "invalid_request", "daily"),
        ("[]", "invalid_json", nil), ("", "invalid_json", nil),
    ])
    func `a bad limit names its field and changes nothing`(body: String, code: String, param: String?) async throws {
        try await withServer { server in
            let person = server.person()
            _ = try await server.ask("PUT", "/api/credits/limits", as: person, #"{"daily":7}"#)
            let answer = try await server.ask("PUT", "/api/credits/limits", as: person, body)
            #expect(answer.status == 400)
            #expect(answer.code == code)
            #expect(answer.param == param)
            #expect(try await server.object("/api/credits/limits", as: person).text(of: "daily") == "7")
        }
    }

    @Test func `a new level is no crossing: below it no alert is sent, above it one can be`() async throws {
        try await withServer(limits: Self.withLevel) { server in
            let person = server.person()
            func alerted() async throws -> Account.Alerted? {
                try await server.ledger.store.state(of: [person.accountID]).state.accounts[person.accountID]?.alerted
            }
            func level(_ text: String) async throws {
                let answer = try await server.ask("PUT", "/api/credits/limits", as: person, #"{"low_balance_level":\#(text)}"#)
                #expect(answer.status == 200)
            }
            func alerts() async throws -> [String] { try await server.alerts(person.accountID) }
            try await server.ledger.do(.grant(.purchase, amount: credits(10)), account: person.accountID)
            try await level("20")
            #expect(try await alerted() == .low)
            try await server.call(person, cost: credits(1), model: "m")
            #expect(try await alerts() == [])

            try await level("5")
            #expect(try await alerted() == .nothing)
            try await server.call(person, cost: credits(5), model: "m")
            #expect(try await alerts() == ["balance.low.v1"])
            try await level("null")
            #expect(try await alerted() == .nothing)
            try await server.call(person, cost: credits(4), model: "m")
            #expect(try await alerts() == ["balance.low.v1", "balance.exhausted.v1"])
            try await level("100")
            #expect(try await alerted() == .exhausted)
        }
    }

    private static var withLevel: Limits {
        var limits = Limits()
        limits.lowBalanceLevel = credits(1)
        return limits
    }
}

extension RouteServer {
    /// The types of what was told about an account, in order.
    fileprivate func alerts(_ account: AccountID) async throws -> [String] {
        try await ledger.pool.withConnection { try await $0.query(ReadAlerts(account: account)) }
    }
}

private struct ReadAlerts: Statement {
    typealias Output = String
    let account: AccountID
    static let sql = "SELECT type FROM outbox WHERE ordering_key = $1 ORDER BY created_at, message_id"
    func bind(_ parameters: inout Parameters) { parameters.append(account.description) }
}
