import Contracts
import EventLoop
import HTTP
import HTTPWire
import JSON
import SSE
import TestSupport
import Testing
import Values

@testable import LLMProxy

/// Tests the charge of a call that does not come to its end. A prompt token of `priced` costs as
/// much as an output token.
@Suite(.serialized, .database(schema: "llm_proxy", migrations: "Shared/Outbox/Migrations", "Services/llm-proxy/Migrations"))
struct HangUpTests {
    private typealias Ledger = ScriptedLedger
    private func tokens(_ count: Int64) -> Credits { ProxyUnderTest.tokens(count) }
    private static let answer = #"{"choices":[{"message":{"content":"x"}}],"usage":{"prompt_tokens":9,"completion_tokens":5}}"#

    /// Returns the likely tokens of a prompt: its bytes divided by four.
    private func prompt(stream: Bool) -> Int64 { Int64(ProxyUnderTest.body(model: "priced", stream: stream).utf8.count) / 4 }

    private func started(_ proxy: ProxyUnderTest, stream: Bool) async throws -> (Caller, ScriptedCall) {
        let caller = proxy.call(model: "priced", stream: stream)
        let before = proxy.provider.calls.count
        try await until("the provider is called") { proxy.provider.calls.count > before }
        return (caller, proxy.provider.calls[before])
    }

    private func charge(_ proxy: ProxyUnderTest) async throws -> SettleCharge {
        try await until("the call is over") { !proxy.ledger.settlements.isEmpty || !proxy.ledger.voids.isEmpty }
        #expect(proxy.ledger.settlements.count == 1)
        #expect(proxy.ledger.voids.map(\.reason).isEmpty)
        return try #require(proxy.ledger.settlements.first)
    }

    private func costsNothing(_ proxy: ProxyUnderTest) async throws {
        try await until("the void is there") { !proxy.ledger.voids.isEmpty }
        #expect(proxy.ledger.voids.map(\.chargeID) == proxy.ledger.holds.map(\.chargeID))
        #expect(proxy.ledger.settlements.isEmpty)
    }

    /// Returns when the proxy has noticed all earlier events: the same loop answers a later request
    /// after them.
    private func heard(_ proxy: ProxyUnderTest) async throws {
        let other = proxy.send("{")
        try await until("another call is refused") { other.isOver }
        #expect(other.status == 400)
    }

    // MARK: The client hangs up before the answer began

