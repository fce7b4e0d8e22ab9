import Bootstrap
import Contracts
import TestSupport
import Testing
import Values

@testable import LLMProxy

struct ModelListTests {
    @Test func `pictures are sold by quality and size or by tokens, and speech by characters`() throws {
        func prices(_ members: String, _ mode: String) throws -> [String: String] {
            let terms = try #require(try Self.list(#""prices":{\#(members)}"#, mode: mode).models[0].terms)
            return Dictionary(uniqueKeysWithValues: terms.prices.map { ("\($0.unit.rawValue):\($0.tier.rawValue)", $0.price.description) })
        }
        #expect(
            try prices(#""image_usd":{"standard 1024x1024":"0.04","hd 1024x1024":"0.08","hd 1024x1792":"0.12"}"#, "image_generation") == [
                "image:standard": "0.040000000000", "image:1024x1024": "0.040000000000", "image:hd": "0.080000000000",
                "image:hd_1024x1024": "0.080000000000", "image:hd_1024x1792": "0.120000000000",
            ])
        #expect(
            try prices(
                #""input_usd_per_million":"5","input_per_image_token_usd_per_million":"10","output_per_image_token_usd_per_million":"40""#,
                "image_generation") == [
                    "input:standard": "0.000005000000", "image_input:standard": "0.000010000000", "image_output:standard": "0.000040000000",
                ])
        #expect(try prices(#""minute_usd":"0.006""#, "audio_transcription") == ["audio_30s:standard": "0.003000000000"])
        #expect(try prices(#""character_usd_per_million":"15""#, "audio_speech") == ["character:standard": "0.000015000000"])
    }

    private static func list(_ members: String, mode: String = "chat") throws -> ModelList {
        try ModelList(
            Array(
                #"{"date":"2026-07-24","about":"","origins":{"here":"https://h"},"models":[{"id":"m","provider":"anthropic","mode":"\#(mode)",\#(members)}]}"#
                    .utf8))
    }

    private static func chat(_ prices: String, _ members: String = #""max_output_tokens":50,"two_sources_agree":true"#) throws -> ModelList
        .Terms?
    {
        try list(#""max_input_tokens":100,\#(members),"prices":{\#(prices)}"#).models[0].terms
    }

    private static let tokens = #""input_usd_per_million":"3","output_usd_per_million":"15""#

    @Test func `the list in the repository can be read, and few of its models have doubts`() throws {
        let bytes = try #require(Files.read(TestDatabase.packageRoot + "/Services/llm-proxy/models.json"))
        let list = try ModelList(bytes)
        #expect(list.date == "2026-07-24")
        #expect(list.models.count == 147)
        #expect(Set(list.models.map(\.id)).count == 147)
        let chats = list.models.compactMap(\.terms).filter { $0.surfaces.contains(.chat) }
        #expect(chats.count == 104)
        #expect(chats.filter(\.doubts.isEmpty).count == 86)
        #expect(list.models.filter { $0.terms?.surfaces == [.chat, .messages, .responses] }.allSatisfy { $0.provider == "openai" })
        #expect(list.models.filter { $0.mode == "responses" }.allSatisfy { $0.terms?.surfaces == [.responses] })
        #expect(list.models.count { $0.terms?.surfaces.contains(.responses) == true } == 89)
        let embeddings = list.models.filter { $0.terms?.surfaces == [.embeddings] }
        #expect(embeddings.map(\.id) == ["text-embedding-3-small", "text-embedding-3-large"])
        #expect(embeddings.map(\.terms?.limits.contextTokens) == [300_000, 300_000])
        #expect(embeddings.map(\.terms?.doubts) == [[.oneSource], [.oneSource]])
        for id in ["claude-3-haiku-20240307", "claude-3-opus-20240229"] {
            #expect(list.models.first { $0.id == id }?.terms?.doubts == [.cacheHourPrice])
        }
        #expect(list.models.first { $0.id == "gpt-5.6-luna" }?.terms?.doubts == [.sourcesDisagree])
        #expect(list.models.first { $0.id == "claude-mythos-5" }?.terms?.doubts == [.oneSource])
    }

    @Test func `a provider has the prices of the list at the address of the list only`() throws {
        func providers(_ name: String, _ address: String) throws -> Set<String> {
            let file = #"{"providers":[{"name":"\#(name)","base_url":"\#(address)","api_key_variable":"K","models":[]}]}"#
            return try Self.list(#""prices":{}"#).providers(in: ProvidersFile(Array(file.utf8), kinds: ["openai"], variables: { _ in nil }))
        }
        #expect(try providers("here", "https://H/v1") == ["here"])
        #expect(try providers("here", "https://h:444/v1").isEmpty)
        #expect(try providers("there", "https://h/v1").isEmpty)
    }

    @Test func `a price has its unit, its tier and its step`() throws {
        let chat = try #require(
            try Self.chat(
                #"\#(Self.tokens),"input_above_200k_tokens_usd_per_million":"6","output_above_200k_tokens_usd_per_million":"22.5","#
                    + #""cache_creation_input_usd_per_million":"3.75","cache_creation_input_above_1hr_usd_per_million":"6","#
                    + #""cache_creation_input_above_1hr_above_200k_tokens_usd_per_million":"12","cache_read_input_usd_per_million":"0.3","#
                    + #""input_batches_usd_per_million":"1.5","output_batches_usd_per_million":"7.5","input_priority_usd_per_million":"9","#
                    + #""input_per_image_token_usd_per_million":"1","input_per_video_per_second_usd":"0.000033333333333333335""#))
        #expect(chat.doubts == [])
        let price = PriceVersion(version: 1, rule: .standard, rows: chat.prices)
        #expect(price.units.listed[.cacheWrite1h] == PicoUSD(value: 6_000_000))
        #expect(price.units.listed[.cachedInput] == PicoUSD(value: 300_000))
        let long = try #require(price.conditional.first { $0.aboveInputTokens == 200_000 && $0.tier == .standard })
        #expect(
            long.units.listed == [
                .input: PicoUSD(value: 6_000_000), .output: PicoUSD(value: 22_500_000), .cacheWrite1h: PicoUSD(value: 12_000_000),
            ])
        // Without a price of output, the tier has no price.
        #expect(Set(price.conditional.map(\.tier)) == [.standard, .batch])
    }

    @Test(arguments: [
        (tokens, #""max_output_tokens":50"#, [PriceDoubt.oneSource]),
        (tokens, #""max_output_tokens":50,"two_sources_agree":null"#, [.oneSource]),
        (tokens, #""max_output_tokens":50,"two_sources_agree":false"#, [.sourcesDisagree]),
        (tokens, #""two_sources_agree":true"#, [.noOutputCap]),
        (
            tokens + #","cache_creation_input_above_1hr_usd_per_million":"5.9""#, #""max_output_tokens":50,"two_sources_agree":true"#,
            [.cacheHourPrice]
        ),
    ])
    func `a price that is not sure has a doubt`(prices: String, members: String, doubts: [PriceDoubt]) throws {
        #expect(try Self.chat(prices, members)?.doubts == doubts)
    }

    @Test func `a limit that the list does not know has the most careful value`() throws {
        let members = #""supports_reasoning":true,"supports_vision":true,"two_sources_agree":true"#
        #expect(
            try Self.chat(Self.tokens, members)?.limits
                == ModelLimits(
                    contextTokens: 100, maxOutputTokens: 100, defaultOutputTokens: 100, outputTokensLeast: 100, imageTokensMax: nil,
                    reasoning: .hidden, outputLimitMember: .maxTokens))
    }

    @Test func `the output of an embedding is free, and its context is that of all its inputs`() throws {
        let terms = try #require(
            try Self.list(
                #""max_input_tokens":8192,"max_request_tokens":300000,"two_sources_agree":true,"prices":{"input_usd_per_million":"0.1"}"#,
                mode: "embedding"
            ).models[0].terms)
        #expect(terms.surfaces == [.embeddings])
        #expect(terms.doubts == [])
        #expect((terms.limits.contextTokens, terms.limits.maxOutputTokens) == (300_000, 1))
        let price = PriceVersion(version: 1, rule: .standard, rows: terms.prices)
        #expect(price.units.listed == [.input: PicoUSD(value: 100_000), .output: PicoUSD(value: 0)])
    }

    @Test(arguments: [#""prices":{"image_usd":{"hd":"1"}}"#, #""max_input_tokens":9,"prices":{"input_usd_per_million":"1"}"#])
    func `a model without prices of text, or without limits, is known and not sold`(members: String) throws {
        #expect(try Self.list(members).models.map(\.id) == ["m"])
        #expect(try Self.list(members).models[0].terms == nil)
    }

    @Test(arguments: [
        #""input_usd_per_million":"0.0000001","output_usd_per_million":"1""#, #""input_usd_per_million":"-1","output_usd_per_million":"1""#,
        #""input_usd_per_million":"1e3","output_usd_per_million":"1""#,
        tokens + #","cache_read_input_usd_per_million":"4""#,
    ])
    func `a price that cannot be charged exactly, or breaks a rule, is refused by name`(prices: String) throws {
        let error = #expect(throws: ProvidersFile.Malformed.self) { try Self.chat(prices) }
        #expect(error?.reason.contains(" of m") == true)
    }
}
