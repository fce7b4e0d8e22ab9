import HTTP
import JSON
import Testing
import Values

@testable import LLMProxy

struct ChatCompletionsTests {
    static func request(_ text: String) throws(RequestRefusal) -> CallRequest { try ChatCompletions().read(Array(text.utf8)) }

    @Test func `the members that the gateway needs are read`() throws {
        let request = try Self.request(
            #"{"model":"sim-fast","messages":[],"stream":true,"max_tokens":7,"n":2,"stream_options":{"include_usage":true}}"#)
        #expect(request.modelRequest.model == "sim-fast")
        #expect(request.modelRequest.isStreaming)
        #expect(request.outputTokensMax == 7)
        #expect(request.modelRequest.choices == 2)
        #expect(request.modelRequest.includeUsage)
    }

    @Test(
        arguments: [
            (#"{"messages":[]}"#, .missingParameter, "model"), (#"{"model":null,"messages":[]}"#, .missingParameter, "model"),
            (#"{"model":7,"messages":[]}"#, .invalidRequest, "model"), (#"{"model":"","messages":[]}"#, .invalidRequest, "model"),
            (#"{"model":"m"}"#, .missingParameter, "messages"), (#"{"model":"m","messages":{}}"#, .invalidRequest, "messages"),
            (#"{"model":"m","messages":null}"#, .missingParameter, "messages"),
            (#"{"model":"m","messages":[],"stream":"yes"}"#, .invalidRequest, "stream"),
            (#"{"model":"m","messages":[],"max_tokens":0}"#, .invalidRequest, "max_tokens"),
            (#"{"model":"m","messages":[],"max_tokens":1.5}"#, .invalidRequest, "max_tokens"),
            (#"{"model":"m","messages":[],"max_completion_tokens":-1}"#, .invalidRequest, "max_completion_tokens"),
            (#"{"model":"m","messages":[],"n":0}"#, .invalidRequest, "n"),
            (#"{"model":"m","messages":[],"stream_options":1}"#, .invalidRequest, "stream_options"),
            (#"{"model":"m","messages":[],"stream_options":{"include_usage":1}}"#, .invalidRequest, "stream_options.include_usage"),
            (#"{"model":"m","messages":[],"logprobs":5}"#, .invalidRequest, "logprobs"),
            (#"{"model":"m","messages":[],"top_logprobs":21}"#, .invalidRequest, "top_logprobs"),
            (#"{"model":"m","messages":[],"top_logprobs":-1}"#, .invalidRequest, "top_logprobs"),
            (#"{"model":"m","model":"n","messages":[]}"#, .invalidRequest, "model"),
        ] as [(String, ErrorCode, String)])
    func `a bad member is refused by name, with the codes of all services`(text: String, code: ErrorCode, param: String) throws {
        let refusal = try #require(#expect(throws: RequestRefusal.self) { try Self.request(text) })
        let problem = Problem(refusal)
        #expect((problem.code, problem.param) == (code, param))
        #expect(problem.message.contains(param) && problem.message.hasSuffix("."))
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
        let refusal = #expect(throws: RequestRefusal.self) { try Self.request(text) }
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
        let refusal = #expect(throws: RequestRefusal.self) { try Self.request(text) }
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
        let refusal = #expect(throws: RequestRefusal.self) {
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
        let refusal = #expect(throws: RequestRefusal.self) { try Self.request(body) }
        guard case .json(let error) = refusal else {
            Issue.record("refused as \(String(describing: refusal))")
            return
        }
        #expect("\(error)".contains(rule))
    }

    @Test func `eighty thousand messages are read`() throws {
        let messages = Array(repeating: #"{"role":"user","content":"x"}"#, count: 80_000).joined(separator: ",")
        #expect(try Self.request(#"{"model":"m","messages":[\#(messages)]}"#).prompt.messages == 80_000)
    }

    @Test(arguments: ["", "[]", "{", "\u{0}"])
    func `a body that is no JSON object is refused`(text: String) throws {
        let refusal = try #require(#expect(throws: RequestRefusal.self) { try Self.request(text) })
        #expect(Problem(refusal).code == .invalidJSON)
    }
}
