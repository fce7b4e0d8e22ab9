import Contracts
import HTTPWire
import JSON
import TestSupport
import Testing
import Values

@testable import LLMProxy

/// Tests the calls of our own servers, which name their user in `x-on-behalf-of`.
@Suite(.serialized, .database(schema: "llm_proxy", migrations: "Shared/Outbox/Migrations", "Services/llm-proxy/Migrations"))
struct ServiceCallTests {
    private static let web = ProxyUnderTest.webToken
    private static let answer = #"{"choices":[{"message":{"content":"x"}}],"usage":{"prompt_tokens":9,"completion_tokens":5}}"#
    private static let skipping = ProxyUnderTest.Times(skipsServiceCalls: true)

    private func headers(for user: UserID) -> HeaderBlock { ["x-on-behalf-of": "\(user)"] }

    /// Makes a call of five tokens.
    private func call(
        _ proxy: ProxyUnderTest, key: String = web, for user: UserID? = nil, stream: Bool
    ) async throws -> Caller {
        let before = proxy.provider.calls.count
        let caller = proxy.call(
            #","stream_options":{"include_usage":true}"#, model: "priced", stream: stream, key: key, operation: "tests.service",
            headers: user.map(headers) ?? [:])
        try await until("the provider is called") { proxy.provider.calls.count > before }
        let provider = proxy.provider.calls[before]
        if stream { provider.send(tokens: 5, thenEnd: 5) } else { provider.answer(Self.answer) }
        try await until("the answer is over") { caller.isOver }
        #expect(caller.status == 200)
        return caller
    }

    private func usage(_ caller: Caller, stream: Bool) throws -> JSONObject {
        let body = stream ? Array((caller.events.dropLast().last ?? "").utf8) : caller.bytes
        return try JSONObject(body).object("usage")
    }

