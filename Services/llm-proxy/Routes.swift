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
