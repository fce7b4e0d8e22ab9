import Contracts
import JSON
import Values

/// The reason why the price of a list needs an administrator's word before the model is sold.
enum PriceDoubt: String, Sendable {
    case sourcesDisagree = "sources_disagree"
    case oneSource = "one_source"
    /// The list has no cap of the answer. The whole context is the bound then.
    case noOutputCap = "no_output_cap"
    /// Writing a cache for an hour does not cost twice as much as input.
    case cacheHourPrice = "cache_write_1h_not_twice_input"
}

/// The list of public models that comes with the gateway (`models.json`): limits and prices in USD
/// per million tokens, with the date of the prices.
///
/// A model is sold if its provider is configured at the address of the list, and its price has no doubts. An entry of the
/// providers file takes the place of a model of the list.
struct ModelList: Sendable {
    struct Model: Sendable {
        var id: String
        var provider: String
        /// The kind of the model, such as `chat` or `image_generation`.
        var mode: String
        /// Nil for a model that no endpoint serves.
        var terms: Terms?
    }

    /// The surfaces by which a model can be called, and what bounds and prices its calls.
    struct Terms: Sendable {
        var surfaces: Set<Surface>
        var limits: ModelLimits
        var prices: [UnitPriceRow]
        var doubts: [PriceDoubt]
    }

    /// The day of the prices: `2026-07-24`.
    var date: String
    var about: String
    /// The addresses at which providers have the prices of the list.
    var origins: [String: String]
    var models: [Model]

    /// - Throws: ``ProvidersFile/Malformed`` naming what is wrong and where.
    init(_ bytes: [UInt8]) throws(ProvidersFile.Malformed) {
        do {
            let json = try JSONObject(bytes)
            (date, about) = (try json.string("date"), try json.string("about"))
            let origins = try json.object("origins")
            self.origins = try Dictionary(uniqueKeysWithValues: origins.members.map { ($0.name, try origins.string($0.name)) })
            guard Instant(date + "T00:00:00Z") != nil else { throw ProvidersFile.Malformed(reason: "date must be a day, not \(date)") }
            models = try json.array("models").map { entry in
                guard let object = entry.object else { throw ProvidersFile.Malformed(reason: "models must be objects") }
                return try Self.model(object)
            }
        } catch let malformed as ProvidersFile.Malformed {
            throw malformed
        } catch {
            throw .init(reason: "\(error)")
        }
    }

    /// Returns the names of the file's providers that have the prices of the list. Another server under
    /// the same name has its own prices.
    func providers(in file: ProvidersFile) -> Set<String> {
        Set(
            file.providers.map(\.provider).filter { provider in
                guard let origin = provider.endpoint?.origin else { return false }
                return origin.lowercased() == origins[provider.name]
            }.map(\.name))
    }

    private static func model(_ json: JSONObject) throws -> Model {
        let (id, provider, mode) = (try json.string("id"), try json.string("provider"), try json.string("mode"))
        let isOpenAI = provider == "openai"
        let surfaces = surfaces(ofMode: mode, isOpenAI: isOpenAI)
        // The vectors of an embedding are no tokens.
        let isEmbedding = surfaces == [.embeddings]
        let isMedia = !surfaces.isDisjoint(with: [.images, .speech, .transcriptions, .videos])
        let list = try json.object("prices")
        var prices = try prices(list, of: id, isOutputFree: isEmbedding, isMedia: isMedia)
        if prices.isEmpty, isMedia { prices = try picturePrices(list, of: id) + minutePrices(list, of: id) + videoPrices(list, of: id) }
        let hasTokens = prices.contains { $0.unit.isPromptToken }
        // A request may have several inputs, each of which has a limit of its own. Lists do not bound the
        // texts of media.
        let context =
            try json.optionalInteger("max_request_tokens") ?? json.optionalInteger("max_input_tokens") ?? (isMedia ? 1 << 20 : nil)
        guard !surfaces.isEmpty, let context, !prices.isEmpty else {
            return Model(id: id, provider: provider, mode: mode)
        }
        if let flaw = PriceFlaw.find(in: prices) { throw ProvidersFile.Malformed(reason: "prices of \(id): \(flaw)") }
        let output = isEmbedding || !hasTokens ? 1 : try json.optionalInteger("max_output_tokens")
        let reasons = try json.optionalBool("supports_reasoning") ?? false
        let limits = hasTokens ? limits(context: context, output: output, isReasoning: reasons, isOpenAI: isOpenAI) : .none
        guard ModelLimits.contextRange.contains(limits.contextTokens), ModelLimits.outputRange.contains(limits.maxOutputTokens) else {
            throw ProvidersFile.Malformed(reason: "limits of \(id) are out of range")
        }
        let agree = try json.optionalBool("two_sources_agree")
        var doubts: [PriceDoubt] = agree == true ? [] : agree == false ? [.sourcesDisagree] : [.oneSource]
        if output == nil { doubts.append(.noOutputCap) }
        if hasDoubtfulHour(prices) { doubts.append(.cacheHourPrice) }
        return Model(
            id: id, provider: provider, mode: mode, terms: Terms(surfaces: surfaces, limits: limits, prices: prices, doubts: doubts))
    }

