import HTTPWire
import JSON
import TestSupport
import Testing

@testable import LLMProxy

@Suite(.serialized, .database(schema: "llm_proxy", migrations: "Shared/Outbox/Migrations", "Services/llm-proxy/Migrations"))
struct OpenAPITests {
    @Test(arguments: ["/v1/models", "/v1/models/priced", "/v1/models/no-such-model"])
    func `models are described as the document promises`(path: String) async throws {
        try await ProxyUnderTest.with { proxy in
            let answer = try await proxy.get(path)
            #expect(answer.status == (path.hasSuffix("no-such-model") ? 404 : 200))
            let differences = try ProxyUnderTest.document.get().differences(
                "GET", path, status: answer.status, contentType: answer.contentType, body: answer.body)
            #expect(differences == [])
        }
    }

    @Test(arguments: [false, true])
    func `a call is answered as the document promises`(stream: Bool) async throws {
        try await ProxyUnderTest.with { proxy in
            let caller = proxy.call(stream: stream)
            try await until("the provider is called") { !proxy.provider.calls.isEmpty }
            if stream {
                proxy.provider.calls[0].send(tokens: 5, thenEnd: 5)
            } else {
                proxy.provider.calls[0].answer(
                    #"{"choices":[{"message":{"content":"x"}}],"usage":{"prompt_tokens":9,"completion_tokens":5,"total_tokens":14}}"#)
            }
            try await until("the answer is over") { caller.isOver }
            let differences = try ProxyUnderTest.document.get().differences(
                "POST", "/v1/chat/completions", status: caller.status, contentType: caller.headers.string(for: "content-type"),
                body: caller.bytes)
            #expect(caller.status == 200)
            #expect(differences == [])
        }
    }
}
