import Crypto
import HTTPWire
import JSON
import Postgres
import TestSupport
import Testing
import Text
import Values

@testable import Billing

@Suite(.database(schema: "billing", migrations: "Shared/Outbox/Migrations", "Services/billing/Migrations"), .serialized)
struct ReceiveStripeEventTests {
    private static func event(_ id: String, _ members: String = #""livemode":false"#, type: String = "product.created") -> String {
        #"{"id":"\#(id)","object":"event","type":"\#(type)","api_version":"2026-08-26.dahlia","created":1800000000,\#(members),"data":{"object":{"id":"prod_1","object":"product"}}}"#
    }

    private func deliver(_ test: BillingUnderTest, _ body: [UInt8], secret: [UInt8]? = nil, age: Int64 = 0) async throws
        -> BillingUnderTest.Answer
    {
        let time = "\(Instant.now().seconds - age)"
        let key = secret ?? test.billing.settings.webhookSecrets[0]
        let signature = "t=\(time),v1=\(Hex.text(hmacSHA256(key: key, Array("\(time).".utf8) + body)))"
        return try await test.ask("POST", "/api/webhooks/stripe", bytes: body, headers: [("stripe-signature", signature)])
    }

    private func stored(_ test: BillingUnderTest) async throws -> [ListEvents.Listed] {
        try await test.events(in: "received", "working", "retry", "done", "ignored", "dead")
    }

    @Test func `a signed event is stored once and acknowledged each time`() async throws {
        try await BillingUnderTest.with { test in
            for _ in 0..<3 { #expect(try await deliver(test, Array(Self.event("evt_1").utf8)).status == 200) }
            try await test.work()
            #expect(try await deliver(test, Array(Self.event("evt_1").utf8)).status == 200)
            let found = try await stored(test).filter { $0.id == "evt_1" }
            #expect(found.map(\.state) == ["done"])
            #expect(found.map(\.deliveries) == [4])
        }
    }

    @Test func `a forged, stale or early delivery is refused and not stored`() async throws {
        try await BillingUnderTest.with { test in
            let body = Array(Self.event("evt_forged").utf8)
            #expect(try await deliver(test, body, secret: Array("whsec_of_another_account".utf8)).status == 400)
            #expect(try await deliver(test, body, age: 310).status == 400)
            #expect(try await deliver(test, body, age: -310).status == 400)
            let unsigned = try await test.ask("POST", "/api/webhooks/stripe", bytes: body)
            #expect(unsigned.errorParam == "stripe-signature")
            #expect(try await stored(test).contains { $0.id == "evt_forged" } == false)
            #expect(try await deliver(test, body, age: 290).status == 200)
            #expect(try await stored(test).contains { $0.id == "evt_forged" })
        }
    }

    @Test(arguments: [
        "", "{}", "[]", "no json", #"{"object":"v2.core.event","id":"evt_thin","type":"v1.billing.meter.error"}"#,
        #"{"id":"","object":"event","type":"a","created":1,"data":{"object":{}}}"#,
        #"{"id":"evt_x","object":"event","type":"a\u0000","created":1,"data":{"object":{}}}"#,
        #"{"id":"evt_x","object":"event","type":"a","created":9223372036854775807,"data":{"object":{}}}"#,
        #"{"id":"evt_x","object":"event","type":"a","created":1,"data":[]}"#,
    ])
    func `a signed body that is no snapshot event is 400`(body: String) async throws {
        try await BillingUnderTest.with { test in
            let before = try await stored(test).count
            #expect(try await deliver(test, Array(body.utf8)).status == 400)
            #expect(try await stored(test).count == before)
        }
    }

    @Test func `a body with bytes that are no text is 400, one above a mebibyte is 413`() async throws {
        try await BillingUnderTest.with { test in
            let noText = try await deliver(test, [0xFF, 0xFE, 0x7B, 0x7D])
            #expect(noText.status == 400)
            let fill = String(repeating: "x", count: 2 << 20)
            #expect(try await deliver(test, Array(Self.event("evt_large", #""livemode":false,"x":"\#(fill)""#).utf8)).status == 413)
        }
    }

    @Test func `events of live mode and of connected accounts are kept and ignored`() async throws {
        try await BillingUnderTest.with { test in
            #expect(try await deliver(test, Array(Self.event("evt_live", #""livemode":true"#).utf8)).status == 200)
            #expect(try await deliver(test, Array(Self.event("evt_connect", #""livemode":false,"account":"acct_1""#).utf8)).status == 200)
            try await test.work()
            let found = try await stored(test)
            #expect(found.first { $0.id == "evt_live" }?.state == "ignored")
            #expect(found.first { $0.id == "evt_connect" }?.state == "ignored")
        }
    }
}
