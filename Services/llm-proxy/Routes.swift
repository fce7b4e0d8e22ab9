import Contracts
import HTTP
import HTTPWire
import Identity
import JSON
import Telemetry
import Values

/// | route | |
/// |---|---|
/// | `POST /v1/chat/completions` | ``ChatService/complete(_:_:)``: held, streamed through, charged |
/// | `GET /v1/models` | enabled and priced models |
/// | `GET /v1/models/{id}` | one of them |
struct Routes: Sendable {
    let chat: ChatService

    var router: Router {
        var router = Router()
        router.onExchange(.post, "/v1/chat/completions", access: .credential) { exchange, context in await chat.complete(exchange, context)
        }
        router.on(.get, "/v1/models", access: .credential) { request in try await chat.listModels(request) }
        router.on(.get, "/v1/models/{id}", access: .credential) { request in try await chat.showModel(request) }
        return router
    }
}

extension ChatService {
    func listModels(_ request: Request) async throws -> Response {
        try await authenticator.principal(request).require("models")
        let catalogue = catalogue.current
        return .json(200) { json in
            json.object { list in
                list.field("object", "list")
                list.array("data") { data in for model in catalogue.sorted { data.object { $0.write(model, catalogue.tariff) } } }
            }
        }
    }

    func showModel(_ request: Request) async throws -> Response {
        try await authenticator.principal(request).require("models")
        let catalogue = catalogue.current
        let id = request.pathParameters["id"]
        guard let model = catalogue.models[id] else { throw Problem.modelNotFound(id) }
        return .json(200) { json in json.object { $0.write(model, catalogue.tariff) } }
    }
}

extension JSONWriter {
    /// OpenAI's model object, with what the call costs here: credits per 1,000 tokens, markup included.
    fileprivate mutating func write(_ model: Catalogue.Model, _ tariff: Tariff) {
        field("id", model.id)
        field("object", "model")
        field("created", model.createdAt.seconds)
        field("owned_by", model.provider.name)
        field("context_length", model.limits.contextTokens)
        object("pricing") { pricing in
            pricing.field("price_version", model.price.version)
            let prompt = tariff.credits(for: TokenUsage(promptTokens: 1_000, completionTokens: 0), at: model.price)
            let completion = tariff.credits(for: TokenUsage(promptTokens: 0, completionTokens: 1_000), at: model.price)
            pricing.field("credits_per_1k_prompt_tokens", raw: Array((prompt ?? .zero).description.utf8))
            pricing.field("credits_per_1k_completion_tokens", raw: Array((completion ?? .zero).description.utf8))
        }
    }
}
