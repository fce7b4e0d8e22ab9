import Contracts
import EventLoop
import HTTPWire
import JSON
import Postgres
import TestSupport
import Testing
import Values

@testable import LLMProxy

/// Tests calls that a client repeats.
@Suite(.serialized, .database(schema: "llm_proxy", migrations: "Shared/Outbox/Migrations", "Services/llm-proxy/Migrations"))
struct RepeatedCallsTests {
    private static let answer = #"{"id":"c1","choices":[{"message":{"content":"x"}}],"usage":{"prompt_tokens":9,"completion_tokens":5}}"#
    private static let key: HeaderBlock = ["idempotency-key": "order-7"]

    private func over(_ callers: Caller...) async throws {
        try await until("the answers are over") { callers.allSatisfy(\.isOver) }
    }

    /// The same loop answers a later request after all earlier events.
    private func heard(_ proxy: ProxyUnderTest) async throws {
        let other = proxy.send("{")
        try await until("another call is refused") { other.isOver }
    }

    // MARK: Under a key

    @Test(arguments: [true, false])
    func `a repeated call gets the kept answer, byte by byte, and is charged once`(stream: Bool) async throws {
        try await ProxyUnderTest.with { proxy in
            proxy.provider.onCall = { stream ? $0.send(["a", "b"], thenEnd: 2) : $0.answer(Self.answer) }
            let person = proxy.person()
            let first = proxy.call(stream: stream, key: person, headers: Self.key)
            try await over(first)
            #expect((first.status, first.failure) == (200, nil))
            let second = proxy.call(stream: stream, key: person, headers: Self.key)
            try await over(second)
            #expect(second.bytes == first.bytes)
            for name: StaticString in ["content-type", "x-generation-id", "x-provider"] {
                #expect(second.headers.string(for: name) == first.headers.string(for: name), "\(name)")
            }
            #expect(first.headers.string(for: "idempotency-replayed") == nil)
            #expect(second.headers.string(for: "idempotency-replayed") == "true")
            #expect((proxy.provider.calls.count, proxy.ledger.holds.count, proxy.ledger.settlements.count) == (1, 1, 1))
        }
    }

