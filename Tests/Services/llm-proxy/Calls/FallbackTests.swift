import Contracts
import EventLoop
import HTTPWire
import JSON
import TestSupport
import Testing
import Values

@testable import LLMProxy

/// Tests calls whose first provider fails before its answer begins.
@Suite(.serialized, .database(schema: "llm_proxy", migrations: "Shared/Outbox/Migrations", "Services/llm-proxy/Migrations"))
struct FallbackTests {
    private static let answer = #"{"choices":[{"message":{"content":"x"}}],"usage":{"prompt_tokens":9,"completion_tokens":5}}"#
    private static let failures = ["500", "503", "429", "401", "404", "quota", "dies", "media type"]

    private static func fail(_ call: ScriptedCall, _ how: String) {
        switch how {
        case "dies": call.breakOff()
        case "media type": call.answer("<html></html>", type: "text/html")
        case "quota": call.answer(#"{"error":{"message":"no","code":"insufficient_quota"}}"#, status: 429)
        default: call.answer(#"{"error":{"message":"no"}}"#, status: Int(how) ?? 500)
        }
    }

    @Test(arguments: failures, [true, false])
    func `the next provider answers, at its own price, and the call is charged once`(how: String, stream: Bool) async throws {
        try await ProxyUnderTest.with { proxy in
            proxy.provider.onCall = { call in
                guard call.path.hasPrefix("/spare") else { return Self.fail(call, how) }
                if stream { call.send(tokens: 5, thenEnd: 5) } else { call.answer(Self.answer) }
            }
            let caller = proxy.call(model: "backed", stream: stream)
            try await until("the answer is over") { caller.isOver }
            #expect((caller.status, caller.failure) == (200, nil))
            #expect(caller.headers.string(for: "x-provider") == "spare")
            try await until("the charge is there") { !proxy.ledger.settlements.isEmpty }
            #expect(proxy.provider.calls.map(\.path) == ["/v1/chat/completions", "/spare/chat/completions"])
            #expect(proxy.ledger.settlements.map(\.amount) == [ProxyUnderTest.tokens(10)])
            #expect(proxy.ledger.settlements[0].call.provider == "spare")
            #expect((proxy.ledger.holds.count, proxy.ledger.voids.count) == (1, 0))
        }
    }

    @Test(arguments: [true, false])
    func `a provider that refused is called again after a pause, and its answer costs what it would have cost at once`(
        stream: Bool
    ) async throws {
        try await ProxyUnderTest.with { proxy in
            proxy.provider.onCall = { [provider = proxy.provider] call in
                if provider.calls.count == 1 { return Self.fail(call, "429") }
                if stream { call.send(tokens: 5, thenEnd: 5) } else { call.answer(Self.answer) }
            }
            let caller = proxy.call(stream: stream)
            try await until("the answer is over") { caller.isOver }
            #expect(caller.status == 200)
            try await until("the charge is there") { !proxy.ledger.settlements.isEmpty }
            #expect(proxy.ledger.settlements.map(\.amount) == [ProxyUnderTest.tokens(5)])
            #expect(proxy.provider.calls.count == 2)
        }
    }

    @Test func `a refused request is sent to no other provider`() async throws {
        try await ProxyUnderTest.with { proxy in
            proxy.provider.onCall = { Self.fail($0, "400") }
            let caller = proxy.call(model: "backed", stream: false)
            try await until("the answer is over") { caller.isOver }
            #expect(caller.status == 400)
            try await until("the void is there") { !proxy.ledger.voids.isEmpty }
            #expect(proxy.provider.calls.count == 1)
        }
    }

    @Test func `a stream that has begun is not tried at another provider`() async throws {
        try await ProxyUnderTest.with { proxy in
            proxy.provider.onCall = { call in
                call.send(tokens: 3)
                call.die()
            }
            let caller = proxy.call(model: "backed")
            try await until("the answer is over") { caller.isOver }
            #expect(caller.failure != nil)
            try await until("the charge is there") { !proxy.ledger.settlements.isEmpty }
            #expect(proxy.provider.calls.count == 1)
        }
    }

    @Test func `a client that left gets no further attempt, and pays nothing for the failed one`() async throws {
        try await ProxyUnderTest.with { proxy in
            let caller = proxy.call(model: "backed", stream: false)
            try await until("the provider is called") { proxy.provider.calls.count == 1 }
            caller.hangUp()
            // The same loop answers a later request after the end of the earlier one.
            let other = proxy.send("{")
            try await until("another call is refused") { other.isOver }
            Self.fail(proxy.provider.calls[0], "503")
            try await until("the void is there") { !proxy.ledger.voids.isEmpty }
            #expect(proxy.provider.calls.count == 1)
            #expect(proxy.ledger.settlements.isEmpty)
        }
    }

    @Test func `a dearer provider that the hold does not pay for is not called`() async throws {
        try await ProxyUnderTest.with { proxy in
            proxy.ledger.answerHold = { ScriptedLedger.granted($0.amounts.usual, to: $0.chargeID) }
            proxy.provider.onCall = { Self.fail($0, "401") }
            let caller = proxy.call(model: "backed-dear", stream: false)
            try await until("the answer is over") { caller.isOver }
            #expect(caller.status == 502)
            try await until("the void is there") { !proxy.ledger.voids.isEmpty }
            #expect(proxy.provider.calls.count == 1)
        }
    }

    @Test func `a provider that fails five times in a row is not called, and its clients get the time of the next trial`() async throws {
        try await ProxyUnderTest.with { proxy in
            proxy.provider.onCall = { Self.fail($0, "media type") }
            for _ in 0..<5 {
                let caller = proxy.call(stream: false)
                try await until("the answer is over") { caller.isOver }
                #expect(caller.status == 502)
            }
            let (calls, holds) = (proxy.provider.calls.count, proxy.ledger.holds.count)
            #expect(calls == 5)
            let caller = proxy.call(stream: false)
            try await until("the answer is over") { caller.isOver }
            #expect(caller.status == 502)
            #expect(try caller.error().string("code") == "provider_error")
            let seconds = try #require(caller.headers.string(for: "retry-after").flatMap { Int($0) })
            #expect((1...5).contains(seconds))
            #expect((proxy.provider.calls.count, proxy.ledger.holds.count) == (calls, holds))
            // Another provider of the same model serves on, without an attempt at the failing one.
            proxy.provider.onCall = { $0.answer(Self.answer) }
            let backed = proxy.call(model: "backed", stream: false)
            try await until("the answer is over") { backed.isOver }
            #expect((backed.status, backed.headers.string(for: "x-provider")) == (200, "spare"))
        }
    }
}
