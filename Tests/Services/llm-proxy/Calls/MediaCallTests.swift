import Contracts
import HTTP
import HTTPWire
import JSON
import TestSupport
import Testing
import Values

@testable import LLMProxy

/// Tests the table of docs/billing-policy.md for calls that are not sold by tokens.
@Suite(.serialized, .database(schema: "llm_proxy", migrations: "Shared/Outbox/Migrations", "Services/llm-proxy/Migrations"))
struct MediaCallTests {
    private func tokens(_ count: Int64) -> Credits { ProxyUnderTest.tokens(count) }

    private func started(_ proxy: ProxyUnderTest, _ surface: Surface, _ body: String) async throws -> (Caller, ScriptedCall) {
        let caller = proxy.send(body, to: surface.path)
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
        #expect(proxy.switchedOff.models.isEmpty)
    }

    private static func pictures(_ count: Int) -> String {
        #"{"created":1,"data":[\#([String](repeating: #"{"b64_json":"AAAA"}"#, count: count).joined(separator: ","))]}"#
    }

    private static let picture = #"{"model":"picture","prompt":"a cat"}"#
    private static let voice = #"{"model":"voice","input":"Hällo","voice":"alloy"}"#

    // MARK: Pictures

    @Test(
        arguments: [
            ("", 1, 40, "image"), (#","n":3"#, 3, 120, "image"), (#","quality":"hd","size":"1024x1024""#, 1, 80, "image:hd"),
            // The server made fewer than it was asked for, or more.
            (#","n":3"#, 2, 80, "image"), (#","n":2"#, 3, 80, "image"),
        ] as [(String, Int, Int64, String)])
    func `pictures that came are charged by their class`(members: String, made: Int, price: Int64, unit: String) async throws {
        try await ProxyUnderTest.with { proxy in
            let body = #"{"model":"picture","prompt":"a cat"\#(members)}"#
            let (caller, provider) = try await started(proxy, .images, body)
            #expect(provider.path == "/v1/images/generations")
            provider.answer(Self.pictures(made))
            let charge = try await charge(proxy)
            #expect((charge.amount, charge.call.end, charge.call.isEstimated) == (tokens(price), .completed, false))
            #expect(charge.call.usage.all.keys.map(\.rawValue) == [unit])
            #expect(charge.amount <= proxy.ledger.holds[0].amounts.least)
            try await until("the answer is over") { caller.isOver }
            #expect(try caller.differences() == [])
            #expect(try Credits(decimal: JSONObject(caller.bytes).object("usage").decimalText("credits_used")) == charge.amount)
            #expect(caller.headers.string(for: "x-credits-used") == charge.amount.description)
        }
    }

    @Test func `a background changes no price, and is passed`() async throws {
        try await ProxyUnderTest.with { proxy in
            let (_, provider) = try await started(proxy, .images, #"{"model":"picture","prompt":"a cat","background":"transparent"}"#)
            #expect(try provider.body?.string("background") == "transparent")
            provider.answer(Self.pictures(1))
            #expect(try await charge(proxy).amount == tokens(40))
        }
    }

    @Test(arguments: [
        #""size":"8K""#, #""size":"4096*4096""#, #""width":2048"#, #""steps":50"#, #""resolution":"2k""#, #""input_fidelity":"high""#,
        #""frame_count":16"#, #""size":"4K""#, #""quality":"ultra""#, #""size":7"#, #""size":"\#(String(repeating: "1", count: 33))""#,
    ])
    func `a picture without a price is refused by name before anything is held`(members: String) async throws {
        try await ProxyUnderTest.with { proxy in
            let caller = proxy.send(#"{"model":"picture","prompt":"a cat",\#(members)}"#, to: Surface.images.path)
            try await until("the answer is over") { caller.isOver }
            #expect(caller.status == 400)
            let param = try caller.error().string("param")
            #expect(members.contains(param))
            #expect(proxy.ledger.holds.isEmpty && proxy.provider.calls.isEmpty)
        }
    }

    @Test(
        arguments: [
            #""prompt":"x","n":11"#, #""prompt":"x","n":0"#, #""n":1"#, #""prompt":7"#, #""prompt":"x","stream":true"#,
            #""prompt":"x","partial_images":1"#, #""prompt":"x","Size":"4K""#,
        ])
    func `a request for pictures that is wrong is refused by name`(members: String) async throws {
        try await ProxyUnderTest.with { proxy in
            let caller = proxy.send(#"{"model":"picture",\#(members)}"#, to: Surface.images.path)
            try await until("the answer is over") { caller.isOver }
            #expect(caller.status == 400)
            let param = try caller.error().string("param")
            #expect(["n", "prompt", "stream", "partial_images", "Size"].contains(param))
            #expect(proxy.ledger.holds.isEmpty)
        }
    }

    @Test(
        arguments: [
            (200, #"{"data":[]}"#, 200), (200, #"{"data":[{"revised_prompt":"x"}]}"#, 200), (200, #"{"data":[{"b64_json":""}]}"#, 200),
            (200, "{}", 502), (200, #"{"data":[],"error":{}}"#, 502), (429, "{}", 502),
            (400, #"{"error":{"message":"blocked","param":"prompt"}}"#, 400),
        ] as [(Int, String, Int)])
    func `an answer without a picture costs nothing`(status: Int, body: String, seen: Int) async throws {
        try await ProxyUnderTest.with { proxy in
            proxy.provider.onCall = { $0.answer(body, status: status) }
            let (caller, _) = try await started(proxy, .images, Self.picture)
            try await costsNothing(proxy)
            try await until("the answer is over") { caller.isOver }
            #expect(caller.status == seen)
        }
    }

    @Test(arguments: [(5, 1_056, false), (0, 0, true)] as [(Int64, Int64, Bool)])
    func `pictures that are sold by tokens are charged the provider's figure, or else the model's most`(
        input: Int64, output: Int64, isEstimated: Bool
    ) async throws {
        try await ProxyUnderTest.with { proxy in
            let body = #"{"model":"priced","prompt":"a cat","n":2}"#
            let (caller, provider) = try await started(proxy, .images, body)
            let usage = #","usage":{"input_tokens":\#(input),"output_tokens":\#(output),"total_tokens":\#(input + output)}}"#
            provider.answer(isEstimated ? Self.pictures(2) : String(Self.pictures(2).dropLast()) + usage)
            let charge = try await charge(proxy)
            let most = Int64(body.utf8.count) / 4 + 8_000
            #expect((charge.amount, charge.call.isEstimated) == (tokens(isEstimated ? most : input + output), isEstimated))
            // The hold pays for the longest answer, because no limit ends it.
            #expect(proxy.ledger.holds[0].amounts.least >= tokens(8_000))
            #expect(charge.amount <= proxy.ledger.holds[0].amounts.most)
            try await until("the answer is over") { caller.isOver }
        }
    }

    @Test func `a client that leaves before its picture pays nothing`() async throws {
        try await ProxyUnderTest.with(.init(listensFor: .milliseconds(300))) { proxy in
            let (caller, provider) = try await started(proxy, .images, Self.picture)
            caller.hangUp()
            try await costsNothing(proxy)
            try await until("the provider's call is cancelled") { provider.isCancelled }
        }
    }

    @Test func `a picture that came after its client left is charged`() async throws {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy, .images, Self.picture)
            caller.hangUp()
            let other = proxy.send("{")
            try await until("another call is refused") { other.isOver }
            provider.answer(Self.pictures(1))
            let charge = try await charge(proxy)
            #expect((charge.amount, charge.call.end) == (tokens(40), .clientDisconnected))
        }
    }

    // MARK: Speech

    @Test func `sound passes through as it comes, and costs its characters`() async throws {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy, .speech, Self.voice)
            provider.begin("audio/mpeg")
            provider.write("ID3 first")
            try await until("it is delivered") { caller.text == "ID3 first" }
            #expect(caller.headers.string(for: "content-type") == "audio/mpeg")
            #expect(caller.headers.string(for: "x-credits-used") == tokens(5).description)
            #expect(proxy.ledger.settlements.isEmpty)
            provider.write(" last")
            provider.end()
            let charge = try await charge(proxy)
            #expect((charge.amount, charge.call.end, charge.call.isEstimated) == (tokens(5), .completed, false))
            try await until("the answer is over") { caller.isOver }
            #expect(caller.failure == nil && caller.text == "ID3 first last")
            #expect(proxy.ledger.holds[0].amounts.least == tokens(5))
        }
    }

    @Test func `a client that leaves while it hears pays for its text`() async throws {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy, .speech, Self.voice)
            provider.begin("audio/mpeg")
            provider.write("ID3")
            try await until("it is delivered") { !caller.bytes.isEmpty }
            caller.hangUp()
            let charge = try await charge(proxy)
            #expect((charge.amount, charge.call.end) == (tokens(5), .clientDisconnected))
            try await until("the provider's call is cancelled") { provider.isCancelled }
        }
    }

    @Test func `sound that breaks off costs nothing, and does not end like a whole one`() async throws {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy, .speech, Self.voice)
            provider.begin("audio/mpeg")
            provider.write("ID3")
            try await until("it is delivered") { !caller.bytes.isEmpty }
            provider.breakOff()
            try await costsNothing(proxy)
            try await until("the answer is over") { caller.isOver }
            #expect(caller.failure != nil && caller.text == "ID3")
        }
    }

