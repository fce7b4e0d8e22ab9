import Contracts
import EventLoop
import HTTPWire
import JSON
import Postgres
import TestSupport
import Testing
import Values

@testable import LLMProxy

/// Tests SPEC §2 at the doors of the proxy: the question to the ledger, the limit for the provider,
/// and the refusals.
@Suite(.serialized, .database(schema: "llm_proxy", migrations: "Shared/Outbox/Migrations", "Services/llm-proxy/Migrations"))
struct HoldRuleTests {
    private typealias Ledger = ScriptedLedger
    private func tokens(_ count: Int64) -> Credits { ProxyUnderTest.tokens(count) }
    private static let answer = #"{"choices":[{"message":{"content":"x"}}],"usage":{"prompt_tokens":9,"completion_tokens":5}}"#

    private func started(_ proxy: ProxyUnderTest, _ members: String = "", model: String = "m", stream: Bool) async throws -> (
        Caller, ScriptedCall
    ) {
        let caller = proxy.call(members, model: model, stream: stream)
        let before = proxy.provider.calls.count
        try await until("the provider is called") { proxy.provider.calls.count > before }
        return (caller, proxy.provider.calls[before])
    }

    // MARK: The question and the limit

    @Test func `a non-streaming answer is limited to what its hold pays for, and header and usage show the clamp`() async throws {
        try await ProxyUnderTest.with { proxy in
            proxy.ledger.answerHold = { Ledger.granted(ProxyUnderTest.tokens(300), to: $0.chargeID) }
            let (caller, provider) = try await started(proxy, stream: false)
            let asked = proxy.ledger.holds[0]
            #expect(asked.amounts == HoldAmounts(most: tokens(4_000), usual: tokens(100), least: tokens(64), isLastQuestion: true))
            #expect(asked.takesShare)
            #expect(try provider.body?.integer("max_tokens") == 300)
            provider.answer(Self.answer)
            try await until("the answer is over") { caller.isOver }
            #expect(caller.headers.string(for: "x-max-tokens-clamped") == "300")
            #expect(try JSONObject(caller.bytes).object("usage").integer("max_tokens_clamped") == 300)
        }
    }

