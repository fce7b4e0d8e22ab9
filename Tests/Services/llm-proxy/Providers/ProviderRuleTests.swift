import Contracts
import EventLoop
import HTTPWire
import JSON
import TestSupport
import Testing
import Values

@testable import LLMProxy

/// Tests the strictness of the adapters at the doors of the proxy: an answer of another kind than
/// asked for reaches no client and costs nothing, and a stream that is cut never looks whole.
@Suite(.serialized, .database(schema: "llm_proxy", migrations: "Shared/Outbox/Migrations", "Services/llm-proxy/Migrations"))
struct ProviderRuleTests {
    private static let answer = #"{"choices":[{"message":{"content":"x"}}],"usage":{"prompt_tokens":9,"completion_tokens":5}}"#
    private func tokens(_ count: Int64) -> Credits { ProxyUnderTest.tokens(count) }

    private func started(
        _ proxy: ProxyUnderTest, _ members: String = "", model: String = "m", stream: Bool
    ) async throws -> (Caller, ScriptedCall) {
        let caller = proxy.call(members, model: model, stream: stream)
        let before = proxy.provider.calls.count
        try await until("the provider is called") { proxy.provider.calls.count > before }
        return (caller, proxy.provider.calls[before])
    }

    private func isRefused(_ caller: Caller, _ proxy: ProxyUnderTest) async throws {
        try await until("the answer is over") { caller.isOver }
        #expect(caller.status == 502)
        #expect(!caller.text.contains("choices") && !caller.text.contains("secret"))
        try #require(caller.status == 502)
        #expect(try caller.error().string("code") == "provider_error")
        try await until("the void is there") { !proxy.ledger.voids.isEmpty }
        #expect(proxy.ledger.settlements.isEmpty)
    }

    // MARK: Answers of another kind

