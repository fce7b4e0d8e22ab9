import Contracts
import EventLoop
import HTTPWire
import JSON
import TestSupport
import Testing
import Values

@testable import LLMProxy

@Suite(.serialized, .database(schema: "llm_proxy", migrations: "Shared/Outbox/Migrations", "Services/llm-proxy/Migrations"))
struct ExtendTests {
    private typealias Ledger = ScriptedLedger
    private func tokens(_ count: Int64) -> Credits { ProxyUnderTest.tokens(count) }

    private func started(_ proxy: ProxyUnderTest, _ members: String = "") async throws -> (Caller, ScriptedCall) {
        let caller = proxy.call(members)
        let before = proxy.provider.calls.count
        try await until("the provider is called") { proxy.provider.calls.count > before }
        return (caller, proxy.provider.calls[before])
    }

    private func ended(_ caller: Caller, _ proxy: ProxyUnderTest) async throws -> SettleCharge {
        try await until("the answer is over") { caller.isOver }
        try await until("the charge is there") { !proxy.ledger.settlements.isEmpty }
        #expect(proxy.ledger.settlements.count == 1)
        return proxy.ledger.settlements[0]
    }

    @Test func `a stream asks for more before its hold is used up, continues meanwhile, and waits at the hold's end`() async throws {
        try await ProxyUnderTest.with { proxy in
            let gate = Promise<Void>(on: TestDatabase.loop)
            proxy.ledger.answerExtend = { question in
                try? await gate.value()
                return Ledger.granted(question.amounts.most, to: question.chargeID)
            }
            let (caller, provider) = try await started(proxy)
            #expect(proxy.ledger.holds[0].amounts.most == tokens(100))
            provider.send(tokens: 75)
            try await until("all of it is there") { caller.tokens == 75 }
            #expect(proxy.ledger.extends.isEmpty)
            provider.send(tokens: 1)
            try await until("more is asked for") { !proxy.ledger.extends.isEmpty }
            let asked = proxy.ledger.extends[0]
            #expect(asked.chargeID == proxy.ledger.holds[0].chargeID)
            #expect(asked.accountID == proxy.ledger.holds[0].accountID)
            #expect((asked.step, asked.amounts.most, asked.amounts.least, asked.usedSoFar) == (1, tokens(100), tokens(64), tokens(76)))
            #expect(asked.timeToLiveMilliseconds == 600_000)

            provider.send(tokens: 4)
            try await until("the answer flows on") { caller.tokens == 80 }
            provider.send(tokens: 50)
            try await until("the hold is used up") { caller.tokens >= 100 }
            #expect(caller.tokens == 100)
            gate.succeed(())
            try await until("the rest goes on") { caller.tokens == 130 }

            provider.send(tokens: 10, thenEnd: 140)
            let charge = try await ended(caller, proxy)
            #expect(caller.isDone)
            #expect(caller.failure == nil)
            #expect(caller.tokens == 140)
            #expect((charge.amount, charge.call.end, charge.call.isEstimated) == (tokens(140), .completed, false))
            #expect(proxy.ledger.extends.count == 1)
        }
    }

