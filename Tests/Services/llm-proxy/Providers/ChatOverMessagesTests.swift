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
                "model", "max_tokens", "stream", "service_tier", "system", "messages", "temperature", "top_p", "stop_sequences", "metadata",
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
            (#""tools":[{"type":"custom","custom":{"name":"f"}}]"#, "tools[0].type"),
            (#""tools":[{"type":"function","function":{}}]"#, "tools[0].function"),
            (#""tools":[{"type":"function","function":{"name":"f","parameters":"x"}}]"#, "tools[0].function"),
            (#""tools":[{"type":"function","type":"function","function":{"name":"f"}}]"#, "tools"),
            (#""tool_choice":"some""#, "tool_choice"), (#""tool_choice":{"type":"allowed_tools"}"#, "tool_choice"),
            (#""parallel_tool_calls":1"#, "parallel_tool_calls"), (#""functions":[]"#, "functions"),
            (#""reasoning_effort":"some""#, "reasoning_effort"), (#""response_format":{"type":"json_schema"}"#, "response_format"),
            (#""n":2"#, "n"), (#""logprobs":true"#, "logprobs"),
            (#""response_format":{"type":"json_object"}"#, "response_format"), (#""seed":1"#, "seed"), (#""stop":[1]"#, "stop"),
            (#""temperature":"hot""#, "temperature"), (#""service_tier":"priority""#, "service_tier"),
            (#""thinking":{"type":"enabled"}"#, "thinking"), (#""container":"c""#, "container"), (#""mcp_servers":[]"#, "mcp_servers"),
        ] as [(String, String)])
    func `a member that cannot be translated is refused by name`(member: String, param: String) throws {
        let flaw = ChatOverMessages().flaw(in: try request(#"{"model":"claude","messages":[],\#(member)}"#))
        #expect(flaw?.param == param)
        #expect(flaw.map { $0.message.hasPrefix(param) && $0.message.hasSuffix(".") } == true)
    }

    @Test(
        arguments: [
            (#"{"role":"function","content":"x"}"#, "messages[0].role"), (#"{"content":"x"}"#, "messages[0].role"),
            (#"{"role":"tool","content":"x"}"#, "messages[0].tool_call_id"),
            (
                #"{"role":"tool","tool_call_id":"c","content":[{"type":"image_url","image_url":{"url":"https://h"}}]}"#,
                "messages[0].content"
            ),
            (#"{"role":"user","content":"x","tool_calls":[]}"#, "messages[0].tool_calls"),
            (#"{"role":"user","content":"x","tool_call_id":"c"}"#, "messages[0].tool_call_id"),
            (#"{"role":"assistant","tool_calls":[{"id":"c","function":{}}]}"#, "messages[0].tool_calls[0]"),
            (#"{"role":"assistant","tool_calls":[{"id":"c","type":"custom","function":{"name":"f"}}]}"#, "messages[0].tool_calls[0]"),
            (
                #"{"role":"assistant","tool_calls":[{"id":"c","function":{"name":"f","arguments":"{"}}]}"#,
                "messages[0].tool_calls[0].function.arguments"
            ), (#"{"role":"assistant","content":"x","function_call":{}}"#, "messages[0].function_call"),
            (#"{"role":"assistant","content":null}"#, "messages[0].content"),
            (#"{"role":"user","content":[{"type":"refusal","refusal":"no"}]}"#, "messages[0].content"),
            (#"{"role":"user","content":"x","content":"y"}"#, "messages[0].content"),
            (#"{"role":"user","role":"assistant","content":"x"}"#, "messages[0].role"),
            (#"{"role":"user","content":[{"type":"text","text":"x","text":"y"}]}"#, "messages[0].content"),
            (#"{"role":"user","content":[{"type":"text","text":7}]}"#, "messages[0].content"),
            (#"{"role":"user","content":[{"type":"refusal","refusal":"a","text":"b"}]}"#, "messages[0].content"),
            (#"{"role":"user","content":"x","t\u006fol_calls":[]}"#, "messages[0].tool_calls"),
            ("{" + (0..<300).map { #""name\#($0)":null,"# }.joined() + #""role":"robot","content":"x"}"#, "messages[0].role"),
            (#"{"role":"user","content":[{"type":"image_url","image_url":{"url":"http://h"}}]}"#, "messages[0].content[0].image_url"),
            (
                #"{"role":"user","content":[{"type":"image_url","image_url":"data:image/tiff;base64,AA"}]}"#,
                "messages[0].content[0].image_url"
            ),
            (#"{"role":"user","content":[{"type":"image_url","image_url":"data:image/png,AA"}]}"#, "messages[0].content[0].image_url"),
            (#"{"role":"user","content":[{"type":"image_url","image_url":"data:image/png;base64"}]}"#, "messages[0].content[0].image_url"),
            (#"{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:"}}]}"#, "messages[0].content[0].image_url"),
            (#"{"role":"assistant","content":[{"type":"image_url","image_url":"https://h"}]}"#, "messages[0].content"),
            (#"{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://a","url":"https://b"}}]}"#, "messages[0].content"),
        ] as [(String, String)])
    func `a message that cannot be translated is refused by name`(message: String, param: String) throws {
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
        #"{"type":"message","content":[{"type":"server_tool_use","id":"x"}]}"#, #"{"type":"message","content":[{"type":"text"}]}"#,
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

    // MARK: Tools, pictures, thoughts and schemas

    @Test func `tools, their calls and their results are translated`() throws {
        let body = try body(
            #"""
            {"model":"claude","tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"},"strict":true}},
             {"type":"function","function":{"name":"g"}}],"tool_choice":"required","parallel_tool_calls":false,
             "messages":[{"role":"user","content":"Go"},
             {"role":"assistant","content":null,"refusal":null,"reasoning_content":"hm","tool_calls":[
              {"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\": 1.0}"}},{"id":"c2","function":{"name":"g","arguments":""}}]},
             {"role":"tool","tool_call_id":"c1","content":"one"},{"role":"tool","tool_call_id":"c2","content":[{"type":"text","text":"two"}]},
             {"role":"user","content":"And?"},{"role":"assistant","content":""}]}
            """#)
        func text(_ name: String) -> String { String(decoding: body.raw(name) ?? [], as: UTF8.self) }
        #expect(
            text("tools")
                == #"[{"name":"f","description":"d","input_schema":{"type":"object"},"strict":true},{"name":"g","input_schema":{"type":"object"}}]"#
        )
        #expect(text("tool_choice") == #"{"type":"any","disable_parallel_tool_use":true}"#)
        #expect(
            text("messages")
                == #"[{"role":"user","content":[{"type":"text","text":"Go"}]},"#
                + #"{"role":"assistant","content":[{"type":"tool_use","id":"c1","name":"f","input":{"a": 1.0}},{"type":"tool_use","id":"c2","name":"g","input":{}}]},"#
                + #"{"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":[{"type":"text","text":"one"}]},"#
                + #"{"type":"tool_result","tool_use_id":"c2","content":[{"type":"text","text":"two"}]}]},"#
                + #"{"role":"user","content":[{"type":"text","text":"And?"}]},{"role":"assistant","content":[]}]"#)
    }

    @Test(
        arguments: [
            (#""tool_choice":"auto""#, #"{"type":"auto"}"#), (#""tool_choice":"none","parallel_tool_calls":false"#, #"{"type":"none"}"#),
            (#""tool_choice":{"type":"function","function":{"name":"f"}}"#, #"{"type":"tool","name":"f"}"#),
            (#""parallel_tool_calls":false"#, #"{"type":"auto","disable_parallel_tool_use":true}"#),
        ] as [(String, String)])
    func `a choice of tools is translated`(members: String, choice: String) throws {
        let tools = #""tools":[{"type":"function","function":{"name":"f"}}]"#
        let body = try body(#"{"model":"claude","messages":[],\#(tools),\#(members)}"#)
        #expect(body.raw("tool_choice").map { String(decoding: $0, as: UTF8.self) } == choice)
        #expect(try !self.body(#"{"model":"claude","messages":[],"tools":[],\#(members)}"#).has("tool_choice"))
    }

    @Test func `pictures are translated with the bytes that they have`() throws {
        let body = try body(
            #"""
            {"model":"claude","messages":[{"role":"user","content":[{"type":"text","text":"Look"},
             {"type":"image_url","image_url":{"url":"data:image\/png;base64,AB\/C+=","detail":"high"}},
             {"type":"image_url","image_url":{"url":"https://h/x.png"}}]}]}
            """#)
        #expect(
            String(decoding: body.raw("messages") ?? [], as: UTF8.self)
                == #"[{"role":"user","content":[{"type":"text","text":"Look"},"#
                + #"{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AB\/C+="}},"#
                + #"{"type":"image","source":{"type":"url","url":"https://h/x.png"}}]}]"#)
    }

    @Test(
        arguments: [
            ("claude-sonnet-4-5", "high", #"{"type":"enabled","budget_tokens":6400}"#, nil),
            ("claude-haiku-4-5-20251001", "low", #"{"type":"enabled","budget_tokens":1600}"#, nil), ("kimi", "none", nil, nil),
            ("claude-opus-4-7", "medium", #"{"type":"adaptive"}"#, #"{"effort":"medium"}"#),
            ("claude-opus-5", "minimal", #"{"type":"adaptive"}"#, #"{"effort":"low"}"#),
            ("claude-opus-5", "none", #"{"type":"disabled"}"#, nil),
        ] as [(String, String, String?, String?)])
    func `an effort becomes a budget of thoughts or an effort, by the model`(
        name: String, effort: String, thinking: String?, config: String?
    ) throws {
        var model = CallBoundTests.model(reasoning: .hidden)
        model.providerModel = name
        func sent(_ messages: String) throws -> JSONObject {
            let request = try request(#"{"model":"m","messages":\#(messages),"reasoning_effort":"\#(effort)"}"#)
            return try JSONObject(
                try ChatOverMessages().body(of: request, for: model, limit: .init(tokens: 8_000, isSent: true, isClamped: false)))
        }
        let body = try sent(#"[{"role":"user","content":"Hi"}]"#)
        #expect(body.raw("thinking").map { String(decoding: $0, as: UTF8.self) } == thinking)
        #expect(body.raw("output_config").map { String(decoding: $0, as: UTF8.self) } == config)
        // A turn that goes on after results of tools would need its first thoughts.
        let inTurn = try sent(#"[{"role":"tool","tool_call_id":"c","content":"x"}]"#)
        #expect(inTurn.has("thinking") == (thinking != nil && !ReasoningEffort.isBudget(of: name)))
    }

    @Test func `an effort needs a model that reasons, and room for thoughts`() throws {
        func param(_ members: String, _ reasoning: ModelLimits.Reasoning) throws -> String? {
            ChatOverMessages().flaw(
                in: try request(#"{"model":"m","messages":[]\#(members)}"#), for: CallBoundTests.model(reasoning: reasoning))?.param
        }
        #expect(try param(#","reasoning_effort":"low""#, .none) == "reasoning_effort")
        #expect(try param(#","reasoning_effort":"none""#, .none) == nil)
        #expect(try param(#","reasoning_effort":"low","max_tokens":2047"#, .hidden) == "reasoning_effort")
        #expect(try param(#","reasoning_effort":"low","max_tokens":2048"#, .hidden) == nil)
        #expect(try param(#","reasoning_effort":"low""#, .visible) == nil)
        #expect(try ChatOverMessages().outputTokensLeast(of: request(#"{"model":"m","messages":[],"reasoning_effort":"low"}"#)) == 2_048)
    }

    @Test func `a schema of the answer is translated, and its tokens are held for`() throws {
        let text =
            #"{"model":"m","messages":[],"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object"}}}}"#
        #expect(
            try body(text).raw("output_config").map { String(decoding: $0, as: UTF8.self) }
                == #"{"format":{"type":"json_schema","schema":{"type":"object"}}}"#)
        #expect(try ChatOverMessages().addedPromptTokens(to: request(text)) == 1_024)
        #expect(try !body(#"{"model":"m","messages":[],"response_format":{"type":"text"}}"#).has("output_config"))
    }

    @Test func `an answer with thoughts and calls of tools is translated`() throws {
        let message =
            #"{"type":"message","content":[{"type":"thinking","thinking":"Hm.","signature":"abc"},{"type":"redacted_thinking","data":"x"},"#
            + #"{"type":"tool_use","id":"t1","name":"f","input":{"a": [1]}},{"type":"tool_use","id":"t2","name":"g","input":{}}],"stop_reason":"tool_use","usage":{"input_tokens":1,"output_tokens":9}}"#
        let answer = try ChatOverMessages().answer(Array(message.utf8), Self.context)
        let choice = try #require(try answer.json.array("choices").first?.object)
        #expect(
            try choice.object("message").bytes
                == Array(
                    (#"{"role":"assistant","content":null,"reasoning_content":"Hm.","tool_calls":[{"id":"t1","type":"function","function":{"name":"f","arguments":"{\"a\": [1]}"}},"#
                        + #"{"id":"t2","type":"function","function":{"name":"g","arguments":"{}"}}],"refusal":null}"#).utf8))
        #expect(try choice.string("finish_reason") == "tool_calls")
        // The thought, the names and the arguments.
        #expect(answer.contentBytes == 3 + 1 + 8 + 1)
    }

    @Test func `an answer without content has no output`() throws {
        let message = #"{"type":"message","content":[],"stop_reason":"end_turn","usage":{"input_tokens":10,"output_tokens":3}}"#
        #expect(try ChatOverMessages().answer(Array(message.utf8), Self.context).reported?.completionTokens == 0)
        let (meter, _) = read(Self.events([Self.stream[0], Self.stream[6], Self.stream[7]]))
        #expect(meter.isEnded)
        #expect(meter.delivered(promptTokens: 9).usage.completionTokens == 0)
    }

    @Test func `a stream with thoughts and calls of tools is translated`() throws {
        let (meter, forwarded) = read(AnthropicEventsTests.stream)
        let deltas = try forwarded.split(separator: "\n\n").map { event in
            let choice = try #require(JSONObject(Array(event.dropFirst(6).utf8)).array("choices").first?.object)
            return String(decoding: choice.raw("delta") ?? [], as: UTF8.self)
        }
        #expect(
            deltas == [
                #"{"role":"assistant","content":""}"#, #"{"reasoning_content":"Let me"}"#, #"{"content":"Hel\"lo w\u00f6"}"#,
                #"{"tool_calls":[{"index":0,"id":"t","type":"function","function":{"name":"f","arguments":""}}]}"#,
                #"{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":1}"}}]}"#, "{}",
            ])
        #expect(try chunks(forwarded).reasons == ["tool_calls"])
        #expect(meter.contentEvents == 4)
        #expect(meter.delivered(promptTokens: 9) == (Usage(promptTokens: 25, completionTokens: 15), false))
    }

    @Test func `a call without parts of arguments has those of its start`() throws {
        func call(_ input: String) -> String {
            AnthropicEventsTests.event("content_block_start", #""content_block":{"type":"tool_use","id":"t","name":"f","input":\#(input)}"#)
                + AnthropicEventsTests.event("content_block_delta", #""delta":{"type":"input_json_delta","partial_json":""}"#)
                + AnthropicEventsTests.event("content_block_stop", "")
        }
        let (meter, forwarded) = read(call("{}") + call(#"{"a":1}"#))
        #expect(forwarded.contains(#"{"index":0,"function":{"arguments":"{}"}}"#))
        #expect(forwarded.contains(#"{"index":1,"function":{"arguments":"{\"a\":1}"}}"#))
        #expect(meter.contentEvents == 2)
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
        #expect(meter.delivered(promptTokens: 9) == (Usage(promptTokens: 25, completionTokens: 3), true))
        let empty = read(Self.events(Array(Self.stream[..<3]))).meter
        #expect(empty.delivered(promptTokens: 9).usage.completionTokens == 0)
    }

    @Test(arguments: [
        #"{"type":"error","error":{"type":"overloaded_error","message":"secret"}}"#,
        #"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"x"}}"#,
        #"{"type":"content_block_start","index":1,"content_block":{"type":"server_tool_use","id":"x"}}"#,
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

    @Test func `a member that cannot be translated is refused before anything is held`() async throws {
        try await ProxyUnderTest.with { proxy in
            let caller = proxy.call(#","seed":1"#, model: "claude")
            try await until("the answer is over") { caller.isOver }
            #expect(caller.status == 400)
            #expect(try caller.error().string("param") == "seed")
            #expect(try caller.error().string("message") == "seed is not supported by the model 'claude'; remove it.")
            #expect(proxy.ledger.holds.isEmpty && proxy.provider.calls.isEmpty)
        }
    }
}
