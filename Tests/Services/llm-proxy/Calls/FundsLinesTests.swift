import Contracts
import EventLoop
import JSON
import TestSupport
import Testing
import Values

@testable import LLMProxy

/// Tests calls of one account that wait for each other's credits.
@Suite(.serialized, .database(schema: "llm_proxy", migrations: "Shared/Outbox/Migrations", "Services/llm-proxy/Migrations"))
struct FundsLinesTests {
    private typealias Ledger = ScriptedLedger
    private static let answer = #"{"choices":[{"message":{"content":"x"}}],"usage":{"prompt_tokens":9,"completion_tokens":5}}"#

    /// A limit of one token. The hold of a call without a limit is for at least 64 tokens; with it,
    /// for one.
    private static let small = #","max_tokens":1"#

    @Test func `one call of a line asks, the others wait, and all are served in their order`() async throws {
        try await ProxyUnderTest.with(.init(fundsWithin: .seconds(30))) { proxy in
            proxy.ledger.answerHold = { Ledger.refused(.awaitingFunds, $0.chargeID) }
            let key = proxy.person()
            var callers: [Caller] = []
            for number in 1...8 {
                callers.append(proxy.call(#","max_tokens":\#(100 + number)"#, stream: false, key: key))
                if number == 1 { try await until("the first waits") { proxy.ledger.holds.count >= 2 } }
            }
            let asked = proxy.ledger.holds.count
            try await until("the first has asked again and again") { proxy.ledger.holds.count >= asked + 5 }
            #expect(Set(proxy.ledger.holds.map(\.chargeID)).count == 1)

            let before = proxy.ledger.holds.count
            proxy.ledger.answerHold = { Ledger.granted($0.amounts.most, spendable: .zero, to: $0.chargeID) }
            try await until("the provider is called") { proxy.provider.calls.count == 8 }
            for call in proxy.provider.calls { call.answer(Self.answer) }
            try await until("all are over") { callers.allSatisfy(\.isOver) }
            #expect(callers.allSatisfy { $0.status == 200 })
            // A question that was running when the ledger changed its answer may still be refused.
            let granted = proxy.ledger.holds[before...].suffix(8)
            #expect(granted.count == 8)
            #expect(granted.map(\.amounts.most.nano) == granted.map(\.amounts.most.nano).sorted())
        }
    }

    @Test func `a new call that needs no more than is available passes the line, like a call of another account`() async throws {
        try await ProxyUnderTest.with(.init(fundsWithin: .seconds(30))) { proxy in
            proxy.ledger.answerHold = { question in
                question.amounts.usual > ProxyUnderTest.tokens(50)
                    ? HoldReply(chargeID: question.chargeID, status: .awaitingFunds, spendable: ProxyUnderTest.tokens(50))
                    : Ledger.granted(question.amounts.most, spendable: ProxyUnderTest.tokens(10), to: question.chargeID)
            }
            let key = proxy.person()
            let large = proxy.call(stream: false, key: key)
            try await until("the large call waits") { proxy.ledger.holds.count >= 3 }
            let small = proxy.call(Self.small, stream: false, key: key)
            let stranger = proxy.call(Self.small, stream: false)
            try await until("the provider is called twice") { proxy.provider.calls.count == 2 }
            for call in proxy.provider.calls { call.answer(Self.answer) }
            try await until("both are over") { small.isOver && stranger.isOver }
            #expect((small.status, stranger.status) == (200, 200))
            #expect(!large.isOver)
            large.hangUp()
        }
    }

    @Test func `a call that hangs up leaves the line without a message, and the next one asks`() async throws {
        try await ProxyUnderTest.with(.init(fundsWithin: .seconds(30))) { proxy in
            proxy.ledger.answerHold = { Ledger.refused(.awaitingFunds, $0.chargeID) }
            let key = proxy.person()
            let first = proxy.call(stream: false, key: key)
            try await until("the first waits") { proxy.ledger.holds.count >= 2 }
            let second = proxy.call(Self.small, stream: false, key: key)
            first.hangUp()
            try await until("the second asks") { Set(proxy.ledger.holds.map(\.chargeID)).count == 2 }
            proxy.ledger.answerHold = { Ledger.granted($0.amounts.most, to: $0.chargeID) }
            try await until("the provider is called") { proxy.provider.calls.count == 1 }
            proxy.provider.calls[0].answer(Self.answer)
            try await until("the answer is over") { second.isOver }
            #expect(second.status == 200)
            #expect(proxy.ledger.voids.isEmpty)
        }
    }

    @Test func `each call that waited asks its last question for itself`() async throws {
        try await ProxyUnderTest.with(.init(fundsWithin: .milliseconds(300))) { proxy in
            proxy.ledger.answerHold = { Ledger.refused(.awaitingFunds, $0.chargeID) }
            let key = proxy.person()
            let callers = (0..<5).map { _ in proxy.call(stream: false, key: key) }
            try await until("all are over") { callers.allSatisfy(\.isOver) }
            #expect(callers.allSatisfy { $0.status == 503 })
            let last = proxy.ledger.holds.filter(\.amounts.isLastQuestion)
            #expect(last.count == 5)
            #expect(Set(last.map(\.chargeID)).count == 5)
        }
    }

    @Test func `an extension whose stream has ended leaves the line, and asks nothing more`() async throws {
        try await ProxyUnderTest.with(.init(fundsWithin: .seconds(30))) { proxy in
            let ledger = proxy.ledger
            ledger.answerExtend = { HoldReply(chargeID: $0.chargeID, status: .awaitingFunds, spendable: ProxyUnderTest.tokens(50)) }
            let key = proxy.person()
            let stream = proxy.call(key: key)
            try await until("the provider is called") { proxy.provider.calls.count == 1 }
            proxy.provider.calls[0].send(tokens: 90)
            try await until("the extension waits") { ledger.extends.count >= 2 }

            // A small call passes the extension, and its second question stays open.
            let gate = Promise<Void>(on: TestDatabase.loop)
            ledger.answerHold = { [unowned ledger] question in
                guard ledger.holds.count > 2 else {
                    return HoldReply(chargeID: question.chargeID, status: .awaitingFunds, spendable: ProxyUnderTest.tokens(50))
                }
                try? await gate.value()
                return Ledger.granted(question.amounts.most, to: question.chargeID)
            }
            let small = proxy.call(Self.small, stream: false, key: key)
            try await until("the small call asks in line") { ledger.holds.count == 3 }
            let asked = ledger.extends.count
            proxy.provider.calls[0].send(tokens: 5, thenEnd: 95)
            try await until("the stream is charged") { stream.isOver && ledger.settlements.count == 1 }
            ledger.answerHold = { Ledger.granted($0.amounts.most, to: $0.chargeID) }
            gate.succeed(())
            try await until("the provider is called") { proxy.provider.calls.count == 2 }
            proxy.provider.calls[1].answer(Self.answer)
            try await until("the small call is over") { small.isOver }
            #expect(small.status == 200)

            // Questions arrive in their order, so this one comes after one of the extension.
            let other = proxy.call(Self.small, stream: false)
            try await until("the other call asks") { ledger.holds.count == 4 }
            #expect(ledger.extends.count == asked)
            other.hangUp()
        }
    }

    // MARK: Without a proxy

    /// A call of a line.
    private final class LineCall: @unchecked Sendable {
        // @unchecked Sendable: used on the test loop only.
        var asked = 0
        /// The number of times that the line looked whether the call has left.
        var looks = 0
        var hasLeft = false
        let asker: FundsLines.Asker

        init(_ key: FundsLines.Key) { asker = FundsLines.Asker(key: key, charge: .make()) }

        func reply(_ funds: FundsLines, usual: Int64, ask: @escaping @Sendable (LineCall) async -> HoldReply) -> Task<HoldReply?, any Error>
        {
            let amounts = HoldAmounts(most: Credits(whole: usual), usual: Credits(whole: usual), least: Credits(nano: 1))
            return Task(executorPreference: TestDatabase.loop) {
                try await funds.reply(
                    self.asker, amounts: amounts, isNewCall: false, patience: .seconds(60), on: TestDatabase.loop,
                    hasLeft: {
                        self.looks += 1
                        return self.hasLeft
                    }
                ) { _ in
                    self.asked += 1
                    return await ask(self)
                }
            }
        }
    }

    @Test func `a call that left before its turn asks nothing`() async throws {
        try await TestDatabase.onLoop {
            let funds = FundsLines()
            let key = FundsLines.Key(account: .make())
            let gate = Promise<Void>(on: TestDatabase.loop)
            let (first, second) = (LineCall(key), LineCall(key))
            let granted = first.reply(funds, usual: 5) { call in
                guard call.asked > 1 else { return HoldReply(chargeID: call.asker.charge, status: .awaitingFunds) }
                try? await gate.value()
                return HoldReply(chargeID: call.asker.charge, status: .granted)
            }
            try await until("the first call asks in line") { first.asked == 2 }
            let left = second.reply(funds, usual: 5) { HoldReply(chargeID: $0.asker.charge, status: .granted) }
            try await until("the second call is in line") { second.looks > 0 }
            second.hasLeft = true
            gate.succeed(())
            #expect(try await granted.value?.status == .granted)
            #expect(try await left.value == nil)
            #expect(second.asked == 0)
        }
    }

    @Test func `a small call passes a line that has just begun`() async throws {
        try await TestDatabase.onLoop {
            let funds = FundsLines()
            let key = FundsLines.Key(account: .make())
            let gate = Promise<Void>(on: TestDatabase.loop)
            let large = LineCall(key)
            let first = large.reply(funds, usual: 5) { call in
                if call.asked > 1 { try? await gate.value() }
                return HoldReply(
                    chargeID: call.asker.charge, status: call.asked > 1 ? .granted : .awaitingFunds, spendable: Credits(whole: 2))
            }
            defer { gate.succeed(()) }
            try await until("the large call waits in line") { large.asked >= 1 }
            let small = LineCall(key)
            let second = small.reply(funds, usual: 1) { HoldReply(chargeID: $0.asker.charge, status: .granted) }
            try await until("the small call asks") { small.asked == 1 }
            gate.succeed(())
            #expect(try await (first.value?.status, second.value?.status) == (.granted, .granted))
        }
    }
}
