import Contracts
import JSON
import SSE
import Testing
import Values

@testable import LLMProxy

struct OpenAIChatTests {
    /// - Parameter tokens: a limit to send; nil: none.
    static func providerBody(
        _ request: CallRequest, model: String = "m", member: ModelLimits.OutputLimitMember = .maxTokens, tokens: Int64? = nil
    ) -> [UInt8] {
        var callee = CallBoundTests.model()
        callee.providerModel = model
        callee.limits.outputLimitMember = member
        return OpenAIChat().body(
            of: request.modelRequest, for: callee, limit: .init(tokens: tokens ?? 4_000, isSent: tokens != nil, isClamped: false))
    }

    @Test func `the provider is always asked for usage of a stream; the rest passes through untouched`() throws {
        let request = try ChatCompletionsTests.request(
            #"{"model":"m", "messages":[ ],"stream":true,"seed":1e2,"stream_options":{"x":[1]}}"#)
        let body = try JSONObject(Self.providerBody(request))
        #expect(try body.object("stream_options").bool("include_usage"))
        #expect(try body.object("stream_options").array("x").count == 1)
        #expect(try body.decimalText("seed") == "1e2")
    }

    @Test(
        arguments: [
            (#"{ "model":"m","messages":[] , "temperature":0.70}"#, nil), (#"{ "model":"m","messages":[] , "max_tokens":7}"#, 7),
        ] as [(String, Int64?)])
    func `a body that needs no change is sent as it came`(text: String, limit: Int64?) throws {
        #expect(Self.providerBody(try ChatCompletionsTests.request(text), tokens: limit) == Array(text.utf8))
    }

    @Test(
        arguments: ["", #","max_tokens":500"#, #","max_completion_tokens":500"#, #","max_completion_tokens":1,"max_tokens":90000"#],
        ModelLimits.OutputLimitMember.allCases)
    func `the limit is written to the member that the model reads, and the other member is removed`(
        members: String, member: ModelLimits.OutputLimitMember
    ) throws {
        let request = try ChatCompletionsTests.request(#"{"model":"m","messages":[]\#(members)}"#)
        let body = try JSONObject(Self.providerBody(request, member: member, tokens: 64))
        for other in ModelLimits.OutputLimitMember.allCases {
            #expect(try body.optionalInteger(other.rawValue) == (other == member ? 64 : nil))
        }
    }

    @Test func `cached tokens, written ones and sound are taken out of the input`() throws {
        let usage =
            #"{"prompt_tokens":100,"completion_tokens":20,"prompt_tokens_details":{"cached_tokens":60,"cache_write_tokens":30,"audio_tokens":4},"#
            + #""completion_tokens_details":{"audio_tokens":5,"reasoning_tokens":7}}"#
        let read = Array(usage.utf8).withUnsafeBytes { Usage(openAI: JSONScan($0)) }
        #expect(
            read?.metered == [
                .input: 6, .output: 15, MeteredUnit(.cachedInput): 60, MeteredUnit(.cacheWrite): 30, MeteredUnit(.audioInput): 4,
                MeteredUnit(.audioOutput): 5,
            ])
        let impossible = #"{"prompt_tokens":5,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":6,"cache_write_tokens":6}}"#
        let bounded = Array(impossible.utf8).withUnsafeBytes { Usage(openAI: JSONScan($0)) }
        #expect(bounded?.metered == [MeteredUnit(.cachedInput): 5, .output: 1])
    }

    @Test func `a hold covers the larger of two limits`() throws {
        #expect(
            try ChatCompletionsTests.request(#"{"model":"m","messages":[],"max_completion_tokens":1,"max_tokens":90000}"#).outputTokensMax
                == 90_000)
    }

    @Test func `the provider is asked for the model by its own name`() throws {
        let request = try ChatCompletionsTests.request(#"{"model":"m","messages":[]}"#)
        #expect(try JSONObject(Self.providerBody(request, model: "vendor/\"m\"")).string("model") == #"vendor/"m""#)
    }

    @Test(arguments: [String(repeating: "x", count: 101), "caf\u{E9}", "\u{FFFD}", "a\tb"])
    func `an operation that would swell the charge is refused`(header: String) {
        #expect(throws: RequestRefusal.self) { try CallRequest.operation(header) }
    }

    @Test func `an operation is optional`() throws {
        #expect(try CallRequest.operation("pmItems.enhanceWithContext") == "pmItems.enhanceWithContext")
        #expect(try CallRequest.operation("") == nil)
        #expect(try CallRequest.operation(nil) == nil)
    }

    @Test(
        arguments: [
            (#"{"role":"assistant","content":""}"#, 0), (#"{"content":"1234"}"#, 4), (#"{"content":"\u0e01\n"}"#, 4),
            (#"{"tool_calls":[{"index":0,"function":{"arguments":"{\""}}]}"#, 2),
            (#"{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":""}}]}"#, 1),
            (#"{"reasoning":"123","reasoning_details":[{"type":"reasoning.text","text":"123","format":"x","index":0}],"content":"4"}"#, 4),
            (#"{"content":[{"type":"text","text":"12"},{"type":"text","text":"3"}]}"#, 3), (#"{"content":[[[[[[[[["x"]]]]]]]]]}"#, 3),
        ])
    func `the content of a delta is its text, without the words around it`(delta: String, bytes: Int) {
        let counted = Array(delta.utf8).withUnsafeBytes { OpenAIContent.bytes(ofMessage: JSONScan($0)) }
        #expect(counted == bytes)
    }

    @Test(
        arguments: [
            // The usage is reported whole, without a prompt, with no output, or not at all. The last
            // rows have no answer.
            (#"{"choices":[{"message":{"role":"assistant","content":"12345678"}}]}"#, 7, 5, 7, 5, false),
            (#"{"choices":[{"message":{"role":"assistant","content":"12345678"}}]}"#, 0, 5, 99, 5, true),
            (#"{"choices":[{"message":{"role":"assistant","content":"12345678"}}]}"#, 7, 0, 7, 2, true),
            (
                #"{"choices":[{"message":{"content":"12345678"}},{"message":{"content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"1234","arguments":"5678"}}]}}]}"#,
                nil, 0, 99, 4, true
            ),
            (#"{"error":{"message":"a long story about why there is no answer"}}"#, nil, 0, 0, 0, true),
            (#"{"choices":[{"message":{"role":"assistant","content":"","annotations":[]}}]}"#, 7, 0, 7, 0, false),
        ] as [(String, Int64?, Int64, Int64, Int64, Bool)])
    func `an answer is charged as reported, otherwise as counted, and a body without an answer is free`(
        answer: String, reportedPrompt: Int64?, reportedCompletion: Int64, prompt: Int64, completion: Int64, isEstimated: Bool
    ) throws {
        let reported = reportedPrompt.map { Usage(promptTokens: $0, completionTokens: reportedCompletion) }
        let json = try JSONObject(Array(answer.utf8))
        let whole = WholeAnswer(json: json, reported: reported, contentBytes: OpenAIContent.read(json).bytes)
        let delivered = whole.delivered(promptTokens: 99)
        #expect(delivered.usage == Usage(promptTokens: prompt, completionTokens: completion))
        #expect(delivered.isEstimated == isEstimated)
    }

    @Test(arguments: [
        "", "<html>not an answer</html>", "[]", "null", #"{"error":{"message":"Incorrect API key provided: sk-secret"}}"#,
        #"{"choices":{}}"#,
        #"{"choices":[{"message":{"content":"{"},"finish_reason":"error"}]}"#,
        #"{"choices":[{"message":{"content":"{"},"error":{"message":"key sk-secret"}}]}"#,
        #"{"id":"x"}"#, #"{"choices":[],"error":"no"}"#,
    ])
    func `a body that is no chat completion is a provider error without its text`(body: String) {
        let failure = #expect(throws: ProviderFailure.self) {
            try OpenAIChat().answer(Array(body.utf8), AnswerContext(model: "m", choices: 1, includeUsage: false, createdAt: 0))
        }
        #expect(failure?.kind == .wrongAnswer("with something else than a chat completion"))
        #expect(failure?.description.contains("sk-") == false)
    }

    @Test(arguments: [
        (#""service_tier":"priority""#, "service_tier"), (#""service_tier":"auto""#, "service_tier"), (#""store":true"#, "store"),
        (#""web_search_options":{}"#, "web_search_options"), (#""prediction":{"type":"content"}"#, "prediction"),
        (#""audio":{"voice":"x"}"#, "audio"), (#""modalities":["text","audio"]"#, "modalities"), (#""models":["dear"]"#, "models"),
        (#""plugins":[{"id":"web"}]"#, "plugins"), (#""best_of":9"#, "best_of"), (#""background":true"#, "background"),
        (#""tools":[{"type":"function"},{"type":"web_search"}]"#, "tools[1].type"), (#""tools":[{}]"#, "tools[0].type"),
        (#""tools":[{"type":"function","Type":"web_search"}]"#, "tools[0].type"),
        (#""tools":[{"type":"function","t\u0079pe":"web_search"}]"#, "tools[0].type"),
        (#""cache_control":{"type":"ephemeral"}"#, "cache_control"), (#""deferred":true"#, "deferred"),
        (#""data_sources":[{}]"#, "data_sources"), (#""fallbacks":["dear"]"#, "fallbacks"), (#""safety_model":"guard""#, "safety_model"),
        (#""prompt_logprobs":5"#, "prompt_logprobs"), (#""mm_processor_kwargs":{"max_pixels":9}"#, "mm_processor_kwargs"),
        (#""mcp_servers":[{}]"#, "mcp_servers"), (#""preset":"dear""#, "preset"),
        (#""chat_template":"{% for n in range(9999) %}again{% endfor %}""#, "chat_template"),
        (#""extra_body":{"google":{"cached_content":"cachedContents/1"}}"#, "extra_body"),
        (#""tools":[{"type":"function"},{"type":"function","cache_control":{"type":"ephemeral"}}]"#, "tools[1].cache_control"),
        (#""tools":[{"type":"function","function":{"name":"f","Cache_Control":{}}}]"#, "tools[0].function.cache_control"),
    ])
    func `a member that changes the price is refused by name`(member: String, param: String) throws {
        let request = try ChatCompletionsTests.request(#"{"model":"m","messages":[],\#(member)}"#)
        #expect(OpenAIChat().flaw(in: request.modelRequest)?.param == param)
    }

    @Test(arguments: [
        #""service_tier":"default""#, #""service_tier":null"#, #""store":false"#, #""store":null"#, #""modalities":["text"]"#,
        #""tools":[{"type":"function","function":{"name":"f"}},{"type":"custom"}]"#, #""tools":[]"#, #""temperature":0.7"#,
        #""reasoning_effort":"low""#, #""response_format":{"type":"json_object"}"#, #""deferred":false"#, #""cache_control":null"#,
        #""tools":[{"type":"function","cache_control":null,"function":{"name":"f","cache_control":null}}]"#,
    ])
    func `a member that leaves the price alone passes`(member: String) throws {
        let request = try ChatCompletionsTests.request(#"{"model":"m","messages":[],\#(member)}"#)
        #expect(OpenAIChat().flaw(in: request.modelRequest) == nil)
    }

    @Test(arguments: ["Service_Tier", "STORE", "Tools", "Web_Search_Options"])
    func `such a member is refused in another letter case`(name: String) {
        #expect(throws: RequestRefusal.self) { try ChatCompletionsTests.request(#"{"model":"m","messages":[],"\#(name)":true}"#) }
    }

    @Test(arguments: [
        (400, ProviderFailure.Fault.client, false), (422, .client, false), (401, .operator, false), (404, .operator, false),
        (429, .provider, true), (500, .provider, true), (529, .provider, true),
    ])
    func `a refusal is classified by whose fault it is, and whether a retry may help`(
        status: Int, fault: ProviderFailure.Fault, isRetriable: Bool
    ) {
        let failure = OpenAICompatible().failure(status: status, body: Array(#"{"error":{"message":"x"}}"#.utf8), retryAfter: nil)
        #expect((failure.fault, failure.isRetriable) == (fault, isRetriable))
    }
}
