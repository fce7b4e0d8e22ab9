import HTTP
import HTTPWire
import JSON
import TestSupport
import Testing

@testable import LLMProxy

@Suite(.serialized, .database(schema: "llm_proxy", migrations: "Shared/Outbox/Migrations", "Services/llm-proxy/Migrations"))
struct CountTokensTests {
    private func count(_ proxy: ProxyUnderTest, _ body: String, headers: HeaderBlock = [:]) async throws -> Caller {
        let caller = proxy.send(body, to: "/v1/messages/count_tokens", headers: headers)
        try await until("the answer is over") { caller.isOver }
        return caller
    }

    @Test func `tokens are counted by Anthropic, and nothing is held`() async throws {
        try await ProxyUnderTest.with { proxy in
            proxy.provider.onCall = { $0.answer(#"{"input_tokens":14}"#) }
            let body = #"{"model":"claude", "messages":[{"role":"user","content":"Hi"}],"system":"x"}"#
            let caller = try await count(proxy, body, headers: ["anthropic-version": "2023-06-01"])
            #expect(caller.status == 200 && caller.text == #"{"input_tokens":14}"#)
            #expect(try caller.differences() == [])
            let asked = proxy.provider.calls[0]
            #expect(asked.path == "/v1/messages/count_tokens")
            #expect(String(decoding: asked.bytes, as: UTF8.self) == body)
            #expect(proxy.ledger.holds.isEmpty)
        }
    }

    @Test(
        arguments: [
            (#"{"model":"claude"}"#, 400, "messages"), (#"{"messages":[]}"#, 400, "model"), (#"{"model":"m","messages":[]}"#, 400, "model"),
            (#"{"model":"none","messages":[]}"#, 404, "none"),
            (#"{"model":"claude","messages":[],"mcp_servers":[{}]}"#, 400, "mcp_servers"),
            (#"{"model":"claude","messages":[{"role":"user","content":[{"type":"document"}]}]}"#, 400, "content[0]"), ("x", 400, "JSON"),
        ])
    func `a request that no message could be is refused by name`(body: String, status: Int, name: String) async throws {
        try await ProxyUnderTest.with { proxy in
            let caller = try await count(proxy, body)
            #expect(caller.status == status && caller.text.contains(name), "\(caller.text)")
            #expect(proxy.provider.calls.isEmpty)
        }
    }

    @Test(arguments: [(429, "{}"), (500, "{}"), (200, "{}"), (200, "no")])
    func `a provider that counts nothing is a provider error`(status: Int, body: String) async throws {
        try await ProxyUnderTest.with { proxy in
            proxy.provider.onCall = { $0.answer(body, status: status) }
            let caller = try await count(proxy, #"{"model":"claude","messages":[{"role":"user","content":"Hi"}]}"#)
            #expect(caller.status == 502)
        }
    }
}
