import Contracts
import HTTP
import HTTPWire
import JSON
import TestSupport
import Testing
import Values

@testable import LLMProxy

/// Tests the table of docs/billing-policy.md on every surface. A token of the prompt and one of output
/// cost a thousandth of a credit each.
@Suite(.serialized, .database(schema: "llm_proxy", migrations: "Shared/Outbox/Migrations", "Services/llm-proxy/Migrations"))
struct SurfaceTests {
    private func tokens(_ count: Int64) -> Credits { ProxyUnderTest.tokens(count) }

    /// Returns the likely tokens of a prompt: its bytes divided by four.
    private func prompt(_ body: String) -> Int64 { Int64(body.utf8.count) / 4 }

    private func started(_ proxy: ProxyUnderTest, _ script: SurfaceScript, _ body: String) async throws -> (Caller, ScriptedCall) {
        let caller = proxy.send(body, to: script.surface.path)
        let before = proxy.provider.calls.count
        try await until("the provider is called") { proxy.provider.calls.count > before }
        return (caller, proxy.provider.calls[before])
    }

    private func charge(_ proxy: ProxyUnderTest) async throws -> SettleCharge {
        try await until("the call is over") { !proxy.ledger.settlements.isEmpty || !proxy.ledger.voids.isEmpty }
        #expect(proxy.ledger.voids.map(\.reason).isEmpty)
        return try #require(proxy.ledger.settlements.first)
    }

    private func costsNothing(_ proxy: ProxyUnderTest) async throws {
        try await until("the void is there") { !proxy.ledger.voids.isEmpty }
        #expect(proxy.ledger.voids.map(\.chargeID) == proxy.ledger.holds.map(\.chargeID))
        #expect(proxy.ledger.settlements.isEmpty)
    }

    /// Returns when the proxy has noticed all earlier events.
    private func heard(_ proxy: ProxyUnderTest) async throws {
        let other = proxy.send("{")
        try await until("another call is refused") { other.isOver }
    }

    // MARK: In one piece

    @Test(arguments: SurfaceScript.all)
    func `a whole answer is charged its usage, and shows the credits`(script: SurfaceScript) async throws {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy, script, script.body(#","\#(script.passed)":1.0"#))
            #expect(try provider.body?.decimalText(script.passed) == "1.0")
            provider.answer(script.answer)
            let charge = try await charge(proxy)
            #expect((charge.amount, charge.call.end, charge.call.isEstimated) == (tokens(script.hasOutput ? 14 : 9), .completed, false))
            try await until("the answer is over") { caller.isOver }
            #expect(try caller.differences() == [])
            let usage = try JSONObject(caller.bytes).object("usage")
            #expect(try Credits(decimal: usage.decimalText("credits_used")) == charge.amount)
            #expect(usage.has("credits_remaining"))
            #expect(caller.headers.string(for: "x-credits-used") == charge.amount.description)
            #expect(charge.amount <= proxy.ledger.holds[0].amounts.most)
        }
    }

    @Test(arguments: SurfaceScript.all)
    func `an answer without usage is charged the estimate`(script: SurfaceScript) async throws {
        try await ProxyUnderTest.with { proxy in
            let body = script.body()
            let (caller, provider) = try await started(proxy, script, body)
            provider.answer(script.answerWithoutUsage)
            let charge = try await charge(proxy)
            #expect((charge.amount, charge.call.isEstimated) == (tokens(prompt(body) + (script.hasOutput ? 2 : 0)), true))
            try await until("the answer is over") { caller.isOver }
            #expect(try JSONObject(caller.bytes).object("usage").has("credits_used"))
            #expect(try caller.differences() == [])
        }
    }

