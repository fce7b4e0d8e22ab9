import Contracts
import HTTPWire
import Identity
import JSON
import TestSupport
import Testing
import Values
import Web

@testable import LLMProxy

@Suite(.serialized, .database(schema: "llm_proxy", migrations: "Shared/Outbox/Migrations", "Services/llm-proxy/Migrations"))
struct PricingPageTests {
    private static let hostile = "<script>alert('1')</script>"
    private static let escaped = "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;"

    private func model(_ name: String, minimum: Credits = .zero, _ rows: [UnitPriceRow]) -> Catalogue.Model {
        var rule = PricingRule.standard
        rule.minimumCharge = minimum
        if rows.contains(where: { $0.flat != nil }) { rule.formula = .flat }
        var model = CallBoundTests.model(price: PriceVersion(version: 1, rule: rule, rows: rows))
        model.id = name
        return model
    }

    private func usd(_ perMillion: String, _ unit: UsageUnit, above: Int64 = 0, _ tier: ServiceTier = .standard) throws -> UnitPriceRow {
        UnitPriceRow(unit: unit, tier: tier, aboveInputTokens: above, price: try #require(PicoUSD(perMillion: perMillion)))
    }

    private func flat(_ credits: String, _ unit: UsageUnit, _ tier: ServiceTier = .standard) -> UnitPriceRow {
        UnitPriceRow(unit: unit, tier: tier, price: PicoUSD(value: 0), flat: Credits(decimal: credits))
    }

    /// Opens the page of a catalogue.
    private func open(
        _ models: [Catalogue.Model], at path: String = "/pricing", as caller: AdminServer.Caller? = nil, in language: String = "en",
        _ check: @escaping @Sendable (_ status: Int, _ page: String) throws -> Void
    ) async throws {
        try await AdminServer.with { server in
            server.catalogue.replace(with: Catalogue(models: models))
            let answer = try await server.open(path, as: caller, in: language)
            try check(answer.status, answer.text)
        }
    }

    /// The figures that follow a text in its row, as a person reads them.
    private static func figures(after start: String, in page: String) -> [String] {
        guard let from = page.firstRange(of: start)?.upperBound, let to = page[from...].firstRange(of: "</tr>")?.lowerBound else {
            return []
        }
        return page[from..<to].matches(of: /<td class="price"[^>]*>(?:<span[^>]*>)?([^<]*)/).map { String($0.output.1) }
    }

    @Test func `a model has its prices of 1,000 tokens with markup, of long prompts, of sound, and its minimum`() async throws {
        let priced = model(
            "priced", minimum: Credits(nano: 2_000_000),
            [
                try usd("1", .input), try usd("0.1", .cachedInput), try usd("4", .output), try usd("32", .audioInput),
                try usd("64", .audioOutput), try usd("2", .input, above: 200_000), try usd("0.2", .cachedInput, above: 200_000),
                try usd("6", .output, above: 200_000),
            ])
        try await open([priced, model("other", [try usd("2000", .input), try usd("0", .output)])]) { status, page in
            #expect(status == 200)
            #expect(Self.figures(after: "<code>priced</code>", in: page) == ["0.02875", "0.002875", "0.115", "0.002"])
            #expect(Self.figures(after: "prompts above 200,000 tokens", in: page) == ["0.0575", "0.00575", "0.1725", ""])
            #expect(Self.figures(after: "tokens of sound", in: page) == ["0.92", "–", "1.84", ""])
            #expect(Self.figures(after: "<code>other</code>", in: page) == ["57.5", "–", "0", "0"])
            #expect(page.matches(of: /<code>(other|priced)/).map(\.output.1) == ["other", "priced"])
            #expect(!page.contains("Models sold by pictures"))
        }
    }

    @Test func `the prices are those of the list of models`() async throws {
        try await AdminServer.with { server in
            server.catalogue.replace(
                with: Catalogue(models: [model("m", minimum: Credits(whole: 3), [try usd("1.5", .input), try usd("4.25", .output)])]))
            let listed = try await server.ask("GET", "/v1/models/m", as: .user).json.object("pricing")
            let names = ["credits_per_1k_prompt_tokens", "credits_per_1k_completion_tokens", "min_credits"]
            let amounts = try names.map { try listed.decimalText($0) }
            let page = try await server.open("/pricing").text
            #expect(Self.figures(after: "<code>m</code>", in: page).filter { $0 != "–" } == amounts)
        }
    }

    @Test func `pictures, sound and calls have a price for each unit and class`() async throws {
        let models = [
            model("brush", [flat("1", .image), flat("1.5", .image, .hd), flat("2", .image, .media("hd_1024x1792"))]),
            model("voice", minimum: Credits(whole: 1), [flat("0.5", .audio30s), flat("0.0001", .character)]),
        ]
        try await open(models) { _, page in
            let lines = page.matches(of: /<li><span>(.*?)<\/span><span[^>]*>([^<]*)/).map { "\($0.output.1): \($0.output.2)" }
            #expect(
                lines == [
                    "Picture: 1", "Picture <bdi>HD</bdi>: 1.5", "Picture <bdi>HD 1024×1792</bdi>: 2", "30 seconds of sound, begun: 0.5",
                    "Character of text: 0.0001",
                ])
            #expect(!page.contains("Models sold by tokens"))
        }
    }

