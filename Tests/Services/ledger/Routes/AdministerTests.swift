import HTTP
import Identity
import JSON
import Postgres
import TestSupport
import Testing
import Values

@testable import Ledger
@testable import LedgerCore

extension RoutesTests {
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

            // Only administrators see who made an adjustment.
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
        // One character to a reader, three thousand bytes to an index.
        (#""idempotency_key":"e\#(String(repeating: "\u{0301}", count: 1_500))""#, "idempotency_key"),
        (#""expires_at":"2020-01-01T00:00:00Z""#, "expires_at"), (#""expires_at":"2190-01-31""#, "expires_at"),
        (#""expires_at":17"#, "expires_at"),
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
            #expect(answer.param == param)
        }
    }

    @Test func `an adjustment takes available credits and no more`() async throws {
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
            let held = try await take(7)
            #expect(held.status == 503)
            #expect(held.code == "credits_held")
            let tooMuch = try await take(11)
            #expect(tooMuch.status == 402)
            #expect(tooMuch.code == "insufficient_credits")
            #expect(try await take(6).status == 201)
        }
    }

    @Test func `a topup or a bonus may expire, and history shows it`() async throws {
        try await withServer { server in
            let (admin, person) = (server.person(isAdmin: true), server.person())
            func adjust(_ type: String, _ key: String) async throws -> Answer {
                try await server.ask(
                    "POST", "/api/admin/credits/adjust", as: admin,
                    #"{"user_id":"\#(person.userID)","type":"\#(type)","amount":5,"reason":"x","idempotency_key":"\#(key)-\#(person.userID)","expires_at":"2190-01-31T07:00:00+07:00"}"#
                )
            }
            #expect(try await adjust("bonus", "a").status == 201)
            #expect(try await adjust("bonus", "a").status == 200)
            let line = try await server.lines("/api/credits/history", as: person).objects[0]
            #expect(try line.string("expires_at") == "2190-01-31T00:00:00.000000Z")
            let balance = try await server.ask("GET", "/v1/credits", as: person)
            #expect(try balance.json?.object("next_expiry").string("expires_at") == "2190-01-31T00:00:00.000000Z")
            for type in ["refund", "adjustment"] {
                let refused = try await adjust(type, type)
                #expect(refused.status == 400)
                #expect(refused.param == "expires_at")
            }
        }
    }

    @Test func `a repeated bonus that has expired gets the first answer, and a new expired one is refused`() async throws {
        try await withServer { server in
            let (admin, person) = (server.person(isAdmin: true), server.person())
            let key = UserID.make().description
            let end = Instant("2026-01-31T00:00:00Z")!
            @Sendable func adjust(_ amount: Int) async throws -> Answer {
                try await server.ask(
                    "POST", "/api/admin/credits/adjust", as: admin,
                    #"{"user_id":"\#(person.userID)","type":"bonus","amount":\#(amount),"reason":"x","idempotency_key":"\#(key)","expires_at":"\#(end)"}"#
                )
            }
            let early = try await adjust(5)
            #expect(early.status == 400)
            #expect(early.param == "expires_at")
            // The id of the first request, made before the expiry.
            let charge = try await server.ledger.store.chargeID(source: "admin", ref: key)
            try await server.ledger.do(.grant(.bonus, amount: credits(5), expiresAt: end), on: charge, account: person.accountID)
            #expect(try await adjust(5).status == 200)
            #expect(try await adjust(6).code == "idempotency_conflict")
        }
    }

    @Test func `the id of a key has the database's time, with any clock of the host`() async throws {
        try await TestDatabase.current.withPool(connectionsMax: 1) { pool in
            try await pool.withConnection { connection in
                try await connection.script(
                    """
                    CREATE SCHEMA IF NOT EXISTS other_time;
                    CREATE OR REPLACE FUNCTION other_time.clock_timestamp() RETURNS timestamptz LANGUAGE sql
                    AS $$ SELECT '2031-05-17 10:00:00.123Z'::timestamptz $$;
                    SET search_path = other_time, ledger, pg_catalog
                    """)
            }
            let store = LedgerStore(pool: pool)
            let ids = try await [store.chargeID(source: "test", ref: "a"), store.chargeID(source: "test", ref: "b")]
            #expect(
                ids.map(\.rawValue.milliseconds) == Array(repeating: Instant("2031-05-17T10:00:00.123Z")!.microseconds / 1_000, count: 2))
            #expect(ids[0] != ids[1])
            #expect(ids.allSatisfy { $0.rawValue.high >> 12 & 0xF == 7 && $0.rawValue.low >> 62 == 2 })
            #expect(try await store.chargeID(source: "test", ref: "a") == ids[0])
        }
    }

    @Test func `a key whose id is of the future is waited for`() async throws {
        try await withServer { server in
            let (admin, person) = (server.person(isAdmin: true), server.person())
            let before = Instant.now()
            let key = UserID.make().description
            let ahead = UUIDv7(
                high: UInt64(before.microseconds / 1_000 + 3_600_000) << 16 | 0x7001,
                low: 0x8000_0000_0000_0000 | UInt64.random(in: 0...0xFFFF_FFFF))
            try await server.tamper("INSERT INTO external_ref (source, ref, charge_id) VALUES ('admin', '\(key)', '\(ahead)')")
            let answer = try await server.ask(
                "POST", "/api/admin/credits/adjust", as: admin,
                #"{"user_id":"\#(person.userID)","type":"bonus","amount":5,"reason":"x","idempotency_key":"\#(key)"}"#)
            #expect(answer.status == 503)
            #expect(answer.header("retry-after") != nil)
        }
    }

    @Test(arguments: [
        ("last=", "last"), ("last=yes", "last"), ("all=1", "all"), ("all=true&last=true", "last"), ("last=true&last=true", "last"),
    ])
    func `a malformed flag of the audit is refused by name`(query: String, param: String) async throws {
        try await withServer { server in
            let answer = try await server.ask("GET", "/api/admin/credits/audit?" + query, as: server.person(isAdmin: true))
            #expect(answer.status == 400)
            #expect(answer.param == param)
        }
    }

    @Test func `the audit finds nothing in the ledger's rows, and names a row that was changed by hand`() async throws {
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

extension RouteServer {
    /// Check and account of each finding.
    func findings(_ admin: Principal) async throws -> [[String]] {
        let answer = try await ask("GET", "/api/admin/credits/audit", as: admin)
        return try #require(answer.json).array("findings").map { value in
            guard case .object(let object) = value else { throw JSONError.notAnObject }
            return try [object.string("check"), object.string("account_id")]
        }
    }
}
