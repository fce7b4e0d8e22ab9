import Contracts
import JSON
import Values

/// The operator's list of providers, models and prices (`PROVIDERS_FILE`), in USD per million
/// tokens as providers publish them.
///
/// `base_url_variable` names an environment variable that, where it is set, stands for `base_url`;
/// the key is always in a variable.
///
///     {"providers": [{"name": "openai", "base_url": "https://api.openai.com/v1",
///     "api_key_variable": "OPENAI_API_KEY", "models": [{"id": "gpt-4o-mini",
///     "prompt_usd_per_million": 0.15, "completion_usd_per_million": 0.60, "context_tokens":
///     128000, "max_output_tokens": 16384, "default_output_tokens": 1024, "image_tokens_max": 48169,
///     "reasoning": "none"}]}]}
///
/// | member of a provider | | default |
/// |---|---|---|
/// | `kind` | `openai`, `anthropic`: the wire format | `openai` |
/// | `private_network` | true: `http`, and addresses of a private network, are allowed | false |
///
/// | member of a model | | default |
/// |---|---|---|
/// | `max_output_tokens` | 1…10000000, at most `context_tokens` | required |
/// | `default_output_tokens` | 1…`max_output_tokens` | required |
/// | `output_tokens_least` | 1…`max_output_tokens` | 64; 2048 with hidden reasoning |
/// | `image_tokens_max` | 1…1000000 | none: a request with a picture is refused |
/// | `reasoning` | `none`, `visible`, `hidden` | `hidden` |
/// | `output_limit_member` | `max_tokens`, `max_completion_tokens` | `max_tokens` |
/// | `priority` | 0…1000; calls go to the provider with the lowest number first | 0 |
/// | `cached_input_usd_per_million`, `cache_write_usd_per_million` | a decimal | as `prompt_usd_per_million` |
/// | `cache_write_1h_usd_per_million` | a decimal | none |
/// | `surfaces` | an array of `chat`, `messages`, `responses`, `embeddings`, `completions`, `images`, `image_edits`, `speech`, `transcriptions` | `["chat", "messages"]` |
/// | `audio_input_usd_per_million`, `audio_output_usd_per_million`, `image_input_usd_per_million`, `image_output_usd_per_million` | a decimal | none; none; as `prompt_usd_per_million`; as `completion_usd_per_million` |
/// | `weight` | 1…1000; the share of the calls among providers of one priority | 1 |
///
/// A model that is not sold by tokens has, in the place of the prices and limits of tokens, one of
///
/// | member | |
/// |---|---|
/// | `usd_per_unit` | an object of USD by unit and class: `{"image": 0.04, "image:hd": 0.08}`, `{"character": 0.000015}` |
/// | `flat_credits` | the same in credits, whatever a unit costs; `{}`: the prices of ``FlatPrices`` |
///
/// A model that several providers sell stands under each of them, with the same limits.
struct ProvidersFile: Sendable {
    struct Model: Sendable {
        var id: String
        var providerModel: String
        var surfaces: Set<Surface>
        var prices: [UnitPriceRow]
        var limits: ModelLimits
        var priority: Int64
        var weight: Int64
    }

    struct Provider: Sendable {
        var provider: Catalogue.Provider
        var models: [Model]
        /// True if the provider may have an address of a private network.
        var isPrivateNetwork: Bool
    }

    var providers: [Provider]

    /// - Parameter kinds: the names of the wire formats.
    /// - Throws: ``Malformed`` naming what is wrong and where.
    init(_ bytes: [UInt8], kinds: Set<String>, variables: (String) -> String?) throws(Malformed) {
        do {
            providers = try JSONObject(bytes).array("providers").map { entry in
                guard case .object(let object) = entry else { throw Malformed(reason: "providers must be objects") }
                return try Self.provider(object, kinds, variables)
            }
        } catch let malformed as Malformed {
            throw malformed
        } catch {
            throw Malformed(reason: "\(error)")
        }
        for (id, routes) in Dictionary(grouping: providers.flatMap(\.models), by: \.id)
        where routes.contains(where: { $0.limits != routes[0].limits }) {
            throw Malformed(reason: "model \(id) has different limits at two providers")
        }
    }

    struct Malformed: Error, CustomStringConvertible {
        var reason: String
        var description: String { reason }
    }

    private static func provider(_ json: JSONObject, _ kinds: Set<String>, _ variables: (String) -> String?) throws -> Provider {
        let override = try json.optionalString("base_url_variable").flatMap(variables)
        let provider = Catalogue.Provider(
            name: try json.string("name"), kind: try json.optionalString("kind") ?? "openai",
            baseURL: try override ?? json.string("base_url"),
            apiKeyVariable: try json.string("api_key_variable"))
        guard provider.endpoint != nil else {
            throw Malformed(reason: "base_url of \(provider.name) must be http(s)://host[:port][/path], not \(provider.baseURL)")
        }
        guard kinds.contains(provider.kind) else {
            throw Malformed(
                reason: "kind of \(provider.name) must be one of \(kinds.sorted().joined(separator: ", ")), not \(provider.kind)")
        }
        let isPrivate = try json.optionalBool("private_network") ?? false
        guard provider.baseURL.hasPrefix("https://") || provider.isLoopback || isPrivate else {
            throw Malformed(
                reason:
                    "base_url of \(provider.name) must be https, a loopback address, or have private_network true, not \(provider.baseURL)")
        }
        let models = try json.array("models").map { entry in
            guard case .object(let object) = entry else { throw Malformed(reason: "models of \(provider.name) must be objects") }
            return try model(object)
        }
        if let twice = Dictionary(grouping: models, by: \.id).first(where: { $0.value.count > 1 })?.key {
            throw Malformed(reason: "model \(twice) is listed twice at provider \(provider.name)")
        }
        return Provider(provider: provider, models: models, isPrivateNetwork: isPrivate)
    }

