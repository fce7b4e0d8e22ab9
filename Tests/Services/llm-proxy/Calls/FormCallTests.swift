import Contracts
import HTTP
import HTTPWire
import JSON
import TestSupport
import Testing
import Values

@testable import LLMProxy

/// Tests calls whose requests are forms with files.
@Suite(.serialized, .database(schema: "llm_proxy", migrations: "Shared/Outbox/Migrations", "Services/llm-proxy/Migrations"))
struct FormCallTests {
    private func tokens(_ count: Int64) -> Credits { ProxyUnderTest.tokens(count) }

    private static let type: HeaderBlock = ["content-type": "multipart/form-data; boundary=XX"]

    private static func form(_ parts: [(name: String, text: String)], file: (name: String, bytes: Int)? = nil, end: String = "--XX--\r\n")
        -> String
    {
        // The file stands before the texts, as openai-node sends it.
        let file =
            file.map {
                "--XX\r\nContent-Disposition: form-data; name=\"\($0.name)\"; filename=\"a.bin\"\r\n\r\n"
                    + String(repeating: "x", count: $0.bytes) + "\r\n"
            } ?? ""
        return file + parts.map { "--XX\r\nContent-Disposition: form-data; name=\"\($0.name)\"\r\n\r\n\($0.text)\r\n" }.joined() + end
    }

    private func started(_ proxy: ProxyUnderTest, _ surface: Surface, _ body: String) async throws -> (Caller, ScriptedCall) {
        let caller = proxy.send(body, to: surface.path, headers: Self.type)
        let before = proxy.provider.calls.count
        try await until("the provider is called") { proxy.provider.calls.count > before }
        return (caller, proxy.provider.calls[before])
    }

    private func charge(_ proxy: ProxyUnderTest) async throws -> SettleCharge {
        try await until("the call is over") { !proxy.ledger.settlements.isEmpty || !proxy.ledger.voids.isEmpty }
        #expect(proxy.ledger.voids.map(\.reason).isEmpty)
        return try #require(proxy.ledger.settlements.first)
    }