    @Test(arguments: [true, false])
    func `a silent provider with the request costs the prompt, and then the call is cancelled`(stream: Bool) async throws {
        try await ProxyUnderTest.with(.init(listensFor: .milliseconds(300))) { proxy in
            let (caller, provider) = try await started(proxy, stream: stream)
            caller.hangUp()
            let charge = try await charge(proxy)
            #expect(
                (charge.amount, charge.call.end, charge.call.isEstimated) == (tokens(prompt(stream: stream)), .clientDisconnected, true))
            #expect((charge.call.usage.promptTokens, charge.call.usage.completionTokens) == (prompt(stream: stream), 0))
            try await until("the provider's call is cancelled") { provider.isCancelled }
        }
    }

    @Test func `an answer that completes while the gateway listens is charged completely`() async throws {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy, stream: false)
            caller.hangUp()
            try await heard(proxy)
            provider.answer(Self.answer)
            let charge = try await charge(proxy)
            #expect((charge.amount, charge.call.end, charge.call.isEstimated) == (tokens(14), .clientDisconnected, false))
        }
    }

    @Test func `a stream that completes while the gateway listens is charged completely`() async throws {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy, stream: true)
            provider.begin()
            try await until("the head is there") { caller.status == 200 }
            caller.hangUp()
            try await heard(proxy)
            provider.send(tokens: 5, thenEnd: 5)
            let charge = try await charge(proxy)
            #expect((charge.amount, charge.call.end) == (tokens(14), .clientDisconnected))
        }
    }

    @Test func `a stream that begins after its client left is charged its prompt, not its output`() async throws {
        try await ProxyUnderTest.with(.init(listensFor: .seconds(1))) { proxy in
            let (caller, provider) = try await started(proxy, stream: true)
            provider.begin()
            try await until("the head is there") { caller.status == 200 }
            caller.hangUp()
            try await heard(proxy)
            provider.send(tokens: 7)
            let charge = try await charge(proxy)
            #expect((charge.amount, charge.call.end) == (tokens(prompt(stream: true)), .clientDisconnected))
            try await until("the provider's call is cancelled") { provider.isCancelled }
        }
    }

    /// Sends an answer in pieces of so many tokens, and lets the gateway read each before the next.
    private func send(_ reads: [Int], of provider: ScriptedCall, _ proxy: ProxyUnderTest) async throws {
        for count in reads.dropLast() {
            provider.send(tokens: count)
            try await heard(proxy)
        }
        provider.send(tokens: reads[reads.count - 1], thenEnd: reads.reduce(0, +))
    }

    /// A hold of the prompt's bound and 100 tokens, and an answer of 150 tokens.
    @Test(arguments: [[150], [90, 60]], [true, false])
    func `a stream that passes its hold while the gateway listens is extended and charged completely`(
        reads: [Int], hasHead: Bool
    ) async throws {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy, stream: true)
            if hasHead {
                provider.begin()
                try await until("the head is there") { caller.status == 200 }
            }
            caller.hangUp()
            try await heard(proxy)
            try await send(reads, of: provider, proxy)
            let charge = try await charge(proxy)
            #expect((charge.amount, charge.call.end, charge.call.isEstimated) == (tokens(9 + 150), .clientDisconnected, false))
            let held = proxy.ledger.extends.reduce(proxy.ledger.holds[0].amounts.most) { $0 + $1.amounts.most }
            #expect(proxy.ledger.extends.first?.amounts.most == tokens(100))
            #expect(charge.amount <= held)
        }
    }

    @Test(arguments: [[400], [90, 310]])
    func `a stream that gets no more credits while the gateway listens is charged at most its hold`(reads: [Int]) async throws {
        try await ProxyUnderTest.with { proxy in
            proxy.ledger.answerExtend = { Ledger.refused(.insufficientFunds, $0.chargeID) }
            let (caller, provider) = try await started(proxy, stream: true)
            caller.hangUp()
            try await heard(proxy)
            try await send(reads, of: provider, proxy)
            let charge = try await charge(proxy)
            #expect((charge.amount, charge.call.end) == (proxy.ledger.holds[0].amounts.most, .clientDisconnected))
            #expect((charge.call.usage.completionTokens, charge.call.isEstimated) == (400, true))
        }
    }

    @Test func `a provider that refuses or dies while the gateway listens costs nothing`() async throws {
        for refuses in [true, false] {
            try await ProxyUnderTest.with { proxy in
                let (caller, provider) = try await started(proxy, stream: false)
                caller.hangUp()
                try await heard(proxy)
                if refuses { provider.answer(#"{"error":{"message":"slow down"}}"#, status: 429) } else { provider.die() }
                try await costsNothing(proxy)
            }
        }
    }

    @Test func `a client that leaves before the ledger's answer has no hold, and no provider is called`() async throws {
        try await ProxyUnderTest.with { proxy in
            let gate = Promise<Void>(on: TestDatabase.loop)
            proxy.ledger.answerHold = { question in
                try? await gate.value()
                return Ledger.granted(question.amounts.most, to: question.chargeID)
            }
            let caller = proxy.call(model: "priced", stream: false)
            try await until("the ledger is asked") { proxy.ledger.holds.count == 1 }
            caller.hangUp()
            try await heard(proxy)
            gate.succeed(())
            try await costsNothing(proxy)
            #expect(proxy.provider.calls.isEmpty)
        }
    }

    // MARK: The process stops

    /// Returns the settlements that the broker confirmed before the server was drained.
    private func settledWhenDrained(_ proxy: ProxyUnderTest) async throws -> [SettleCharge] {
        try await proxy.sendMarker()
        try await until("the marker is there") { proxy.ledger.voids.contains { $0.reason == "marker" } }
        return proxy.ledger.settlements
    }

    @Test func `a stop ends the listening at once, and waits for the charge of the prompt`() async throws {
        try await ProxyUnderTest.with(.init(listensFor: .seconds(600))) { proxy in
            let (caller, provider) = try await started(proxy, stream: false)
            caller.hangUp()
            try await heard(proxy)
            await proxy.server.drain(within: .seconds(60))
            let charges = try await settledWhenDrained(proxy)
            #expect(charges.map(\.amount) == [tokens(prompt(stream: false))])
            #expect(charges.map(\.call.end) == [.clientDisconnected])
            try await until("the provider's call is cancelled") { provider.isCancelled }
        }
    }

    @Test func `the call of a client that hangs up during a stop ends at once`() async throws {
        try await ProxyUnderTest.with(.init(listensFor: .seconds(600))) { proxy in
            let (caller, provider) = try await started(proxy, stream: true)
            let drained = Task(executorPreference: TestDatabase.loop) { await proxy.server.drain(within: .seconds(60)) }
            try await until("the stop began") { proxy.server.isDraining }
            caller.hangUp()
            await drained.value
            #expect(try await settledWhenDrained(proxy).map(\.amount) == [tokens(prompt(stream: true))])
            try await until("the provider's call is cancelled") { provider.isCancelled }
        }
    }

    // MARK: In the middle

    @Test func `a client that leaves in mid-stream pays the prompt and the delivered part, and the provider is cancelled at once`()
        async throws
    {
        try await ProxyUnderTest.with(.init(listensFor: .seconds(600))) { proxy in
            let (caller, provider) = try await started(proxy, stream: true)
            provider.send(tokens: 12)
            try await until("it is delivered") { caller.tokens == 12 }
            caller.hangUp()
            let charge = try await charge(proxy)
            #expect((charge.amount, charge.call.end) == (tokens(prompt(stream: true) + 12), .clientDisconnected))
            try await until("the provider's call is cancelled") { provider.isCancelled }
        }
    }

    // MARK: What costs nothing

    @Test(arguments: [400, 404, 429, 500, 503])
    func `a provider's refusal costs nothing: its void is sent`(status: Int) async throws {
        try await ProxyUnderTest.with { proxy in
            proxy.provider.onCall = { $0.answer(#"{"error":{"message":"no"}}"#, status: status) }
            let (caller, _) = try await started(proxy, stream: false)
            try await costsNothing(proxy)
            try await until("the answer is over") { caller.isOver }
            // The operator's catalogue names a model that the provider does not have: 404.
            #expect(caller.status == (status == 400 ? 400 : 502))
        }
    }

    @Test(arguments: [true, false])
    func `an answer that ends early before its first token costs nothing: its void is sent`(stream: Bool) async throws {
        try await ProxyUnderTest.with { proxy in
            let (_, provider) = try await started(proxy, stream: stream)
            if stream { provider.begin() }
            provider.die()
            try await costsNothing(proxy)
        }
    }

    @Test(arguments: [true, false])
    func `an empty answer costs nothing: its void is sent`(stream: Bool) async throws {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy, stream: stream)
            if stream { provider.send(tokens: 0, thenEnd: 0) } else { provider.answer(#"{"choices":[]}"#) }
            try await costsNothing(proxy)
            try await until("the answer is over") { caller.isOver }
            #expect(caller.status == 200)
        }
    }

    /// Usage can be read from events and from JSON only.
    @Test(
        arguments: [
            (true, "text/plain"), (true, "application/x-ndjson"), (true, "application/json5"), (true, "application/json"),
            (true, "text/event-stream-2"), (true, nil),
            (false, "text/event-stream"), (false, "text/plain"), (false, nil),
        ] as [(Bool, String?)])
    func `an answer of another media type is a provider error, reaches no client and costs nothing`(stream: Bool, type: String?)
        async throws
    {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy, stream: stream)
            provider.answer(Self.answer, type: type)
            try await until("the answer is over") { caller.isOver }
            #expect(caller.status == 502)
            #expect(!caller.text.contains("choices"))
            try #require(caller.status == 502)
            #expect(try caller.error().string("code") == "provider_error")
            try await costsNothing(proxy)
        }
    }

    @Test(
        arguments: [
            (true, "Text/Event-Stream; charset=utf-8"), (true, "text/event-stream;charset=utf-8"),
            (false, "Application/JSON ; charset=utf-8"), (false, "application/json;charset=utf-8"),
        ] as [(Bool, String)])
    func `a media type may have parameters and capital letters`(stream: Bool, type: String) async throws {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy, stream: stream)
            let isEvents = type.lowercased().hasPrefix("text")
            provider.answer(
                isEvents ? "data: \(Self.answer.replacing("message", with: "delta"))\n\ndata: [DONE]\n\n" : Self.answer, type: type)
            #expect(try await charge(proxy).amount == tokens(14))
            try await until("the answer is over") { caller.isOver }
            #expect(caller.status == 200)
            #expect(caller.headers.string(for: "content-type")?.hasPrefix(isEvents ? "text/event-stream" : "application/json") == true)
        }
    }

    @Test func `a line that cannot be metered ends the stream, and the delivered part is charged`() async throws {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy, stream: true)
            provider.send(tokens: 3)
            provider.write("data: " + String(repeating: "x", count: SSEParser.eventBytesMax + 1))
            let charge = try await charge(proxy)
            #expect((charge.amount, charge.call.end) == (tokens(prompt(stream: true) + 3), .providerError))
            try await until("the answer is over") { caller.isOver }
            #expect(try caller.error().string("code") == "provider_error")
            #expect(caller.failure != nil)
            #expect(caller.bytes.count < 10_000)
        }
    }

    // MARK: Should the proxy die

    @Test func `reports contain the prompt after the provider accepted it, and then the delivered part`() async throws {
        try await ProxyUnderTest.with(.init(holdTimeToLive: .seconds(1))) { proxy in
            let (caller, provider) = try await started(proxy, stream: true)
            try await until("a report contains the prompt") { proxy.ledger.reports.last?.usedSoFar == tokens(prompt(stream: true)) }
            provider.send(tokens: 5)
            try await until("a report contains the output") { proxy.ledger.reports.last?.usedSoFar == tokens(prompt(stream: true) + 5) }
            provider.send(tokens: 0, thenEnd: 5)
            try await until("the answer is over") { caller.isOver }
        }
    }
}