    @Test func `a filter shows the models whose names have a part, in any case`() async throws {
        let models = try ["gpt-small", "gpt-large", "claude"].map { model($0, [try usd("1", .input), try usd("4", .output)]) }
        for (filter, expected) in [
            ("gpt", ["gpt-large", "gpt-small"]), ("+GPT-S", ["gpt-small"]), ("", ["claude", "gpt-large", "gpt-small"]), ("none", []),
        ] {
            try await open(models, at: "/pricing?q=\(filter)") { status, page in
                #expect(status == 200)
                #expect(page.matches(of: /<td class="long"><code>([^<]*)/).map { String($0.output.1) } == expected, "\(filter)")
                #expect(page.contains("No model has such a name.") == expected.isEmpty)
                #expect(page.contains(#"<a href="/pricing" class="button">Show all models"#) == (expected.count < 3), "\(filter)")
            }
        }
    }

    @Test func `a name and a filter become text, never markup`() async throws {
        let models = [model(Self.hostile, [try usd("1", .input), try usd("4", .output)])]
        try await open(models, at: "/pricing?q=%3Cscript%3Ealert('1')%3C/script%3E") { _, page in
            #expect(page.contains("<code>\(Self.escaped)</code>"))
            #expect(page.contains("value=\"\(Self.escaped)\""))
            #expect(!page.contains("<script>"))
        }
    }

    @Test func `a page has at most 500 models, and others are found by their names`() async throws {
        let models = try (0...PricingPage.modelsMax).map { model("m\($0 + 1_000)", [try usd("1", .input), try usd("4", .output)]) }
        try await open(models) { _, page in
            #expect(page.matches(of: /<td class="long"><code>/).count == 500)
            #expect(page.contains("These are the first 500.") && !page.contains("m1500"))
        }
        try await open(models, at: "/pricing?q=m1500") { _, page in
            #expect(page.contains("<code>m1500</code>") && !page.contains("These are the first"))
        }
    }

    @Test func `a gateway without models says so`() async throws {
        try await open([]) { status, page in
            #expect(status == 200 && page.contains("No model is on sale at the moment."))
            #expect(page.contains(#"id="complete""#) && !page.contains("<form action=\"/pricing\""))
        }
    }

    @Test func `a signed-in person sees the navigation and the balance, and any other client neither`() async throws {
        for (caller, isKnown) in [(.user, true), (.adminsKey, false), (nil, false)] as [(AdminServer.Caller?, Bool)] {
            try await open([], as: caller) { status, page in
                #expect(status == 200)
                #expect(page.contains(#"<nav class="places""#) == isKnown && page.contains(#"<a href="/buy" class="pill""#) == isKnown)
                #expect(page.contains(#"<a href="/pricing" aria-current="page">Prices</a>"#))
            }
        }
    }

    @Test func `the page is complete in Thai`() async throws {
        let models = [
            model("m", [try usd("1", .input), try usd("4", .output), try usd("1", .input, above: 5), try usd("5", .output, above: 5)])
        ]
        try await open(models, in: "th") { _, page in
            for text in [#"<html lang="th">"#, "<h1>ราคา</h1>", "พรอมต์ที่ยาวกว่า 5 โทเค็น", "ได้คำตอบครบถ้วน"] {
                #expect(page.contains(text), "\(text)")
            }
        }
    }

    @Test func `a filter that is given twice is refused by a page`() async throws {
        try await open([], at: "/pricing?q=a&q=b") { status, page in
            #expect(
                status == 400 && page.contains("<h1>This request cannot be read</h1>")
                    && page.contains(#"<a href="/pricing" class="button primary">"#))
        }
    }

    @Test func `assets have an address of their own`() async throws {
        try await AdminServer.with { server in
            let page = try await server.open("/pricing").text
            let link = try #require(page.firstMatch(of: /rel="stylesheet" href="(\/assets\/llm-proxy\/[^"]+)"/)?.output.1)
            #expect(try await server.open(String(link)).text.contains("color-scheme"))
            let missing = try await server.open("/assets/llm-proxy/none")
            #expect(missing.status == 404 && missing.text.contains("<h1>This page does not exist</h1>"))
        }
    }
}

extension PricePages {
    /// The pages of a test. A signed-in person has five credits.
    static func test(_ catalogue: CurrentCatalogue, viewer: @escaping @Sendable (HeaderBlock) async -> Principal? = { _ in nil })
        -> PricePages
    {
        PricePages(
            catalogue: catalogue, site: Site(service: "llm-proxy", publicURL: "http://gateway.test"), viewer: viewer,
            balance: { _ in Balance(available: Credits(whole: 5), alertLevel: nil) })
    }
}
