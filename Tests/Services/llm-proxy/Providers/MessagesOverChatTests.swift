import Contracts
import HTTPWire
import JSON
import SSE
import TestSupport
import Testing
import Values

@testable import LLMProxy

struct MessagesOverChatTests {
    private static let format = MessagesOverChat()
    private static let context = AnswerContext(model: "gpt", choices: 1, includeUsage: true, createdAt: 1_700_000_000)

    private func request(_ members: String) throws -> ModelRequest {
        try CreateMessage().read(Array(#"{"model":"gpt","max_tokens":64,\#(members)}"#.utf8)).modelRequest
    }

    private func body(_ members: String, reasoning: ModelLimits.Reasoning = .none) throws -> JSONObject {
        var model = CallBoundTests.model(reasoning: reasoning)
        model.providerModel = "gpt-4o"
        if reasoning == .hidden { model.limits.outputLimitMember = .maxCompletionTokens }
        return try JSONObject(
            try Self.format.body(of: request(members), for: model, limit: .init(tokens: 60, isSent: true, isClamped: true)))
    }

    private func text(_ object: JSONObject, _ name: String) -> String? { object.raw(name).map { String(decoding: $0, as: UTF8.self) } }

    // MARK: Requests

    @Test func `a request is translated`() throws {
        let body = try body(
            #"""
            "system":[{"type":"text","text":"Be \"short\".","cache_control":{"type":"ephemeral"}}],"stream":true,"temperature":0.70,"top_p":1,
            "stop_sequences":["END"],"metadata":{"user_id":"u"},"service_tier":"auto","messages":[{"role":"user","content":"Hi \u00e9"},
             {"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"s"},{"type":"text","text":"Yes"},
              {"type":"tool_use","id":"t1","name":"f","input":{"a": 1.0}},{"type":"tool_use","id":"t2","name":"g","input":{}}]},
             {"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"one"},
              {"type":"tool_result","tool_use_id":"t2","is_error":true,"content":[{"type":"text","text":"two"}]},{"type":"text","text":"And"},
              {"type":"image","source":{"type":"base64","media_type":"image/png","data":"AB\/C"}},
              {"type":"image","source":{"type":"url","url":"https://h/x.png"}}]},
             {"role":"user","content":[{"type":"tool_result","tool_use_id":"t3"}]},{"role":"system","content":"Now."},
             {"role":"assistant","content":[{"type":"tool_use","id":"t4","name":"f","input":{}}]}]
            """#)
        #expect(
            body.members.map(\.name) == ["model", "messages", "max_tokens", "stream", "stream_options", "temperature", "top_p", "stop"])
        #expect((try body.string("model"), try body.integer("max_tokens")) == ("gpt-4o", 60))
        #expect(text(body, "stream_options") == #"{"include_usage":true}"#)
        #expect(text(body, "stop") == #"["END"]"#)
        #expect(
            text(body, "messages")
                == #"[{"role":"system","content":"Be \"short\"."},{"role":"user","content":"Hi \u00e9"},"#
                + #"{"role":"assistant","content":"Yes","tool_calls":[{"id":"t1","type":"function","function":{"name":"f","arguments":"{\"a\": 1.0}"}},"#
                + #"{"id":"t2","type":"function","function":{"name":"g","arguments":"{}"}}]},"#
                + #"{"role":"tool","tool_call_id":"t1","content":"one"},"#
                + #"{"role":"tool","tool_call_id":"t2","content":[{"type":"text","text":"Error: "},{"type":"text","text":"two"}]},"#
                + #"{"role":"user","content":[{"type":"text","text":"And"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AB\/C"}},"#
                + #"{"type":"image_url","image_url":{"url":"https://h/x.png"}}]},"#
                + #"{"role":"tool","tool_call_id":"t3","content":""},{"role":"system","content":"Now."},"#
                + #"{"role":"assistant","content":null,"tool_calls":[{"id":"t4","type":"function","function":{"name":"f","arguments":"{}"}}]}]"#
        )
    }

    @Test(
        arguments: [
            ("", nil, nil), (#","tool_choice":{"type":"auto"}"#, nil, nil), (#","tool_choice":{"type":"any"}"#, #""required""#, nil),
            (#","tool_choice":{"type":"none"}"#, #""none""#, nil),
            (#","tool_choice":{"type":"tool","name":"f"}"#, #"{"type":"function","function":{"name":"f"}}"#, nil),
            (#","tool_choice":{"type":"auto","disable_parallel_tool_use":true}"#, nil, "false"),
        ] as [(String, String?, String?)])
    func `tools and their choice are translated`(members: String, choice: String?, isParallel: String?) throws {
        let tools =
            #""tools":[{"name":"f","description":"d","input_schema":{"type":"object"},"strict":true},{"type":"custom","name":"g","input_schema":{}}]"#
        let body = try body(#""messages":[],\#(tools)\#(members)"#)
        #expect(
            text(body, "tools")
                == #"[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"},"strict":true}},"#
                + #"{"type":"function","function":{"name":"g","parameters":{}}}]"#)
        #expect((text(body, "tool_choice"), text(body, "parallel_tool_calls")) == (choice, isParallel))
    }

    @Test(
        arguments: [
            (#""thinking":{"type":"enabled","budget_tokens":2000}"#, .hidden, "low"),
            (#""thinking":{"type":"enabled","budget_tokens":8000}"#, .hidden, "medium"),
            (#""thinking":{"type":"enabled","budget_tokens":32000}"#, .hidden, "high"), (#""thinking":{"type":"adaptive"}"#, .hidden, nil),
            (#""thinking":{"type":"adaptive"},"output_config":{"effort":"max"}"#, .hidden, "high"),
            (#""thinking":{"type":"disabled"}"#, .hidden, nil), (#""thinking":{"type":"enabled","budget_tokens":2000}"#, .visible, nil),
        ] as [(String, ModelLimits.Reasoning, String?)])
    func `thoughts become an effort where the model reasons in hidden tokens`(
        members: String, reasoning: ModelLimits.Reasoning, effort: String?
    ) throws {
        let body = try body(#""messages":[],\#(members)"#, reasoning: reasoning)
        #expect(try body.optionalString("reasoning_effort") == effort)
        #expect(body.has(reasoning == .hidden ? "max_completion_tokens" : "max_tokens"))
    }

    @Test func `a schema of the answer is translated`() throws {
        let body = try body(#""messages":[],"output_config":{"format":{"type":"json_schema","schema":{"type":"object"}}}"#)
        #expect(
            text(body, "response_format")
                == #"{"type":"json_schema","json_schema":{"name":"answer","schema":{"type":"object"},"strict":true}}"#)
    }

    @Test(
        arguments: [
            (#""messages":[],"top_k":1"#, "top_k"), (#""messages":[],"container":"c""#, "container"),
            (#""messages":[],"temperature":"hot""#, "temperature"), (#""messages":[],"stop_sequences":[1]"#, "stop_sequences"),
            (#""messages":[],"output_config":{"effort":"some"}"#, "output_config"),
            (#""messages":[],"output_config":{"task_budget":{}}"#, "output_config"),
            (#""messages":[],"output_format":{}"#, "output_format"),
            (#""messages":[],"context_management":{"edits":[{"type":"clear_tool_uses_20250919"}]}"#, "context_management"),
            (#""messages":[],"tools":[{"type":"bash_20250124","name":"bash"}]"#, "tools[0].type"),
            (#""messages":[],"tools":[{"name":"f"}]"#, "tools[0]"),
            (#""messages":[],"tools":[{"name":"f","input_schema":{},"input_examples":[]}]"#, "tools[0].input_examples"),
            (#""messages":[],"tools":[{"name":"f","input_schema":{},"defer_loading":true}]"#, "tools[0].defer_loading"),
            (#""messages":[],"tool_choice":"auto""#, "tool_choice"), (#""messages":[],"tool_choice":{"type":"tool"}"#, "tool_choice"),
            (#""messages":[{"role":"robot","content":"x"}]"#, "messages[0].role"),
            (#""messages":[{"role":"user"}]"#, "messages[0].content"),
            (
                #""messages":[{"role":"user","content":[{"type":"tool_use","id":"t","name":"f","input":{}}]}]"#,
                "messages[0].content[0].type"
            ),
            (#""messages":[{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f"}]}]"#, "messages[0].content[0]"),
            (
                #""messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[{"type":"image","source":{"type":"url","url":"u"}}]}]}]"#,
                "messages[0].content[0].content[0].type"
            ),
            (
                #""messages":[{"role":"user","content":[{"type":"document","source":{"type":"text","data":"x"}}]}]"#,
                "messages[0].content[0].type"
            ),
            (
                #""messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/tiff","data":"A"}}]}]"#,
                "messages[0].content[0].source"
            ), (#""messages":[{"role":"user","content":[{"type":"text","text":7}]}]"#, "messages[0].content[0].text"),
            (#""system":[{"type":"image","source":{"type":"url","url":"u"}}],"messages":[]"#, "system[0].type"),
        ] as [(String, String)])
    func `a member that cannot be translated is refused by name`(members: String, param: String) throws {
        let flaw = Self.format.flaw(in: try request(members))
        #expect(flaw?.param == param)
        #expect(flaw?.message.hasPrefix(param) == true && flaw?.message.hasSuffix(".") == true)
    }

    @Test func `clearing thoughts passes, because they are left out anyway`() throws {
        #expect(
            Self.format.flaw(in: try request(#""messages":[],"context_management":{"edits":[{"type":"clear_thinking_20251015"}]}"#)) == nil)
    }

    @Test func `a model that does not reason takes no thoughts and no effort`() throws {
        let model = CallBoundTests.model()
        #expect(Self.format.flaw(in: try request(#""messages":[],"thinking":{"type":"adaptive"}"#), for: model)?.param == "thinking")
        #expect(
            Self.format.flaw(in: try request(#""messages":[],"output_config":{"effort":"low"}"#), for: model)?.param
                == "output_config.effort")
        #expect(Self.format.flaw(in: try request(#""messages":[],"thinking":{"type":"disabled"}"#), for: model) == nil)
    }

    // MARK: Answers

    private func answer(_ choice: String, _ more: String = "") throws -> WholeAnswer {
        try Self.format.answer(Array(#"{"id":"c1","choices":[{"index":0,\#(choice)}]\#(more)}"#.utf8), Self.context)
    }

    @Test func `an answer is translated, with its usage`() throws {
        let answer = try answer(
            #""message":{"role":"assistant","reasoning_content":"Hm.","content":"Hey","tool_calls":[{"id":"t","type":"function","function":{"name":"f","arguments":"{\"a\": [1]}"}},{"id":"u","function":{"name":"g","arguments":""}}]},"finish_reason":"tool_calls""#,
            #","usage":{"prompt_tokens":10,"completion_tokens":3,"total_tokens":13,"prompt_tokens_details":{"cached_tokens":4}}"#)
        #expect(
            answer.json.bytes
                == Array(
                    (#"{"id":"c1","type":"message","role":"assistant","model":"gpt","content":[{"type":"thinking","thinking":"Hm.","signature":""},"#
                        + #"{"type":"text","text":"Hey"},{"type":"tool_use","id":"t","name":"f","input":{"a": [1]}},{"type":"tool_use","id":"u","name":"g","input":{}}],"#
                        + #""stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":6,"cache_creation_input_tokens":0,"cache_read_input_tokens":4,"output_tokens":3}}"#)
                        .utf8))
        #expect(answer.reported?.metered == [.input: 6, .output: 3, MeteredUnit(.cachedInput): 4])
    }

    @Test(arguments: [
        ("stop", "end_turn"), ("length", "max_tokens"), ("content_filter", "refusal"), ("function_call", "tool_use"), ("eos", "end_turn"),
    ])
    func `a reason for the end is translated`(reason: String, stop: String) throws {
        #expect(try answer(#""message":{"content":"x"},"finish_reason":"\#(reason)""#).json.string("stop_reason") == stop)
    }

    @Test func `arguments that the limit cut are left out, and others must be an object`() throws {
        let message = #""message":{"tool_calls":[{"id":"t","function":{"name":"f","arguments":"{\"a\":"}}]}"#
        let cut = try answer(message + #","finish_reason":"length""#)
        #expect(try cut.json.array("content").first?.object?.object("input").members.isEmpty == true)
        let failure = #expect(throws: ProviderFailure.self) { try answer(message + #","finish_reason":"stop""#) }
        #expect(failure?.fault == .provider)
    }

    @Test(arguments: ["{}", #"{"choices":[]}"#, #"{"error":{"message":"secret"},"choices":[]}"#, #"{"choices":[{"text":"x"}]}"#])
    func `an answer without a message is a provider error`(body: String) {
        let failure = #expect(throws: ProviderFailure.self) { try Self.format.answer(Array(body.utf8), Self.context) }
        #expect(failure?.description.contains("secret") == false)
    }

    // MARK: Streams

    private func read(_ text: String, cutAt cut: Int? = nil) -> (meter: StreamMeter, forwarded: String) {
        var meter = StreamMeter(Self.format.reader(Self.context))
        var forwarded: [UInt8] = []
        let bytes = Array(text.utf8)
        for part in [bytes[..<(cut ?? bytes.count)], bytes[(cut ?? bytes.count)...]] {
            Array(part).withUnsafeBytes { part in meter.feed(part) { forwarded.append(contentsOf: $0) } }
        }
        meter.finish { forwarded.append(contentsOf: $0) }
        return (meter, String(decoding: forwarded, as: UTF8.self))
    }

    private static func chunks(_ deltas: [String], reason: String = "tool_calls") -> String {
        let events =
            deltas.map { #"{"id":"c1","choices":[{"index":0,"delta":\#($0),"finish_reason":null}]}"# } + [
                #"{"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"\#(reason)"}]}"#,
                #"{"id":"c1","choices":[],"usage":{"prompt_tokens":25,"completion_tokens":15,"total_tokens":40}}"#, "[DONE]",
            ]
        return events.map { "data: \($0)\n\n" }.joined()
    }

    /// Returns the events that a client reads, each as its name and the rest of its data.
    private func events(_ forwarded: String) throws -> [String] {
        try forwarded.split(separator: "\n\n").map { event in
            let lines = event.split(separator: "\n")
            let json = try JSONObject(Array(try #require(lines.last).dropFirst(6).utf8))
            #expect(try lines[0] == "event: \(json.string("type"))")
            return try json.string("type")
                + json.members.dropFirst().map { " " + String(decoding: json.bytes[$0.valueRange], as: UTF8.self) }
                .joined()
        }
    }

    @Test func `wherever the stream is cut, it becomes the events of a message in their order`() throws {
        let stream = Self.chunks([
            #"{"role":"assistant","content":""}"#, #"{"reasoning_content":"Hm"}"#, #"{"content":"Hel\"lo"}"#, #"{"content":" w\u00f6"}"#,
            #"{"tool_calls":[{"index":0,"id":"t","type":"function","function":{"name":"f","arguments":""}}]}"#,
            #"{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\""}}]}"#,
            #"{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]}"#,
            #"{"tool_calls":[{"index":1,"id":"u","function":{"name":"g","arguments":"{}"}}]}"#,
        ])
        let whole = read(stream)
        for cut in 0...stream.utf8.count { #expect(read(stream, cutAt: cut).forwarded == whole.forwarded, "cut at \(cut)") }
        let usage = #"{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}"#
        #expect(
            try events(whole.forwarded) == [
                #"message_start {"id":"c1","type":"message","role":"assistant","model":"gpt","content":[],"stop_reason":null,"stop_sequence":null,"usage":\#(usage)}"#,
                #"content_block_start 0 {"type":"thinking","thinking":"","signature":""}"#,
                #"content_block_delta 0 {"type":"thinking_delta","thinking":"Hm"}"#, "content_block_stop 0",
                #"content_block_start 1 {"type":"text","text":""}"#, #"content_block_delta 1 {"type":"text_delta","text":"Hel\"lo"}"#,
                #"content_block_delta 1 {"type":"text_delta","text":" w\u00f6"}"#, "content_block_stop 1",
                #"content_block_start 2 {"type":"tool_use","id":"t","name":"f","input":{}}"#,
                #"content_block_delta 2 {"type":"input_json_delta","partial_json":"{\"a\""}"#,
                #"content_block_delta 2 {"type":"input_json_delta","partial_json":":1}"}"#, "content_block_stop 2",
                #"content_block_start 3 {"type":"tool_use","id":"u","name":"g","input":{}}"#,
                #"content_block_delta 3 {"type":"input_json_delta","partial_json":"{}"}"#, "content_block_stop 3",
            ])
        #expect(whole.meter.isEnded)
        #expect(whole.meter.delivered(promptTokens: 9) == (Usage(promptTokens: 25, completionTokens: 15), false))
        let change = try JSONObject(try #require(whole.meter.usageChunk))
        #expect(try change.object("delta").string("stop_reason") == "tool_use")
        #expect((try change.object("usage").integer("input_tokens"), try change.object("usage").integer("output_tokens")) == (25, 15))
    }

    @Test func `a stream without usage has a change without it`() throws {
        let (meter, _) = read(#"data: {"choices":[{"delta":{"content":"x"},"finish_reason":"length"}]}"# + "\n\n")
        let change = try JSONObject(try #require(meter.usageChunk))
        #expect(try change.object("delta").string("stop_reason") == "max_tokens")
        #expect(!change.has("usage"))
    }

    /// Some servers repeat an index, leave it out, or send the arguments as an object.
    @Test func `whole calls of other servers are distinguished by their ids`() throws {
        let stream = Self.chunks(
            [
                #"{"tool_calls":[{"index":0,"id":"t","function":{"name":"f","arguments":"{}"}},{"index":0,"id":"u","function":{"name":"g","arguments":{"a":1}}}]}"#,
                #"{"tool_calls":[{"id":"v","function":{"name":"h"}}]}"#,
            ], reason: "stop")
        let (meter, forwarded) = read(stream)
        #expect(
            try events(forwarded).dropFirst().filter { !$0.hasPrefix("content_block_stop") } == [
                #"content_block_start 0 {"type":"tool_use","id":"t","name":"f","input":{}}"#,
                #"content_block_delta 0 {"type":"input_json_delta","partial_json":"{}"}"#,
                #"content_block_start 1 {"type":"tool_use","id":"u","name":"g","input":{}}"#,
                #"content_block_delta 1 {"type":"input_json_delta","partial_json":"{\"a\":1}"}"#,
                #"content_block_start 2 {"type":"tool_use","id":"v","name":"h","input":{}}"#,
            ])
        #expect(try JSONObject(try #require(meter.usageChunk)).object("delta").string("stop_reason") == "tool_use")
    }

    @Test(arguments: [
        #"{"tool_calls":[{"index":3,"function":{"arguments":"{}"}}]}"#, #"{"content":"\ud800"}"#,
        #"{"tool_calls":[{"index":0,"id":"t","function":{"name":"f","arguments":7}}]}"#,
    ])
    func `parts that cannot be read fail the stream`(delta: String) {
        let (meter, forwarded) = read(Self.chunks([#"{"content":"x"}"#, delta]))
        #expect(meter.failure?.fault == .provider)
        #expect(!forwarded.contains("content_block_stop"))
    }

    @Test func `an error of the provider fails the stream without its text`() {
        let (meter, forwarded) = read("data: {\"error\":{\"message\":\"secret\"}}\n\n")
        #expect(meter.failure != nil)
        #expect(forwarded.isEmpty)
    }
}

/// Tests Anthropic's API at the doors of the proxy, over a provider that speaks OpenAI's.
@Suite(.serialized, .database(schema: "llm_proxy", migrations: "Shared/Outbox/Migrations", "Services/llm-proxy/Migrations"))
struct MessageOverChatCallTests {
    private func started(_ proxy: ProxyUnderTest, limit: Int = 70, stream: Bool) async throws -> (Caller, ScriptedCall) {
        let caller = proxy.message(model: "priced", limit: limit, stream: stream)
        try await until("the provider is called") { proxy.provider.calls.count == 1 }
        return (caller, proxy.provider.calls[0])
    }

    @Test func `a call in one piece is translated both ways, and charged`() async throws {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy, stream: false)
            #expect(provider.headers.string(for: "authorization") == "Bearer provider-key")
            #expect(!provider.headers.contains("x-api-key") && !provider.headers.contains("anthropic-version"))
            #expect(try provider.body?.integer("max_tokens") == 70)
            provider.answer(
                #"{"id":"c","choices":[{"message":{"content":"Hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":5}}"#
            )
            try await until("the answer is over") { caller.isOver }
            #expect(caller.status == 200)
            let body = try JSONObject(caller.bytes)
            #expect((try body.string("type"), try body.string("model")) == ("message", "priced"))
            #expect(try body.object("usage").decimalText("credits_used") == "0.014")
            try await until("the charge is there") { !proxy.ledger.settlements.isEmpty }
            #expect(proxy.ledger.settlements[0].amount == ProxyUnderTest.tokens(14))
        }
    }

    @Test func `a stream is translated and ends when its charge is safe`() async throws {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy, stream: true)
            provider.send(tokens: 5, thenEnd: 5)
            try await until("the answer is over") { caller.isOver }
            #expect(caller.failure == nil)
            let types = try caller.events.map { try JSONObject(Array($0.utf8)).string("type") }
            #expect(
                types == ["message_start", "content_block_start"] + Array(repeating: "content_block_delta", count: 5)
                    + ["content_block_stop", "message_delta", "message_stop"])
            let change = try JSONObject(Array(try #require(caller.events.suffix(2).first).utf8))
            #expect(try change.object("usage").decimalText("credits_used") == "0.014")
            try await until("the charge is there") { !proxy.ledger.settlements.isEmpty }
            #expect(proxy.ledger.settlements[0].amount == ProxyUnderTest.tokens(14))
        }
    }

    @Test(arguments: [0, 3])
    func `a stream that breaks off ends with an event of the error`(delivered: Int) async throws {
        try await ProxyUnderTest.with { proxy in
            let (caller, provider) = try await started(proxy, stream: true)
            provider.send(tokens: delivered)
            provider.die()
            try await until("the answer is over") { caller.isOver }
            #expect(caller.failure != nil)
            #expect(try caller.error().string("code") == "provider_error")
            #expect(!caller.text.contains("message_stop"))
            try await until("the call is concluded") { proxy.ledger.settlements.count + proxy.ledger.voids.count == 1 }
            #expect(proxy.ledger.settlements.map(\.call.usage.completionTokens) == (delivered > 0 ? [Int64(delivered)] : []))
        }
    }
}
