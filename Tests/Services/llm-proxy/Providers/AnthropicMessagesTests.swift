import Contracts
import HTTPWire
import JSON
import Testing
import Values

@testable import LLMProxy

struct AnthropicMessagesTests {
    private static let format = AnthropicMessages()

    private func request(_ members: String, limit: Int = 1_000, betas: String? = nil) throws -> ModelRequest {
        var request = try CreateMessage().read(
            Array(#"{"model":"claude", "messages":[{"role":"user","content":"Hi"}],"max_tokens":\#(limit)\#(members)}"#.utf8)
        ).modelRequest
        if let betas { request.headers.add("anthropic-beta", betas) }
        return request
    }

    private func body(_ members: String, limit: Int64, asked: Int = 1_000) throws -> String {
        var model = CallBoundTests.model()
        model.providerModel = "claude-sonnet-4-5"
        return String(
            decoding: Self.format.body(
                of: try request(members, limit: asked), for: model, limit: .init(tokens: limit, isSent: true, isClamped: false)),
            as: UTF8.self)
    }

    @Test func `a request keeps its bytes but for the model, the limit and the tier`() throws {
        #expect(
            try body(#","top_p":0.90,"service_tier":"standard_only""#, limit: 1_000)
                == #"{"model":"claude-sonnet-4-5", "messages":[{"role":"user","content":"Hi"}],"max_tokens":1000,"top_p":0.90,"service_tier":"standard_only"}"#
        )
        let clamped = try JSONObject(Array(try body("", limit: 300).utf8))
        #expect((try clamped.integer("max_tokens"), try clamped.string("service_tier")) == (300, "standard_only"))
    }

    @Test(
        arguments: [
            (4_000, 8_000, 8_000, 4_000), (4_000, 8_000, 4_000, 2_000), (1_500, 8_000, 2_048, 1_024), (7_999, 8_000, 7_000, 6_999),
            // An invalid budget is the provider's to refuse.
            (9_000, 8_000, 8_000, 9_000), (512, 8_000, 2_048, 512),
        ] as [(Int, Int, Int64, Int64)])
    func `a budget of thoughts keeps its share of a lower limit`(budget: Int, asked: Int, limit: Int64, sent: Int64) throws {
        let body = try JSONObject(
            Array(try body(#","thinking":{"type":"enabled","budget_tokens":\#(budget)}"#, limit: limit, asked: asked).utf8))
        #expect(try body.object("thinking").integer("budget_tokens") == sent)
    }

    @Test(arguments: [
        #","tools":[{"name":"f","input_schema":{}},{"type":"custom","name":"g"},{"type":"bash_20250124"},{"type":"text_editor_20250728"}]"#,
        #","thinking":{"type":"disabled"},"diagnostics":{},"output_config":{"effort":"low"},"speed":"standard","inference_geo":null"#,
        #","context_management":{"edits":[{"type":"clear_tool_uses_20250919"},{"type":"clear_thinking_20251015"}]}"#, #","container":null"#,
    ])
    func `members that cost nothing pass`(members: String) throws {
        #expect(Self.format.flaw(in: try request(members)) == nil)
    }

    @Test func `the gateway knows the tokens that the provider adds for tools and a format`() throws {
        #expect(Self.format.addedPromptTokens(to: try request("")) == 0)
        #expect(Self.format.addedPromptTokens(to: try request(#","tools":[{"name":"f"},{"name":"g"}]"#)) == 1_024)
        #expect(Self.format.addedPromptTokens(to: try request(#","tools":[{"type":"bash_20250124"}]"#)) == 2_048)
        #expect(Self.format.addedPromptTokens(to: try request(#","output_config":{"format":{}}"#)) == 1_024)
    }

    @Test func `a cache for an hour that is cheaper than one for minutes has no price`() throws {
        var model = CallBoundTests.model()
        let hour = try request(#","cache_control":{"type":"ephemeral","ttl":"1h"}"#)
        #expect(Self.format.promptUnit(of: hour) == .cacheWrite1h)
        for (price, isServed) in [(20, true), (12, false)] as [(Int64, Bool)] {
            model.price.units = [
                .input: PicoUSD(value: 10), .cacheWrite: PicoUSD(value: 13), .cacheWrite1h: PicoUSD(value: price),
                .output: PicoUSD(value: 50),
            ]
            #expect((Self.format.flaw(in: hour, for: model) == nil) == isServed)
        }
        // A step for long prompts without a price of the cache.
        model.price.conditional = [
            ConditionalPrices(aboveInputTokens: 200_000, units: [.input: PicoUSD(value: 20), .output: PicoUSD(value: 70)])
        ]
        #expect(Self.format.flaw(in: try request(#","cache_control":{"type":"ephemeral"}"#), for: model)?.param == "cache_control")
    }

    @Test func `a long context is asked for only where it has a price`() throws {
        var model = CallBoundTests.model(context: 1_000_000)
        let request = try request("", betas: "context-1m-2025-08-07,interleaved-thinking-2025-05-14, future-2030-01-01")
        #expect(Self.format.headers(of: request, for: model).string(for: "anthropic-beta") == "interleaved-thinking-2025-05-14")
        model.price.conditional = [ConditionalPrices(aboveInputTokens: 200_000, units: [.input: PicoUSD(value: 1)])]
        #expect(
            Self.format.headers(of: request, for: model).string(for: "anthropic-beta")
                == "context-1m-2025-08-07,interleaved-thinking-2025-05-14")
        #expect(Self.format.headers(of: try self.request(""), for: model).isEmpty)
    }

    @Test func `a tool that the provider ran is a unit without a price`() throws {
        let answer = try Self.format.answer(
            Array(
                #"{"type":"message","content":[{"type":"text","text":"x"}],"usage":{"input_tokens":1,"output_tokens":2,"server_tool_use":{"web_search_requests":3}}}"#
                    .utf8), ChatOverMessagesTests.context)
        #expect(answer.reported?.metered == [.input: 1, .output: 2, MeteredUnit(.request): 3])
    }
}
