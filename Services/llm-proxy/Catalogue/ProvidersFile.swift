import Contracts
import JSON

/// The operator's list of providers, models and prices (`PROVIDERS_FILE`), in USD per million tokens as providers publish them.
///
/// `base_url_variable` names an environment variable that, where it is set, stands for `base_url`; the key is always in a variable.
///
///     {"providers": [{"name": "openai", "base_url": "https://api.openai.com/v1", "api_key_variable": "OPENAI_API_KEY",
///       "models": [{"id": "gpt-4o-mini", "prompt_usd_per_million": 0.15, "completion_usd_per_million": 0.60,
///                   "context_tokens": 128000, "usual_output_tokens": 1024}]}]}
struct ProvidersFile: Sendable {
    struct Model: Sendable {
        var id: String
        var providerModel: String
        var prompt: PicoUSD
        var completion: PicoUSD
        var contextTokens: Int64
        var usualOutputTokens: Int64
    }

    var providers: [(provider: Catalogue.Provider, models: [Model])]

    /// - Throws: ``Malformed`` naming what is wrong and where.
    init(_ bytes: [UInt8], variables: (String) -> String?) throws(Malformed) {
        do {
            providers = try JSONObject(bytes).array("providers").map { entry in
                guard case .object(let object) = entry else { throw Malformed(reason: "providers must be objects") }
                return try Self.provider(object, variables)
            }
        } catch let malformed as Malformed {
            throw malformed
        } catch {
            throw Malformed(reason: "\(error)")
        }
        let ids = providers.flatMap(\.models).map(\.id)
        if let twice = Dictionary(grouping: ids, by: \.self).first(where: { $0.value.count > 1 })?.key {
            throw Malformed(reason: "model \(twice) stands twice")
        }
    }

    struct Malformed: Error, CustomStringConvertible {
        var reason: String
        var description: String { reason }
    }

    private static func provider(_ json: JSONObject, _ variables: (String) -> String?) throws -> (Catalogue.Provider, [Model]) {
        let override = try json.optionalString("base_url_variable").flatMap(variables)
        let provider = Catalogue.Provider(
            name: try json.string("name"), baseURL: try override ?? json.string("base_url"),
            apiKeyVariable: try json.string("api_key_variable"))
        guard provider.endpoint != nil else {
            throw Malformed(reason: "base_url of \(provider.name) must be http(s)://host[:port][/path], not \(provider.baseURL)")
        }
        let models = try json.array("models").map { entry in
            guard case .object(let object) = entry else { throw Malformed(reason: "models of \(provider.name) must be objects") }
            return try model(object)
        }
        return (provider, models)
    }

    private static func model(_ json: JSONObject) throws -> Model {
        let id = try json.string("id")
        return Model(
            id: id, providerModel: try json.optionalString("provider_model") ?? id,
            prompt: try perToken(json, "prompt_usd_per_million", of: id),
            completion: try perToken(json, "completion_usd_per_million", of: id),
            contextTokens: try positive(json, "context_tokens", of: id),
            usualOutputTokens: try positive(json, "usual_output_tokens", of: id))
    }

    /// USD per million tokens is millions of pico-dollars per token, so six fraction digits are exact.
    private static func perToken(_ json: JSONObject, _ name: String, of model: String) throws -> PicoUSD {
        let text = try json.decimalText(name)
        guard let amount = Credits(decimal: text), amount >= .zero, amount.nano % 1_000 == 0 else {
            throw Malformed(reason: "\(name) of \(model) must be a decimal with at most 6 fraction digits, not \(text)")
        }
        return PicoUSD(value: amount.nano / 1_000)
    }

    private static func positive(_ json: JSONObject, _ name: String, of model: String) throws -> Int64 {
        let value = try json.integer(name)
        guard value > 0 else { throw Malformed(reason: "\(name) of \(model) must be positive") }
        return value
    }
}
