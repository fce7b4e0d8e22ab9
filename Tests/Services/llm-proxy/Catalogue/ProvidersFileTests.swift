import Contracts
import Foundation
import Testing
import Values

@testable import LLMProxy

struct ProvidersFileTests {
    @Test func `prices in the providers file are exact, and a price too fine is refused by name`() throws {
        func file(_ prompt: String) -> [UInt8] {
            Array(
                #"{"providers":[{"name":"p","base_url":"https://h/v1","api_key_variable":"K","models":[{"id":"m","prompt_usd_per_million":\#(prompt),"completion_usd_per_million":0.60,"context_tokens":1,"max_output_tokens":1,"default_output_tokens":1}]}]}"#
                    .utf8)
        }
        #expect(
            try ProvidersFile(file("0.150001"), kinds: ["openai"], variables: { _ in nil }).providers[0].models[0].priceByUnit[.input]
                == PicoUSD(value: 150_001))
        let refused = #expect(throws: ProvidersFile.Malformed.self) {
            try ProvidersFile(file("0.1500001"), kinds: ["openai"], variables: { _ in nil })
        }
        #expect(refused?.description == "prompt_usd_per_million of m must be a decimal with at most 6 fraction digits, not 0.1500001")
    }

    private func media(_ members: String) throws -> ProvidersFile.Model {
        let text =
            #"{"providers":[{"name":"p","base_url":"https://h/v1","api_key_variable":"K","models":[{"id":"m",\#(members)}]}]}"#
        return try ProvidersFile(Array(text.utf8), kinds: ["openai"], variables: { _ in nil }).providers[0].models[0]
    }

    @Test func `a model may be sold by pictures in classes, or by characters, and needs no limits then`() throws {
        let picture = try media(#""surfaces":["images"],"usd_per_unit":{"image":0.04,"image:hd_1024x1792":0.12}"#)
        #expect(
            picture.prices == [
                UnitPriceRow(unit: .image, price: PicoUSD(value: 40_000_000_000)),
                UnitPriceRow(unit: .image, tier: .media("hd_1024x1792"), price: PicoUSD(value: 120_000_000_000)),
            ])
        #expect(picture.limits == .none)
        let voice = try media(#""surfaces":["speech"],"usd_per_unit":{"character":0.000015}"#)
        #expect(voice.prices == [UnitPriceRow(unit: .character, price: PicoUSD(value: 15_000_000))])
    }

    @Test func `a flat price is credits, and an empty one that of pictures`() throws {
        let flat = try media(#""surfaces":["images"],"flat_credits":{}"#)
        let prices = flat.prices.map { [$0.tier.rawValue, $0.flat?.description ?? ""] }
        #expect(prices == [["standard", "1"], ["hd", "1.5"], ["4k", "2"]])
        #expect(try media(#""surfaces":["speech"],"flat_credits":{"request":0.25}"#).prices.map(\.flat) == [Credits(decimal: "0.25")])
    }

    @Test(
        arguments: [
            (#""usd_per_unit":{}"#, "model m needs a price of a unit"),
            (#""surfaces":["speech"],"flat_credits":{}"#, "model m needs a price of a unit"),
            (#""usd_per_unit":{"image":1},"flat_credits":{}"#, "model m must have usd_per_unit or flat_credits, not both"),
            (#""usd_per_unit":{"picture":1}"#, "picture of model m must be a unit"),
            (#""usd_per_unit":{"output":1}"#, "output of model m must be a unit"),
            (#""usd_per_unit":{"image:HD":1}"#, "image:HD of model m must be a unit"),
            (#""usd_per_unit":{"image":1.0000000001}"#, "image of model m must be a decimal from 0 to 1000"),
            (#""usd_per_unit":{"image":-1}"#, "image of model m must be a decimal from 0 to 1000"),
            (#""flat_credits":{"image":1001}"#, "image of model m must be a decimal from 0 to 1000"),
        ])
    func `a price of media that is no price is refused by name`(members: String, message: String) throws {
        let refused = #expect(throws: ProvidersFile.Malformed.self) { try media(members) }
        #expect(refused?.description.hasPrefix(message) == true, "\(refused?.description ?? "")")
    }

    @Test func `a model of the providers file may have prices of the provider's cache`() throws {
        func prices(_ members: String) throws -> [UsageUnit: PicoUSD] {
            let text =
                #"{"providers":[{"name":"p","base_url":"https://h/v1","api_key_variable":"K","models":[{"id":"m","prompt_usd_per_million":1,"completion_usd_per_million":5,"context_tokens":1,"max_output_tokens":1,"default_output_tokens":1\#(members)}]}]}"#
            return try ProvidersFile(Array(text.utf8), kinds: ["openai"], variables: { _ in nil }).providers[0].models[0].priceByUnit
        }
        let all = try prices(
            #","cached_input_usd_per_million":0.1,"cache_write_usd_per_million":1.25,"cache_write_1h_usd_per_million":2"#)
        #expect(
            all == [
                .input: PicoUSD(value: 1_000_000), .output: PicoUSD(value: 5_000_000), .cachedInput: PicoUSD(value: 100_000),
                .cacheWrite: PicoUSD(value: 1_250_000), .cacheWrite1h: PicoUSD(value: 2_000_000),
            ])
        let refused = #expect(throws: ProvidersFile.Malformed.self) { try prices(#","cache_write_usd_per_million":0.5"#) }
        #expect(refused?.description.hasPrefix("prices of model m: ") == true)
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
            #"{"providers":[{"name":"p","base_url":"https://h/v1","api_key_variable":"K","models":[{"#
            + (members + [member]).joined(separator: ",") + "}]}]}"
        let refused = #expect(throws: ProvidersFile.Malformed.self) {
            try ProvidersFile(Array(text.utf8), kinds: ["openai"], variables: { _ in nil })
        }
        #expect(refused?.description == message)
    }

    @Test func `both provider lists that come with the product can be read, and a variable moves their address`() throws {
        for name in ["simulator", "public"] {
            let url = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../../../deploy/providers/\(name).json")
            let file = try ProvidersFile(Array(Data(contentsOf: url)), kinds: Set(ProviderKinds.adapters.keys)) {
                $0 == "OPENAI_BASE_URL" ? "http://127.0.0.1:9/v1/" : nil
            }
            let endpoint = try #require(file.providers[0].provider.endpoint)
            #expect(endpoint == ("http://127.0.0.1:9", "/v1"))
            #expect(file.providers[0].models.count > 3)
        }
    }

    @Test(arguments: ["", "ftp://h", "http://", "https://user@h/v1", "http://h/v1?x=1"])
    func `a base URL without http or host, or with a user or a query, is refused`(baseURL: String) {
        #expect(Catalogue.Provider(name: "p", kind: "openai", baseURL: baseURL, apiKeyVariable: "K").endpoint == nil)
    }

    private func file(_ members: String) -> [UInt8] {
        Array(#"{"providers":[{"name":"p","api_key_variable":"K","models":[],\#(members)}]}"#.utf8)
    }

    @Test(arguments: [
        "http://example.com/v1", "http://10.0.0.1/v1", "http://127.0.0.1.example.com/v1", "http://127.example.com/v1",
        "http://localhost.com/v1",
    ])
    func `an address without encryption is refused, unless it is of this machine or of a private network`(url: String) throws {
        let kinds: Set = ["openai"]
        let refused = #expect(throws: ProvidersFile.Malformed.self) {
            try ProvidersFile(file(#""base_url":"\#(url)""#), kinds: kinds, variables: { _ in nil })
        }
        #expect(
            refused?.description == "base_url of p must be https, a loopback address, or have private_network true, not \(url)")
        let allowed = file(#""base_url":"\#(url)","private_network":true"#)
        #expect(try ProvidersFile(allowed, kinds: kinds, variables: { _ in nil }).providers[0].isPrivateNetwork)
        for own in ["http://127.0.0.1:8190/v1", "http://localhost/v1", "http://[::1]:80/v1", "https://example.com/v1"] {
            let file = try ProvidersFile(file(#""base_url":"\#(own)""#), kinds: kinds, variables: { _ in nil })
            #expect(!file.providers[0].isPrivateNetwork)
        }
    }

    @Test func `a wire format that is not known is refused by name`() {
        let refused = #expect(throws: ProvidersFile.Malformed.self) {
            try ProvidersFile(file(#""base_url":"https://h","kind":"cohere""#), kinds: ["openai", "anthropic"], variables: { _ in nil })
        }
        #expect(refused?.description == "kind of p must be one of anthropic, openai, not cohere")
    }
}

extension ProvidersFile.Model {
    fileprivate var priceByUnit: [UsageUnit: PicoUSD] { Dictionary(uniqueKeysWithValues: prices.map { ($0.unit, $0.price) }) }
}
