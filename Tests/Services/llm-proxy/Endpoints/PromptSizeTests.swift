import JSON
import Testing

@testable import LLMProxy

struct PromptSizeTests {
    static func size(_ messages: String, more: String = "") throws -> PromptSize {
        try ChatCompletions().read(Array(#"{"model":"m","messages":\#(messages)\#(more)}"#.utf8)).prompt
    }

    static func limits(context: Int64 = 1_000_000, picture: Int64? = 1_445) -> ModelLimits {
        ModelLimits(
            contextTokens: context, maxOutputTokens: 1_000, defaultOutputTokens: 100, outputTokensLeast: 64, imageTokensMax: picture,
            reasoning: .none, outputLimitMember: .maxTokens)
    }

    @Test func `a prompt's bound counts a byte as a token and sixteen a message, its least half of that, its likely size a quarter`() throws
    {
        let text = String(repeating: "word", count: 1_000)
        let size = try Self.size(#"[{"role":"user","content":"\#(text)"},{"role":"user","content":null}]"#)
        #expect((4_000..<4_200).contains(size.textBytes))
        #expect((size.messages, size.pictures) == (2, 0))
        #expect(size.tokensMax(Self.limits()) == size.textBytes + 32)
        #expect(size.tokensLeast(Self.limits()) == (size.textBytes + 33) / 2)
        #expect(size.estimatedTokens(Self.limits()) == size.textBytes / 4)
    }

    @Test func `thirty thousand Thai letters in escapes count as ninety thousand bytes`() throws {
        let size = try Self.size(#"[{"role":"user","content":"\#(String(repeating: #"\u0e01"#, count: 30_000))"}]"#)
        #expect((90_000..<90_200).contains(size.textBytes))
    }

    @Test func `text is bounded by the context, pictures are not`() throws {
        let text = String(repeating: "x", count: 5_000)
        let size = try Self.size(
            #"[{"role":"user","content":[{"type":"text","text":"\#(text)"},{"type":"image_url","image_url":{"url":"u"}}]}]"#)
        let limits = Self.limits(context: 1_000, picture: 85)
        #expect(size.tokensMax(limits) == 1_085)
        #expect(size.tokensLeast(limits) == 1_085)
        #expect(size.estimatedTokens(limits) == 1_085)
    }

    @Test(arguments: [
        #""image_url":{"url":"https://host/x.png"}"#, #""image_url" : {"url" : "data:image/png;base64,AAAA"}"#, #""image_url":"https://h""#,
        #""image\u005furl":{"url":"https://host/x.png"}"#,
    ])
    func `a picture counts as a picture however it is written, and its bytes do not count`(member: String) throws {
        let long = member.replacing("AAAA", with: String(repeating: "A", count: 1_000_000))
        let size = try Self.size(#"[{"role":"user","content":[{"type":"image_url",\#(long)}]}]"#)
        #expect(size.pictures == 1)
        #expect(size.textBytes < 150)
    }

    @Test func `a repeated member is read twice`() throws {
        let picture = #"[{"type":"image_url","image_url":{"url":"u"}}]"#
        #expect(try Self.size(#"[{"content":\#(picture),"content":"x"}]"#).pictures == 1)
        #expect(try Self.size(#"[{"content":"x","cont\u0065nt":\#(picture)}]"#).pictures == 1)
        #expect(try Self.size(#"[{"content":[{"type":"image\u005furl","type":"text"}]}]"#).pictures == 1)
    }

    @Test(arguments: [#""text""#, #""refusal""#, #""t\u0065xt""#, #""\u0072efusal""#, #""image\u005Furl""#])
    func `a type may be written with escapes`(type: String) throws {
        #expect(try Self.size(#"[{"content":[{"type":\#(type)}]}]"#).pictures == (type.contains("image") ? 1 : 0))
    }

    @Test(arguments: [#""texts""#, #""tex""#, #""""#, #""\u0174ext""#, #""\text""#, #""text\u0000""#, "{}", "null", #"["text"]"#])
    func `a type that only resembles a known one is refused`(type: String) {
        #expect(throws: RequestRefusal.self) { try Self.size(#"[{"content":[{"type":\#(type)}]}]"#) }
    }

    @Test func `a part of another type that carries a picture is a picture too`() throws {
        let size = try Self.size(#"[{"role":"user","content":[{"type":"text","text":"","image_url":{"url":"u"}}]}]"#)
        #expect(size.pictures == 1)
    }

    @Test func `text that looks like a picture counts as text`() throws {
        let long = String(repeating: "A", count: 1_000_000)
        for content in [#""data:image/png;base64,\#(long)""#, #""\"image_url\":{\"url\":\"data:image/png;\#(long)""#] {
            let size = try Self.size(#"[{"role":"user","content":\#(content)}]"#)
            #expect(size.pictures == 0)
            #expect(size.textBytes > 1_000_000)
        }
    }

    @Test func `tools and schemas count`() throws {
        let schema = String(repeating: #"{"type":"object"},"#, count: 1_000)
        #expect(try Self.size("[]", more: #","tools":[\#(schema.dropLast())]"#).textBytes > 17_000)
    }

    @Test(arguments: [
        (#"[{"content":[{"type":"input_audio","input_audio":{}}]}]"#, "messages[0].content[0].type"),
        (#"[{},{"content":[{"type":"text"},{"type":"file","file":{}}]}]"#, "messages[1].content[1].type"),
        (#"[{"content":[{"text":"no type"}]}]"#, "messages[0].content[0].type"),
        (#"[{"content":[{"type":"video_url"}]}]"#, "messages[0].content[0].type"), (#"[{"content":[7]}]"#, "messages[0].content[0]"),
        (#"[{"content":{"type":"image_url"}}]"#, "messages[0].content"), (#"[{"audio":{"id":"a"}}]"#, "messages[0].audio"),
        (#"[{"content":"x","cache_control":{"type":"ephemeral"}}]"#, "messages[0].cache_control"),
        (#"[{"content":"x","\u0063ache_Control":{}}]"#, "messages[0].cache_control"),
        (#"[{},{"content":[{"type":"text","text":"x","cache_control":{}}]}]"#, "messages[1].content[0].cache_control"),
        (#"["text"]"#, "messages[0]"), (#"[{"content":[{"type":"text","type":"file"}]}]"#, "messages[0].content[0].type"),
    ])
    func `content without a price is refused by name`(messages: String, param: String) {
        let refusal = #expect(throws: RequestRefusal.self) { try Self.size(messages) }
        guard case .invalid(param, _) = refusal else {
            Issue.record("refused as \(String(describing: refusal))")
            return
        }
    }
}