    @Test func `a long answer is extended step by step, and its usage has the remaining credits`() async throws {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy, #","stream_options":{"include_usage":true}"#)
            for part in 1...40 {
                provider.send(tokens: 50)
                try await until("part \(part) is there") { caller.tokens == part * 50 }
            }
            provider.send(tokens: 1, thenEnd: 2_001)
            let charge = try await ended(caller, proxy)
            #expect(charge.amount == tokens(2_001))
            let steps = proxy.ledger.extends
            #expect(steps.map(\.step) == Array(1...Int64(steps.count)))
            #expect(steps.count > 3)
            let held = steps.reduce(proxy.ledger.holds[0].amounts.most) { $0 + $1.amounts.most }
            #expect(held >= charge.amount)
            let usage = try JSONObject(Array(caller.events[caller.events.count - 2].utf8)).object("usage")
            #expect(try usage.decimalText("credits_used") == "2.001")
            #expect(try usage.decimalText("credits_remaining") == (ScriptedLedger.available + held - charge.amount).description)
        }
    }

    @Test func `an answer that ends beyond its hold is complete once more was granted`() async throws {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy)
            provider.send(tokens: 400, thenEnd: 400)
            let charge = try await ended(caller, proxy)
            #expect(caller.tokens == 400)
            #expect(caller.isDone)
            #expect((charge.amount, charge.call.end) == (tokens(400), .completed))
            #expect(proxy.ledger.extends.count > 1)
        }
    }

    // MARK: Refused

    @Test func `a stream refused for credits ends after the covered part, charged, without DONE`() async throws {
        try await ProxyUnderTest.with { proxy in
            proxy.ledger.answerExtend = { Ledger.refused(.insufficientFunds, $0.chargeID) }
            let (caller, provider) = try await started(proxy)
            provider.send(tokens: 90)
            try await until("more is asked for") { !proxy.ledger.extends.isEmpty }
            provider.send(tokens: 5)
            try await until("what is covered goes on") { caller.tokens == 95 }
            provider.send(tokens: 20)
            let charge = try await ended(caller, proxy)
            #expect(caller.tokens == 100)
            #expect(caller.failure == nil)
            #expect(!caller.text.contains("[DONE]"))
            let error = try caller.error()
            #expect(error.members.map(\.name).prefix(4) == ["message", "type", "code", "param"])
            #expect(try error.string("code") == "insufficient_credits")
            #expect(try error.decimalText("balance") == "0.000000007")
            #expect(try error.decimalText("required") == "0.064")
            #expect((charge.amount, charge.call.end, charge.call.isEstimated) == (tokens(100), .holdExhausted, true))
            try await until("the provider is told to stop") { provider.isCancelled }
            #expect(proxy.ledger.extends.count == 1)
            #expect(proxy.ledger.voids.isEmpty)
        }
    }

    @Test func `a stream refused by a limit names the limit and its reset time`() async throws {
        try await ProxyUnderTest.with { proxy in
            let tomorrow = Instant(microseconds: 1_764_547_200_000_000)
            proxy.ledger.answerExtend = {
                Ledger.refused(.limitReached, $0.chargeID, limit: .init(scope: .apiKey, period: .day, resetsAt: tomorrow))
            }
            let (caller, provider) = try await started(proxy)
            provider.send(tokens: 200)
            let charge = try await ended(caller, proxy)
            let error = try caller.error()
            #expect(try error.string("code") == "spending_limit_reached")
            #expect(try error.string("limit") == "daily")
            #expect(try error.string("limit_scope") == "api_key")
            #expect(try error.string("resets_at") == tomorrow.description)
            #expect(charge.amount == tokens(100))
        }
    }

    @Test func `an answer that ends within its hold is complete although more was refused`() async throws {
        try await ProxyUnderTest.with { proxy in
            proxy.ledger.answerExtend = { Ledger.refused(.insufficientFunds, $0.chargeID) }
            let (caller, provider) = try await started(proxy)
            provider.send(tokens: 90)
            try await until("more is asked for") { !proxy.ledger.extends.isEmpty }
            provider.send(tokens: 10, thenEnd: 100)
            let charge = try await ended(caller, proxy)
            #expect(caller.isDone)
            #expect((charge.amount, charge.call.end) == (tokens(100), .completed))
        }
    }

    @Test func `a stream outlasts an outage of the ledger, repeats its question each second, and is cut at its deadline`() async throws {
        try await ProxyUnderTest.with(.init(holdWithin: .milliseconds(400), outagePatience: .seconds(3))) { proxy in
            proxy.ledger.answerExtend = { _ in nil }
            let (caller, provider) = try await started(proxy)
            provider.send(tokens: 120)
            try await until("it is asked again") { proxy.ledger.extends.count == 2 }
            #expect(caller.tokens == 100)
            #expect(!caller.isOver)
            let charge = try await ended(caller, proxy)
            #expect(caller.tokens == 100)
            #expect(try caller.error().string("code") == "ledger_unavailable")
            #expect((charge.amount, charge.call.end) == (tokens(100), .holdExhausted))
            #expect(Set(proxy.ledger.extends.map { $0.encoded() }).count == 1)
        }
    }

    @Test func `an answer to the repeated question counts like one to the first`() async throws {
        try await ProxyUnderTest.with(.init(holdWithin: .milliseconds(400), outagePatience: .seconds(3))) { proxy in
            let ledger = proxy.ledger
            ledger.answerExtend = { [unowned ledger] question in
                ledger.extends.count == 1 ? nil : Ledger.granted(question.amounts.most, to: question.chargeID)
            }
            let (caller, provider) = try await started(proxy)
            provider.send(tokens: 120, thenEnd: 120)
            let charge = try await ended(caller, proxy)
            #expect(caller.isDone)
            #expect(charge.amount == tokens(120))
            #expect(ledger.extends.map(\.step) == [1, 1])
        }
    }

    @Test(arguments: [HoldReply.Status.notHeld, .alreadyResolved])
    func `an expired hold ends the stream at once`(status: HoldReply.Status) async throws {
        try await ProxyUnderTest.with { proxy in
            proxy.ledger.answerExtend = { Ledger.refused(status, $0.chargeID) }
            let (caller, provider) = try await started(proxy)
            provider.send(tokens: 80)
            let charge = try await ended(caller, proxy)
            #expect(caller.tokens == 80)
            #expect(caller.failure == nil)
            #expect(try caller.error().string("code") == "ledger_unavailable")
            #expect((charge.amount, charge.call.end) == (tokens(80), .holdExhausted))
            try await until("the provider is told to stop") { provider.isCancelled }
        }
    }

    @Test func `a client that leaves during an extension pays for the delivered part`() async throws {
        try await ProxyUnderTest.with { proxy in
            let gate = Promise<Void>(on: TestDatabase.loop)
            proxy.ledger.answerExtend = { question in
                try? await gate.value()
                return Ledger.granted(question.amounts.most, to: question.chargeID)
            }
            let (caller, provider) = try await started(proxy)
            provider.send(tokens: 130)
            try await until("the hold is used up") { caller.tokens == 100 && !proxy.ledger.extends.isEmpty }
            caller.hangUp()
            let charge = try await ended(caller, proxy)
            gate.succeed(())
            try await until("the question is answered all the same") { proxy.ledger.replied == 2 }
            #expect((charge.amount, charge.call.end) == (tokens(100), .clientDisconnected))
            try await until("the provider is told to stop") { provider.isCancelled }
        }
    }

    // MARK: Bound answers

    @Test func `an answer with a client's limit is never extended, however long its tokens are`() async throws {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy, #","max_tokens":70"#)
            #expect(proxy.ledger.holds[0].amounts.most == tokens(70))
            provider.send([String](repeating: "incomprehensibility", count: 70), thenEnd: 70)
            let charge = try await ended(caller, proxy)
            #expect(caller.isDone)
            #expect(charge.amount == tokens(70))
            #expect(proxy.ledger.extends.isEmpty)
        }
    }

    @Test func `a provider that sends more than the client's limit is stopped there, and nothing more is held`() async throws {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy, #","max_tokens":70"#)
            provider.send(tokens: 71)
            let charge = try await ended(caller, proxy)
            #expect(caller.tokens == 70)
            #expect(try caller.error().string("code") == "provider_error")
            #expect((charge.amount, charge.call.end) == (tokens(70), .holdExhausted))
            #expect(proxy.ledger.extends.isEmpty)
        }
    }

    @Test func `a clamped answer is never extended, and is stopped if the provider ignores the clamp`() async throws {
        try await ProxyUnderTest.with { proxy in
            proxy.ledger.answerHold = { Ledger.granted(ProxyUnderTest.tokens(80), spendable: .zero, to: $0.chargeID) }
            let (caller, provider) = try await started(proxy)
            #expect(try provider.body?.integer("max_tokens") == 80)
            provider.send(tokens: 80)
            try await until("all of it is there") { caller.tokens == 80 }
            #expect(caller.headers.string(for: "x-max-tokens-clamped") == "80")
            provider.send(tokens: 1)
            let charge = try await ended(caller, proxy)
            #expect(caller.tokens == 80)
            #expect(try caller.error().string("code") == "provider_error")
            #expect((charge.amount, charge.call.end) == (tokens(80), .holdExhausted))
            #expect(proxy.ledger.extends.isEmpty)
        }
    }

    @Test func `an extension asks for no more than the provider's limit can use`() async throws {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy, #","max_tokens":130"#)
            #expect(proxy.ledger.holds[0].amounts.most == tokens(100))
            #expect(try provider.body?.integer("max_tokens") == 130)
            provider.send(tokens: 130, thenEnd: 130)
            let charge = try await ended(caller, proxy)
            #expect(caller.isDone)
            #expect(charge.amount == tokens(130))
            #expect(
                proxy.ledger.extends.map(\.amounts) == [
                    HoldAmounts(most: tokens(30), usual: tokens(30), least: tokens(30), isLastQuestion: true)
                ])
        }
    }

    // MARK: Waiting

    @Test func `an extension waits for credits that other calls hold, with the same question, and then continues`() async throws {
        try await ProxyUnderTest.with(.init(fundsWithin: .seconds(10))) { proxy in
            let ledger = proxy.ledger
            ledger.answerExtend = { [unowned ledger] question in
                ledger.extends.count < 4
                    ? Ledger.refused(.awaitingFunds, question.chargeID) : Ledger.granted(question.amounts.usual, to: question.chargeID)
            }
            let (caller, provider) = try await started(proxy)
            provider.send(tokens: 150, thenEnd: 150)
            let charge = try await ended(caller, proxy)
            #expect(caller.isDone)
            #expect(charge.amount == tokens(150))
            #expect(ledger.extends.count == 4)
            #expect(Set(ledger.extends.map { $0.encoded() }).count == 1)
            #expect(ledger.extends.allSatisfy { !$0.amounts.isLastQuestion })
        }
    }

    @Test func `an extension asks for the least at its deadline, and the stream ends as credits_held`() async throws {
        try await ProxyUnderTest.with(.init(fundsWithin: .milliseconds(200))) { proxy in
            proxy.ledger.answerExtend = { Ledger.refused(.awaitingFunds, $0.chargeID) }
            let (caller, provider) = try await started(proxy)
            provider.send(tokens: 120)
            let charge = try await ended(caller, proxy)
            #expect(caller.tokens == 100)
            #expect(caller.failure == nil)
            #expect(!caller.text.contains("[DONE]"))
            #expect(try caller.error().string("code") == "credits_held")
            #expect((charge.amount, charge.call.end) == (tokens(100), .holdExhausted))
            #expect(proxy.ledger.extends.map(\.amounts.isLastQuestion).filter { $0 } == [true])
            #expect(proxy.ledger.extends.last?.amounts.isLastQuestion == true)
        }
    }

    @Test func `a client that leaves ends the wait of its extension`() async throws {
        try await ProxyUnderTest.with(.init(fundsWithin: .seconds(20))) { proxy in
            proxy.ledger.answerExtend = { Ledger.refused(.awaitingFunds, $0.chargeID) }
            let (caller, provider) = try await started(proxy)
            provider.send(tokens: 120)
            try await until("it waits") { proxy.ledger.extends.count >= 2 }
            caller.hangUp()
            let charge = try await ended(caller, proxy)
            #expect((charge.amount, charge.call.end) == (tokens(100), .clientDisconnected))
            #expect(proxy.ledger.extends.allSatisfy { !$0.amounts.isLastQuestion })
        }
    }

    @Test func `a non-streaming answer is not extended`() async throws {
        try await ProxyUnderTest.with { proxy in
            let caller = proxy.call(stream: false)
            try await until("the provider is called") { !proxy.provider.calls.isEmpty }
            #expect(proxy.ledger.holds[0].amounts.most == tokens(4_000))
            proxy.provider.calls[0].answer(
                #"{"choices":[{"message":{"content":"long"}}],"usage":{"prompt_tokens":9,"completion_tokens":500}}"#)
            let charge = try await ended(caller, proxy)
            #expect(caller.status == 200)
            #expect(charge.amount == tokens(500))
            #expect(proxy.ledger.extends.isEmpty)
        }
    }
}
