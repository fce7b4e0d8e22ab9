import Contracts
import HTTP
import HTTPWire
import JSON
import TestSupport
import Testing
import Values

@testable import LLMProxy

struct CreateMessageTests {
    @Test func `the members that the gateway needs are read`() throws {
        let request = try CreateMessage().read(
            Array(#"{"model":"m","messages":[],"stream":true,"max_tokens":7,"system":"Be short."}"#.utf8))
        #expect((request.modelRequest.surface, request.modelRequest.model, request.modelRequest.isStreaming) == (.messages, "m", true))
        #expect(request.outputTokensMax == 7)
    }

    @Test(
        arguments: [
            (#"{"messages":[],"max_tokens":1}"#, .missingParameter, "model"),
            (#"{"model":"m","max_tokens":1}"#, .missingParameter, "messages"),
            (#"{"model":"m","messages":{},"max_tokens":1}"#, .invalidRequest, "messages"),
            (#"{"model":"m","messages":[]}"#, .missingParameter, "max_tokens"),
            (#"{"model":"m","messages":[],"max_tokens":0}"#, .invalidRequest, "max_tokens"),
            (#"{"model":"m","messages":[],"max_tokens":1,"stream":"yes"}"#, .invalidRequest, "stream"),
            (#"{"model":"m","messages":[],"max_tokens":1,"Stream":true}"#, .invalidRequest, "Stream"),
        ] as [(String, ErrorCode, String)])
    func `a bad member is refused by name`(text: String, code: ErrorCode, param: String) throws {
        let problem = Problem(try #require(#expect(throws: RequestRefusal.self) { try CreateMessage().read(Array(text.utf8)) }))
        #expect((problem.code, problem.param) == (code, param))
    }
}

/// Tests Anthropic's API at the doors of the proxy, over a provider that speaks it.
@Suite(.serialized, .database(schema: "llm_proxy", migrations: "Shared/Outbox/Migrations", "Services/llm-proxy/Migrations"))
struct MessageCallTests {
    private func started(
        _ proxy: ProxyUnderTest, _ members: String = "", model: String = "claude", limit: Int = 70, stream: Bool, headers: HeaderBlock = [:]
    ) async throws -> (Caller, ScriptedCall) {
        let caller = proxy.message(members, model: model, limit: limit, stream: stream, headers: headers)
        try await until("the provider is called") { proxy.provider.calls.count == 1 }
        return (caller, proxy.provider.calls[0])
    }

    private func charge(_ proxy: ProxyUnderTest) async throws -> SettleCharge {
        try await until("the charge is there") { !proxy.ledger.settlements.isEmpty }
        return proxy.ledger.settlements[0]
    }

    // MARK: Answers

    @Test func `a call in one piece keeps its bytes both ways, but for the members of the gateway`() async throws {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(
                proxy, #","temperature":0.70,"metadata":{"user_id":"u"},"service_tier":"auto""#, stream: false,
                headers: [
                    "anthropic-version": "2024-01-01", "anthropic-beta": "claude-code-20250219, oauth-2025-04-20,advisor-tool-2026-03-01",
                ])
            #expect(provider.headers.string(for: "x-api-key") == "provider-key")
            #expect(provider.headers.strings(for: "anthropic-version") == ["2023-06-01"])
            #expect(provider.headers.strings(for: "anthropic-beta") == ["claude-code-20250219"])
            #expect(try provider.body?.decimalText("temperature") == "0.70")
            #expect(try provider.body?.string("service_tier") == "standard_only")
            #expect(try provider.body?.integer("max_tokens") == 70)
            let content = #""content":[{"type":"text","text":"H\u00e9llo", "citations":null}]"#
            provider.answer(
                #"{"id":"msg_1","type":"message","role":"assistant",\#(content),"stop_reason":"end_turn","#
                    + #""usage":{"input_tokens":10,"cache_read_input_tokens":5,"output_tokens":3,"service_tier":"standard"}}"#)
            try await until("the answer is over") { caller.isOver }
            #expect(caller.status == 200)
            #expect(caller.text.contains(content))
            let usage = try JSONObject(caller.bytes).object("usage")
            #expect((try usage.decimalText("credits_used"), try usage.integer("output_tokens")) == ("0.018", 3))
            #expect(caller.headers.string(for: "request-id") == caller.headers.string(for: "x-request-id"))
            #expect(caller.headers.string(for: "x-credits-used") == "0.018")
            #expect(try await charge(proxy).amount == ProxyUnderTest.tokens(18))
        }
    }

    @Test func `a stream passes through, and its end is held back until the charge is safe`() async throws {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy, stream: true)
            provider.begin()
            provider.write(AnthropicEventsTests.stream)
            provider.end()
            try await until("the answer is over") { caller.isOver }
            #expect(caller.failure == nil)
            #expect(caller.text.hasPrefix(AnthropicEventsTests.passed))
            let last = caller.events.suffix(2)
            let usage = try JSONObject(Array(try #require(last.first).utf8)).object("usage")
            #expect((try usage.integer("output_tokens"), try usage.decimalText("credits_used")) == (15, "0.04"))
            #expect(usage.has("credits_remaining"))
            #expect(caller.text.hasSuffix("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"))
            let charge = try await charge(proxy)
            #expect((charge.amount, charge.call.end, charge.call.isEstimated) == (ProxyUnderTest.tokens(40), .completed, false))
        }
    }

    @Test func `a stream without a change reports the usage that the gateway counted`() async throws {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy, stream: true)
            provider.begin()
            provider.write(AnthropicEventsTests.event("content_block_delta", #""delta":{"type":"text_delta","text":"12345678"}"#))
            provider.write(AnthropicEventsTests.event("message_stop", ""))
            provider.end()
            try await until("the answer is over") { caller.isOver }
            let change = try JSONObject(Array(try #require(caller.events.suffix(2).first).utf8))
            #expect(try change.object("usage").integer("output_tokens") == 2)
            #expect(try change.object("delta").string("stop_reason") == "end_turn")
            #expect(try await charge(proxy).call.isEstimated)
        }
    }

    @Test(arguments: [true, false])
    func `an answer without content costs nothing`(stream: Bool) async throws {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy, stream: stream)
            if stream {
                provider.begin()
                provider.write(AnthropicEventsTests.event("message_start", #""message":{"usage":{"input_tokens":25,"output_tokens":1}}"#))
                provider.write(
                    AnthropicEventsTests.event("message_delta", #""delta":{"stop_reason":"refusal"},"usage":{"output_tokens":4}"#))
                provider.write(AnthropicEventsTests.event("message_stop", ""))
                provider.end()
            } else {
                provider.answer(
                    #"{"type":"message","content":[],"stop_reason":"end_turn","usage":{"input_tokens":25,"output_tokens":2}}"#)
            }
            try await until("the answer is over") { caller.isOver }
            #expect(caller.status == 200)
            try await until("the hold is void") { proxy.ledger.voids.count == 1 }
            #expect(proxy.ledger.settlements.isEmpty)
        }
    }

    // MARK: Ends that are not whole

    @Test(arguments: ["dies", "ends", "reports an error"])
    func `a broken stream is charged by its delivered output, and does not look whole`(how: String) async throws {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy, stream: true)
            provider.begin()
            provider.write(AnthropicEventsTests.event("message_start", #""message":{"usage":{"input_tokens":25,"output_tokens":1}}"#))
            provider.write(AnthropicEventsTests.event("content_block_delta", #""delta":{"type":"text_delta","text":"12345678"}"#))
            switch how {
            case "dies": provider.die()
            case "ends": provider.end()
            default:
                provider.write(
                    AnthropicEventsTests.event("error", #""error":{"type":"overloaded_error","message":"secret"}"#))
                try await until("the provider's call is cancelled") { provider.isCancelled }
            }
            try await until("the answer is over") { caller.isOver }
            #expect(caller.failure != nil)
            #expect(!caller.text.contains("message_stop") && !caller.text.contains("secret"))
            #expect(caller.text.contains("event: error\ndata: {\"type\":\"error\""))
            #expect((try caller.error().string("type"), try caller.error().string("code")) == ("api_error", "provider_error"))
            let charge = try await charge(proxy)
            #expect((charge.amount, charge.call.isEstimated) == (ProxyUnderTest.tokens(27), true))
        }
    }

    @Test func `a client that hangs up in the middle of a stream pays the prompt and what was delivered`() async throws {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy, stream: true)
            provider.begin()
            provider.write(AnthropicEventsTests.event("message_start", #""message":{"usage":{"input_tokens":25,"output_tokens":1}}"#))
            for _ in 0..<3 {
                provider.write(AnthropicEventsTests.event("content_block_delta", #""delta":{"type":"thinking_delta","thinking":"abcd"}"#))
            }
            try await until("the client has them") { caller.text.contains("abcd") }
            caller.hangUp()
            try await until("the provider's call is cancelled") { provider.isCancelled }
            let charge = try await charge(proxy)
            #expect((charge.call.end, charge.call.usage.completionTokens >= 1) == (.clientDisconnected, true))
            #expect(charge.call.usage[.input] == 25)
        }
    }

    @Test(arguments: [(429, "api_error"), (529, "api_error"), (500, "api_error"), (400, "invalid_request_error")])
    func `a refusal of the provider costs nothing, and has Anthropic's shape`(status: Int, type: String) async throws {
        try await ProxyUnderTest.with { proxy in
            proxy.provider.onCall = { $0.answer(#"{"type":"error","error":{"type":"x","message":"why"}}"#, status: status) }
            let (caller, _) = try await started(proxy, stream: true)
            try await until("the answer is over") { caller.isOver }
            #expect(caller.status == (status == 400 ? 400 : 502))
            let body = try JSONObject(caller.bytes)
            #expect((try body.string("type"), try body.object("error").string("type")) == ("error", type))
            #expect(try body.string("request_id") == caller.headers.string(for: "request-id"))
            try await until("the hold is void") { proxy.ledger.voids.count == 1 }
            #expect(proxy.ledger.settlements.isEmpty)
        }
    }

    @Test(arguments: ["{}", #"{"type":"error"}"#, #"{"type":"message","content":"x"}"#, "<html>"])
    func `an answer that is no message is a provider error and costs nothing`(body: String) async throws {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy, stream: false)
            provider.answer(body)
            try await until("the answer is over") { caller.isOver }
            #expect(caller.status == 502)
            try await until("the hold is void") { proxy.ledger.voids.count == 1 }
        }
    }

    @Test(arguments: [("text/html", true), ("application/json", true), ("text/event-stream", false)])
    func `an answer of another media type is a provider error and costs nothing`(type: String, stream: Bool) async throws {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy, stream: stream)
            provider.answer(AnthropicEventsTests.stream, type: type)
            try await until("the answer is over") { caller.isOver }
            #expect(caller.status == 502)
            try await until("the hold is void") { proxy.ledger.voids.count == 1 }
            #expect(proxy.ledger.settlements.isEmpty)
        }
    }

    @Test func `a stream at the end of its hold ends with an event of the error`() async throws {
        try await ProxyUnderTest.with { proxy in
            proxy.ledger.answerExtend = { ScriptedLedger.refused(.insufficientFunds, $0.chargeID) }
            let (caller, provider) = try await started(proxy, limit: 1_000, stream: true)
            provider.begin()
            for _ in 0..<150 {
                provider.write(AnthropicEventsTests.event("content_block_delta", #""delta":{"type":"text_delta","text":"x"}"#))
            }
            try await until("the answer is over") { caller.isOver }
            #expect(caller.failure == nil)
            #expect((try caller.error().string("type"), try caller.error().string("code")) == ("billing_error", "insufficient_credits"))
            #expect(try await charge(proxy).call.end == .holdExhausted)
        }
    }

    @Test func `a tier without a price costs the hold, and switches the route off`() async throws {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy, stream: false)
            provider.answer(
                #"{"type":"message","content":[{"type":"text","text":"x"}],"usage":{"input_tokens":1,"output_tokens":1,"service_tier":"priority"}}"#
            )
            try await until("the answer is over") { caller.isOver }
            #expect(try await charge(proxy).amount == proxy.ledger.holds[0].amounts.most)
            #expect(proxy.switchedOff.models == ["claude"])
        }
    }

    // MARK: Refusals

    @Test func `a refusal of a caller has Anthropic's shape`() async throws {
        try await ProxyUnderTest.with { proxy in
            let unknown = proxy.send(#"{"model":"m"}"#, to: "/v1/messages", key: "ssk_wrong")
            try await until("the answer is over") { unknown.isOver }
            #expect(unknown.status == 401)
            #expect(try unknown.error().string("type") == "authentication_error")
            proxy.ledger.answerHold = { ScriptedLedger.refused(.insufficientFunds, $0.chargeID) }
            let poor = proxy.message()
            try await until("the answer is over") { poor.isOver }
            #expect(poor.status == 402)
            #expect((try poor.error().string("type"), try poor.error().string("code")) == ("billing_error", "insufficient_credits"))
            #expect(try poor.error().has("top_up_url") && poor.error().has("required"))
            let missing = proxy.message(model: "no-such-model")
            try await until("the answer is over") { missing.isOver }
            #expect(missing.status == 404)
            #expect(try missing.error().string("type") == "not_found_error")
            let (status, _, body) = try await proxy.get("/v1/messages")
            #expect(status == 405)
            #expect(try JSONObject(body).string("type") == "error")
        }
    }

    @Test func `a body beyond the limit of the path is refused in Anthropic's shape`() async throws {
        try await ProxyUnderTest.with { proxy in
            let caller = proxy.send(
                #"{"model":"claude","max_tokens":1,"messages":[],"system":"\#(String(repeating: "x", count: 17 << 20))"}"#,
                to: "/v1/messages")
            try await until("the answer is over") { caller.isOver }
            #expect(caller.status == 413)
            #expect(try caller.error().string("type") == "request_too_large")
        }
    }

    @Test(
        arguments: [
            (#","container":"c""#, "container"), (#","mcp_servers":[{}]"#, "mcp_servers"), (#","speed":"fast""#, "speed"),
            (#","inference_geo":"us""#, "inference_geo"), (#","fallbacks":[]"#, "fallbacks"),
            (#","service_tier":"priority""#, "service_tier"),
            (#","context_management":{"edits":[{"type":"compact_20260112"}]}"#, "context_management"),
            (#","context_management":{"edits":[],"edits":[{"type":"compact_20260112"}]}"#, "context_management"),
            (#","context_management":{"edits":[],"Edits":[{"type":"compact_20260112"}]}"#, "context_management"),
            (#","context_management":{"edits":[7]}"#, "context_management"),
            (#","tools":[{"type":"web_search_20250305","name":"web_search"}]"#, "tools[0].type"),
            (#","tools":[{"name":"f"},{"type":"computer_20250124","name":"computer"}]"#, "tools[1].type"),
            (#","tools":[{"type":"custom","Type":"web_search_20250305"}]"#, "tools[0].type"),
            (#","thinking":{"type":"enabled","budget_tokens":1024}"#, "thinking"), (#","thinking":{"type":7}"#, "thinking"),
            (#","system":[{"type":"text","text":"x","cache_control":{"type":"ephemeral"}}]"#, "cache_control"),
        ] as [(String, String)])
    func `a member without a price is refused before anything is held`(member: String, param: String) async throws {
        try await ProxyUnderTest.with { proxy in
            let caller = proxy.message(member)
            try await until("the answer is over") { caller.isOver }
            #expect(caller.status == 400)
            #expect(try caller.error().string("param") == param)
            #expect(proxy.ledger.holds.isEmpty && proxy.provider.calls.isEmpty)
        }
    }

    // MARK: Holds

    @Test(arguments: ["", #","ttl":"1h""#])
    func `a write to a cache is held and charged at its price`(ttl: String) async throws {
        try await ProxyUnderTest.with { proxy in
            let plain = proxy.message(model: "thinker", stream: false)
            try await until("the provider is called") { proxy.provider.calls.count == 1 }
            let cached = proxy.message(
                #","system":[{"type":"text","text":"","cache_control":{"type":"ephemeral"\#(ttl)}}]"#, model: "thinker", stream: false)
            try await until("the provider is called again") { proxy.provider.calls.count == 2 }
            let (first, second) = (proxy.ledger.holds[0].amounts.most, proxy.ledger.holds[1].amounts.most)
            #expect(second.nano - 70_000_000 > (first.nano - 70_000_000) * (ttl.isEmpty ? 125 : 200) / 100)
            let hour = ttl.isEmpty ? "" : #","cache_creation":{"ephemeral_1h_input_tokens":40}"#
            proxy.provider.calls[1].answer(
                #"{"type":"message","content":[{"type":"text","text":"x"}],"usage":{"input_tokens":0,"cache_creation_input_tokens":40\#(hour),"output_tokens":1}}"#
            )
            proxy.provider.calls[0].answer(#"{"type":"message","content":[],"usage":{}}"#)
            try await until("the answers are over") { cached.isOver && plain.isOver }
            #expect(try await charge(proxy).amount == Credits(nano: ttl.isEmpty ? 51_000_000 : 81_000_000))
        }
    }

    @Test func `a budget of thoughts follows the limit down, and the least of the call leaves room for both`() async throws {
        try await ProxyUnderTest.with { proxy in
            proxy.ledger.answerHold = { ScriptedLedger.granted($0.amounts.least.adding(Credits(nano: 2_000_000_000)), to: $0.chargeID) }
            let (_, provider) = try await started(
                proxy, #","thinking":{"type":"enabled","budget_tokens":4000}"#, model: "thinker", limit: 8_000, stream: true)
            let amounts = proxy.ledger.holds[0].amounts
            #expect(amounts.least >= ProxyUnderTest.tokens(2_048))
            #expect(amounts.most >= ProxyUnderTest.tokens(8_000))
            let limit = try #require(try provider.body?.integer("max_tokens"))
            #expect((2_048..<8_000).contains(limit))
            #expect(try provider.body?.object("thinking").integer("budget_tokens") == max(1_024, limit / 2))
        }
    }

    @Test func `pictures, tools and a bash of the client are held for`() async throws {
        try await ProxyUnderTest.with { proxy in
            let picture = #"{"type":"image","source":{"type":"url","url":"https://h/x.png"}}"#
            let caller = proxy.send(
                #"{"model":"thinker","max_tokens":64,"messages":[{"role":"user","content":[\#(picture)]}],"tools":[{"type":"bash_20250124","name":"bash"}]}"#,
                to: "/v1/messages")
            try await until("the provider is called") { proxy.provider.calls.count == 1 }
            #expect(proxy.ledger.holds[0].amounts.most > ProxyUnderTest.tokens(1_000 + 2_048 + 64))
            proxy.provider.calls[0].answer(#"{"type":"message","content":[],"usage":{}}"#)
            try await until("the answer is over") { caller.isOver }
            let refused = proxy.send(
                #"{"model":"claude","max_tokens":64,"messages":[{"role":"user","content":[\#(picture)]}]}"#, to: "/v1/messages")
            try await until("the answer is over") { refused.isOver }
            #expect(refused.status == 400)
        }
    }
}
