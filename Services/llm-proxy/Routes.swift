import HTTP
import HTTPWire
import Identity

/// The HTTP door of the proxy. `Endpoints/` has the handlers.
struct Routes: HTTPDoor {
    let chat: ChatCompletions

    static let table: [Route<Routes>] = [
        Route(
            .post, ["/v1/chat/completions"], access: .credential(scope: "llm"), bodyBytesMax: 16 << 20, rate: .calls,
            exchange: Routes.complete),
        Route(.get, ["/v1/models"], access: .credential(scope: "models"), Routes.listModels),
        Route(.get, ["/v1/models/{id...}"], access: .credential(scope: "models"), Routes.showModel),
    ]

    var gate: CallerGate<Principal> { chat.authenticator.gate }

    func complete(_ exchange: Exchange, _ context: RequestContext, caller: Principal) async {
        await chat.complete(exchange, context, caller: caller)
    }
}