    @Test func `a call whose hold pays for the whole cap is sent without a limit`() async throws {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy, stream: false)
            #expect(provider.body?.has("max_tokens") == false)
            provider.answer(Self.answer)
            try await until("the answer is over") { caller.isOver }
            #expect(!caller.headers.contains("x-max-tokens-clamped"))
            #expect(try !JSONObject(caller.bytes).object("usage").has("max_tokens_clamped"))
        }
    }

    @Test func `a client's limit takes no share, is capped by the model, and is sent in the member that the model reads`() async throws {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy, #","max_tokens":90000,"n":2"#, model: "hidden", stream: false)
            #expect(!proxy.ledger.holds[0].takesShare)
            #expect(proxy.ledger.holds[0].amounts.most == tokens(8_000))
            #expect(proxy.ledger.holds[0].amounts.usual == tokens(400))
            #expect(proxy.ledger.holds[0].amounts.least == tokens(400))
            #expect(try provider.body?.integer("max_completion_tokens") == 4_000)
            #expect(provider.body?.has("max_tokens") == false)
            provider.answer(Self.answer)
            try await until("the answer is over") { caller.isOver }
            #expect(caller.headers.string(for: "x-max-tokens-clamped") == "4000")
        }
    }

    /// 64 MiB divided by the answers and by the bytes of a token: 256, and 832 for each listed
    /// probability.
    @Test(
        arguments: [
            (#","n":128"#, false, 2_048), (#","n":128,"max_tokens":4000"#, false, 2_048),
            (#","n":10,"logprobs":true,"top_logprobs":20"#, false, 378), (#","n":20,"logprobs":true"#, false, 3_084),
            (#","n":65"#, false, nil), (#","n":128"#, true, nil),
        ] as [(String, Bool, Int64?)])
    func `a non-streaming answer is limited to what the gateway can collect`(members: String, stream: Bool, limit: Int64?) async throws {
        try await ProxyUnderTest.with { proxy in
            proxy.ledger.answerHold = { Ledger.granted($0.amounts.most, spendable: Credits(whole: 1_000), to: $0.chargeID) }
            let (caller, provider) = try await started(proxy, members, stream: stream)
            #expect(try provider.body?.optionalInteger("max_tokens") == limit)
            provider.answer(Self.answer)
            try await until("the answer is over") { caller.isOver }
            #expect(caller.headers.string(for: "x-max-tokens-clamped") == limit.map(String.init))
        }
    }

    @Test func `a stream with hidden reasoning is held completely and is never extended`() async throws {
        try await ProxyUnderTest.with { proxy in
            proxy.ledger.answerHold = { Ledger.granted(ProxyUnderTest.tokens(250), to: $0.chargeID) }
            let (caller, provider) = try await started(proxy, model: "hidden", stream: true)
            #expect(proxy.ledger.holds[0].amounts.most == tokens(4_000))
            #expect(proxy.ledger.holds[0].takesShare)
            #expect(try provider.body?.integer("max_completion_tokens") == 250)
            // The client sees ten tokens; 240 tokens are hidden.
            provider.send(tokens: 10, thenEnd: 250)
            try await until("the charge is there") { !proxy.ledger.settlements.isEmpty }
            #expect(proxy.ledger.settlements[0].amount == tokens(250))
            #expect(proxy.ledger.extends.isEmpty)
            try await until("the answer is over") { caller.isOver }
            #expect(caller.isDone)
        }
    }

    @Test func `a stream with hidden reasoning stops at its limit`() async throws {
        try await ProxyUnderTest.with { proxy in
            proxy.ledger.answerHold = { Ledger.granted(ProxyUnderTest.tokens(250), to: $0.chargeID) }
            let (caller, provider) = try await started(proxy, model: "hidden", stream: true)
            provider.send(tokens: 250)
            try await until("all tokens within the limit are there") { caller.tokens == 250 }
            // The provider ignores its limit: one token more, and then a proper end.
            provider.send(tokens: 1, thenEnd: 251)
            try await until("the answer is over") { caller.isOver }
            #expect(caller.tokens == 250)
            #expect(!caller.isDone)
            try #require(!caller.isDone)
            #expect(try caller.error().string("code") == "provider_error")
            try await until("the charge is there") { !proxy.ledger.settlements.isEmpty }
            #expect((proxy.ledger.settlements[0].amount, proxy.ledger.settlements[0].call.end) == (tokens(250), .holdExhausted))
            #expect(proxy.ledger.extends.isEmpty)
        }
    }

    @Test func `a visible stream is limited to what its hold and the account's other credits pay for`() async throws {
        try await ProxyUnderTest.with { proxy in
            proxy.ledger.answerHold = { Ledger.granted($0.amounts.most, spendable: ProxyUnderTest.tokens(900), to: $0.chargeID) }
            let (caller, provider) = try await started(proxy, #","stream_options":{"include_usage":true}"#, stream: true)
            #expect(
                proxy.ledger.holds[0].amounts == HoldAmounts(most: tokens(100), usual: tokens(100), least: tokens(64), isLastQuestion: true)
            )
            #expect(try provider.body?.integer("max_tokens") == 1_000)
            provider.send(tokens: 5, thenEnd: 5)
            try await until("the answer is over") { caller.isOver }
            #expect(caller.headers.string(for: "x-max-tokens-clamped") == "1000")
            #expect(
                try JSONObject(Array(caller.events[caller.events.count - 2].utf8)).object("usage").integer("max_tokens_clamped") == 1_000)
        }
    }

    @Test func `a thought without a visible word is charged, and an answer of no tokens is not`() async throws {
        try await ProxyUnderTest.with { proxy in
            let (thinker, first) = try await started(proxy, model: "hidden", stream: false)
            first.answer(#"{"choices":[{"message":{"content":""}}],"usage":{"prompt_tokens":9,"completion_tokens":200}}"#)
            try await until("the charge is there") { proxy.ledger.settlements.count == 1 }
            #expect(proxy.ledger.settlements[0].amount == tokens(200))
            try await until("the answer is over") { thinker.isOver }

            let (silent, second) = try await started(proxy, model: "priced", stream: false)
            second.answer(#"{"choices":[{"message":{"content":""}}],"usage":{"prompt_tokens":9,"completion_tokens":0}}"#)
            try await until("the void is there") { proxy.ledger.voids.map(\.chargeID) == [proxy.ledger.holds[1].chargeID] }
            try await until("the answer is over") { silent.isOver }
            #expect(proxy.ledger.voids[0].apiKeyID != nil && proxy.ledger.voids[0].apiKeyID == proxy.ledger.holds[1].apiKeyID)
            #expect(silent.headers.string(for: "x-credits-used") == "0")
            #expect(proxy.ledger.settlements.count == 1)
        }
    }

    /// The hold pays for the prompt's bound and 70 tokens.
    @Test(
        arguments: [
            (9, 1_000_000_000, nil), (1_000_000_000, 5, nil), (1_000_000_000, 1_000_000_000, nil),
            // One token beyond the limit, and a price below the hold.
            (9, 71, 80), (5_000, 5, nil),
        ] as [(Int64, Int64, Int64?)], [true, false])
    func `impossible usage is charged at most the hold`(reported: (Int64, Int64, Int64?), stream: Bool) async throws {
        let (prompt, output, price) = reported
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy, #","max_tokens":70"#, model: "priced", stream: stream)
            let usage = #""usage":{"prompt_tokens":\#(prompt),"completion_tokens":\#(output)}"#
            if stream {
                provider.send(tokens: 5)
                provider.write(#"data: {"choices":[],\#(usage)}"# + "\n\n")
                provider.finish()
            } else {
                provider.answer(#"{"choices":[{"message":{"content":"x"}}],\#(usage)}"#)
            }
            try await until("the charge is there") { !proxy.ledger.settlements.isEmpty }
            let charge = proxy.ledger.settlements[0]
            #expect(charge.amount == price.map(tokens) ?? proxy.ledger.holds[0].amounts.most)
            #expect((charge.call.usage.promptTokens, charge.call.usage.completionTokens, charge.call.isEstimated) == (prompt, output, true))
            try await until("the answer is over") { caller.isOver }
            #expect(caller.status == 200)
        }
    }

    @Test func `a count of what was delivered is charged at most the hold`() async throws {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy, #","max_tokens":70"#, stream: true)
            provider.send([String](repeating: "incomprehensibility", count: 70))
            provider.finish()
            try await until("the charge is there") { !proxy.ledger.settlements.isEmpty }
            #expect(proxy.ledger.settlements[0].amount == tokens(70))
            #expect(proxy.ledger.settlements[0].call.isEstimated)
            try await until("the answer is over") { caller.isOver }
            #expect(caller.isDone)
        }
    }

    @Test func `a report of impossible usage is at most the hold`() async throws {
        try await ProxyUnderTest.with(.init(holdTimeToLive: .seconds(1))) { proxy in
            let (caller, provider) = try await started(proxy, #","max_tokens":70"#, stream: true)
            provider.send(tokens: 5)
            provider.write(#"data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":1000000000}}"# + "\n\n")
            try await until("a report contains the usage") { proxy.ledger.reports.last.map { $0.usedSoFar > tokens(5) } ?? false }
            #expect(proxy.ledger.reports.last?.usedSoFar == tokens(70))
            provider.finish()
            try await until("the answer is over") { caller.isOver }
        }
    }

    @Test(arguments: [
        (#"{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"u"}}]}]}"#, "messages"),
        (
            #"{"model":"m","messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":""}}]}]}"#,
            "messages[0].content[0].type"
        ),
    ])
    func `content without a price is refused before a hold`(body: String, param: String) async throws {
        try await ProxyUnderTest.with { proxy in
            let caller = proxy.send(body)
            try await until("the answer is over") { caller.isOver }
            #expect(caller.status == 400)
            #expect(try caller.error().string("param") == param)
            #expect(proxy.ledger.holds.isEmpty)
        }
    }

    // MARK: Refusals

    @Test func `credits that other calls hold until the deadline are 503 credits_held, without a void, and are not cached`()
        async throws
    {
        try await ProxyUnderTest.with(.init(fundsWithin: .milliseconds(200))) { proxy in
            proxy.ledger.answerHold = { Ledger.refused(.awaitingFunds, $0.chargeID) }
            let key = proxy.person()
            let caller = proxy.call(stream: false, key: key)
            try await until("the answer is over") { caller.isOver }
            #expect(caller.status == 503)
            #expect(try caller.error().string("code") == "credits_held")
            #expect(caller.headers.string(for: "retry-after") == "2")
            let asked = proxy.ledger.holds
            #expect(Set(asked.map(\.chargeID)).count == 1)
            #expect(asked.map(\.amounts.isLastQuestion) == [Bool](repeating: false, count: asked.count - 1) + [true])
            proxy.ledger.answerHold = { Ledger.granted($0.amounts.most, to: $0.chargeID) }
            let next = proxy.call(stream: false, key: key)
            try await until("the provider is called") { proxy.provider.calls.count == 1 }
            proxy.provider.calls[0].answer(Self.answer)
            try await until("the answer is over") { next.isOver }
            #expect(next.status == 200)
            #expect(proxy.ledger.voids.isEmpty)
        }
    }

    @Test func `a 402 is cached for a quarter of a second, for the same account and no cheaper call`() async throws {
        try await ProxyUnderTest.with { proxy in
            proxy.ledger.answerHold = { Ledger.refused(.insufficientFunds, $0.chargeID) }
            func refused(_ members: String = "", key: String) async throws {
                let caller = proxy.call(members, key: key)
                try await until("the answer is over") { caller.isOver }
                #expect(caller.status == 402)
                #expect(try caller.error().decimalText("balance") == "0.000000007")
            }
            let (key, other) = (proxy.person(), proxy.person())
            try await refused(key: key)
            // If 250 ms pass between these calls, the proxy may ask a second time, which is right.
            // It must not ask a hundred times.
            for _ in 0..<100 { try await refused(key: key) }
            #expect(proxy.ledger.holds.count < 50)
            let before = proxy.ledger.holds.count
            try await refused(#","max_tokens":1"#, key: key)
            try await refused(key: other)
            #expect(proxy.ledger.holds.count == before + 2)
            try await until("it is asked again") {
                proxy.ledger.holds.count > before + 2 || proxy.call(key: key).status == 402
            }
            #expect(proxy.ledger.voids.isEmpty)
        }
    }

    @Test func `a reached limit is not cached`() async throws {
        try await ProxyUnderTest.with { proxy in
            proxy.ledger.answerHold = {
                Ledger.refused(.limitReached, $0.chargeID, limit: .init(scope: .account, period: .day, resetsAt: .now()))
            }
            let key = proxy.person()
            for count in 1...3 {
                let caller = proxy.call(key: key)
                try await until("the answer is over") { caller.isOver }
                #expect(caller.status == 402)
                #expect(proxy.ledger.holds.count == count)
            }
        }
    }

    @Test func `a busy ledger is asked again under the same id, and in the end the call is 503 without a void`() async throws {
        try await ProxyUnderTest.with(.init(holdWithin: .seconds(1))) { proxy in
            proxy.ledger.answerHold = { Ledger.refused(.busy, $0.chargeID) }
            let caller = proxy.call()
            try await until("the answer is over") { caller.isOver }
            #expect(caller.status == 503)
            #expect(try caller.error().string("code") == "ledger_unavailable")
            #expect(proxy.ledger.holds.count > 1)
            #expect(Set(proxy.ledger.holds.map(\.chargeID)).count == 1)
            let ledger = proxy.ledger
            let asked = ledger.holds.count
            ledger.answerHold = { [unowned ledger] in
                ledger.holds.count == asked + 1 ? Ledger.refused(.busy, $0.chargeID) : Ledger.granted($0.amounts.most, to: $0.chargeID)
            }
            let next = proxy.call(stream: false)
            try await until("the provider is called") { proxy.provider.calls.count == 1 }
            proxy.provider.calls[0].answer(Self.answer)
            try await until("the answer is over") { next.isOver }
            #expect(next.status == 200)
            #expect(ledger.voids.isEmpty)
        }
    }

    @Test func `an unanswered question is 503 and one void, which no outbox keeps`() async throws {
        try await ProxyUnderTest.with(.init(holdWithin: .milliseconds(300))) { proxy in
            proxy.ledger.answerHold = { _ in nil }
            let caller = proxy.call()
            try await until("the answer is over") { caller.isOver }
            #expect(caller.status == 503)
            #expect(try caller.error().string("code") == "ledger_unavailable")
            try await until("the void is there") { !proxy.ledger.voids.isEmpty }
            #expect(proxy.ledger.voids.map(\.chargeID) == proxy.ledger.holds.map(\.chargeID))
            #expect(try await proxy.outboxed().isEmpty)
            #expect(proxy.provider.calls.isEmpty)
        }
    }

    @Test(arguments: [-1, Int64.min])
    func `a negative grant is no answer of the ledger`(granted: Int64) async throws {
        try await ProxyUnderTest.with(.init(holdWithin: .milliseconds(400), outagePatience: .seconds(3))) { proxy in
            proxy.ledger.answerExtend = { Ledger.granted(Credits(nano: granted), to: $0.chargeID) }
            let (caller, provider) = try await started(proxy, stream: true)
            provider.send(tokens: 120)
            try await until("the answer is over") { caller.isOver }
            #expect(caller.tokens == 100)
            #expect(try caller.error().string("code") == "ledger_unavailable")
            #expect(proxy.ledger.extends.count > 1)

            proxy.ledger.answerHold = { Ledger.granted(Credits(nano: granted), to: $0.chargeID) }
            let refused = proxy.call()
            try await until("the answer is over") { refused.isOver }
            #expect(refused.status == 503)
            #expect(try refused.error().string("code") == "ledger_unavailable")
            try await until("the void is there") { proxy.ledger.voids.map(\.chargeID) == [proxy.ledger.holds[1].chargeID] }
            #expect(proxy.provider.calls.count == 1)
        }
    }

    @Test func `a question that no queue took makes no message and no row`() async throws {
        try await ProxyUnderTest.with { proxy in
            try proxy.loseTheQuestions()
            let caller = proxy.call()
            try await until("the answer is over") { caller.isOver }
            #expect(caller.status == 503)
            #expect(try caller.error().string("code") == "ledger_unavailable")
            // This command is sent after the others, so its arrival proves that nothing came
            // before.
            try await proxy.sendMarker()
            try await until("the marker is there") { !proxy.ledger.voids.isEmpty }
            #expect(proxy.ledger.voids.map(\.reason) == ["marker"])
            #expect(try await proxy.outboxed().isEmpty)
        }
    }

    // MARK: Without broker

    @Test func `a charge that the broker does not take is in the outbox without an ordering key`() async throws {
        try await ProxyUnderTest.with(.init(isPublisherDown: true)) { proxy in
            let (caller, provider) = try await started(proxy, stream: false)
            provider.answer(Self.answer)
            try await until("the answer is over") { caller.isOver }
            #expect(caller.status == 200)
            let (refused, other) = try await started(proxy, stream: false)
            other.answer(#"{"error":{"message":"no"}}"#, status: 404)
            try await until("the answer is over") { refused.isOver }
            #expect(try await proxy.outboxed() == [.init(type: SettleCharges.name, key: nil), .init(type: VoidHold.name, key: nil)])
        }
    }

    @Test func `a charge that neither broker nor outbox took is 503 with its id, and must not be repeated`() async throws {
        try await ProxyUnderTest.with(.init(isPublisherDown: true)) { proxy in
            let (caller, provider) = try await started(proxy, stream: false)
            try await proxy.withoutOutbox {
                provider.answer(Self.answer)
                try await until("the answer is over") { caller.isOver }
            }
            #expect(caller.status == 503)
            #expect(caller.headers.string(for: "x-should-retry") == "false")
            let error = try caller.error()
            #expect(try error.string("code") == "ledger_unavailable")
            #expect(try error.string("charge_id") == proxy.ledger.holds[0].chargeID.description)
            #expect(try error.string("message").contains("may still be charged"))
        }
    }

    @Test func `a stream that is cut ends with the id of its charge if neither broker nor outbox took the charge`() async throws {
        try await ProxyUnderTest.with(.init(isPublisherDown: true)) { proxy in
            proxy.ledger.answerExtend = { ScriptedLedger.refused(.insufficientFunds, $0.chargeID) }
            let (caller, provider) = try await started(proxy, stream: true)
            try await proxy.withoutOutbox {
                provider.send(tokens: 120)
                try await until("the answer is over") { caller.isOver }
            }
            #expect(caller.tokens == 100)
            #expect(!caller.text.contains("[DONE]"))
            let error = try caller.error()
            #expect(try error.string("code") == "ledger_unavailable")
            #expect(try error.string("charge_id") == proxy.ledger.holds[0].chargeID.description)
        }
    }

    @Test func `a database that does not answer ends the wait for the outbox, and the charge is kept when it answers`() async throws {
        try await ProxyUnderTest.with(.init(keepWithin: .milliseconds(300), isPublisherDown: true)) { proxy in
            let (caller, provider) = try await started(proxy, stream: false)
            try await proxy.withLockedOutbox {
                provider.answer(Self.answer)
                try await until("the answer is over") { caller.isOver }
            }
            #expect(caller.status == 503)
            #expect(try caller.error().string("charge_id") == proxy.ledger.holds[0].chargeID.description)
            try await until("the charge is kept") { try await proxy.outboxed() == [.init(type: SettleCharges.name, key: nil)] }
        }
    }

    // MARK: Operations

    @Test func `the 51st operation of an account is charged as other`() async throws {
        try await ProxyUnderTest.with { proxy in
            let key = proxy.person()
            for number in 1...51 {
                let caller = proxy.call(stream: false, key: key, operation: "op\(number)")
                try await until("the provider is called") { proxy.provider.calls.count == number }
                proxy.provider.calls[number - 1].answer(Self.answer)
                try await until("the answer is over") { caller.isOver }
            }
            try await until("the charges are there") { proxy.ledger.settlements.count == 51 }
            let names = proxy.ledger.settlements.compactMap(\.call.operation)
            // If a quarter of an hour begins meanwhile, further names get a place.
            #expect(names.contains("op50"))
            #expect(names.last == "other" || names.last == "op51" && Instant.now().seconds % 900 < 60)
        }
    }
}