    /// The kinds of models that endpoints serve. A model of several surfaces is of the first kind.
    private static let modes: [(name: String, surface: Surface)] = [
        ("chat", .chat), ("responses", .responses), ("embedding", .embeddings), ("completion", .completions),
        ("image_generation", .images), ("audio_speech", .speech), ("audio_transcription", .transcriptions), ("video", .videos),
    ]

    /// Returns the kind of a model, as the list names it.
    static func mode(of surfaces: Set<Surface>) -> String { modes.first { surfaces.contains($0.surface) }?.name ?? "" }

    /// Returns no surface for a kind of model that no endpoint serves. OpenAI has each of its chat models
    /// as a model of responses too.
    private static func surfaces(ofMode mode: String, isOpenAI: Bool) -> Set<Surface> {
        guard let surface = modes.first(where: { $0.name == mode })?.surface else { return [] }
        guard surface == .chat else { return [surface] }
        return isOpenAI ? Surface.usual.union([.responses]) : Surface.usual
    }

    /// Takes the most careful value of what the list does not know. Such a model reasons in hidden
    /// tokens if it reasons, and takes no pictures.
    private static func limits(context: Int64, output: Int64?, isReasoning: Bool, isOpenAI: Bool) -> ModelLimits {
        // The prompt alone may fill the context of the list.
        let context = max(context, output ?? 0)
        let longest = min(output ?? context, ModelLimits.outputRange.upperBound)
        let reasoning = isReasoning ? ModelLimits.Reasoning.hidden : .none
        return ModelLimits(
            contextTokens: context, maxOutputTokens: longest, defaultOutputTokens: min(isReasoning ? 4_096 : 1_024, longest),
            outputTokensLeast: ModelLimits.usualLeast(reasoning, maxOutputTokens: longest), imageTokensMax: nil, reasoning: reasoning,
            outputLimitMember: isOpenAI ? .maxCompletionTokens : .maxTokens)
    }

    private static func hasDoubtfulHour(_ prices: [UnitPriceRow]) -> Bool {
        prices.contains { row in
            row.unit == .cacheWrite1h
                && !prices.contains {
                    $0.unit == .input && $0.tier == row.tier && $0.aboveInputTokens == row.aboveInputTokens
                        && $0.price.value.multipliedReportingOverflow(by: 2) == (row.price.value, false)
                }
        }
    }

    // MARK: Prices

    private static let units: [Substring: UsageUnit] = [
        "input": .input, "output": .output, "cache_read_input": .cachedInput, "cache_creation_input": .cacheWrite,
        "cache_creation_input_above_1hr": .cacheWrite1h, "input_per_audio_token": .audioInput, "output_per_audio_token": .audioOutput,
    ]
    /// The units of models that make pictures or sound.
    private static let mediaUnits: [Substring: UsageUnit] = [
        "input_per_image_token": .imageInput, "output_per_image_token": .imageOutput, "audio_output": .audioOutput,
        "character": .character,
    ]
    private static let tiers: [(suffix: String, tier: ServiceTier)] = [("_flex", .flex), ("_priority", .priority), ("_batches", .batch)]

    /// Reads the prices of tokens and characters. A condition without a price of input and of output is
    /// left out: it has no price then.
    /// - Parameter isOutputFree: true if a condition needs no price of output.
    private static func prices(_ json: JSONObject, of model: String, isOutputFree: Bool, isMedia: Bool) throws -> [UnitPriceRow] {
        var rows = try json.members.compactMap { member -> UnitPriceRow? in
            guard var row = row(member.name, isMedia: isMedia) else { return nil }
            let text = try json.string(member.name)
            guard let price = PicoUSD(perMillion: text), UnitPriceRow.priceRange.contains(price.value) else {
                throw ProvidersFile.Malformed(
                    reason: "\(member.name) of \(model) must be a decimal with at most 6 fraction digits, not \(text)")
            }
            row.price = price
            return row
        }
        if isOutputFree {
            rows += rows.filter { $0.unit == .input }.map { row in
                UnitPriceRow(unit: .output, tier: row.tier, aboveInputTokens: row.aboveInputTokens, price: PicoUSD(value: 0))
            }
        }
        func has(_ units: Set<UsageUnit>, with row: UnitPriceRow) -> Bool {
            rows.contains { units.contains($0.unit) && $0.tier == row.tier && $0.aboveInputTokens == row.aboveInputTokens }
        }
        let answers: Set<UsageUnit> = isMedia ? [.output, .audioOutput, .imageOutput] : [.output]
        return rows.filter { $0.unit == .character || has([.input], with: $0) && has(answers, with: $0) }
    }

