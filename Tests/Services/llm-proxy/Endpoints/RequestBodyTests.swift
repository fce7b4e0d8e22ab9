import TestSupport
import Testing

@testable import LLMProxy

/// Tests how long the body of a call takes room.
@Suite(.serialized, .database(schema: "llm_proxy", migrations: "Shared/Outbox/Migrations", "Services/llm-proxy/Migrations"))
struct RequestBodyTests {
    private static let answer = #"{"choices":[{"message":{"content":"x"}}],"usage":{"prompt_tokens":9,"completion_tokens":5}}"#

    @Test func `a stream that has begun keeps no room for the body of its request`() async throws {
        try await ProxyUnderTest.with(.init(bodiesMax: 1_000)) { proxy in
            let user = #","user":""# + String(repeating: "u", count: 700) + #"""#
            let stream = proxy.call(user)
            try await until("the provider is called") { proxy.provider.calls.count == 1 }
            // The provider has the request, and it may still have to be sent again.
            let refused = proxy.call(user, stream: false)
            try await until("the second call is refused") { refused.isOver }
            #expect(refused.status == 503)
            proxy.provider.calls[0].send(tokens: 1)
            try await until("the stream has begun") { stream.tokens == 1 }
            let served = proxy.call(user, stream: false)
            try await until("the provider is called") { proxy.provider.calls.count == 2 }
            proxy.provider.calls[1].answer(Self.answer)
            proxy.provider.calls[0].send(tokens: 1, thenEnd: 2)
            try await until("both calls are over") { stream.isOver && served.isOver }
            #expect((served.status, stream.isDone) == (200, true))
        }
    }
}
