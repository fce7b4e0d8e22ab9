import Contracts
import HTTP
import HTTPWire
import Identity
import JSON
import Telemetry

/// | route | |
/// |---|---|
/// | `POST /v1/chat/completions` | ``ChatCompletions/complete(_:_:)``: held, streamed through, charged |
/// | `GET /v1/models` | enabled and priced models |
/// | `GET /v1/models/{id...}` | one of them |
struct Routes: Sendable {
    let chat: ChatCompletions
    let models: Models

    var router: Router {
        var router = Router()
        router.onExchange(.post, "/v1/chat/completions", access: .credential) { exchange, context in await chat.complete(exchange, context)
        }
        router.on(.get, "/v1/models", access: .credential) { request in try await models.listModels(request) }
        router.on(.get, "/v1/models/{id...}", access: .credential) { request in try await models.showModel(request) }
        return router
    }
}
