import Contracts
import HTTP
import JSON
import TestSupport
import Testing
import Values

@testable import LLMProxy

struct TextCompletionsTests {
    private func request(_ members: String) throws(RequestRefusal) -> CallRequest {
        try TextCompletions().read(Array(#"{"model":"m",\#(members)}"#.utf8))
    }

    private func refusal(_ members: String) -> Problem? {
        do throws(RequestRefusal) {
            let request = try request(members)
            return OpenAICompletions().flaw(in: request.modelRequest).map { Problem(.init($0)) }
        } catch {
            return Problem(error)
        }
    }

    @Test(
        arguments: [
            (#""prompt":"x""#, 1, 0), (#""prompt":["x","y"],"n":3"#, 6, 0), (#""prompt":[1,2,3]"#, 1, 3),
            (#""prompt":[[1],[2,3]],"n":2"#, 4, 3),
        ] as [(String, Int64, Int64)])
    func `each text of the prompt gets its answers`(members: String, choices: Int64, tokens: Int64) throws {
        let request = try request(members)
        #expect((request.modelRequest.choices, request.prompt.tokens) == (choices, tokens))
        #expect((request.outputTokensMax, request.logprobs) == (nil, 0))
    }

    @Test func `the members that the gateway needs are read`() throws {
        let request = try request(#""prompt":"x","stream":true,"stream_options":{"include_usage":true},"max_tokens":7,"logprobs":5"#)
        #expect(request.modelRequest.isStreaming && request.modelRequest.includeUsage)
        #expect((request.outputTokensMax, request.logprobs) == (7, 6))
    }

    @Test(
        arguments: [
            (#""n":1"#, .missingParameter, "prompt"), (#""prompt":null"#, .missingParameter, "prompt"),
            (#""prompt":{}"#, .invalidRequest, "prompt"),
            (#""prompt":[]"#, .invalidRequest, "prompt"), (#""prompt":["x",1]"#, .invalidRequest, "prompt"),
            (#""prompt":["x","y"],"n":65"#, .invalidRequest, "prompt"), (#""prompt":"x","n":129"#, .invalidRequest, "n"),
            (#""prompt":"x","max_tokens":0"#, .invalidRequest, "max_tokens"), (#""prompt":"x","logprobs":6"#, .invalidRequest, "logprobs"),
            (#""prompt":"x","logprobs":true"#, .invalidRequest, "logprobs"), (#""prompt":"x","stream":1"#, .invalidRequest, "stream"),
            (#""prompt":"x","best_of":2"#, .invalidRequest, "best_of"), (#""prompt":"x","echo":true"#, .invalidRequest, "echo"),
            (#""prompt":"x","prompt_embeds":"AA=="#, .invalidJSON, nil),
            (#""prompt":"x","prompt_embeds":"AA==""#, .invalidRequest, "prompt_embeds"),
            (#""prompt":"x","max_completion_tokens":9"#, .invalidRequest, "max_completion_tokens"),
            (#""prompt":"x","Prompt":"y""#, .invalidRequest, "Prompt"), (#""prompt":"x","Echo":true"#, .invalidRequest, "Echo"),
            (#""prompt":"x","stream_options":{"Include_Usage":true}"#, .invalidRequest, "stream_options.Include_Usage"),
        ] as [(String, ErrorCode, String?)])
    func `a member that is wrong or changes the price is refused by name`(members: String, code: ErrorCode, param: String?) throws {
        let problem = try #require(refusal(members))
        #expect((problem.code, problem.param) == (code, param))
        #expect(problem.message.contains(param ?? "JSON") && problem.message.hasSuffix("."))
    }

    @Test(arguments: [
        #""prompt":"x","echo":false,"best_of":null"#, #""prompt":"x","suffix":"y","temperature":0,"stop":["z"],"seed":1"#,
        #""prompt":"x","logit_bias":{"50256":-100},"presence_penalty":1,"user":"u""#,
    ])
    func `a member that leaves the price alone passes`(members: String) { #expect(refusal(members) == nil) }

    // MARK: The provider's request

    private func body(_ members: String, limit: Int64?) throws -> [UInt8] {
        OpenAICompletions().body(
            of: try request(members).modelRequest, for: CallBoundTests.model(),
            limit: .init(tokens: limit ?? 4_000, isSent: limit != nil, isClamped: false))
    }

    @Test(arguments: [(#""prompt":"\u0061" , "temperature":0.70"#, nil), (#""prompt":[ 1 ],"max_tokens": 9"#, 9)] as [(String, Int64?)])
    func `a request that needs no change is sent as it came`(members: String, limit: Int64?) throws {
        #expect(try body(members, limit: limit) == Array(#"{"model":"m",\#(members)}"#.utf8))
    }

    @Test func `the limit is written, and usage of a stream is asked for`() throws {
        let sent = try JSONObject(try body(#""prompt":"x","stream":true,"max_tokens":99,"stream_options":{"x":1}"#, limit: 64))
        #expect(try sent.integer("max_tokens") == 64)
        #expect(try sent.object("stream_options").bool("include_usage"))
        #expect(try sent.object("stream_options").integer("x") == 1)
    }

    @Test(arguments: ["", "[]", #"{"choices":{}}"#, #"{"error":"sk-secret"}"#, #"{"choices":[{"text":"x","finish_reason":"error"}]}"#])
    func `a body that is no text completion is a provider error without its text`(body: String) {
        let failure = #expect(throws: ProviderFailure.self) {
            try OpenAICompletions().answer(Array(body.utf8), AnswerContext(model: "m", choices: 1, includeUsage: false, createdAt: 0))
        }
        #expect(failure?.kind == .wrongAnswer("with something else than a text completion"))
    }
}