    @Test func `a form reaches the provider with the bytes that it had, but for the provider's name of the model`() async throws {
        try await ProxyUnderTest.with { proxy in
            let form = Self.form([("model", "scribe"), ("language", "de"), ("unknown", "é\r\n--XY")], file: ("file", 100_000))
            let (caller, provider) = try await started(proxy, .transcriptions, form)
            #expect(provider.path == "/v1/audio/transcriptions")
            #expect(provider.bytes == Array(form.utf8))
            #expect(provider.headers.string(for: "content-type") == "multipart/form-data; boundary=XX")
            provider.answer(#"{"text":"Hello","usage":{"type":"duration","seconds":31}}"#)
            let charge = try await charge(proxy)
            // 100,000 bytes are at most 50 s: two times 30 s.
            #expect(proxy.ledger.holds[0].amounts.least == tokens(20))
            #expect((charge.amount, charge.call.isEstimated) == (tokens(20), false))
            try await until("the answer is over") { caller.isOver }
            #expect(try caller.differences() == [])
            #expect(try JSONObject(caller.bytes).object("usage").has("credits_used"))
        }
    }

    @Test(
        arguments: [
            ("json", #"{"text":"x","usage":{"type":"duration","seconds":29.2}}"#, "application/json", 10),
            ("json", #"{"text":"x","usage":{"type":"duration","seconds":30.1}}"#, "application/json", 20),
            ("verbose_json", #"{"text":"x","duration":59.9}"#, "application/json", 20),
            ("srt", "1\n00:00:00,000 --> 00:00:29,500\nx\n\n2\n00:00:29,500 --> 00:00:30,001\ny\n", "text/plain", 20),
            ("vtt", "WEBVTT\n\n00:00.000 --> 00:12.000\nx\n", "text/vtt", 10),
        ] as [(String, String, String, Int64)])
    func `sound is charged by the length that the answer says`(format: String, body: String, type: String, price: Int64) async throws {
        try await ProxyUnderTest.with { proxy in
            let form = Self.form([("model", "scribe"), ("response_format", format)], file: ("file", 200_000))
            let (caller, provider) = try await started(proxy, .transcriptions, form)
            provider.answer(body, type: type)
            let charge = try await charge(proxy)
            #expect((charge.amount, charge.call.isEstimated) == (tokens(price), false))
            try await until("the answer is over") { caller.isOver }
            if type != "application/json" { #expect(caller.text == body) }
        }
    }

    @Test func `a text is asked for as JSON, because only JSON reports the length`() async throws {
        try await ProxyUnderTest.with { proxy in
            let form = Self.form([("model", "scribe"), ("response_format", "text")], file: ("file", 10))
            let (caller, provider) = try await started(proxy, .transcriptions, form)
            #expect(String(decoding: provider.bytes, as: UTF8.self).contains("\r\n\r\njson\r\n"))
            provider.answer(#"{"text":"Hello","usage":{"type":"duration","seconds":1}}"#)
            _ = try await charge(proxy)
            try await until("the answer is over") { caller.isOver }
            #expect(caller.text == "Hello\n")
            #expect(caller.headers.string(for: "content-type") == "text/plain; charset=utf-8")
            #expect(caller.headers.string(for: "x-credits-used") == tokens(10).description)
        }
    }

    @Test func `an answer without a length is charged the bytes of the sound, as an estimate`() async throws {
        try await ProxyUnderTest.with { proxy in
            let (_, provider) = try await started(proxy, .transcriptions, Self.form([("model", "scribe")], file: ("file", 70_000)))
            provider.answer(#"{"text":"Hello"}"#)
            let charge = try await charge(proxy)
            #expect((charge.amount, charge.call.isEstimated) == (tokens(20), true))
        }
    }

    @Test(arguments: [(200, #"{"text":""}"#), (200, "{}"), (200, #"{"error":{}}"#), (500, "{}")])
    func `an answer without a word costs nothing`(status: Int, body: String) async throws {
        try await ProxyUnderTest.with { proxy in
            proxy.provider.onCall = { $0.answer(body, status: status) }
            _ = try await started(proxy, .transcriptions, Self.form([("model", "scribe")], file: ("file", 10)))
            try await until("the void is there") { !proxy.ledger.voids.isEmpty }
            #expect(proxy.ledger.settlements.isEmpty)
        }
    }

    @Test func `a transcription that is sold by tokens is charged the provider's figure, also as events`() async throws {
        try await ProxyUnderTest.with { proxy in
            let form = Self.form([("model", "writer"), ("stream", "true")], file: ("file", 10))
            let (caller, provider) = try await started(proxy, .transcriptions, form)
            provider.begin()
            provider.write(#"data: {"type":"transcript.text.delta","delta":"Hello"}"# + "\n\n")
            provider.write(
                #"data: {"type":"transcript.text.done","text":"Hello","usage":{"type":"tokens","input_tokens":20,"output_tokens":3,"total_tokens":23}}"#
                    + "\n\n")
            provider.end()
            let charge = try await charge(proxy)
            #expect((charge.amount, charge.call.isEstimated) == (tokens(23), false))
            try await until("the answer is over") { caller.isOver }
            #expect(caller.text.contains("transcript.text.done") && caller.text.contains("credits_used"))
        }
    }

    @Test(arguments: [("vtt", "WEBVTT\n\n", "text/vtt"), ("srt", "\n", "text/plain")])
    func `subtitles of silence cost nothing`(format: String, body: String, type: String) async throws {
        try await ProxyUnderTest.with { proxy in
            let form = Self.form([("model", "scribe"), ("response_format", format)], file: ("file", 200_000))
            let (_, provider) = try await started(proxy, .transcriptions, form)
            provider.answer(body, type: type)
            try await until("the void is there") { !proxy.ledger.voids.isEmpty }
            #expect(proxy.ledger.settlements.isEmpty)
        }
    }

    @Test func `a stream of words that stops is charged the likely tokens of its sound`() async throws {
        try await ProxyUnderTest.with { proxy in
            let form = Self.form([("model", "writer"), ("stream", "true")], file: ("file", 16_000))
            let (caller, provider) = try await started(proxy, .transcriptions, form)
            provider.begin()
            provider.write(#"data: {"type":"transcript.text.delta","delta":"word"}"# + "\n\n")
            try await until("the event is there") { caller.text.contains("delta") }
            caller.hangUp()
            #expect(try await charge(proxy).amount == tokens(11))
        }
    }

    @Test func `edits are charged like pictures, and their files pass`() async throws {
        try await ProxyUnderTest.with { proxy in
            let form = Self.form([("prompt", "a hat"), ("model", "picture"), ("n", "2"), ("quality", "hd")], file: ("image[]", 300_000))
            let (caller, provider) = try await started(proxy, .imageEdits, form)
            #expect(provider.bytes == Array(form.utf8))
            provider.answer(#"{"data":[{"b64_json":"AAAA"},{"b64_json":"AAAA"}]}"#)
            let charge = try await charge(proxy)
            #expect(charge.amount == tokens(160))
            try await until("the answer is over") { caller.isOver }
            #expect(try caller.differences() == [])
        }
    }

    @Test(
        arguments: [
            (.transcriptions, [("model", "scribe")], nil, "--XX--\r\n", "file"),
            (.transcriptions, [("model", "scribe")], ("file", 0), "--XX--\r\n", "file"),
            (.transcriptions, [], ("file", 5), "--XX--\r\n", "model"),
            (.transcriptions, [("model", "scribe"), ("model", "other")], ("file", 5), "--XX--\r\n", "model"),
            (.transcriptions, [("model", "scribe"), ("Model", "dear")], ("file", 5), "--XX--\r\n", "Model"),
            (.transcriptions, [("model", "scribe"), ("response_format", "xml")], ("file", 5), "--XX--\r\n", "response_format"),
            (.transcriptions, [("model", "scribe"), ("stream", "true")], ("file", 5), "--XX--\r\n", "stream"),
            (.transcriptions, [("model", "scribe"), ("stream", "1")], ("file", 5), "--XX--\r\n", "stream"),
            (.transcriptions, [("model", "writer"), ("response_format", "srt")], ("file", 5), "--XX--\r\n", "response_format"),
            (.transcriptions, [("model", "scribe")], ("file", 5), "", "body"),
            (.transcriptions, [("model", "scribe")], ("file", 5), "--XX", "body"),
            (.transcriptions, [("model", "picture")], ("file", 5), "--XX--\r\n", "model"),
            (.imageEdits, [("model", "picture"), ("prompt", "x")], nil, "--XX--\r\n", "image"),
            (.imageEdits, [("model", "picture")], ("image", 5), "--XX--\r\n", "prompt"),
            (.imageEdits, [("model", "picture"), ("prompt", "x"), ("n", "11")], ("image", 5), "--XX--\r\n", "n"),
            (.imageEdits, [("model", "picture"), ("prompt", "x"), ("size", "4K")], ("image", 5), "--XX--\r\n", "size"),
            (.imageEdits, [("model", "picture"), ("prompt", "x"), ("stream", "true")], ("image", 5), "--XX--\r\n", "stream"),
            (.imageEdits, [("model", "priced"), ("prompt", "x")], ("image", 5), "--XX--\r\n", "image"),
        ] as [(Surface, [(String, String)], (String, Int)?, String, String)])
    func `a form that is wrong is refused by name before anything is held or sent`(
        surface: Surface, parts: [(String, String)], file: (String, Int)?, end: String, param: String
    ) async throws {
        try await ProxyUnderTest.with { proxy in
            let caller = proxy.send(Self.form(parts, file: file, end: end), to: surface.path, headers: Self.type)
            try await until("the answer is over") { caller.isOver }
            #expect((400...404).contains(caller.status))
            #expect(try caller.error().string("param") == param)
            #expect(proxy.ledger.holds.isEmpty && proxy.provider.calls.isEmpty)
        }
    }

    @Test(arguments: ["application/json", "multipart/form-data", "multipart/form-data; boundary=YY", "text/plain"])
    func `another kind of body is refused by name`(type: String) async throws {
        try await ProxyUnderTest.with { proxy in
            var headers = HeaderBlock()
            headers.add("content-type", type)
            let caller = proxy.send(Self.form([("model", "scribe")], file: ("file", 5)), to: Surface.transcriptions.path, headers: headers)
            try await until("the answer is over") { caller.isOver }
            #expect(caller.status == 400)
            #expect(["content-type", "body"].contains(try caller.error().string("param")))
        }
    }

    @Test func `the same form under one key is one call`() async throws {
        try await ProxyUnderTest.with { proxy in
            let (key, form) = (proxy.person(), Self.form([("model", "scribe")], file: ("file", 5)))
            var headers = Self.type
            headers.add("idempotency-key", "once")
            let first = proxy.send(form, to: Surface.transcriptions.path, key: key, headers: headers)
            try await until("the provider is called") { proxy.provider.calls.count == 1 }
            proxy.provider.calls[0].answer(#"{"text":"Hello","usage":{"type":"duration","seconds":1}}"#)
            try await until("the answer is over") { first.isOver }
            let second = proxy.send(form, to: Surface.transcriptions.path, key: key, headers: headers)
            try await until("the answer is over") { second.isOver }
            #expect(second.bytes == first.bytes && second.headers.string(for: "idempotency-replayed") == "true")
            let other = proxy.send(form.replacing("xxxxx", with: "xxxxy"), to: Surface.transcriptions.path, key: key, headers: headers)
            try await until("the answer is over") { other.isOver }
            #expect(other.status == 409)
            #expect(proxy.provider.calls.count == 1)
        }
    }
}
