import Contracts
import HTTP
import Testing

@testable import LLMProxy

struct MessagePromptReaderTests {
    static func request(_ members: String) throws(RequestRefusal) -> CallRequest {
        try CreateMessage().read(Array(#"{"model":"m","max_tokens":10,\#(members)}"#.utf8))
    }

    private func refusal(_ members: String) throws -> Problem {
        Problem(try #require(#expect(throws: RequestRefusal.self) { try Self.request(members) }))
    }

    @Test func `pictures count as pictures, wherever they stand, and their bytes do not count`() throws {
        let data = String(repeating: "A", count: 100_000)
        let picture = #"{"type":"image","source":{"type":"base64","media_type":"image/png","data":"\#(data)"}}"#
        let request = try Self.request(
            #"""
            "system":[{"type":"text","text":"Be short."}],"messages":[{"role":"user","content":[\#(picture),{"type":"text","text":"Hi"},
             {"type":"tool_result","tool_use_id":"t","content":[{"type":"text","text":"x"},\#(picture)]},
             {"type":"document","source":{"type":"content","content":[{"type":"image","source":{"type":"url","url":"https://h/\#(data)"}}]}}]},
             {"role":"assistant","content":"Yes."}]
            """#)
        #expect((request.prompt.pictures, request.prompt.messages) == (3, 2))
        #expect(request.modelRequest.pictures == 3)
        #expect(request.prompt.textBytes < 700)
    }

    @Test(
        arguments: [
            (#""system":[{"type":"text","text":"x","cache_control":{"type":"ephemeral"}}],"messages":[]"#, .cacheWrite),
            (#""tools":[{"name":"f","cache_control":{"type":"ephemeral","ttl":"5m"}}],"messages":[]"#, .cacheWrite),
            (#""cache_control":{"type":"ephemeral"},"messages":[]"#, .cacheWrite),
            (
                #""messages":[{"content":[{"type":"text","cache_control":{"ttl":"1h"}},{"type":"text","cache_control":{"ttl":"5m"}}]}]"#,
                .cacheWrite1h
            ),
            (#""messages":[{"content":[{"type":"tool_result","content":[{"type":"text","cache_control":{"ttl":"1h"}}]}]}]"#, .cacheWrite1h),
            (#""messages":[{"content":[{"type":"tool_use","input":{"cache_control":{}}}]}]"#, nil),
            (#""messages":[{"content":[{"type":"text","cache_control":null}]}]"#, nil), (#""messages":[]"#, nil),
        ] as [(String, UsageUnit?)])
    func `the dearest write to a cache is known`(members: String, unit: UsageUnit?) throws {
        #expect(try Self.request(members).modelRequest.cacheWrite == unit)
    }

    @Test(
        arguments: [
            (#"{"type":"image","source":{"type":"file","file_id":"f"}}"#, "messages[0].content[0].source.type"),
            (#"{"type":"image"}"#, "messages[0].content[0].source"),
            (#"{"type":"image","source":{"type":"url"},"transformations":{}}"#, "messages[0].content[0].transformations"),
            (#"{"type":"document","source":{"type":"base64","media_type":"application/pdf"}}"#, "messages[0].content[0].source.type"),
            (#"{"type":"document","source":{"type":"url","url":"u"}}"#, "messages[0].content[0].source.type"),
            (#"{"type":"container_upload","file_id":"f"}"#, "messages[0].content[0].type"),
            (#"{"type":"server_tool_use"}"#, "messages[0].content[0].type"), (#"{"text":"x"}"#, "messages[0].content[0].type"),
            (#"{"type":"text","Type":"image"}"#, "messages[0].content[0].Type"),
            (#"{"type":"text","type":"image"}"#, "messages[0].content[0].type"),
            (#"{"type":"image","source":{"type":"base64","t\u0079pe":"file"}}"#, "messages[0].content[0].source.type"),
            (#"{"type":"text","Cache_Control":{}}"#, "messages[0].content[0].Cache_Control"),
            (#"{"type":"text","cache_control":{"ttl":"1d"}}"#, "messages[0].content[0].cache_control.ttl"),
            (#"{"type":"text","cache_control":7}"#, "messages[0].content[0].cache_control"),
            (
                #"{"type":"tool_result","content":[{"type":"document","source":{"type":"file"}}]}"#,
                "messages[0].content[0].content[0].source.type"
            ),
            (#"{"type":"tool_result","content":7}"#, "messages[0].content[0].content"), (#""text""#, "messages[0].content[0]"),
        ] as [(String, String)])
    func `content without a price is refused by its place`(block: String, param: String) throws {
        let problem = try refusal(#""messages":[{"role":"user","content":[\#(block)]}]"#)
        #expect(problem.param == param)
        #expect(problem.message.hasPrefix(param) && problem.message.hasSuffix("."))
    }

    @Test(
        arguments: [
            (#""messages":[7]"#, "messages[0]"), (#""messages":[{"content":7}]"#, "messages[0].content"),
            (#""messages":[{"content":"a","content":"b"}]"#, "messages[0].content"),
            (#""messages":[{"Role":"user","content":"a"}]"#, "messages[0].Role"), (#""system":{},"messages":[]"#, "system"),
            (#""system":[{"type":"image","source":{"type":"file"}}],"messages":[]"#, "system[0].source.type"),
            (#""tools":[7],"messages":[]"#, "tools[0]"),
        ] as [(String, String)])
    func `a request of another form is refused by its place`(members: String, param: String) throws {
        #expect(try refusal(members).param == param)
    }
}
