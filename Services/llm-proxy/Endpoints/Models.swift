import Contracts
import HTTP
import Identity
import JSON
import Values

/// `GET /v1/models` and `GET /v1/models/{id}`: the models that are enabled and priced.
struct Models: Sendable {
    let catalogue: CurrentCatalogue

    func list(_ request: Request, caller: Principal) async throws -> Response {
        let catalogue = catalogue.current
        return .json(200) { json in
            json.object { list in
                list.field("object", "list")
                list.array("data") { data in for model in catalogue.sorted { data.object { $0.write(model) } } }
            }
        }
    }

    /// Shows one model. An id may contain slashes.
    func show(_ request: Request, caller: Principal) async throws -> Response {
        let catalogue = catalogue.current
        let id = request.pathParameters["id"]
        guard let model = catalogue[id] else {
            throw catalogue.problem(of: id)
        }
        return .json(200) { json in json.object { $0.write(model) } }
    }
}

extension JSONWriter {
    /// Writes OpenAI's model object with the price of the model in credits, markup included.
    fileprivate mutating func write(_ model: Catalogue.Model) {
        field("id", model.id)
        field("object", "model")
        field("created", model.createdAt.seconds)
        field("owned_by", model.provider.name)
        field("context_length", model.limits.contextTokens)
        array("surfaces") { list in for surface in Surface.allCases where model.surfaces.contains(surface) { list.string(surface.rawValue) }
        }
        object("pricing") { object in
            let price = ListedPrice(model.price)
            object.field("price_version", price.version)
            object.field("credits_per_1k_prompt_tokens", credits: price.tokens.prompt)
            object.field("credits_per_1k_completion_tokens", credits: price.tokens.completion)
            object.field("credits_per_1k_cached_prompt_tokens", credits: price.tokens.cachedPrompt)
            object.field("credits_per_1k_cache_write_tokens", credits: price.cacheWrite.prompt)
            object.field("credits_per_1k_cache_write_1h_tokens", credits: price.cacheWriteHour.prompt)
            object.field("min_credits", credits: price.minimum)
            object.array("units") { list in
                for unit in price.units {
                    list.object { json in
                        json.field("unit", unit.unit.rawValue)
                        json.field("class", unit.tier.rawValue)
                        json.field("credits", credits: unit.credits)
                    }
                }
            }
        }
    }

    /// Writes null for a price beyond the largest amount of credits.
    private mutating func field(_ name: String, credits: Credits?) {
        guard let credits else { return field(name, nil as String?) }
        field(name, raw: credits.description.utf8)
    }
}
