import Contracts
import HTTP
import JSON
import TestSupport
import Testing
import Values

@testable import LLMProxy

struct ResponsesTests {
    static func request(_ members: String) throws(RequestRefusal) -> CallRequest {
        try Responses().read(Array(#"{"model":"m",\#(members)}"#.utf8))
    }

    static func refusal(_ members: String) -> Problem? {
        do throws(RequestRefusal) {
            let request = try request(members)
            return OpenAIResponses().flaw(in: request.modelRequest).map { Problem(.init($0)) }
        } catch {
            return Problem(error)
        }
    }

    @Test func `the members that the gateway needs are read`() throws {
        let request = try Self.request(#""input":"text","stream":true,"max_output_tokens":16,"top_logprobs":3,"instructions":"x""#)
        #expect((request.modelRequest.model, request.modelRequest.isStreaming, request.modelRequest.choices) == ("m", true, 1))
        #expect((request.outputTokensMax, request.limitLeast, request.logprobs) == (16, 16, 4))
        #expect(try Self.request(#""input":"text","include":["message.output_text.logprobs"]"#).logprobs == 1)
        #expect(try Self.request(#""input":"text","include":["reasoning.encrypted_content"]"#).logprobs == 0)
    }

    @Test(
        arguments: [
            (#""n":1"#, .missingParameter, "input"), (#""input":null"#, .missingParameter, "input"),
            (#""input":{}"#, .invalidRequest, "input"), (#""input":7"#, .invalidRequest, "input"),
            (#""input":"x","stream":1"#, .invalidRequest, "stream"),
            (#""input":"x","max_output_tokens":15"#, .invalidRequest, "max_output_tokens"),
            (#""input":"x","max_output_tokens":16.5"#, .invalidRequest, "max_output_tokens"),
            (#""input":"x","top_logprobs":21"#, .invalidRequest, "top_logprobs"),
            (#""input":"x","include":"y""#, .invalidRequest, "include"),
            (#""input":"x","Stream":true"#, .invalidRequest, "Stream"),
            (#""input":"x","Max_Output_Tokens":99"#, .invalidRequest, "Max_Output_Tokens"),
            (#""input":"x","STORE":true"#, .invalidRequest, "STORE"), (#""input":"x","Prompt":{}"#, .invalidRequest, "Prompt"),
            (#""input":"x","store":true"#, .invalidRequest, "store"), (#""input":"x","background":true"#, .invalidRequest, "background"),
            (#""input":"x","previous_response_id":"resp_1""#, .invalidRequest, "previous_response_id"),
            (#""input":"x","conversation":"conv_1""#, .invalidRequest, "conversation"),
            (#""input":"x","prompt":{"id":"p"}"#, .invalidRequest, "prompt"),
            (#""input":"x","service_tier":"auto""#, .invalidRequest, "service_tier"),
            (#""input":"x","context_management":[{"type":"compaction"}]"#, .invalidRequest, "context_management"),
            (#""input":"x","prompt_cache_options":{"prewarm":true}"#, .invalidRequest, "prompt_cache_options"),
            (#""input":"x","prompt_cache_options":{"ttl":"12h"}"#, .invalidRequest, "prompt_cache_options"),
            (#""input":"x","tools":[{"type":"function"},{"type":"web_search"}]"#, .invalidRequest, "tools[1].type"),
            (#""input":"x","max_tokens":99"#, .invalidRequest, "max_tokens"),
            (#""input":"x","reasoning":{"mode":"pro"}"#, .invalidRequest, "reasoning.mode"),
            (#""input":"x","reasoning":{"mode":"standard","MODE":"pro"}"#, .invalidRequest, "reasoning.MODE"),
            (#""input":"x","reasoning":{"mode":7}"#, .invalidRequest, "reasoning.mode"),
            (#""input":"x","reasoning":{"mode":"standard","mode":"pro"}"#, .invalidRequest, "reasoning"),
            (#""input":"x","reasoning":"pro""#, .invalidRequest, "reasoning"),
            (#""input":"x","instructions":[{"type":"input_image","image_url":"u"}]"#, .invalidRequest, "instructions"),
            (#""input":"x","max_completion_tokens":99"#, .invalidRequest, "max_completion_tokens"),
            (#""input":"x","tools":[{"type":"namespace","tools":[]}]"#, .invalidRequest, "tools[0].type"),
        ] as [(String, ErrorCode, String)])
    func `a member that is wrong or changes the price is refused by name`(members: String, code: ErrorCode, param: String) throws {
        let problem = try #require(Self.refusal(members))
        #expect((problem.code, problem.param) == (code, param))
        #expect(problem.message.contains(param) && problem.message.hasSuffix("."))
    }

    @Test(arguments: [
        #""input":"x","store":false"#, #""input":"x","store":null,"previous_response_id":null"#, #""input":"x","service_tier":"default""#,
        #""input":"x","tools":[{"type":"function","name":"f","parameters":{}},{"type":"custom","name":"c"}],"tool_choice":"auto""#,
        #""input":"x","instructions":"y","reasoning":{"effort":"low","mode":"standard"},"text":{"format":{"type":"text"}},"truncation":"auto","metadata":{}"#,
        #""input":"x","prompt_cache_options":{"mode":"explicit","ttl":"30m"},"prompt_cache_key":"k""#, #""input":[]"#,
        #""input":[{"role":"user","content":"x"},{"type":"message","role":"assistant","id":"msg_1","content":[{"type":"output_text","text":"y"}]}]"#,
        #""input":[{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":"1"}]"#,
        #""input":[{"type":"function_call_output","call_id":"c","output":[{"type":"input_text","text":"1"}]}]"#,
        #""input":[{"type":"custom_tool_call","name":"f","input":"x"},{"type":"custom_tool_call_output","output":"1"}]"#,
        #""input":[{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"x"}],"encrypted_content":"abc"}]"#,
        #""input":[{"type":"reasoning","id":"rs_1","summary":[],"content":[{"type":"reasoning_text","text":"x"}]}]"#,
        #""input":[{"role":"user","content":[{"type":"input_text","text":"x","prompt_cache_breakpoint":{"mode":"explicit"}}]}]"#,
    ])
    func `a member that leaves the price alone passes`(members: String) { #expect(Self.refusal(members)?.message == nil) }

    @Test(arguments: [
        (#"7"#, "input[0]"), (#"{"type":"item_reference","id":"msg_1"}"#, "input[0].type"), (#"{"id":"msg_1"}"#, "input[0].type"),
        (#"{"type":"web_search_call"}"#, "input[0].type"), (#"{"type":"compaction","encrypted_content":"x"}"#, "input[0].type"),
        (#"{"type":7,"role":"user"}"#, "input[0].type"), (#"{"type":"image_generation_call","id":"ig_1"}"#, "input[0].type"),
        (#"{"type":"reasoning","id":"rs_1","summary":[]}"#, "input[0].encrypted_content"),
        (#"{"type":"reasoning","content":[{"type":"input_file"}]}"#, "input[0].content[0].type"),
        (#"{"role":"user","content":{}}"#, "input[0].content"), (#"{"role":"user","content":[7]}"#, "input[0].content[0]"),
        (#"{"role":"user","content":[{"type":"input_text"},{"type":"input_file","file_data":"x"}]}"#, "input[0].content[1].type"),
        (#"{"role":"user","content":[{"type":"input_audio"}]}"#, "input[0].content[0].type"),
        (#"{"role":"user","content":[{"text":"x"}]}"#, "input[0].content[0].type"),
        (#"{"role":"user","content":[{"type":"input_image","file_id":"file_1"}]}"#, "input[0].content[0].file_id"),
        (#"{"role":"user","content":[{"type":"input_image","image_url":"u","detail":"original"}]}"#, "input[0].content[0].detail"),
        (
            #"{"role":"user","content":[{"type":"input_text","prompt_cache_breakpoint":{"ttl":"12h"}}]}"#,
            "input[0].content[0].prompt_cache_breakpoint"
        ),
        (#"{"type":"function_call_output","output":[{"type":"input_file"}]}"#, "input[0].output[0].type"),
        (#"{"role":"user","content":"x","content":[{"type":"input_image"}]}"#, "input[0].content"),
        (#"{"role":"user","content":[{"type":"input_text","type":"input_file"}]}"#, "input[0].content[0].type"),
        (#"{"role":"user","Content":[]}"#, "input[0].Content"),
        (#"{"role":"user","content":[{"Type":"input_file"}]}"#, "input[0].content[0].Type"),
        (#"{"role":"user","content":[{"type":"input_text","Image_URL":"u"}]}"#, "input[0].content[0].Image_URL"),
        (#"{"role":"user","content":"x","cache_control":{}}"#, "input[0].cache_control"),
    ])
    func `an item without a price is refused by its place`(item: String, param: String) throws {
        let problem = try #require(Self.refusal(#""input":[\#(item)]"#))
        #expect((problem.code, problem.param) == (.invalidRequest, param))
        #expect(problem.message.contains(param) && problem.message.hasSuffix("."))
    }

    @Test(arguments: [
        #"{"type":"input_image","image_url":"data:image/png;base64,AAAA"}"#,
        #"{"type":"input_text","image_url":"data:image/png;base64,AAAA"}"#,
        #"{"type":"input\u005fimage","image\u005furl":"data:image/png;base64,AAAA"}"#,
    ])
    func `a picture counts as a picture, and its bytes do not count`(part: String) throws {
        let long = part.replacing("AAAA", with: String(repeating: "A", count: 1_000_000))
        for input in [#"{"role":"user","content":[\#(long)]}"#, #"{"type":"function_call_output","output":[\#(long)]}"#] {
            let prompt = try Self.request(#""input":[\#(input)]"#).prompt
            #expect((prompt.pictures, prompt.messages) == (1, 1))
            #expect(prompt.textBytes < 200)
        }
    }

    @Test func `an error in a stream has the number after the last event, and what packages raise errors for`() throws {
        let text = String(decoding: Responses().event(of: .creditsHeld, after: 41), as: UTF8.self)
        #expect(text.hasPrefix("event: error\ndata: {") && text.hasSuffix("\n\n"))
        let event = try JSONObject(Array(text.dropFirst("event: error\ndata: ".count).utf8))
        #expect(try event.string("type") == "error")
        #expect(try event.string("code") == "credits_held")
        #expect(try event.string("message") == Problem.creditsHeld.message)
        #expect(event.member("param")?.kind == .null)
        #expect(try event.integer("sequence_number") == 42)
        #expect(try event.object("error").string("code") == "credits_held")
    }

    @Test(arguments: ["completed", "incomplete"])
    func `the last event gets the credits, and keeps its name and its other bytes`(status: String) throws {
        let receipt = CallReceipt(
            used: Credits(nano: 1), remaining: Credits(whole: 9), usage: Usage(promptTokens: 1, completionTokens: 2), maxTokensClamped: 64)
        for usage in [#"{"input_tokens":1,"output_tokens":2}"#, "null"] {
            let data = #"{"type":"response.\#(status)","response":{"id":"r","x":1.0,"usage":\#(usage)},"sequence_number":7}"#
            let text = String(decoding: Responses().end(Array(data.utf8), receipt, includeUsage: true, model: "m"), as: UTF8.self)
            #expect(text.hasPrefix("event: response.\(status)\ndata: "))
            #expect(text.contains(#""x":1.0"#))
            let event = try JSONObject(Array(text.dropFirst("event: response.\(status)\ndata: ".count).utf8))
            let shown = try event.object("response").object("usage")
            #expect(try shown.integer("output_tokens") == 2)
            #expect(try shown.decimalText("credits_used") == "0.000000001")
            #expect(try shown.integer("max_tokens_clamped") == 64)
        }
    }
}
