import Contracts
import HTTPWire
import JSON
import TestSupport
import Testing
import Values

@testable import LLMProxy

@Suite(.serialized, .database(schema: "llm_proxy", migrations: "Shared/Outbox/Migrations", "Services/llm-proxy/Migrations"))
struct SpendingLimitTests {
    @Test(arguments: [nil, SpendingLimits(daily: Credits(whole: 1)), SpendingLimits(daily: Credits(nano: 5), monthly: Credits(whole: 30))])
    func `a hold carries what its API key may spend`(limits: SpendingLimits?) async throws {
        try await ProxyUnderTest.with { proxy in
            let caller = proxy.call(limits: limits)
            try await until("the provider is called") { !proxy.provider.calls.isEmpty }
            proxy.provider.calls[0].send(tokens: 1, thenEnd: 1)
            try await until("the answer is over") { caller.isOver }
            #expect(proxy.ledger.holds.map(\.keyLimits) == [limits])
            #expect(proxy.ledger.holds.allSatisfy { $0.apiKeyID != nil })
        }
    }

    @Test(arguments: [
        (HoldReply.Limit.Scope.account, HoldReply.Limit.Period.day, "account", "daily"), (.apiKey, .month, "api_key", "monthly"),
    ])
    func `a call beyond a spending limit is 402 with its owner, period and reset time, and must not be retried`(
        scope: HoldReply.Limit.Scope, period: HoldReply.Limit.Period, owner: String, name: String
    ) async throws {
        try await ProxyUnderTest.with { proxy in
            let end = Instant(microseconds: 1_764_547_200_000_000)
            proxy.ledger.answerHold = {
                ScriptedLedger.refused(.limitReached, $0.chargeID, limit: .init(scope: scope, period: period, resetsAt: end))
            }
            let caller = proxy.call()
            try await until("the answer is over") { caller.isOver }
            #expect(caller.status == 402)
            #expect(caller.headers.string(for: "x-should-retry") == "false")
            #expect(!caller.headers.contains("retry-after"))
            let error = try caller.error()
            #expect(error.members.map(\.name).prefix(4) == ["message", "type", "code", "param"])
            #expect(try error.string("code") == "spending_limit_reached")
            #expect(try error.string("limit_scope") == owner)
            #expect(try error.string("limit") == name)
            #expect(try error.string("resets_at") == end.description)
            #expect(proxy.provider.calls.isEmpty)
        }
    }

    @Test func `a call without credits is 402 with the balance and the required credits`() async throws {
        try await ProxyUnderTest.with { proxy in
            proxy.ledger.answerHold = { ScriptedLedger.refused(.insufficientFunds, $0.chargeID) }
            let caller = proxy.call()
            try await until("the answer is over") { caller.isOver }
            #expect(caller.status == 402)
            let error = try caller.error()
            #expect(try error.string("code") == "insufficient_credits")
            #expect(try error.decimalText("balance") == "0.000000007")
            #expect(try error.decimalText("required") == "0.064")
            #expect(proxy.provider.calls.isEmpty)
        }
    }
}
