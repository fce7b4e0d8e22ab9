import Contracts
import HTTPWire
import JSON
import TestSupport
import Testing
import Values

@testable import LLMProxy

@Suite(.serialized, .database(schema: "llm_proxy", migrations: "Shared/Outbox/Migrations", "Services/llm-proxy/Migrations"))
struct SimpleChatTests {
    private static let answer =
        #"{"id":"c1","model":"m","choices":[{"message":{"content":"Hi \u00fc"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":5}}"#

    private func answered(_ caller: Caller) async throws -> JSONObject {
        try await until("the answer is over") { caller.isOver }
        return try JSONObject(caller.bytes)
    }

    @Test(arguments: ["/api/llm/chat", "/api/v1/llm/invoke"])
    func `an answer has the text, its usage and its credits`(path: String) async throws {
        try await ProxyUnderTest.with { proxy in
            proxy.provider.onCall = { $0.answer(Self.answer) }
            let caller = proxy.send(#"{"model":"m","temperature":0.50,"messages":[{"role":"user","content":"Hello"}]}"#, to: path)
            let answer = try await answered(caller)
            #expect(caller.status == 200)
            #expect(try (answer.string("content"), answer.string("finishReason")) == ("Hi ü", "stop"))
            #expect(try answer.object("usage").integer("totalTokens") == 14)
            #expect(try answer.decimalText("creditsUsed") == "0.005")
            #expect(answer.has("creditsRemaining"))
            let body = try #require(proxy.provider.calls[0].body)
            #expect(try (body.decimalText("temperature"), body.bool("stream")) == ("0.50", false))
            try await until("the charge is there") { !proxy.ledger.settlements.isEmpty }
            #expect(proxy.ledger.settlements.map(\.amount) == [ProxyUnderTest.tokens(5)])
        }
    }

    @Test func `a prompt is one message, and the cheapest model answers a request without a model`() async throws {
        try await ProxyUnderTest.with { proxy in
            proxy.provider.onCall = { $0.answer(Self.answer) }
            for (path, text) in [("/api/llm/chat", #"{"prompt":"a \"b\""}"#), ("/api/v1/llm/test", "{}")] {
                let caller = proxy.send(text, to: path)
                _ = try await answered(caller)
                #expect(caller.status == 200)
                let body = try #require(proxy.provider.calls.last?.body)
                let message = try #require(try body.array("messages").first?.object)
                #expect(try message.string("content") == (path == "/api/llm/chat" ? #"a "b""# : "Answer with OK."))
                #expect(try body.string("model") == "hidden")
                #expect(body.member("prompt") == nil)
            }
        }
    }

    @Test func `a stream has deltas, usage and its end, and its charge is safe before the end`() async throws {
        try await ProxyUnderTest.with { proxy in
            let caller = proxy.send(#"{"model":"m","prompt":"x"}"#, to: "/api/llm/stream")
            try await until("the provider is called") { !proxy.provider.calls.isEmpty }
            proxy.provider.calls[0].send(["a", "\\n\\u00fc"])
            proxy.provider.calls[0].write(#"data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"# + "\n\n")
            proxy.provider.calls[0].send([], thenEnd: 2)
            try await until("the answer is over") { caller.isOver }
            #expect(caller.failure == nil)
            #expect(
                caller.text.split(separator: "\n\n").map(String.init).dropLast(2) == [
                    "event: delta\ndata: {\"content\":\"a\"}", "event: delta\ndata: {\"content\":\"\\n\\u00fc\"}",
                    "event: delta\ndata: {\"finishReason\":\"stop\"}",
                ])
            #expect(
                caller.text.contains(
                    "event: usage\ndata: {\"promptTokens\":9,\"completionTokens\":2,\"totalTokens\":11,\"creditsUsed\":0.002,"))
            #expect(caller.text.hasSuffix("event: done\ndata: {\"model\":\"m\"}\n\n"))
            #expect(proxy.ledger.settlements.map(\.amount) == [ProxyUnderTest.tokens(2)])
        }
    }

    @Test func `a stream that fails ends with an error and not with its end`() async throws {
        try await ProxyUnderTest.with { proxy in
            let caller = proxy.send(#"{"model":"m","prompt":"x"}"#, to: "/api/llm/stream")
            try await until("the provider is called") { !proxy.provider.calls.isEmpty }
            proxy.provider.calls[0].send(tokens: 3)
            try await until("it is delivered") { caller.text.contains("delta") }
            proxy.provider.calls[0].die()
            try await until("the answer is over") { caller.isOver }
            #expect(caller.failure != nil)
            #expect(caller.text.contains("event: error\ndata: {\"error\":{"))
            #expect(!caller.text.contains("event: done"))
        }
    }

    @Test(
        arguments: [
            (#"{"prompt":"x","stream":true}"#, "stream"), (#"{"prompt":"x","n":2}"#, "n"), (#"{"model":"m"}"#, "messages"),
            (#"{"prompt":7}"#, "prompt"), (#"{"prompt":{},"messages":[]}"#, "prompt"), (#"{"prompt":"x","messages":[]}"#, "prompt"),
            (#"{"prompt":"x","Model":"y"}"#, "Model"),
            (#"{"prompt":"x","service_tier":"flex"}"#, "service_tier"),
        ])
    func `a bad member is refused by name`(body: String, param: String) async throws {
        try await ProxyUnderTest.with { proxy in
            let caller = proxy.send(body, to: "/api/llm/chat")
            try await until("the answer is over") { caller.isOver }
            #expect(caller.status == 400)
            #expect(try caller.error().string("param") == param)
            #expect(proxy.ledger.holds.isEmpty)
        }
    }

    @Test func `the balance is the ledger's`() async throws {
        try await ProxyUnderTest.with { proxy in
            let answer = try await proxy.get("/api/v1/llm/balance")
            #expect(String(decoding: answer.body, as: UTF8.self) == #"{"balance":7,"held":2,"available":5,"currency":"credits"}"#)
        }
    }
}