    @Test(arguments: [("audio/mpeg", ""), ("text/html", "x"), ("application/json", "{}"), ("text/event-stream", "data: {}")])
    func `an answer without sound costs nothing`(type: String, body: String) async throws {
        try await ProxyUnderTest.with { proxy in
            proxy.provider.onCall = { $0.answer(body, type: type) }
            let (caller, _) = try await started(proxy, .speech, Self.voice)
            try await costsNothing(proxy)
            try await until("the answer is over") { caller.isOver }
            #expect(caller.status == 502)
        }
    }

    @Test func `a client that leaves before the sound pays nothing`() async throws {
        try await ProxyUnderTest.with(.init(listensFor: .milliseconds(300))) { proxy in
            let (caller, provider) = try await started(proxy, .speech, Self.voice)
            caller.hangUp()
            try await costsNothing(proxy)
            try await until("the provider's call is cancelled") { provider.isCancelled }
        }
    }

    @Test func `events of sound are charged the provider's tokens, and end with what they cost`() async throws {
        try await ProxyUnderTest.with { proxy in
            let body = #"{"model":"singer","input":"Hello","voice":"alloy","stream_format":"sse"}"#
            let (caller, provider) = try await started(proxy, .speech, body)
            provider.begin()
            provider.write(#"data: {"type":"speech.audio.delta","audio":"AAAA"}"# + "\n\n")
            provider.write(
                #"data: {"type":"speech.audio.done","usage":{"input_tokens":9,"output_tokens":20,"total_tokens":29}}"# + "\n\n")
            provider.end()
            let charge = try await charge(proxy)
            #expect((charge.amount, charge.call.end, charge.call.isEstimated) == (tokens(29), .completed, false))
            #expect(proxy.ledger.holds[0].amounts.least >= tokens(4_000))
            try await until("the answer is over") { caller.isOver }
            #expect(caller.text.contains("speech.audio.done") && caller.text.contains("credits_used"))
        }
    }

    @Test func `events of sound that stop are charged in sound, and their model is sold on`() async throws {
        try await ProxyUnderTest.with { proxy in
            let body = #"{"model":"singer","input":"Hello","voice":"alloy","stream_format":"sse"}"#
            let (caller, provider) = try await started(proxy, .speech, body)
            provider.begin()
            provider.write(#"data: {"type":"speech.audio.delta","audio":"AAAA"}"# + "\n\n")
            try await until("the event is there") { caller.text.contains("delta") }
            caller.hangUp()
            let charge = try await charge(proxy)
            #expect(charge.call.usage.all.map { $0.key.rawValue }.sorted() == ["audio_output", "input"])
            #expect(charge.amount < tokens(100) && charge.call.end == .clientDisconnected)
            #expect(proxy.switchedOff.models.isEmpty)
        }
    }

    @Test(
        arguments: [
            (#""model":"voice","input":"x","stream_format":"sse""#, "stream_format"), (#""model":"singer","input":"x""#, "stream_format"),
            (#""model":"voice","input":"""#, "input"), (#""model":"voice","input":["x"]"#, "input"), (#""model":"voice""#, "input"),
            (#""model":"voice","input":"x","stream_format":"mp3""#, "stream_format"),
            (#""model":"voice","input":"x","INPUT":"longer""#, "INPUT"), (#""model":"picture","input":"x""#, "model"),
        ])
    func `a request for sound that is wrong is refused by name`(members: String, param: String) async throws {
        try await ProxyUnderTest.with { proxy in
            let caller = proxy.send("{\(members)}", to: Surface.speech.path)
            try await until("the answer is over") { caller.isOver }
            #expect((400...404).contains(caller.status))
            #expect(try caller.error().string("param") == param)
            #expect(proxy.ledger.holds.isEmpty)
        }
    }
}