    @Test(arguments: SurfaceScript.all)
    func `an empty answer costs nothing`(script: SurfaceScript) async throws {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy, script, script.body())
            provider.answer(script.emptyAnswer)
            try await costsNothing(proxy)
            try await until("the answer is over") { caller.isOver }
            #expect(caller.status == 200)
        }
    }

    @Test(
        arguments: SurfaceScript.all,
        [
            (200, "{}", "application/json", 502), (200, #"{"error":{"message":"sk-secret"}}"#, "application/json", 502),
            (200, "data: [DONE]\n\n", "text/event-stream", 502), (201, "{}", "application/json", 502),
            (429, #"{"error":{"message":"sk-secret"}}"#, "application/json", 502), (503, "", "text/html", 502),
            (400, #"{"error":{"message":"too long","param":"x"}}"#, "application/json", 400), (413, "{}", "application/json", 400),
        ] as [(Int, String, String, Int)])
    func `an answer of another kind and a refusal cost nothing`(
        script: SurfaceScript, answer: (status: Int, body: String, type: String, seen: Int)
    ) async throws {
        try await ProxyUnderTest.with { proxy in
            proxy.provider.onCall = { $0.answer(answer.body, status: answer.status, type: answer.type) }
            let (caller, _) = try await started(proxy, script, script.body())
            try await costsNothing(proxy)
            try await until("the answer is over") { caller.isOver }
            #expect(caller.status == answer.seen)
            #expect(!caller.text.contains("secret"))
            if answer.status == 413 { #expect(try caller.error().string("param") == script.surface.promptMember) }
        }
    }

    @Test(arguments: SurfaceScript.all)
    func `an answer that ends early costs nothing`(script: SurfaceScript) async throws {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy, script, script.body())
            provider.die()
            try await costsNothing(proxy)
            try await until("the answer is over") { caller.isOver }
            #expect(caller.status == 502)
        }
    }

    // MARK: The client hangs up

    @Test(arguments: SurfaceScript.all)
    func `a client that leaves before the answer pays the prompt`(script: SurfaceScript) async throws {
        try await ProxyUnderTest.with(.init(listensFor: .milliseconds(300))) { proxy in
            let body = script.body()
            let (caller, provider) = try await started(proxy, script, body)
            caller.hangUp()
            let charge = try await charge(proxy)
            #expect((charge.amount, charge.call.end, charge.call.isEstimated) == (tokens(prompt(body)), .clientDisconnected, true))
            try await until("the provider's call is cancelled") { provider.isCancelled }
        }
    }

    @Test(arguments: SurfaceScript.all)
    func `an answer that completes after its client left is charged its usage`(script: SurfaceScript) async throws {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy, script, script.body())
            caller.hangUp()
            try await heard(proxy)
            provider.answer(script.answer)
            let charge = try await charge(proxy)
            #expect(
                (charge.amount, charge.call.end, charge.call.isEstimated) == (tokens(script.hasOutput ? 14 : 9), .clientDisconnected, false)
            )
        }
    }

    // MARK: Streams

    @Test(arguments: SurfaceScript.streaming)
    func `a whole stream is charged its usage, and its end comes once the charge is safe`(script: SurfaceScript) async throws {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy, script, script.body(stream: true))
            provider.begin()
            provider.write(script.events(4))
            try await until("it is delivered") { caller.text == script.events(4) }
            provider.write(script.end(5))
            provider.end()
            let charge = try await charge(proxy)
            #expect((charge.amount, charge.call.end, charge.call.isEstimated) == (tokens(14), .completed, false))
            try await until("the answer is over") { caller.isOver }
            #expect(caller.failure == nil)
            #expect(caller.text.contains(script.endMark))
            #expect(try caller.differences() == [])
        }
    }

    @Test(arguments: SurfaceScript.streaming)
    func `a whole stream without usage is charged what was delivered`(script: SurfaceScript) async throws {
        try await ProxyUnderTest.with { proxy in
            let body = script.body(stream: true)
            let (caller, provider) = try await started(proxy, script, body)
            provider.begin()
            provider.write(script.events(4) + script.end(nil))
            provider.end()
            let charge = try await charge(proxy)
            #expect((charge.amount, charge.call.end, charge.call.isEstimated) == (tokens(prompt(body) + 4), .completed, true))
            try await until("the answer is over") { caller.isOver }
            #expect(caller.text.contains(script.endMark))
        }
    }

    @Test(arguments: SurfaceScript.streaming)
    func `an empty stream costs nothing`(script: SurfaceScript) async throws {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy, script, script.body(stream: true))
            provider.begin()
            provider.write(script.end(0))
            provider.end()
            try await costsNothing(proxy)
            try await until("the answer is over") { caller.isOver }
            #expect(caller.failure == nil && caller.text.contains(script.endMark))
        }
    }

    @Test(arguments: SurfaceScript.streaming, [1, 7])
    func `a client that leaves a stream pays the prompt and what was delivered`(script: SurfaceScript, delivered: Int) async throws {
        try await ProxyUnderTest.with { proxy in
            let body = script.body(stream: true)
            let (caller, provider) = try await started(proxy, script, body)
            provider.begin()
            provider.write(script.events(delivered))
            try await until("it is delivered") { caller.text == script.events(delivered) }
            caller.hangUp()
            let charge = try await charge(proxy)
            #expect((charge.amount, charge.call.end) == (tokens(prompt(body) + Int64(delivered)), .clientDisconnected))
            try await until("the provider's call is cancelled") { provider.isCancelled }
        }
    }

    private enum Break: String, CaseIterable { case dies, ends, reportsError, goesOnInAnotherWay }

    @Test(arguments: SurfaceScript.streaming, Break.allCases)
    private func `a stream that breaks after some output is charged what was delivered, and never looks whole`(
        script: SurfaceScript, how: Break
    ) async throws {
        try await ProxyUnderTest.with { proxy in
            let body = script.body(stream: true)
            let (caller, provider) = try await started(proxy, script, body)
            provider.begin()
            provider.write(script.events(3))
            try await until("it is delivered") { caller.text == script.events(3) }
            switch how {
            case .dies: provider.die()
            case .ends: provider.end()
            case .reportsError: provider.write(script.errorEvent)
            case .goesOnInAnotherWay: provider.write("data: <html>secret</html>\n\n")
            }
            let charge = try await charge(proxy)
            #expect((charge.amount, charge.call.end, charge.call.isEstimated) == (tokens(prompt(body) + 3), .providerError, true))
            try await until("the answer is over") { caller.isOver }
            #expect(caller.failure != nil)
            #expect(!caller.text.contains("secret") && !caller.text.contains(script.endMark))
            #expect(try caller.error().string("code") == "provider_error")
        }
    }

    @Test(arguments: SurfaceScript.streaming)
    func `a stream that reports an error before its first token costs nothing`(script: SurfaceScript) async throws {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy, script, script.body(stream: true))
            provider.begin()
            provider.write(script.errorEvent)
            try await costsNothing(proxy)
            try await until("the answer is over") { caller.isOver }
            #expect(!caller.text.contains("secret"))
        }
    }

    // Every model in Anthropic's wire format has a price of the prompt: see MessageCallTests.
    @Test(arguments: SurfaceScript.streaming.filter { $0.surface != .messages })
    func `a stream that gets no more credits ends with an error and is charged what was delivered`(script: SurfaceScript) async throws {
        try await ProxyUnderTest.with { proxy in
            proxy.ledger.answerExtend = { ScriptedLedger.refused(.insufficientFunds, $0.chargeID) }
            let (caller, provider) = try await started(proxy, script, script.body(model: "m", stream: true))
            provider.begin()
            provider.write(script.events(120))
            try await until("the answer is over") { caller.isOver }
            #expect(caller.failure == nil)
            #expect(caller.text.hasPrefix(script.events(100)) && !caller.text.contains(script.endMark))
            #expect(try caller.error().string("code") == "insufficient_credits")
            let charge = try await charge(proxy)
            #expect((charge.amount, charge.call.end) == (tokens(100), .holdExhausted))
        }
    }

    // MARK: Refusals

    @Test(arguments: SurfaceScript.all.filter { $0.surface != .chat })
    func `a model of another surface is refused, and the refusal names the path`(script: SurfaceScript) async throws {
        try await ProxyUnderTest.with { proxy in
            let caller = proxy.send(script.body(model: "vendor/m"), to: script.surface.path)
            try await until("the answer is over") { caller.isOver }
            #expect(caller.status == 400)
            #expect(try caller.error().string("message").contains(Surface.chat.path))
            #expect(proxy.ledger.holds.isEmpty && proxy.provider.calls.isEmpty)
        }
    }
}
