import Contracts
import JSON
import Testing
import Values

@testable import LLMProxy

struct ResponseUsageTests {
    @Test func `an answer's usage gets the credits, exactly, and nothing else changes`() throws {
        let answer = #"{"id":"x","usage":{"prompt_tokens":1,"completion_tokens":2},"extra":1.0}"#
        let receipt = CallReceipt(
            used: Credits(nano: 1), remaining: Credits(whole: 9), usage: Usage(promptTokens: 1, completionTokens: 2),
            maxTokensClamped: 64)
        let added = ResponseUsage.adding(receipt, to: try JSONObject(Array(answer.utf8)))
        let usage = try JSONObject(added).object("usage")
        #expect(try usage.decimalText("credits_used") == "0.000000001")
        #expect(try usage.decimalText("credits_remaining") == "9")
        #expect(try usage.integer("completion_tokens") == 2)
        #expect(try usage.integer("max_tokens_clamped") == 64)
        #expect(String(decoding: added, as: UTF8.self).contains(#""extra":1.0"#))
    }

    @Test func `a stream without usage gets a last chunk of the gateway`() throws {
        let receipt = CallReceipt(
            used: Credits(nano: 5), remaining: .zero, usage: Usage(promptTokens: 1, completionTokens: 2), maxTokensClamped: nil)
        let chunk = try JSONObject(ResponseUsage.chunk(receipt, object: "text_completion", model: "m"))
        #expect(try (chunk.string("object"), chunk.string("model")) == ("text_completion", "m"))
        #expect(try chunk.array("choices").isEmpty)
        #expect(try chunk.object("usage").integer("total_tokens") == 3)
        #expect(try chunk.object("usage").decimalText("credits_used") == "0.000000005")
    }
}
