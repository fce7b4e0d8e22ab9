import Contracts
import HTTPWire
import JSON
import SSE
import TestSupport
import Testing
import Values

@testable import LLMProxy

struct ChatOverMessagesTests {
    static let context = AnswerContext(model: "claude", choices: 1, includeUsage: true, createdAt: 1_700_000_000)

    private func request(_ text: String) throws -> ModelRequest { try ChatCompletionsTests.request(text).modelRequest }

    private func body(_ text: String, limit: OutputLimit = .init(tokens: 64, isSent: false, isClamped: false)) throws -> JSONObject {
        var model = CallBoundTests.model()
        model.providerModel = "claude-sonnet-4-5"
        return try JSONObject(try ChatOverMessages().body(of: request(text), for: model, limit: limit))
    }

    @Test func `a request is translated: the limit is always sent, and the system prompt leaves the messages`() throws {
        let body = try body(
            #"""
            {"model":"claude","stream":true,"messages":[{"role":"system","content":"Be \"short\"."},{"role":"user","content":"Hi \u00e9"},
             {"role":"assistant","content":[{"type":"text","text":"Yes?"},"And?"]},{"role":"developer","content":"Now."},
             {"role":"user","content":"Go","name":"ann"}],
             "temperature":0.70,"top_p":1,"stop":["END"],"user":"u1","store":false,"n":1,"stream_options":{"include_usage":true}}
            """#)
        #expect(
            body.members.map(\.name) == [
                "model", "max_tokens", "stream", "system", "messages", "temperature", "top_p", "stop_sequences", "metadata",
            ])
        #expect(try body.string("model") == "claude-sonnet-4-5")
        #expect(try body.integer("max_tokens") == 64)
        #expect(try body.array("system").map { try $0.object?.string("text") } == ["Be \"short\".", "Now."])
        let messages = try body.array("messages").compactMap(\.object)
        #expect(try messages.map { try $0.string("role") } == ["user", "assistant", "user"])
        #expect(try messages[1].array("content").map { try $0.object?.string("text") } == ["Yes?", "And?"])
        #expect(try messages[0].array("content").first?.object?.string("text") == "Hi é")
        #expect(try body.decimalText("temperature") == "0.70")
        #expect(try body.array("stop_sequences").map(\.string) == ["END"])
        #expect(try body.object("metadata").string("user_id") == "u1")
    }

    @Test(
        arguments: [
            (#""tools":[]"#, "tools"), (#""n":2"#, "n"), (#""logprobs":true"#, "logprobs"),
            (#""response_format":{"type":"json_object"}"#, "response_format"), (#""seed":1"#, "seed"), (#""stop":[1]"#, "stop"),
            (#""temperature":"hot""#, "temperature"), (#""service_tier":"priority""#, "service_tier"),
            (#""thinking":{"type":"enabled"}"#, "thinking"), (#""container":"c""#, "container"), (#""mcp_servers":[]"#, "mcp_servers"),
        ] as [(String, String)])
    func `a member that needs more than text is refused by name`(member: String, param: String) throws {
        let flaw = ChatOverMessages().flaw(in: try request(#"{"model":"claude","messages":[],\#(member)}"#))
        #expect(flaw?.param == param)
        #expect(flaw.map { $0.message.hasPrefix(param) && $0.message.hasSuffix(".") } == true)
    }

    @Test(
        arguments: [
            (#"{"role":"tool","content":"x"}"#, "messages[0].role"), (#"{"content":"x"}"#, "messages[0].role"),
            (#"{"role":"assistant","content":null}"#, "messages[0].content"),
            (#"{"role":"assistant","content":"x","tool_calls":[]}"#, "messages[0].tool_calls"),
            (#"{"role":"user","content":[{"type":"refusal","refusal":"no"}]}"#, "messages[0].content"),
            (#"{"role":"user","content":"x","content":"y"}"#, "messages[0].content"),
            (#"{"role":"user","role":"assistant","content":"x"}"#, "messages[0].role"),
            (#"{"role":"user","content":[{"type":"text","text":"x","text":"y"}]}"#, "messages[0].content"),
            (#"{"role":"user","content":[{"type":"text","text":7}]}"#, "messages[0].content"),
            (#"{"role":"user","content":[{"type":"refusal","refusal":"a","text":"b"}]}"#, "messages[0].content"),
            (#"{"role":"user","content":"x","t\u006fol_calls":[]}"#, "messages[0].tool_calls"),
            ("{" + (0..<300).map { #""name\#($0)":null,"# }.joined() + #""role":"tool","content":"x"}"#, "messages[0].role"),
            (#"{"role":"user","content":[{"type":"image_url","image_url":{"url":"u"}}]}"#, "messages"),
        ] as [(String, String)])
    func `a message that is not text is refused by name`(message: String, param: String) throws {
        #expect(ChatOverMessages().flaw(in: try request(#"{"model":"claude","messages":[\#(message)]}"#))?.param == param)
    }

    @Test(
        arguments: [("end_turn", "stop"), ("stop_sequence", "stop"), ("max_tokens", "length"), ("refusal", "content_filter")])
    func `an answer is translated, with its usage`(reason: String, finish: String) throws {
        let message =
            #"{"id":"msg_1","type":"message","role":"assistant","content":[{"type":"text","text":"He"},{"type":"text","text":"y é"}],"#
            + #""stop_reason":"\#(reason)","usage":{"input_tokens":10,"cache_read_input_tokens":5,"cache_creation_input_tokens":2,"output_tokens":3}}"#
        let answer = try ChatOverMessages().answer(Array(message.utf8), Self.context)
        #expect(answer.reported?.metered == [.input: 10, .output: 3, MeteredUnit(.cachedInput): 5, MeteredUnit(.cacheWrite): 2])
        #expect(answer.contentBytes == 6)
        #expect((try answer.json.string("id"), try answer.json.string("model")) == ("msg_1", "claude"))
        let choice = try #require(try answer.json.array("choices").first?.object)
        #expect(try choice.object("message").string("content") == "Hey é")
        #expect(try choice.string("finish_reason") == finish)
        #expect(try answer.json.object("usage").integer("total_tokens") == 20)
        #expect(try answer.json.object("usage").object("prompt_tokens_details").integer("cached_tokens") == 5)
    }

    @Test func `tokens written to the cache for an hour are apart from the others`() throws {
        let usage =
            #"{"input_tokens":1,"cache_creation_input_tokens":9,"cache_creation":{"ephemeral_5m_input_tokens":3,"ephemeral_1h_input_tokens":6}}"#
        let read = Array(usage.utf8).withUnsafeBytes { AnthropicUsage(JSONScan($0))?.tokens }
        #expect(read?.metered == [.input: 1, MeteredUnit(.cacheWrite): 3, MeteredUnit(.cacheWrite1h): 6])
    }

    @Test(arguments: [
        "", "{}", #"{"type":"error","error":{"type":"overloaded_error","message":"secret"}}"#,
        #"{"type":"message","content":[{"type":"tool_use","id":"x"}]}"#, #"{"type":"message","content":"text"}"#,
    ])
    func `an answer that is no text message is a provider error without its text`(body: String) {
        let failure = #expect(throws: ProviderFailure.self) { try ChatOverMessages().answer(Array(body.utf8), Self.context) }
        #expect(failure?.description.contains("secret") == false)
        #expect(failure?.fault == .provider)
    }

    /// The message that the client repeats a member in is not left out.
    @Test func `a request with a flawed message has no body`() throws {
        let request = try request(#"{"model":"m","messages":[{"role":"user","content":"x"},{"role":"user","content":"a","content":"b"}]}"#)
        let flaw = #expect(throws: RequestFlaw.self) {
            try ChatOverMessages().body(of: request, for: CallBoundTests.model(), limit: .init(tokens: 64, isSent: false, isClamped: false))
        }
        #expect(flaw?.param == "messages[1].content")
        #expect(flaw?.message == "messages[1].content is given more than once; send it once.")
    }

    // MARK: Streams

    static let stream = [
        #"{"type":"message_start","message":{"id":"msg_1","role":"assistant","usage":{"input_tokens":25,"output_tokens":1}}}"#,
        #"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#, #"{"type":"ping"}"#,
        #"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hel\"lo"}}"#,
        #"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" w\u00f6"}}"#,
        #"{"type":"content_block_stop","index":0}"#,
        #"{"type":"message_delta","delta":{"stop_reason":"max_tokens","stop_sequence":null},"usage":{"output_tokens":15}}"#,
        #"{"type":"message_stop"}"#,
    ]

    static func events(_ texts: [String]) -> String {
        texts.map { text in "event: x\ndata: \(text)\n\n" }.joined()
    }

    private func read(_ text: String, cutAt cut: Int? = nil) -> (meter: StreamMeter, forwarded: String) {
        var meter = StreamMeter(ChatOverMessagesEvents(Self.context))
        var forwarded: [UInt8] = []
        let bytes = Array(text.utf8)
        for part in [bytes[..<(cut ?? bytes.count)], bytes[(cut ?? bytes.count)...]] {
            Array(part).withUnsafeBytes { part in meter.feed(part) { forwarded.append(contentsOf: $0) } }
        }
        meter.finish { forwarded.append(contentsOf: $0) }
        return (meter, String(decoding: forwarded, as: UTF8.self))
    }

    @Test func `wherever the stream is cut, it becomes chunks of OpenAI's shape, and its end is held back`() throws {
        let stream = Self.events(Self.stream)
        let whole = read(stream)
        for cut in 0...stream.utf8.count { #expect(read(stream, cutAt: cut).forwarded == whole.forwarded, "cut at \(cut)") }
        let chunks = try whole.forwarded.split(separator: "\n\n").map { try JSONObject(Array($0.dropFirst(6).utf8)) }
        let choices = try chunks.map { try #require($0.array("choices").first?.object) }
        #expect(try chunks.allSatisfy { try $0.string("id") == "msg_1" && $0.string("object") == "chat.completion.chunk" })
        #expect(try choices.map { try $0.object("delta").optionalString("content") } == ["", "Hel\"lo", " wö", nil])
        #expect(try choices.map { try $0.optionalString("finish_reason") } == [nil, nil, nil, "length"])
        #expect(try choices[0].object("delta").string("role") == "assistant")
        #expect(whole.meter.isEnded)
        #expect(whole.meter.delivered(promptTokens: 9) == (Usage(promptTokens: 25, completionTokens: 15), false))
        let usage = try JSONObject(try #require(whole.meter.usageChunk))
        #expect(try usage.object("usage").integer("total_tokens") == 40)
        #expect(try usage.array("choices").isEmpty)
    }

    @Test func `a stream without its stop is not whole, and counts what was delivered`() {
        let meter = read(Self.events(Array(Self.stream[..<5]))).meter
        #expect(!meter.isEnded)
        #expect(meter.delivered(promptTokens: 9) == (Usage(promptTokens: 25, completionTokens: 4), true))
        let empty = read(Self.events(Array(Self.stream[..<3]))).meter
        #expect(empty.delivered(promptTokens: 9).usage.completionTokens == 0)
    }

    @Test(arguments: [
        #"{"type":"error","error":{"type":"overloaded_error","message":"secret"}}"#,
        #"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"x"}}"#,
        #"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\ud800"}}"#,
    ])
    func `an error, or a block that is not readable text, fails the stream`(event: String) {
        let (meter, forwarded) = read(Self.events(Array(Self.stream[..<4]) + [event] + Array(Self.stream[4...])))
        #expect(meter.failure != nil)
        #expect(meter.contentEvents == 1)
        #expect(!forwarded.contains("secret") && !forwarded.contains("length"))
    }

    private static func delta(_ text: String) -> String {
        #"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\#(text)"}}"#
    }

    /// Returns the texts and the reasons for the end that a client reads.
    private func chunks(_ forwarded: String) throws -> (texts: [String], reasons: [String]) {
        let choices = try forwarded.split(separator: "\n\n").map { event in
            try #require(JSONObject(Array(event.dropFirst(6).utf8)).array("choices").first?.object)
        }
        return (
            try choices.compactMap { try $0.object("delta").optionalString("content") }.filter { !$0.isEmpty },
            try choices.compactMap { try $0.optionalString("finish_reason") }
        )
    }

    @Test func `text at the start of a block is passed on and counted`() throws {
        var events = Self.stream
        events[1] = #"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":"12345678"}}"#
        let (meter, forwarded) = read(Self.events(Array(events[..<2])))
        #expect(try chunks(forwarded).texts == ["12345678"])
        #expect((meter.contentEvents, meter.outputTokensDelivered) == (1, 2))
    }

    @Test func `a change without a reason reports usage, and does not end the answer`() throws {
        let usage = #"{"type":"message_delta","delta":{"stop_reason":null},"usage":{"output_tokens":2}}"#
        let events = Array(Self.stream[..<4]) + [usage] + Array(Self.stream[4...])
        let (meter, forwarded) = read(Self.events(events))
        #expect(try chunks(forwarded).reasons == ["length"])
        #expect(meter.isEnded)
        #expect(meter.delivered(promptTokens: 9) == (Usage(promptTokens: 25, completionTokens: 15), false))
        let unended = read(Self.events(Array(events[..<5]))).meter
        #expect(!unended.isEnded)
        #expect(unended.delivered(promptTokens: 9) == (Usage(promptTokens: 25, completionTokens: 2), false))
    }

    @Test(arguments: [#""delta":{"stop_reason":"end_turn"}"#, #""delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":30}"#])
    func `a change without a count of output reports no usage`(members: String) {
        let change = #"{"type":"message_delta",\#(members)}"#
        let first = #"{"type":"message_delta","usage":{"output_tokens":1}}"#
        let (meter, _) = read(Self.events([Self.stream[0], Self.delta("12345678"), first, Self.delta("12345678"), change, Self.stream[7]]))
        #expect(meter.isEnded)
        #expect(meter.delivered(promptTokens: 9).usage.completionTokens == 4)
    }

    @Test func `a stream that stops without a reason is whole, ends with 'stop', and is counted`() throws {
        let (meter, forwarded) = read(Self.events([Self.stream[0], Self.delta("12345678"), Self.stream[7]]))
        #expect(try chunks(forwarded).reasons == ["stop"])
        #expect(meter.isEnded)
        #expect(meter.delivered(promptTokens: 9) == (Usage(promptTokens: 25, completionTokens: 2), true))
    }

    @Test(arguments: [
        "{", "[]", "null", #"{"type":7}"#, #"{"type":"message_start"}"#,
        #"{"type":"content_block_delta","delta":{"type":"text_delta","text":7}}"#,
    ])
    func `nonsense reaches no client`(event: String) {
        #expect(read(Self.events([event])).forwarded.isEmpty)
    }
}

/// Tests the second wire format at the doors of the proxy.
@Suite(.serialized, .database(schema: "llm_proxy", migrations: "Shared/Outbox/Migrations", "Services/llm-proxy/Migrations"))
struct AnthropicCallTests {
    private func started(_ proxy: ProxyUnderTest, stream: Bool) async throws -> (Caller, ScriptedCall) {
        let caller = proxy.call(#","max_tokens":70,"stream_options":{"include_usage":true}"#, model: "claude", stream: stream)
        try await until("the provider is called") { proxy.provider.calls.count == 1 }
        return (caller, proxy.provider.calls[0])
    }

    @Test func `a call in one piece is sent with its key and version, and charged for all of its input`() async throws {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy, stream: false)
            #expect(provider.headers.string(for: "x-api-key") == "provider-key")
            #expect(provider.headers.string(for: "anthropic-version") == "2023-06-01")
            #expect(!provider.headers.contains("authorization"))
            #expect(try provider.body?.integer("max_tokens") == 70)
            provider.answer(
                #"{"id":"msg_1","type":"message","content":[{"type":"text","text":"Hello"}],"stop_reason":"end_turn","#
                    + #""usage":{"input_tokens":10,"cache_read_input_tokens":5,"output_tokens":3}}"#)
            try await until("the answer is over") { caller.isOver }
            #expect(caller.status == 200)
            #expect(try JSONObject(caller.bytes).object("usage").decimalText("credits_used") == "0.018")
            #expect(caller.headers.string(for: "x-provider") == "scripted-anthropic")
            try await until("the charge is there") { !proxy.ledger.settlements.isEmpty }
            #expect(proxy.ledger.settlements[0].amount == ProxyUnderTest.tokens(18))
        }
    }

    @Test func `a stream is metered, extended and ended as any other`() async throws {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy, stream: true)
            provider.begin()
            provider.write(ChatOverMessagesTests.events(ChatOverMessagesTests.stream))
            provider.end()
            try await until("the answer is over") { caller.isOver }
            #expect((caller.failure, caller.isDone) == (nil, true))
            let usage = try JSONObject(Array(caller.events[caller.events.count - 2].utf8)).object("usage")
            #expect(try usage.decimalText("credits_used") == "0.04")
            try await until("the charge is there") { !proxy.ledger.settlements.isEmpty }
            let charge = proxy.ledger.settlements[0]
            #expect((charge.amount, charge.call.end, charge.call.isEstimated) == (ProxyUnderTest.tokens(40), .completed, false))
        }
    }

    @Test func `a member that needs more than text is refused before anything is held`() async throws {
        try await ProxyUnderTest.with { proxy in
            let caller = proxy.call(#","tools":[{"type":"function"}]"#, model: "claude")
            try await until("the answer is over") { caller.isOver }
            #expect(caller.status == 400)
            #expect(try caller.error().string("param") == "tools")
            #expect(try caller.error().string("message") == "tools is not supported by the model 'claude'; remove it.")
            #expect(proxy.ledger.holds.isEmpty && proxy.provider.calls.isEmpty)
        }
    }
}