    private func receipt(_ id: String, _ proxy: ProxyUnderTest, _ credential: HeaderBlock) async throws -> (status: Int, data: JSONObject?)
    {
        let path = "/v1/generation?id=\(id)"
        let answer = try await proxy.get(path, credential)
        #expect(
            try ProxyUnderTest.document.get().differences(
                "GET", path, status: answer.status, contentType: answer.contentType, body: answer.body) == [])
        return (answer.status, answer.status == 200 ? try JSONObject(answer.body).object("data") : nil)
    }

    /// Waits for the receipt of a call, as the server reads it for its user.
    private func receipt(of caller: Caller, _ proxy: ProxyUnderTest, for user: UserID) async throws -> JSONObject {
        let id = try #require(caller.headers.string(for: "x-generation-id"))
        var credential = headers(for: user)
        credential.add("authorization", "Bearer \(Self.web)")
        try await until("the receipt is written") {
            try await receipt(id, proxy, credential).data?.string("source") == "receipt"
        }
        return try #require(try await receipt(id, proxy, credential).data)
    }

    /// Returns the messages that the ledger got, when it has all that the proxy sent before.
    private func heard(_ proxy: ProxyUnderTest) async throws -> (settlements: [SettleCharge], voids: [VoidHold]) {
        try await proxy.sendMarker()
        try await until("the marker is there") { proxy.ledger.voids.contains { $0.reason == "marker" } }
        return (proxy.ledger.settlements, proxy.ledger.voids.filter { $0.reason != "marker" })
    }

    // MARK: The named user pays

    @Test(arguments: [true, false])
    func `the account of the named user is held and charged, and hold, charge and receipt name the server`(stream: Bool) async throws {
        try await ProxyUnderTest.with { proxy in
            let key = proxy.person()
            let user = proxy.user(of: key)
            let caller = try await call(proxy, for: user, stream: stream)
            try await until("the charge is settled") { proxy.ledger.settlements.count == 1 }
            let (hold, charge) = (try #require(proxy.ledger.holds.first), try #require(proxy.ledger.settlements.first))
            #expect((hold.accountID, hold.service, hold.apiKeyID, hold.keyLimits) == (AccountID(user), "web-gateway", nil, nil))
            #expect((charge.accountID, charge.amount) == (AccountID(user), ProxyUnderTest.tokens(14)))
            #expect((charge.call.service, charge.call.apiKeyID, charge.call.operation) == ("web-gateway", nil, "tests.service"))
            #expect(try usage(caller, stream: stream).decimalText("credits_used") == charge.amount.description)
            #expect(try usage(caller, stream: stream).has("credits_remaining"))

            let data = try await receipt(of: caller, proxy, for: user)
            #expect(try data.string("state") == "settled")
            #expect(try data.string("service") == "web-gateway")
            #expect(try data.decimalText("credits") == charge.amount.description)
            #expect(!data.has("api_key_id"))
            // The receipt is the user's: every credential of the user reads it, and no other user.
            let id = try data.string("id")
            #expect(try await receipt(id, proxy, ["authorization": "Bearer \(key)"]).status == 200)
            var other = headers(for: .make())
            other.add("authorization", "Bearer \(Self.web)")
            #expect(try await receipt(id, proxy, other).status == 404)

            _ = try await call(proxy, key: key, stream: stream)
            try await until("the user's charge is settled") { proxy.ledger.settlements.count == 2 }
            #expect(proxy.ledger.holds.map(\.service) == ["web-gateway", nil])
            #expect(proxy.ledger.settlements.map(\.call.service) == ["web-gateway", nil])
        }
    }

    @Test func `a user who sends x-on-behalf-of pays for the own calls`() async throws {
        try await ProxyUnderTest.with(Self.skipping) { proxy in
            let key = proxy.person()
            _ = try await call(proxy, key: key, for: .make(), stream: false)
            try await until("the charge is settled") { !proxy.ledger.settlements.isEmpty }
            #expect(proxy.ledger.holds.map(\.accountID) == [AccountID(proxy.user(of: key))])
            #expect(proxy.ledger.settlements.map(\.accountID) == [AccountID(proxy.user(of: key))])
        }
    }

    @Test func `a user without credits is refused with 402, whichever server calls`() async throws {
        try await ProxyUnderTest.with { proxy in
            proxy.ledger.answerHold = { ScriptedLedger.refused(.insufficientFunds, $0.chargeID) }
            for token in [Self.web, ProxyUnderTest.mcpToken] {
                let caller = proxy.call(key: token, headers: headers(for: .make()))
                try await until("the answer is over") { caller.isOver }
                #expect(caller.status == 402)
                #expect(try caller.error().string("code") == "insufficient_credits")
            }
            #expect(proxy.ledger.holds.map(\.service) == ["web-gateway", "mcp-server"])
            #expect(proxy.provider.calls.isEmpty)
        }
    }

    // MARK: The headers

    @Test func `a server that names no user, no UUID or two users is refused by the name of the header on every route`() async throws {
        try await ProxyUnderTest.with(Self.skipping) { proxy in
            let user = UserID.make()
            var twice = headers(for: user)
            twice.add(headers(for: user))
            let wrong: [HeaderBlock] = [
                [:], ["x-on-behalf-of": ""], ["x-on-behalf-of": "alice"], ["x-on-behalf-of": "\(user), \(user)"],
                ["x-on-behalf-of": "\(user)0"], twice,
            ]
            for headers in wrong {
                let caller = proxy.call(key: Self.web, headers: headers)
                try await until("the answer is over") { caller.isOver }
                #expect(caller.status == 400)
                #expect(try caller.error().string("param") == "x-on-behalf-of")
                var credential = headers
                credential.add("authorization", "Bearer \(Self.web)")
                for path in ["/v1/models", "/v1/models/priced", "/v1/generation?id=\(ChargeID.make())"] {
                    let answer = try await proxy.get(path, credential)
                    #expect(answer.status == 400, "\(path)")
                    #expect(try JSONObject(answer.body).object("error").string("param") == "x-on-behalf-of")
                    let differences = try ProxyUnderTest.document.get().differences(
                        "GET", path, status: answer.status, contentType: answer.contentType, body: answer.body)
                    #expect(differences == [])
                }
            }
            #expect(proxy.ledger.holds.isEmpty && proxy.provider.calls.isEmpty)
        }
    }

    @Test func `a service token works as a bearer token and as x-api-key, and in no other form`() async throws {
        try await ProxyUnderTest.with { proxy in
            let token = Self.web
            let forms: [(HeaderBlock, Int)] = [
                (["authorization": "Bearer \(token)"], 200), (["authorization": "bearer \(token)"], 200), (["x-api-key": "\(token)"], 200),
                (["authorization": "\(token)"], 401), (["authorization": "Basic \(token)"], 401),
                (["authorization": "Bearer  \(token)"], 401), (["authorization": "Bearer \(token)x"], 401),
                (["authorization": "Bearer \(token.dropLast())"], 401), (["authorization": "Bearer web-gateway=\(token)"], 401),
                (["x-api-key": "Bearer \(token)"], 401), (["cookie": "session=\(token)"], 401),
            ]
            for (form, status) in forms {
                var credential = form
                credential.add(headers(for: .make()))
                let answer = try await proxy.get("/v1/models", credential)
                #expect(answer.status == status, "\(form)")
            }
        }
    }

    // MARK: No account pays

    @Test(arguments: [true, false])
    func `a skipped call is not held and not charged, and its receipt has units, cost and price version`(stream: Bool) async throws {
        try await ProxyUnderTest.with(Self.skipping) { proxy in
            let user = UserID.make()
            let caller = try await call(proxy, for: user, stream: stream)
            #expect(caller.headers.string(for: "x-credits-used") == (stream ? nil : "0"))
            #expect(!caller.headers.contains("x-credits-remaining"))
            let usage = try usage(caller, stream: stream)
            #expect(try usage.decimalText("credits_used") == "0")
            #expect(!usage.has("credits_remaining"))
            #expect(try usage.integer("completion_tokens") == 5)
            if stream { #expect(caller.isDone) }

            let data = try await receipt(of: caller, proxy, for: user)
            #expect(try data.string("state") == "skipped")
            #expect(try data.string("service") == "web-gateway")
            for name in ["credits", "price", "held"] { #expect(try data.decimalText(name) == "0", "\(name)") }
            #expect(try data.object("usage").integer("input") == 9)
            #expect(try data.object("usage").integer("output") == 5)
            #expect(try data.decimalText("upstream_cost_usd") == "0.014000000000")
            #expect(try data.integer("price_version") == 1)
            #expect(try data.string("operation") == "tests.service")
            #expect(try data.string("end") == "completed")

            // The call of a user at the same proxy is held and charged.
            let key = proxy.person()
            _ = try await call(proxy, key: key, stream: stream)
            let (settlements, voids) = try await heard(proxy)
            #expect(proxy.ledger.holds.map(\.accountID) == [AccountID(proxy.user(of: key))])
            #expect(settlements.map(\.accountID) == [AccountID(proxy.user(of: key))])
            #expect(voids.isEmpty)
            #expect(try await proxy.outboxed() == [])
        }
    }

    @Test func `a skipped stream is limited by no credits and reports nothing`() async throws {
        try await ProxyUnderTest.with(.init(holdTimeToLive: .milliseconds(40), skipsServiceCalls: true)) { proxy in
            let user = UserID.make()
            let caller = proxy.call(model: "priced", key: Self.web, headers: headers(for: user))
            try await until("the provider is called") { !proxy.provider.calls.isEmpty }
            #expect(proxy.provider.calls[0].body?.has("max_tokens") == false)
            // A user's stream reports at the same intervals, so this proxy would have reported.
            let other = proxy.call(model: "priced")
            try await until("the user's call reports") { proxy.provider.calls.count == 2 && proxy.ledger.reports.count >= 2 }
            proxy.provider.calls[0].send(tokens: 400, thenEnd: 400)
            try await until("the answer is over") { caller.isOver }
            #expect(caller.isDone)
            #expect(caller.tokens == 400)
            #expect(!caller.headers.contains("x-max-tokens-clamped"))
            proxy.provider.calls[1].send(tokens: 1, thenEnd: 1)
            try await until("the user's answer is over") { other.isOver }
            _ = try await heard(proxy)
            #expect(Set(proxy.ledger.reports.map(\.chargeID)) == Set(proxy.ledger.holds.map(\.chargeID)))
            #expect(proxy.ledger.extends.isEmpty)
            #expect(proxy.ledger.holds.count == 1)
        }
    }

    @Test func `a skipped call is answered while ledger and broker are unavailable`() async throws {
        try await ProxyUnderTest.with(.init(isPublisherDown: true, skipsServiceCalls: true)) { proxy in
            try proxy.loseTheQuestions()
            let caller = try await call(proxy, for: .make(), stream: false)
            #expect(caller.headers.string(for: "x-credits-used") == "0")
            #expect(try await proxy.outboxed() == [])
            #expect(proxy.ledger.replied == 0)
        }
    }

    @Test func `a skipped call that its provider refuses or its client leaves sends nothing to the ledger`() async throws {
        try await ProxyUnderTest.with(Self.skipping) { proxy in
            let user = UserID.make()
            let refused = proxy.call(stream: false, key: Self.web, headers: headers(for: user))
            try await until("the provider is called") { proxy.provider.calls.count == 1 }
            proxy.provider.calls[0].answer(#"{"error":{"message":"down"}}"#, status: 504)
            try await until("the answer is over") { refused.isOver }
            #expect(refused.status == 502)
            let failed = try await receipt(of: refused, proxy, for: user)
            #expect(try failed.string("state") == "skipped")
            #expect(try failed.string("end") == "provider_error")

            let left = proxy.call(model: "priced", key: Self.web, headers: headers(for: user))
            try await until("the provider is called") { proxy.provider.calls.count == 2 }
            proxy.provider.calls[1].send(tokens: 3)
            try await until("the answer is delivered") { left.tokens == 3 }
            left.hangUp()
            try await until("the provider's call is cancelled") { proxy.provider.calls[1].isCancelled }
            let ended = try await receipt(of: left, proxy, for: user)
            #expect(try ended.string("state") == "skipped")
            #expect(try ended.string("end") == "client_disconnected")
            #expect(try ended.object("usage").integer("output") == 3)

            let (settlements, voids) = try await heard(proxy)
            #expect(proxy.ledger.holds.isEmpty && settlements.isEmpty && voids.isEmpty)
            #expect(try await proxy.outboxed() == [])
        }
    }

    @Test func `a skipped call of a model without a price is refused, and a unit without a price switches the route off`() async throws {
        try await ProxyUnderTest.with(Self.skipping) { proxy in
            let user = UserID.make()
            let unpriced = proxy.call(model: "unpriced", key: Self.web, headers: headers(for: user))
            try await until("the answer is over") { unpriced.isOver }
            #expect(unpriced.status == 400)
            let caller = proxy.call(stream: false, key: Self.web, headers: headers(for: user))
            try await until("the provider is called") { !proxy.provider.calls.isEmpty }
            proxy.provider.calls[0].answer(
                #"{"choices":[{"message":{"content":"x"}}],"usage":{"prompt_tokens":9,"completion_tokens":5,"completion_tokens_details":{"audio_tokens":2}}}"#
            )
            try await until("the answer is over") { caller.isOver }
            #expect(proxy.switchedOff.models == ["m"])
            #expect(caller.headers.string(for: "x-credits-used") == "0")
            #expect(try await receipt(of: caller, proxy, for: user).decimalText("credits") == "0")
        }
    }
}