    private static func model(_ json: JSONObject) throws -> Model {
        let id = try json.string("id")
        let surfaces = try surfaces(json, of: id)
        let media = try MediaPrices.rows(json, of: id, surfaces)
        return Model(
            id: id, providerModel: try json.optionalString("provider_model") ?? id, surfaces: surfaces,
            prices: try media ?? prices(json, of: id), limits: media == nil ? try limits(json, of: id) : .none,
            priority: json.has("priority") ? try tokens(json, "priority", of: id, in: 0...1_000) : 0,
            weight: json.has("weight") ? try tokens(json, "weight", of: id, in: 1...1_000) : 1)
    }

    private static func prices(_ json: JSONObject, of model: String) throws -> [UnitPriceRow] {
        var prices: [UsageUnit: PicoUSD] = [
            .input: try perToken(json, "prompt_usd_per_million", of: model),
            .output: try perToken(json, "completion_usd_per_million", of: model),
        ]
        let others: [(name: String, unit: UsageUnit)] = [
            ("cached_input_usd_per_million", .cachedInput), ("cache_write_usd_per_million", .cacheWrite),
            ("cache_write_1h_usd_per_million", .cacheWrite1h), ("audio_input_usd_per_million", .audioInput),
            ("audio_output_usd_per_million", .audioOutput),
            ("image_input_usd_per_million", .imageInput), ("image_output_usd_per_million", .imageOutput),
        ]
        for (name, unit) in others where json.has(name) { prices[unit] = try perToken(json, name, of: model) }
        let rows = prices.map { UnitPriceRow(unit: $0.key, price: $0.value) }
        if let flaw = PriceFlaw.find(in: rows) { throw Malformed(reason: "prices of model \(model): \(flaw)") }
        return rows
    }

    private static func surfaces(_ json: JSONObject, of model: String) throws -> Set<Surface> {
        guard json.has("surfaces") else { return Surface.usual }
        let names = try json.array("surfaces").map { $0.string ?? "" }
        let surfaces = names.compactMap(Surface.init)
        guard !names.isEmpty, surfaces.count == names.count else {
            let known = Surface.allCases.map(\.rawValue).joined(separator: ", ")
            throw Malformed(reason: "surfaces of model \(model) must be an array of \(known), not \(found(json, "surfaces"))")
        }
        return Set(surfaces)
    }

    private static func limits(_ json: JSONObject, of model: String) throws(Malformed) -> ModelLimits {
        let context = try tokens(json, "context_tokens", of: model, in: ModelLimits.contextRange)
        let longest = try tokens(json, "max_output_tokens", of: model, in: 1...min(context, ModelLimits.outputRange.upperBound))
        let reasoning: ModelLimits.Reasoning = try choice(json, "reasoning", of: model) ?? .hidden
        return ModelLimits(
            contextTokens: context, maxOutputTokens: longest,
            defaultOutputTokens: try tokens(json, "default_output_tokens", of: model, in: 1...longest),
            outputTokensLeast: json.has("output_tokens_least")
                ? try tokens(json, "output_tokens_least", of: model, in: 1...longest)
                : ModelLimits.usualLeast(reasoning, maxOutputTokens: longest),
            imageTokensMax: json.has("image_tokens_max")
                ? try tokens(json, "image_tokens_max", of: model, in: ModelLimits.imageRange) : nil,
            reasoning: reasoning, outputLimitMember: try choice(json, "output_limit_member", of: model) ?? .maxTokens)
    }

    private static func perToken(_ json: JSONObject, _ name: String, of model: String) throws -> PicoUSD {
        let text = try json.decimalText(name)
        guard let price = PicoUSD(perMillion: text) else {
            throw Malformed(reason: "\(name) of \(model) must be a decimal with at most 6 fraction digits, not \(text)")
        }
        return price
    }

    private static func tokens(_ json: JSONObject, _ name: String, of model: String, in range: ClosedRange<Int64>) throws(Malformed)
        -> Int64
    {
        guard let value = try? json.integer(name), range.contains(value) else {
            throw Malformed(
                reason:
                    "\(name) of model \(model) must be a whole number from \(range.lowerBound) to \(range.upperBound), not \(found(json, name))"
            )
        }
        return value
    }

    private static func choice<Choice: RawRepresentable & CaseIterable>(
        _ json: JSONObject, _ name: String, of model: String
    ) throws(Malformed) -> Choice? where Choice.RawValue == String {
        guard json.has(name) else { return nil }
        guard let text = try? json.string(name), let choice = Choice(rawValue: text) else {
            let choices = Choice.allCases.map(\.rawValue).joined(separator: ", ")
            throw Malformed(reason: "\(name) of model \(model) must be one of \(choices), not \(found(json, name))")
        }
        return choice
    }

    private static func found(_ json: JSONObject, _ name: String) -> String {
        json.raw(name).map { String(decoding: $0.prefix(100), as: UTF8.self) } ?? "absent"
    }
}