    @Test(arguments: [true, false])
    func `an answer is asked for without a coding, and one with a coding is a provider error`(stream: Bool) async throws {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy, stream: stream)
            #expect(provider.headers.string(for: "accept-encoding") == "identity")
            provider.answer(
                stream ? "data: [DONE]\n\n" : Self.answer, type: stream ? "text/event-stream" : "application/json",
                ["content-encoding": "gzip"])
            try await isRefused(caller, proxy)
        }
    }

    @Test(arguments: [201, 202, 203, 206])
    func `a success other than 200 is a provider error`(status: Int) async throws {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy, stream: false)
            provider.answer(Self.answer, status: status)
            try await isRefused(caller, proxy)
        }
    }

    @Test(arguments: ["", "<html>secret</html>", #"{"error":{"message":"Incorrect API key provided: sk-secret"}}"#, #"{"id":"secret"}"#])
    func `a 200 that is no chat completion is a provider error without its text`(body: String) async throws {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy, stream: false)
            provider.answer(body)
            try await isRefused(caller, proxy)
        }
    }

    // MARK: Streams

    @Test func `a stream without its end breaks off, and what was delivered is charged`() async throws {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy, stream: true)
            provider.send(tokens: 4)
            provider.end()
            try await until("the answer is over") { caller.isOver }
            #expect(caller.failure != nil)
            #expect(!caller.text.contains("[DONE]"))
            #expect(try caller.error().string("code") == "provider_error")
            try await until("the charge is there") { !proxy.ledger.settlements.isEmpty }
            let charge = proxy.ledger.settlements[0]
            #expect((charge.amount, charge.call.end, charge.call.isEstimated) == (tokens(4), .providerError, true))
        }
    }

    @Test func `a stream that ends with a finish reason is whole, and the client gets its end marker`() async throws {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy, stream: true)
            provider.send(tokens: 4)
            provider.write(#"data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"# + "\n\n")
            provider.end()
            try await until("the answer is over") { caller.isOver }
            #expect((caller.failure, caller.isDone) == (nil, true))
            try await until("the charge is there") { !proxy.ledger.settlements.isEmpty }
            #expect(proxy.ledger.settlements[0].call.end == .completed)
        }
    }

    @Test(arguments: [0, 3])
    func `an error inside a stream is a provider error, and its text reaches no client`(delivered: Int) async throws {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy, stream: true)
            provider.send(tokens: delivered)
            try await until("it is delivered") { caller.tokens == delivered && caller.status == 200 }
            provider.write(#"data: {"error":{"message":"Incorrect API key provided: sk-secret"}}"# + "\n\n")
            try await until("the answer is over") { caller.isOver }
            #expect(caller.failure != nil)
            #expect(!caller.text.contains("secret") && !caller.text.contains("[DONE]"))
            #expect(try caller.error().string("code") == "provider_error")
            try await until("the call is concluded") { proxy.ledger.settlements.count + proxy.ledger.voids.count == 1 }
            #expect(proxy.ledger.settlements.map(\.amount) == (delivered > 0 ? [tokens(Int64(delivered))] : []))
            try await until("the provider's call is cancelled") { provider.isCancelled }
        }
    }

    @Test func `several choices in one event all count against the hold`() async throws {
        try await ProxyUnderTest.with { proxy in
            proxy.ledger.answerExtend = { ScriptedLedger.refused(.insufficientFunds, $0.chargeID) }
            let (caller, provider) = try await started(proxy, #","n":8"#, stream: true)
            let event = (0..<8).map { #"{"index":\#($0),"delta":{"content":"x"}}"# }.joined(separator: ",")
            provider.begin()
            for _ in 0..<120 { provider.write(#"data: {"choices":[\#(event)]}"# + "\n\n") }
            try await until("the answer is over") { caller.isOver }
            #expect(caller.tokens == 800)
            try await until("the charge is there") { !proxy.ledger.settlements.isEmpty }
            #expect(proxy.ledger.settlements[0].amount == tokens(800))
        }
    }

    @Test func `usage next to content shows the credits to a client that asked, and reaches no other`() async throws {
        for asked in [true, false] {
            try await ProxyUnderTest.with { proxy in
                let (caller, provider) = try await started(
                    proxy, asked ? #","stream_options":{"include_usage":true}"# : "", stream: true)
                provider.begin()
                provider.write(
                    #"data: {"id":"7","choices":[{"delta":{"content":"x"}}],"usage":{"prompt_tokens":9,"completion_tokens":5}}"# + "\n\n")
                provider.finish()
                try await until("the answer is over") { caller.isOver }
                #expect(caller.isDone)
                #expect(caller.text.contains("usage") == asked)
                guard asked else { return }
                let chunk = try JSONObject(Array(caller.events[caller.events.count - 2].utf8))
                #expect(try chunk.string("id") == "7")
                #expect(try chunk.object("usage").decimalText("credits_used") == "0.005")
            }
        }
    }

    @Test func `a client that asked for usage gets the credits although the provider reports none`() async throws {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy, #","stream_options":{"include_usage":true}"#, stream: true)
            provider.send(tokens: 5)
            provider.finish()
            try await until("the answer is over") { caller.isOver }
            let usage = try JSONObject(Array(caller.events[caller.events.count - 2].utf8)).object("usage")
            #expect(try usage.decimalText("credits_used") == "0.005")
            #expect(try usage.integer("completion_tokens") == 5)
        }
    }

    @Test func `events with data go on with their bytes and the order of their fields, and others are dropped`() async throws {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy, stream: true)
            let stream =
                ": note\r\nid: 1\r\nevent: chunk\r\ndata: {\"choices\" : [ {\"delta\":{\"content\":\"x\"}}]}\r\n\r\n"
                + "data: {\"choices\":[\ndata: {\"delta\":{\"content\":\"y\"}}]}\n\n"
            provider.begin()
            for byte in ": processing\r\n\r\n" + stream { provider.write(String(byte)) }
            provider.finish()
            try await until("the answer is over") { caller.isOver }
            #expect(caller.text == stream + "data: [DONE]\n\n")
            try await until("the charge is there") { !proxy.ledger.settlements.isEmpty }
            #expect(proxy.ledger.settlements[0].call.usage.completionTokens == 2)
        }
    }

    // MARK: Deadlines

    @Test func `an answer in one piece has longer to its first byte than a stream`() async throws {
        let timing = ProviderConnections.Timing(firstByteWithin: .milliseconds(100), answerWithin: .seconds(600))
        try await ProxyUnderTest.with(.init(provider: timing)) { proxy in
            let (unary, slow) = try await started(proxy, stream: false)
            let (stream, _) = try await started(proxy, stream: true)
            try await until("the stream is given up") { stream.isOver }
            #expect(stream.status == 504)
            #expect(try stream.error().string("code") == "provider_timeout")
            slow.answer(Self.answer)
            try await until("the answer is over") { unary.isOver }
            #expect(unary.status == 200)
        }
    }

    // MARK: Requests

    @Test(arguments: [#","service_tier":"priority""#, #","store":true"#, #","web_search_options":{}"#, #","Store":true"#])
    func `a member that changes the price is refused before anything is held`(member: String) async throws {
        try await ProxyUnderTest.with { proxy in
            let caller = proxy.call(member)
            try await until("the answer is over") { caller.isOver }
            #expect(caller.status == 400)
            #expect(try member.contains(caller.error().string("param")))
            #expect(proxy.ledger.holds.isEmpty && proxy.provider.calls.isEmpty)
        }
    }

    @Test func `a row that names another address than its key gets no call, and no key`() async throws {
        try await ProxyUnderTest.with { proxy in
            let caller = proxy.call(model: "moved")
            try await until("the answer is over") { caller.isOver }
            #expect(caller.status == 503)
            #expect(try caller.error().string("code") == "provider_disabled")
            #expect(proxy.ledger.holds.isEmpty && proxy.provider.calls.isEmpty)
        }
    }

    @Test func `a provider on a private network is not connected to unless the configuration allows it`() async throws {
        try await ProxyUnderTest.with { proxy in
            let caller = proxy.call(model: "neighbour")
            try await isRefused(caller, proxy)
        }
    }

    @Test(arguments: [
        ("claude", 400, #"{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API."}"#),
        ("claude", 400, #"{"type":"invalid_request_error","message":"This organization has been disabled."}"#),
        ("m", 429, #"{"type":"insufficient_quota","code":"insufficient_quota","message":"You exceeded your current quota."}"#),
        ("m", 400, #"{"type":"invalid_request_error","code":"billing_hard_limit_reached","message":"Billing hard limit"}"#),
    ])
    func `a fault of the operator's account is no fault of the client`(model: String, status: Int, error: String) async throws {
        try await ProxyUnderTest.with { proxy in
            let caller = proxy.call(model: model, stream: false)
            try await until("the provider is called") { !proxy.provider.calls.isEmpty }
            proxy.provider.calls[0].answer(#"{"error":\#(error)}"#, status: status, ["retry-after": "7"])
            try await until("the answer is over") { caller.isOver }
            #expect(caller.status == 502)
            #expect(caller.headers.string(for: "x-should-retry") == "false")
            #expect(caller.headers.string(for: "retry-after") == nil)
            let problem = try caller.error()
            #expect(try problem.string("code") == "provider_error")
            #expect(try problem.integer("provider_status") == status)
            #expect(try problem.string("message").hasSuffix("answered \(status)."))
            try await until("the hold is void") { proxy.ledger.voids.count == 1 }
        }
    }

    @Test(
        arguments: [
            #""usage":{"prompt_tokens":9,"completion_tokens":5,"completion_tokens_details":{"audio_tokens":2}}"#,
            #""usage":{"prompt_tokens":9,"completion_tokens":5,"prompt_tokens_details":{"audio_tokens":4}}"#,
            #""service_tier":"priority","usage":{"prompt_tokens":9,"completion_tokens":5}"#,
        ], [true, false])
    func `a unit or a tier without a price costs the hold, and switches the route off`(members: String, isStreaming: Bool) async throws {
        try await ProxyUnderTest.with { proxy in
            let caller = proxy.call(#","max_tokens":10"#, stream: isStreaming)
            try await until("the provider is called") { !proxy.provider.calls.isEmpty }
            if isStreaming {
                proxy.provider.calls[0].send(["Hi"])
                proxy.provider.calls[0].write("data: {\"choices\":[],\(members)}\n\ndata: [DONE]\n\n")
                proxy.provider.calls[0].end()
            } else {
                proxy.provider.calls[0].answer(#"{"choices":[{"message":{"content":"Hi"}}],\#(members)}"#)
            }
            try await until("the answer is over") { caller.isOver }
            #expect(caller.status == 200)
            try await until("the charge is settled") { !proxy.ledger.settlements.isEmpty }
            #expect(proxy.ledger.settlements[0].amount == ProxyUnderTest.tokens(10))
            #expect(proxy.ledger.settlements[0].call.isEstimated)
            #expect(proxy.ledger.settlements[0].call.costPicoUSD == nil)
            #expect(proxy.switchedOff.models == ["m"])
        }
    }

    @Test func `a tier of another server is charged at the price`() async throws {
        try await ProxyUnderTest.with { proxy in
            let caller = proxy.call(stream: false)
            try await until("the provider is called") { !proxy.provider.calls.isEmpty }
            proxy.provider.calls[0].answer(
                #"{"service_tier":"on_demand","choices":[{"message":{"content":"Hi"}}],"usage":{"prompt_tokens":9,"completion_tokens":5}}"#)
            try await until("the answer is over") { caller.isOver }
            try await until("the charge is settled") { !proxy.ledger.settlements.isEmpty }
            #expect(proxy.ledger.settlements[0].amount == ProxyUnderTest.tokens(5))
            #expect(proxy.switchedOff.models.isEmpty)
        }
    }

    @Test func `an equal route that cannot serve a request is passed over`() async throws {
        try await ProxyUnderTest.with { proxy in
            for count in 1...8 {
                let caller = proxy.call(#","seed":1"#, model: "mixed")
                try await until("the provider is called") { proxy.provider.calls.count == count }
                proxy.provider.calls[count - 1].send(tokens: 1, thenEnd: 1)
                try await until("the answer is over") { caller.isOver }
                #expect(caller.status == 200)
                #expect(proxy.provider.calls[count - 1].body?.has("seed") == true)
            }
        }
    }

    @Test func `a request that no route can serve is refused by a flaw`() async throws {
        try await ProxyUnderTest.with { proxy in
            let caller = proxy.call(#","store":true"#, model: "mixed")
            try await until("the answer is over") { caller.isOver }
            #expect(caller.status == 400)
            #expect(try caller.error().string("param") == "store")
        }
    }

    @Test func `a model without a price is refused by its own code, and ids may contain slashes`() async throws {
        try await ProxyUnderTest.with { proxy in
            let caller = proxy.call(model: "unpriced")
            try await until("the answer is over") { caller.isOver }
            #expect(caller.status == 400)
            #expect(try caller.error().string("code") == "model_not_priced")
            #expect(try await proxy.get("/v1/models/unpriced").status == 400)
            for path in ["/v1/models/vendor/m", "/v1/models/vendor%2Fm"] {
                let shown = try await proxy.get(path)
                #expect(shown.status == 200)
                #expect(try JSONObject(shown.body).string("id") == "vendor/m")
            }
            #expect(try await proxy.get("/v1/models/vendor/x").status == 404)
        }
    }

    @Test(arguments: [(401, "false"), (404, "false"), (429, nil), (500, nil)])
    func `an error that a retry cannot mend says so`(status: Int, shouldRetry: String?) async throws {
        try await ProxyUnderTest.with { proxy in
            proxy.provider.onCall = { $0.answer(#"{"error":{"message":"secret"}}"#, status: status) }
            let (caller, _) = try await started(proxy, stream: false)
            try await isRefused(caller, proxy)
            #expect(caller.headers.string(for: "x-should-retry") == shouldRetry)
            #expect(try caller.error().integer("provider_status") == Int64(status))
        }
    }
}