    @Test func `the same key with another body, or at another path, is a conflict`() async throws {
        try await ProxyUnderTest.with { proxy in
            proxy.provider.onCall = { $0.answer(Self.answer) }
            let person = proxy.person()
            let first = proxy.call(stream: false, key: person, headers: Self.key)
            try await over(first)
            let second = proxy.call(#","seed":1"#, stream: false, key: person, headers: Self.key)
            try await over(second)
            #expect(second.status == 409)
            #expect(try second.error().string("code") == "idempotency_conflict")
            #expect(second.headers.string(for: "x-should-retry") == "false")
            #expect(proxy.provider.calls.count == 1)
        }
    }

    @Test func `the same key with another beta of Anthropic is a conflict`() async throws {
        try await ProxyUnderTest.with { proxy in
            proxy.provider.onCall = {
                $0.answer(#"{"type":"message","content":[{"type":"text","text":"x"}],"usage":{"input_tokens":9,"output_tokens":5}}"#)
            }
            let person = proxy.person()
            let body = #"{"model":"claude","max_tokens":70,"messages":[{"role":"user","content":"x"}]}"#
            let first = proxy.send(body, to: "/v1/messages", key: person, headers: Self.key)
            try await over(first)
            var headers = Self.key
            headers.add("anthropic-beta", "context-1m-2025-08-07")
            let second = proxy.send(body, to: "/v1/messages", key: person, headers: headers)
            try await over(second)
            #expect((first.status, second.status) == (200, 409))
        }
    }

    @Test func `the same key of another account is another key`() async throws {
        try await ProxyUnderTest.with { proxy in
            proxy.provider.onCall = { $0.answer(Self.answer) }
            let callers = [proxy.call(stream: false, headers: Self.key), proxy.call(stream: false, headers: Self.key)]
            try await until("the answers are over") { callers.allSatisfy(\.isOver) }
            #expect(callers.map(\.status) == [200, 200])
            #expect(proxy.provider.calls.count == 2)
        }
    }

    @Test func `a repeated call joins the running stream from its beginning`() async throws {
        try await ProxyUnderTest.with { proxy in
            let person = proxy.person()
            let first = proxy.call(key: person, headers: Self.key)
            try await until("the provider is called") { proxy.provider.calls.count == 1 }
            proxy.provider.calls[0].send(["a"])
            try await until("it is delivered") { first.tokens == 1 }
            let second = proxy.call(key: person, headers: Self.key)
            try await until("the second client has it too") { second.tokens == 1 }
            proxy.provider.calls[0].send(["b"], thenEnd: 2)
            try await over(first, second)
            #expect(second.bytes == first.bytes)
            #expect((first.isDone, second.isDone) == (true, true))
            #expect((proxy.provider.calls.count, proxy.ledger.settlements.count) == (1, 1))
        }
    }

    @Test(arguments: [true, false])
    func `a call continues when its client leaves, and the repeated one gets its answer`(stream: Bool) async throws {
        try await ProxyUnderTest.with { proxy in
            let person = proxy.person()
            let first = proxy.call(stream: stream, key: person, headers: Self.key)
            try await until("the provider is called") { proxy.provider.calls.count == 1 }
            if stream {
                proxy.provider.calls[0].send(["a"])
                try await until("it is delivered") { first.tokens == 1 }
            }
            first.hangUp()
            try await heard(proxy)
            if stream { proxy.provider.calls[0].send(["b"], thenEnd: 2) } else { proxy.provider.calls[0].answer(Self.answer) }
            try await until("the charge is there") { !proxy.ledger.settlements.isEmpty }
            #expect(proxy.ledger.settlements.map(\.call.end) == [.completed])
            let second = proxy.call(stream: stream, key: person, headers: Self.key)
            try await over(second)
            #expect((second.status, second.isDone) == (200, stream))
            #expect((proxy.provider.calls.count, proxy.ledger.settlements.count) == (1, 1))
        }
    }

    @Test func `a call that failed can be repeated under its key`() async throws {
        try await ProxyUnderTest.with { proxy in
            proxy.provider.onCall = { $0.answer(#"{"error":{"message":"no"}}"#, status: 401) }
            let person = proxy.person()
            let first = proxy.call(stream: false, key: person, headers: Self.key)
            try await over(first)
            #expect(first.status == 502)
            proxy.provider.onCall = { $0.answer(Self.answer) }
            let second = proxy.call(stream: false, key: person, headers: Self.key)
            try await over(second)
            #expect(second.status == 200)
            #expect(second.headers.string(for: "idempotency-replayed") == nil)
        }
    }

    @Test func `an answer above a MiB is not kept, and its repetition is a conflict with its charge`() async throws {
        try await ProxyUnderTest.with { proxy in
            let long = Self.answer.replacing("\"x\"", with: "\"\(String(repeating: "x", count: KeptAnswer.bytesMax))\"")
            proxy.provider.onCall = { $0.answer(long) }
            let person = proxy.person()
            let first = proxy.call(stream: false, key: person, headers: Self.key)
            try await over(first)
            #expect(first.status == 200)
            let second = proxy.call(stream: false, key: person, headers: Self.key)
            try await over(second)
            #expect(second.status == 409)
            #expect(try second.error().string("code") == "idempotency_conflict")
            #expect(try second.error().string("charge_id") == first.headers.string(for: "x-generation-id"))
            #expect(proxy.provider.calls.count == 1)
        }
    }

    @Test func `a call of another replica is answered with the time to wait`() async throws {
        try await ProxyUnderTest.with { proxy in
            proxy.provider.onCall = { $0.answer(Self.answer) }
            let person = proxy.person()
            let first = proxy.call(stream: false, key: person, headers: Self.key)
            try await over(first)
            try await proxy.sql("UPDATE idempotency_key SET is_running = true, answer = NULL, charge_id = gen_random_uuid()")
            let second = proxy.call(stream: false, key: person, headers: Self.key)
            try await over(second)
            #expect(second.status == 409)
            #expect(try second.error().string("code") == "idempotency_in_progress")
            #expect(second.headers.string(for: "retry-after") == "2")
            #expect(proxy.provider.calls.count == 1)
        }
    }

    @Test(arguments: [(ChargeReply.State.expired, 5, 409), (.settled, 5, 409), (.open, 0, 409), (.voided, 0, 200), (.unknown, 0, 200)])
    func `the key of a replica that died is free if the ledger charged nothing`(
        state: ChargeReply.State, charged: Int64, status: Int
    ) async throws {
        try await ProxyUnderTest.with { proxy in
            proxy.provider.onCall = { $0.answer(Self.answer) }
            proxy.ledger.answerCharge = { ChargeReply(chargeID: $0.chargeID, state: state, charged: Credits(nano: charged)) }
            let person = proxy.person()
            let first = proxy.call(stream: false, key: person, headers: Self.key)
            try await over(first)
            try await proxy.sql(
                "UPDATE idempotency_key SET is_running = true, answer = NULL, touched_at = now() - interval '61 seconds', charge_id = gen_random_uuid()"
            )
            let second = proxy.call(stream: false, key: person, headers: Self.key)
            try await over(second)
            #expect(second.status == status)
            #expect(proxy.provider.calls.count == (status == 200 ? 2 : 1))
        }
    }

    @Test func `a key lives for 24 hours`() async throws {
        try await ProxyUnderTest.with { proxy in
            proxy.provider.onCall = { $0.answer(Self.answer) }
            let person = proxy.person()
            for calls in [1, 1, 2] {
                let caller = proxy.call(stream: false, key: person, headers: Self.key)
                try await over(caller)
                #expect((caller.status, proxy.provider.calls.count) == (200, calls))
                let hours = calls == proxy.ledger.settlements.count ? 23 : 1
                try await proxy.sql("UPDATE idempotency_key SET claimed_at = claimed_at - interval '\(hours) hours'")
            }
        }
    }

    @Test func `two calls at once under one key are one call`() async throws {
        try await ProxyUnderTest.with { proxy in
            let person = proxy.person()
            let callers = (0..<8).map { _ in proxy.call(stream: false, key: person, headers: Self.key) }
            try await until("the provider is called") { !proxy.provider.calls.isEmpty }
            try await heard(proxy)
            proxy.provider.calls[0].answer(Self.answer)
            try await until("the answers are over") { callers.allSatisfy(\.isOver) }
            #expect(callers.map(\.status) == [Int](repeating: 200, count: 8))
            #expect(Set(callers.map(\.text)).count == 1)
            #expect((proxy.provider.calls.count, proxy.ledger.settlements.count) == (1, 1))
        }
    }

    @Test(arguments: ["two words", String(repeating: "k", count: 256), "k\u{e9}y"])
    func `a key that cannot be one is refused by name`(key: String) async throws {
        try await ProxyUnderTest.with { proxy in
            let caller = proxy.call(stream: false, headers: ["idempotency-key": key])
            try await over(caller)
            #expect(caller.status == 400)
            #expect(try caller.error().string("param") == "idempotency-key")
        }
    }

    @Test func `a call under a key is finished when a client that reads slowly leaves`() async throws {
        try await ProxyUnderTest.with { proxy in
            let caller = proxy.call(headers: Self.key)
            try await until("the provider is called") { proxy.provider.calls.count == 1 }
            let provider = proxy.provider.calls[0]
            provider.send(tokens: 1)
            try await until("the stream has begun") { caller.tokens == 1 }
            caller.pause()
            // It is more than all buffers between the provider and the client hold.
            let event = #"data: {"choices":[],"pad":"\#(String(repeating: "p", count: 1 << 17))"}"# + "\n\n"
            for _ in 0..<256 { provider.write(event) }
            try await heard(proxy)
            caller.hangUp()
            provider.send(["x"], thenEnd: 2)
            try await until("the call is charged") { !proxy.ledger.settlements.isEmpty }
            #expect(proxy.ledger.settlements[0].amount == ProxyUnderTest.tokens(2))
        }
    }

    @Test(arguments: [true, false])
    func `a call that may have been charged is not made again under its key`(stream: Bool) async throws {
        try await ProxyUnderTest.with(.init(keepWithin: .milliseconds(300), isPublisherDown: true)) { proxy in
            proxy.provider.onCall = { stream ? $0.send(["a"], thenEnd: 2) : $0.answer(Self.answer) }
            let person = proxy.person()
            try await proxy.withoutOutbox {
                let first = proxy.call(stream: stream, key: person, headers: Self.key)
                try await over(first)
                #expect(stream ? first.failure != nil : first.status == 503)
            }
            let second = proxy.call(stream: stream, key: person, headers: Self.key)
            try await over(second)
            #expect(second.status == 409)
            #expect(try second.error().has("charge_id"))
            #expect(proxy.provider.calls.count == 1)
        }
    }

    // MARK: Retries of SDKs

    @Test func `the retry of an SDK joins its call while the gateway still listens to the provider`() async throws {
        try await ProxyUnderTest.with { proxy in
            let person = proxy.person()
            let first = proxy.call(stream: false, key: person, headers: ["x-stainless-retry-count": "0"])
            try await until("the provider is called") { proxy.provider.calls.count == 1 }
            first.hangUp()
            try await heard(proxy)
            let second = proxy.call(stream: false, key: person, headers: ["x-stainless-retry-count": "1"])
            try await heard(proxy)
            proxy.provider.calls[0].answer(Self.answer)
            try await over(second)
            #expect(second.status == 200)
            #expect((proxy.provider.calls.count, proxy.ledger.settlements.count) == (1, 1))
            #expect(proxy.ledger.settlements.map(\.amount) == [ProxyUnderTest.tokens(5)])
        }
    }

    @Test(arguments: [true, false])
    func `a stream that a retry took over is charged what the retry got`(isCut: Bool) async throws {
        try await ProxyUnderTest.with { proxy in
            let person = proxy.person()
            if isCut { proxy.ledger.answerExtend = { ScriptedLedger.refused(.insufficientFunds, $0.chargeID) } }
            let first = proxy.call(model: "priced", key: person, headers: ["x-stainless-retry-count": "0"])
            try await until("the provider is called") { proxy.provider.calls.count == 1 }
            first.hangUp()
            try await heard(proxy)
            let second = proxy.call(model: "priced", key: person, headers: ["x-stainless-retry-count": "1"])
            try await heard(proxy)
            let provider = proxy.provider.calls[0]
            provider.send(tokens: isCut ? 2_000 : 40)
            if isCut {
                try await over(second)
                #expect(try second.error().string("code") == "insufficient_credits")
            } else {
                try await until("the retry has its part") { second.tokens == 40 }
                second.hangUp()
            }
            try await until("the call is charged") { !proxy.ledger.settlements.isEmpty }
            try await until("the provider's call is cancelled") { provider.isCancelled }
            let charge = proxy.ledger.settlements[0]
            #expect(charge.call.usage.all.first { $0.key == .output }?.value == Int64(second.tokens))
            #expect(charge.call.end == (isCut ? .holdExhausted : .clientDisconnected))
            #expect(proxy.provider.calls.count == 1)
        }
    }

    @Test func `nothing of a call under a key stays in memory when it is over`() async throws {
        try await ProxyUnderTest.with { proxy in
            weak var answer: SharedAnswer?
            let caller = proxy.call(stream: false, headers: Self.key)
            try await until("the call runs") { proxy.provider.calls.count == 1 }
            answer = proxy.running[proxy.ledger.holds[0].chargeID]
            #expect(answer != nil)
            proxy.provider.calls[0].answer(Self.answer)
            try await over(caller)
            try await until("nothing refers to the answer") { answer == nil }
        }
    }

    @Test func `a retry that comes too late to join is no replay`() async throws {
        try await ProxyUnderTest.with { proxy in
            let person = proxy.person()
            let first = proxy.call(key: person, headers: ["x-stainless-retry-count": "0"])
            try await until("the provider is called") { proxy.provider.calls.count == 1 }
            proxy.provider.calls[0].send(tokens: 1)
            try await until("the stream has begun") { first.tokens == 1 }
            let second = proxy.call(key: person, headers: ["x-stainless-retry-count": "1"])
            try await until("the provider is called again") { proxy.provider.calls.count == 2 }
            for call in proxy.provider.calls { call.send(["x"], thenEnd: 2) }
            try await over(first, second)
            #expect(second.headers.string(for: "idempotency-replayed") == nil)
        }
    }

    @Test func `a first try, another body and another account are calls of their own`() async throws {
        try await ProxyUnderTest.with { proxy in
            let person = proxy.person()
            let retry: HeaderBlock = ["x-stainless-retry-count": "1"]
            let first = proxy.call(stream: false, key: person, headers: ["x-stainless-retry-count": "0"])
            try await until("the provider is called") { proxy.provider.calls.count == 1 }
            let others = [
                proxy.call(stream: false, key: person, headers: ["x-stainless-retry-count": "0"]),
                proxy.call(#","seed":1"#, stream: false, key: person, headers: retry), proxy.call(stream: false, headers: retry),
            ]
            try await until("each is called") { proxy.provider.calls.count == 4 }
            for call in proxy.provider.calls { call.answer(Self.answer) }
            try await until("the answers are over") { first.isOver && others.allSatisfy(\.isOver) }
            #expect(proxy.ledger.settlements.count == 4)
        }
    }

    @Test func `a stream that has begun is not joined without a key`() async throws {
        try await ProxyUnderTest.with { proxy in
            let person = proxy.person()
            let first = proxy.call(key: person, headers: ["x-stainless-retry-count": "0"])
            try await until("the provider is called") { proxy.provider.calls.count == 1 }
            proxy.provider.calls[0].send(["a"])
            try await until("it is delivered") { first.tokens == 1 }
            let second = proxy.call(key: person, headers: ["x-stainless-retry-count": "1"])
            try await until("the provider is called again") { proxy.provider.calls.count == 2 }
            for call in proxy.provider.calls { call.send(["b"], thenEnd: 2) }
            try await over(first, second)
            #expect((first.isDone, second.isDone) == (true, true))
        }
    }
}
