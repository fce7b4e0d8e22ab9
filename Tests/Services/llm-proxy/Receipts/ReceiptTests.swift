import Contracts
import HTTPWire
import JSON
import TestSupport
import Testing
import Values

@testable import LLMProxy

@Suite(.serialized, .database(schema: "llm_proxy", migrations: "Shared/Outbox/Migrations", "Services/llm-proxy/Migrations"))
struct ReceiptTests {
    private func receipt(_ id: String, _ proxy: ProxyUnderTest, key: String) async throws -> (status: Int, data: JSONObject?) {
        let path = "/v1/generation?id=\(id)"
        let answer = try await proxy.get(path, key: key)
        #expect(
            try ProxyUnderTest.document.get().differences(
                "GET", path, status: answer.status, contentType: answer.contentType, body: answer.body) == [])
        return (answer.status, answer.status == 200 ? try JSONObject(answer.body).object("data") : nil)
    }

    /// Makes a stream of five tokens, and returns the id of its charge.
    private func call(_ proxy: ProxyUnderTest, key: String) async throws -> String {
        let caller = proxy.call(model: "priced", key: key, operation: "tests.receipt")
        try await until("the provider is called") { !proxy.provider.calls.isEmpty }
        proxy.provider.calls[0].send(tokens: 5, thenEnd: 5)
        try await until("the answer has ended") { caller.isOver }
        return try #require(caller.headers.string(for: "x-generation-id"))
    }

    @Test func `a receipt says what the call used and what it cost, to its account only`() async throws {
        try await ProxyUnderTest.with { proxy in
            let key = proxy.person()
            try await proxy.writePrice(markup: 1_500)
            let id = try await call(proxy, key: key)
            try await until("the receipt is written") { try await receipt(id, proxy, key: key).data?.string("source") == "receipt" }
            let data = try #require(try await receipt(id, proxy, key: key).data)
            let settled = try #require(proxy.ledger.settlements.first)
            #expect(try data.string("id") == settled.chargeID.description)
            #expect(try data.string("state") == "settled")
            #expect(try data.string("model") == "priced")
            #expect(try data.string("end") == "completed")
            #expect(try data.string("operation") == "tests.receipt")
            #expect(try data.object("usage").integer("output") == 5)
            #expect(try data.decimalText("credits") == settled.amount.description)
            #expect(try data.bool("streamed"))
            #expect(try data.integer("price_version") == settled.call.priceVersion)
            #expect(try data.integer("markup_basis_points") == 1_500)
            #expect(try data.optionalInteger("first_token_ms") != nil)
            #expect(try await receipt(id, proxy, key: proxy.person()).status == 404)
        }
    }

    @Test func `a call that was refused by its provider has a receipt without a charge`() async throws {
        try await ProxyUnderTest.with { proxy in
            let key = proxy.person()
            let caller = proxy.call(stream: false, key: key)
            try await until("the provider is called") { !proxy.provider.calls.isEmpty }
            proxy.provider.calls[0].answer(#"{"error":{"message":"down"}}"#, status: 504)
            try await until("the answer has ended") { caller.isOver }
            let id = try #require(caller.headers.string(for: "x-generation-id"))
            try await until("the receipt is written") { try await receipt(id, proxy, key: key).status == 200 }
            let data = try #require(try await receipt(id, proxy, key: key).data)
            #expect(try data.string("state") == "voided")
            #expect(try data.string("end") == "provider_error")
            #expect(try data.decimalText("credits") == "0")
        }
    }

    @Test func `a receipt that no proxy wrote is answered from the ledger's journal`() async throws {
        var times = ProxyUnderTest.Times()
        times.writesReceipts = false
        try await ProxyUnderTest.with(times) { proxy in
            let key = proxy.person()
            let id = try await call(proxy, key: key)
            try await until("the charge is settled") { !proxy.ledger.settlements.isEmpty }
            let settled = proxy.ledger.settlements[0]
            #expect(try await receipt(id, proxy, key: key).status == 404)
            proxy.ledger.answerCharge = { ChargeReply(chargeID: $0.chargeID, state: .granted) }
            #expect(try await receipt(id, proxy, key: key).status == 404)
            proxy.ledger.answerCharge = { question in
                guard question.accountID == settled.accountID else { return ChargeReply(chargeID: question.chargeID, state: .unknown) }
                return ChargeReply(
                    chargeID: question.chargeID, state: .settled, held: Credits(whole: 1), charged: settled.amount,
                    openedAt: Instant(microseconds: 5), endedAt: Instant(microseconds: 6), call: settled.call)
            }
            let data = try #require(try await receipt(id, proxy, key: key).data)
            #expect(try data.string("source") == "journal")
            #expect(try data.string("state") == "settled")
            #expect(try data.decimalText("credits") == settled.amount.description)
            #expect(try data.object("usage").integer("output") == 5)
            #expect(try await receipt(id, proxy, key: proxy.person()).status == 404)
        }
    }

    @Test(arguments: [ChargeReply.State.settled, .unknown])
    func `a charge above its hold shows what the ledger took, if the ledger knows`(state: ChargeReply.State) async throws {
        try await ProxyUnderTest.with { proxy in
            let key = proxy.person()
            proxy.ledger.answerHold = { ScriptedLedger.granted(ProxyUnderTest.tokens(100), to: $0.chargeID) }
            proxy.ledger.answerCharge = { ChargeReply(chargeID: $0.chargeID, state: state, charged: ProxyUnderTest.tokens(101)) }
            let caller = proxy.call(key: key)
            try await until("the provider is called") { !proxy.provider.calls.isEmpty }
            proxy.provider.calls[0].send(tokens: 5, thenEnd: 300)
            try await until("the answer has ended") { caller.isOver }
            let id = try #require(caller.headers.string(for: "x-generation-id"))
            try await until("the receipt is written") { try await receipt(id, proxy, key: key).data?.string("source") == "receipt" }
            let data = try #require(try await receipt(id, proxy, key: key).data)
            #expect(try data.string("state") == "settled")
            #expect(try data.decimalText("price") == ProxyUnderTest.tokens(300).description)
            #expect(try data.decimalText("held") == ProxyUnderTest.tokens(100).description)
            if state == .unknown {
                #expect(!data.has("credits"))
            } else {
                #expect(try data.decimalText("credits") == ProxyUnderTest.tokens(101).description)
            }
        }
    }

    @Test func `receipts wait while the database refuses them, and the calls do not`() async throws {
        try await ProxyUnderTest.with { proxy in
            let key = proxy.person()
            try await proxy.withLockedReceipts {
                let id = try await call(proxy, key: key)
                #expect(!id.isEmpty)
            }
            let id = try #require(proxy.ledger.settlements.first).chargeID.description
            try await until("the receipt is written") { try await receipt(id, proxy, key: key).data?.string("source") == "receipt" }
        }
    }

    @Test(arguments: ["", "?id=", "?id=7", "?id=01a2011e-6db1-7f03-a9e4"])
    func `a malformed id is refused by name`(query: String) async throws {
        try await ProxyUnderTest.with { proxy in
            let answer = try await proxy.get("/v1/generation" + query)
            #expect(answer.status == 400)
            #expect(try JSONObject(answer.body).object("error").optionalString("param") == "id")
        }
    }
}
