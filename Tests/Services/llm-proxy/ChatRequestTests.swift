import Foundation
import JSON
import Testing
import Values

@testable import LLMProxy

struct ChatRequestTests {
    static func request(_ text: String) throws(ChatRequest.Refusal) -> ChatRequest { try ChatRequest(body: Array(text.utf8)) }

    @Test func `the members that the gateway needs are read`() throws {
        let request = try Self.request(
            #"{"model":"sim-fast","messages":[],"stream":true,"max_tokens":7,"n":2,"stream_options":{"include_usage":true}}"#)
        #expect(request.model == "sim-fast")
        #expect(request.isStreaming)
        #expect(request.outputTokensMax == 7)
        #expect(request.choices == 2)
        #expect(request.includeUsage)
    }

    @Test(arguments: [
        (#"{"messages":[]}"#, "model"), (#"{"model":7,"messages":[]}"#, "model"), (#"{"model":"","messages":[]}"#, "model"),
        (#"{"model":"m"}"#, "messages"), (#"{"model":"m","messages":{}}"#, "messages"),
        (#"{"model":"m","messages":[],"stream":"yes"}"#, "stream"), (#"{"model":"m","messages":[],"max_tokens":0}"#, "max_tokens"),
        (#"{"model":"m","messages":[],"max_tokens":1.5}"#, "max_tokens"),
        (#"{"model":"m","messages":[],"max_completion_tokens":-1}"#, "max_completion_tokens"),
        (#"{"model":"m","messages":[],"n":0}"#, "n"), (#"{"model":"m","messages":[],"stream_options":1}"#, "stream_options"),
        (#"{"model":"m","messages":[],"logprobs":5}"#, "logprobs"), (#"{"model":"m","messages":[],"top_logprobs":21}"#, "top_logprobs"),
        (#"{"model":"m","messages":[],"top_logprobs":-1}"#, "top_logprobs"),
    ])
    func `a bad member is refused by name`(text: String, param: String) {
        let refusal = #expect(throws: ChatRequest.Refusal.self) { try Self.request(text) }
        guard case .invalid(let named, _) = refusal else {
            Issue.record("refused as \(String(describing: refusal))")
            return
        }
        #expect(named == param)
    }

    /// A provider may match names without regard to letter case, and take the last of two values.
    @Test(
        arguments: [
            (#""stream":false,"Stream":true"#, "Stream", "stream"), (#""Stream":true"#, "Stream", "stream"),
            (#""max_tokens":1,"Max_Tokens":32768"#, "Max_Tokens", "max_tokens"), (#""MODEL":"x""#, "MODEL", "model"),
            (#""Max_Completion_tokens":1"#, "Max_Completion_tokens", "max_completion_tokens"), (#""N":100"#, "N", "n"),
            (#""Messages":[]"#, "Messages", "messages"), (#""\u0053tream":true"#, "Stream", "stream"),
            (#""Stream_Options":{}"#, "Stream_Options", "stream_options"),
            (#""Logprobs":true"#, "Logprobs", "logprobs"), (#""TOP_logprobs":20"#, "TOP_logprobs", "top_logprobs"),
            (#""stream_options":{"Include_Usage":false}"#, "stream_options.Include_Usage", "include_usage"),
            // The long s and the Kelvin sign are letters of another case for Unicode.
            (#""\u017Ftream":true"#, "\u{17F}tream", "stream"), (#""max_to\u212Aens":9"#, "max_to\u{212A}ens", "max_tokens"),
        ] as [(String, String, String)])
    func `a member that differs from one of ours only in letter case is refused`(members: String, param: String, ours: String) {
        let text = #"{"model":"m",\#(members),"messages":[{"role":"user","content":"x"}]}"#
        let refusal = #expect(throws: ChatRequest.Refusal.self) { try Self.request(text) }
        #expect(
            refusal
                == .invalid(param: param, message: "\(param) differs from \(ours) only in letter case; write \(ours)."))
    }

    @Test(
        arguments: [
            (#"{"role":"user","content":"x","Content":[]}"#, "messages[1].Content", "content"),
            (#"{"role":"user","content":"x","AUDIO":{}}"#, "messages[1].AUDIO", "audio"),
            (#"{"content":[{"type":"text","text":""},{"type":"text","Type":"input_audio"}]}"#, "messages[1].content[1].Type", "type"),
            (#"{"content":[{"type":"text","text":"","Image_url":{}}]}"#, "messages[1].content[0].Image_url", "image_url"),
            (#"{"content":[{"type":"text","text":"","\u0049mage_url":{}}]}"#, "messages[1].content[0].Image_url", "image_url"),
        ] as [(String, String, String)])
    func `a member of a message that differs from one of ours only in letter case is refused`(
        message: String, param: String, ours: String
    ) {
        let text = #"{"model":"m","messages":[{"role":"user","content":"x"},\#(message)]}"#
        let refusal = #expect(throws: ChatRequest.Refusal.self) { try Self.request(text) }
        #expect(
            refusal
                == .invalid(param: param, message: "\(param) differs from \(ours) only in letter case; write \(ours)."))
    }

    @Test func `names that the gateway does not read may have any letter case`() throws {
        _ = try Self.request(
            #"{"model":"m","Temperature":1,"metadata":{"Stream":1},"messages":[{"Role":"user","content":[{"type":"text","Text":"x"}]}]}"#)
    }

    @Test(arguments: ModelLimits.OutputLimitMember.allCases)
    func `each member for a limit is refused in another letter case`(member: ModelLimits.OutputLimitMember) {
        let refusal = #expect(throws: ChatRequest.Refusal.self) {
            try Self.request(#"{"model":"m","messages":[],"\#(member.rawValue.uppercased())":1}"#)
        }
        guard case .invalid(member.rawValue.uppercased(), _) = refusal else {
            Issue.record("refused as \(String(describing: refusal))")
            return
        }
    }

    @Test(arguments: [#"\\u0053tream"#, "Streams", "Strea", "\u{C5}tream", "\u{17F}", #"\u0053"#, #"\"Stream"#, #"\tStream"#, ""])
    func `a name that only resembles one of ours is forwarded`(name: String) throws {
        _ = try Self.request(#"{"model":"m","messages":[{"\#(name)":1}],"\#(name)":1}"#)
    }

    /// - Parameter body: of 15 MiB each, but of many tiny values.
    @Test(
        arguments: [
            ("a million members", "{" + (0..<1_200_000).map { #""a\#($0)":0"# }.joined(separator: ",") + "}", "256 members"),
            (
                "a million members in a message",
                #"{"messages":[{"# + (0..<1_200_000).map { #""a\#($0)":0"# }.joined(separator: ",") + "}]}", "262144 values"
            ),
            (
                "millions of quotes",
                #"{"messages":[{"content":["# + Array(repeating: #""""#, count: 5_000_000).joined(separator: ",") + "]}]}", "262144 values"
            ),
            (
                "a million messages",
                #"{"messages":["# + Array(repeating: #"{"content":""}"#, count: 1_000_000).joined(separator: ",") + "]}", "262144 values"
            ),
            ("a long name", #"{"\#(String(repeating: "n", count: 15 << 20))":0}"#, "a name of more than 256 bytes"),
        ] as [(String, String, String)])
    func `a body that is expensive to read is refused by its rule`(name: String, body: String, rule: String) {
        let refusal = #expect(throws: ChatRequest.Refusal.self) { try Self.request(body) }
        guard case .malformed(let reason) = refusal else {
            Issue.record("refused as \(String(describing: refusal))")
            return
        }
        #expect(reason.contains(rule))
    }

    @Test func `eighty thousand messages are read`() throws {
        let messages = Array(repeating: #"{"role":"user","content":"x"}"#, count: 80_000).joined(separator: ",")
        #expect(try Self.request(#"{"model":"m","messages":[\#(messages)]}"#).prompt.messages == 80_000)
    }

    @Test(arguments: ["", "[]", "{", #"{"model":"m","model":"n","messages":[]}"#, "\u{0}"])
    func `a body that is no JSON object is refused`(text: String) {
        let refusal = #expect(throws: ChatRequest.Refusal.self) { try Self.request(text) }
        guard case .malformed = refusal else {
            Issue.record("refused as \(String(describing: refusal))")
            return
        }
    }

    /// - Parameter tokens: a limit to send; nil: none.
    static func providerBody(
        _ request: ChatRequest, model: String = "m", member: ModelLimits.OutputLimitMember = .maxTokens, tokens: Int64? = nil
    ) -> [UInt8] {
        var callee = CallBoundTests.model()
        callee.providerModel = model
        callee.limits.outputLimitMember = member
        return request.providerBody(for: callee, limit: .init(tokens: tokens ?? 4_000, isSent: tokens != nil, isClamped: false))
    }

    @Test func `the provider is always asked for usage of a stream; the rest passes through untouched`() throws {
        let request = try Self.request(#"{"model":"m", "messages":[ ],"stream":true,"seed":1e2,"stream_options":{"x":[1]}}"#)
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
        #expect(Self.providerBody(try Self.request(text), tokens: limit) == Array(text.utf8))
    }

    @Test(
        arguments: ["", #","max_tokens":500"#, #","max_completion_tokens":500"#, #","max_completion_tokens":1,"max_tokens":90000"#],
        ModelLimits.OutputLimitMember.allCases)
    func `the limit is written to the member that the model reads, and the other member is removed`(
        members: String, member: ModelLimits.OutputLimitMember
    ) throws {
        let request = try Self.request(#"{"model":"m","messages":[]\#(members)}"#)
        let body = try JSONObject(Self.providerBody(request, member: member, tokens: 64))
        for other in ModelLimits.OutputLimitMember.allCases {
            #expect(try body.optionalInteger(other.rawValue) == (other == member ? 64 : nil))
        }
    }

    @Test func `a hold covers the larger of two limits`() throws {
        #expect(try Self.request(#"{"model":"m","messages":[],"max_completion_tokens":1,"max_tokens":90000}"#).outputTokensMax == 90_000)
    }

    @Test func `the provider is asked for the model by its own name`() throws {
        let request = try Self.request(#"{"model":"m","messages":[]}"#)
        #expect(try JSONObject(Self.providerBody(request, model: "vendor/\"m\"")).string("model") == #"vendor/"m""#)
    }

    @Test(arguments: [String(repeating: "x", count: 101), "caf\u{E9}", "\u{FFFD}", "a\tb"])
    func `a too long or unprintable operation is refused`(header: String) {
        #expect(throws: ChatRequest.Refusal.self) { try ChatRequest.operation(header) }
    }

    @Test func `an operation is optional`() throws {
        #expect(try ChatRequest.operation("pmItems.enhanceWithContext") == "pmItems.enhanceWithContext")
        #expect(try ChatRequest.operation("") == nil)
        #expect(try ChatRequest.operation(nil) == nil)
    }

    @Test(
        arguments: [
            // The usage is reported whole, without a prompt, with no output, or not at all. The last
            // rows have no answer.
            (#"{"choices":[{"message":{"role":"assistant","content":"12345678"}}]}"#, 7, 5, 7, 5, false),
            (#"{"choices":[{"message":{"role":"assistant","content":"12345678"}}]}"#, 0, 5, 99, 5, true),
            (#"{"choices":[{"message":{"role":"assistant","content":"12345678"}}]}"#, 7, 0, 7, 2, true),
            (
                #"{"choices":[{"message":{"content":"12345678"}},{"message":{"content":null,"tool_calls":[12345678]}}]}"#, nil, 0, 99, 4,
                true
            ),
            (#"{"error":{"message":"a long story about why there is no answer"}}"#, nil, 0, 0, 0, true),
            (#"{"choices":[{"message":{"role":"assistant","content":"","annotations":[]}}]}"#, 7, 0, 7, 0, false),
            ("<html>not an answer</html>", nil, 0, 0, 0, true),
        ] as [(String, Int64?, Int64, Int64, Int64, Bool)])
    func `an answer is charged as reported, else as counted, and an empty answer not at all`(
        answer: String, reportedPrompt: Int64?, reportedCompletion: Int64, prompt: Int64, completion: Int64, isEstimated: Bool
    ) {
        let reported = reportedPrompt.map { TokenUsage(promptTokens: $0, completionTokens: reportedCompletion) }
        let delivered = ResponseUsage.delivered(in: Array(answer.utf8), reported: reported, promptTokens: 99)
        #expect(delivered.usage == TokenUsage(promptTokens: prompt, completionTokens: completion))
        #expect(delivered.isEstimated == isEstimated)
    }

    @Test func `the credits are added to an answer's usage exactly, and nothing else changes`() throws {
        let answer = #"{"id":"x","usage":{"prompt_tokens":1,"completion_tokens":2},"extra":1.0}"#
        let added = try #require(
            ResponseUsage.adding(
                .init(used: Credits(nano: 1), remaining: Credits(whole: 9), maxTokensClamped: 64),
                usage: TokenUsage(promptTokens: 1, completionTokens: 2), to: Array(answer.utf8)))
        let usage = try JSONObject(added).object("usage")
        #expect(try usage.decimalText("credits_used") == "0.000000001")
        #expect(try usage.decimalText("credits_remaining") == "9")
        #expect(try usage.integer("completion_tokens") == 2)
        #expect(try usage.integer("max_tokens_clamped") == 64)
        #expect(String(decoding: added, as: UTF8.self).contains(#""extra":1.0"#))
    }

    @Test func `prices in the providers file are exact, and a price too fine is refused by name`() throws {
        func file(_ prompt: String) -> [UInt8] {
            Array(
                #"{"providers":[{"name":"p","base_url":"http://h/v1","api_key_variable":"K","models":[{"id":"m","prompt_usd_per_million":\#(prompt),"completion_usd_per_million":0.60,"context_tokens":1,"max_output_tokens":1,"default_output_tokens":1}]}]}"#
                    .utf8)
        }
        #expect(try ProvidersFile(file("0.150001"), variables: { _ in nil }).providers[0].models[0].prompt == PicoUSD(value: 150_001))
        let refused = #expect(throws: ProvidersFile.Malformed.self) { try ProvidersFile(file("0.1500001"), variables: { _ in nil }) }
        #expect(refused?.description == "prompt_usd_per_million of m must be a decimal with at most 6 fraction digits, not 0.1500001")
    }

    @Test(arguments: [
        (#""context_tokens":0"#, "context_tokens of model m must be a whole number from 1 to 100000000, not 0"),
        (#""max_output_tokens":null"#, "max_output_tokens of model m must be a whole number from 1 to 128000, not null"),
        (#""max_output_tokens":128001"#, "max_output_tokens of model m must be a whole number from 1 to 128000, not 128001"),
        (#""max_output_tokens":9e3"#, "max_output_tokens of model m must be a whole number from 1 to 128000, not 9e3"),
        (#""default_output_tokens":20000"#, "default_output_tokens of model m must be a whole number from 1 to 16384, not 20000"),
        (#""output_tokens_least":16385"#, "output_tokens_least of model m must be a whole number from 1 to 16384, not 16385"),
        (#""image_tokens_max":0"#, "image_tokens_max of model m must be a whole number from 1 to 1000000, not 0"),
        (#""reasoning":"deep""#, #"reasoning of model m must be one of none, visible, hidden, not "deep""#),
        (#""output_limit_member":7"#, "output_limit_member of model m must be one of max_tokens, max_completion_tokens, not 7"),
    ])
    func `a bad limit in the providers file is refused by model, field and rule`(member: String, message: String) throws {
        var members = [
            #""id":"m""#, #""prompt_usd_per_million":1"#, #""completion_usd_per_million":1"#, #""context_tokens":128000"#,
            #""max_output_tokens":16384"#, #""default_output_tokens":1024"#,
        ]
        let name = member.prefix { $0 != ":" }
        members.removeAll { $0.hasPrefix(name) }
        let text =
            #"{"providers":[{"name":"p","base_url":"http://h/v1","api_key_variable":"K","models":[{"#
            + (members + [member]).joined(separator: ",") + "}]}]}"
        let refused = #expect(throws: ProvidersFile.Malformed.self) { try ProvidersFile(Array(text.utf8), variables: { _ in nil }) }
        #expect(refused?.description == message)
    }

    @Test func `both provider lists of the product can be read, and a variable changes their address`() throws {
        for name in ["simulator", "openai"] {
            let url = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../../deploy/providers/\(name).json")
            let file = try ProvidersFile(Array(Data(contentsOf: url))) { $0 == "OPENAI_BASE_URL" ? "http://127.0.0.1:9/v1/" : nil }
            let endpoint = try #require(file.providers[0].provider.endpoint)
            #expect(endpoint == ("http://127.0.0.1:9", "/v1"))
            #expect(file.providers[0].models.count > 3)
        }
    }

    @Test(arguments: ["", "ftp://h", "http://", "https://user@h/v1", "http://h/v1?x=1"])
    func `a malformed provider address is refused`(baseURL: String) {
        #expect(Catalogue.Provider(name: "p", baseURL: baseURL, apiKeyVariable: "K").endpoint == nil)
    }
}