    /// Reads the price of a minute of sound: `{"minute_usd": "0.006"}`.
    private static func minutePrices(_ json: JSONObject, of model: String) throws -> [UnitPriceRow] {
        guard let text = try json.optionalString("minute_usd") else { return [] }
        guard let usd = Credits(decimal: text), usd > .zero, usd <= Credits(whole: 1_000), usd.nano % 2 == 0 else {
            throw ProvidersFile.Malformed(
                reason: "a minute of \(model) must cost at most 1000 USD with at most 9 fraction digits, not \(text)")
        }
        return [UnitPriceRow(unit: .audio30s, price: PicoUSD(value: usd.nano / 2 * 1_000))]
    }

    /// Reads the prices of a second of video by its size: `{"video_second_usd": {"720x1280": "0.1"}}`. That
    /// size is the one of a request that names none.
    private static func videoPrices(_ json: JSONObject, of model: String) throws -> [UnitPriceRow] {
        guard let list = try json.optionalObject("video_second_usd") else { return [] }
        return try list.members.flatMap { member in
            guard let tier = ServiceTier(rawValue: member.name) else {
                throw ProvidersFile.Malformed(reason: "video_second_usd of \(model) must name sizes, not \(member.name)")
            }
            let price = try price(list.string(member.name), of: "a second of \(model)")
            return (member.name == "720x1280" ? [.standard, tier] : [tier]).map {
                UnitPriceRow(unit: .videoSecond, tier: $0, price: price)
            }
        }
    }

    private static func price(_ text: String, of what: String) throws -> PicoUSD {
        guard let usd = Credits(decimal: text), usd > .zero, usd <= Credits(whole: 1_000) else {
            throw ProvidersFile.Malformed(reason: "\(what) must cost at most 1000 USD with at most 9 fraction digits, not \(text)")
        }
        return PicoUSD(value: usd.nano * 1_000)
    }

    /// Reads the prices of pictures by quality and size: `{"image_usd": {"hd 1024x1792": "0.12"}}`. The
    /// square picture of the usual quality is the one of a request that names neither.
    private static func picturePrices(_ json: JSONObject, of model: String) throws -> [UnitPriceRow] {
        func row(_ tier: ServiceTier, _ text: String) throws -> UnitPriceRow {
            UnitPriceRow(unit: .image, tier: tier, price: try price(text, of: "a picture of \(model)"))
        }
        if json.has("output_per_image_usd") { return [try row(.standard, json.string("output_per_image_usd"))] }
        guard let list = try json.optionalObject("image_usd") else { return [] }
        return try list.members.flatMap { member in
            let words = member.name.split(separator: " ").map(String.init)
            guard words.count == 2, let tier = ServiceTier(rawValue: words[0] == "standard" ? words[1] : words.joined(separator: "_"))
            else {
                throw ProvidersFile.Malformed(reason: "image_usd of \(model) must name a quality and a size, not \(member.name)")
            }
            let price = try list.string(member.name)
            let isUsual = member.name == "standard 1024x1024"
            return try [row(tier, price)] + (isUsual ? [row(.standard, price)] : member.name == "hd 1024x1024" ? [row(.hd, price)] : [])
        }
    }

    /// Reads a name such as `cache_read_input_above_200k_tokens_usd_per_million`.
    /// - Returns: nil for a price of another thing than tokens, and characters of media.
    private static func row(_ name: String, isMedia: Bool) -> UnitPriceRow? {
        guard name.hasSuffix("_usd_per_million") else { return nil }
        var rest = name.dropLast("_usd_per_million".count)
        var row = UnitPriceRow(unit: .input, price: PicoUSD(value: 0))
        if rest.hasSuffix("k_tokens"), let start = rest.ranges(of: "_above_").last,
            let thousands = Int64(rest[start.upperBound...].dropLast(8))
        {
            guard (1...100_000).contains(thousands) else { return nil }
            row.aboveInputTokens = thousands * 1_000
            rest = rest[..<start.lowerBound]
        }
        for (suffix, tier) in tiers where rest.hasSuffix(suffix) {
            row.tier = tier
            rest = rest.dropLast(suffix.count)
        }
        guard let unit = units[rest] ?? (isMedia ? mediaUnits[rest] : nil) else { return nil }
        row.unit = unit
        return row
    }
}
