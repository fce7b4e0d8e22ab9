import AMQP
import HTTP
import HTTPWire
import Identity
import Postgres
import Telemetry
import Web

/// The HTTP door of the proxy. `Endpoints/` has the handlers.
struct Routes: HTTPDoor {
    let calls: ModelCalls
    let videos: Videos
    let tokens: CountTokens
    let models: Models
    let receipts: Receipts
    let balance: AccountBalance
    let usage: AdminUsage
    let admin: AdminModels
    let providers: AdminProviders
    let pages: PricePages
    let gate: CallerGate<Principal>
    let log: Logger

    static let table: [Route<Routes>] = [
        Route(
            .post, ["/v1/chat/completions"], access: .credential(scope: "llm"), bodyBytesMax: 16 << 20, rate: .calls,
            exchange: { $0.calls.handler(ChatCompletions()) }),
        Route(
            .post, ["/v1/messages"], access: .credential(scope: "llm"), bodyBytesMax: 16 << 20, rate: .calls, errors: .anthropic,
            exchange: { $0.calls.handler(CreateMessage()) }),
        Route(
            .post, ["/v1/messages/count_tokens"], access: .credential(scope: "llm"), bodyBytesMax: 16 << 20, rate: .calls,
            errors: .anthropic
        ) { $0.tokens.count },
        Route(
            .post, ["/v1/responses"], access: .credential(scope: "llm"), bodyBytesMax: 16 << 20, rate: .calls,
            exchange: { $0.calls.handler(Responses()) }),
        Route(
            .post, ["/v1/embeddings"], access: .credential(scope: "llm"), bodyBytesMax: 16 << 20, rate: .calls,
            exchange: { $0.calls.handler(Embeddings()) }),
        Route(
            .post, ["/v1/completions"], access: .credential(scope: "llm"), bodyBytesMax: 16 << 20, rate: .calls,
            exchange: { $0.calls.handler(TextCompletions()) }),
        Route(
            .post, ["/v1/images/generations"], access: .credential(scope: "llm"), bodyBytesMax: 1 << 20, rate: .calls,
            exchange: { $0.calls.handler(Images()) }),
        Route(
            .post, ["/v1/images/edits"], access: .credential(scope: "llm"), uploadBytesMax: 64 << 20, rate: .calls,
            exchange: { $0.calls.handler(ImageEdits()) }),
        Route(
            .post, ["/v1/audio/transcriptions"], access: .credential(scope: "llm"), uploadBytesMax: 64 << 20, rate: .calls,
            exchange: { $0.calls.handler(Transcriptions()) }),
        Route(
            .post, ["/v1/audio/speech"], access: .credential(scope: "llm"), bodyBytesMax: 1 << 20, rate: .calls,
            exchange: { $0.calls.handler(Speech()) }),
        Route(
            .post, ["/v1/videos"], access: .credential(scope: "llm"), uploadBytesMax: VideoOrder.uploadBytesMax, rate: .calls,
            exchange: { $0.videos.create }),
        Route(.get, ["/v1/videos"], access: .credential(scope: "llm")) { $0.videos.list },
        Route(.get, ["/v1/videos/{id}"], access: .credential(scope: "llm")) { $0.videos.show },
        Route(.get, ["/v1/videos/{id}/content"], access: .credential(scope: "llm"), exchange: { $0.videos.content }),
        Route(.delete, ["/v1/videos/{id}"], access: .credential(scope: "llm")) { $0.videos.delete },
        Route(
            .post, ["/api/llm/chat", "/api/v1/llm/invoke"], access: .credential(scope: "llm"), bodyBytesMax: 16 << 20, rate: .calls,
            exchange: { $0.calls.handler(SimpleChat(defaultModel: $0.calls.defaultModel)) }),
        Route(
            .post, ["/api/llm/stream"], access: .credential(scope: "llm"), bodyBytesMax: 16 << 20, rate: .calls,
            exchange: { $0.calls.handler(SimpleChat(isStreaming: true, defaultModel: $0.calls.defaultModel)) }),
        Route(
            .post, ["/api/v1/llm/test"], access: .credential(scope: "llm"), rate: .calls,
            exchange: { $0.calls.handler(SimpleChat(defaultPrompt: "Answer with OK.", defaultModel: $0.calls.defaultModel)) }),
        Route(.get, ["/api/v1/llm/balance"], access: .credential(scope: "credits")) { $0.balance.show },
        Route(.get, ["/api/v1/llm/usage"], access: .admin()) { $0.usage.show },
        Route(.get, ["/v1/generation"], access: .credential(scope: "llm")) { $0.receipts.show },
        Route(.get, ["/v1/models"], access: .credential(scope: "models")) { $0.models.list },
        Route(.get, ["/v1/models/{id...}"], access: .credential(scope: "models")) { $0.models.show },

        Route(.get, ["/api/admin/models"], access: .admin()) { $0.admin.list },
        Route(.put, ["/api/admin/models"], access: .admin(freshWithin: .seconds(900))) { $0.admin.putModel },
        Route(.get, ["/api/admin/providers", "/api/v1/llm/providers"], access: .admin()) { $0.providers.list },
        Route(
            .post, ["/api/admin/providers/{name}/enable", "/api/v1/llm/providers/{name}/enable"], access: .admin(freshWithin: .seconds(900))
        ) { $0.providers.enable },
        Route(
            .post, ["/api/admin/providers/{name}/disable", "/api/v1/llm/providers/{name}/disable"],
            access: .admin(freshWithin: .seconds(900))
        ) { $0.providers.disable },
        Route(.put, ["/api/admin/pricing"], access: .admin(freshWithin: .seconds(900)), bodyBytesMax: 65_536) { $0.admin.putPrice },
        Route(.get, ["/api/admin/pricing/{version}"], access: .admin()) { $0.admin.show },

        // Pages.
        Route(.get, ["/pricing"], access: .public, errors: .page) { $0.pages.show },
        Route(.get, ["/assets/llm-proxy/{file}"], access: .public, errors: .page) { $0.pages.showAsset },
    ]

    func page(for problem: Problem, to exchange: Exchange) -> Response {
        pages.site.page(for: problem, to: exchange, gate.knownViewer(exchange.headers))
    }

    /// Maps a lost database, and a ledger that does not answer, to 503.
    func problem(for error: any Error, in trace: TraceContext) -> Problem? {
        switch error {
        case let error as PostgresError where error.isTransient:
            log.warning("request failed: database unavailable", error: error, trace: trace)
            return .unavailable("The database is unavailable; retry later.")
        case is RPCError: return .ledgerUnavailable
        default: return nil
        }
    }
}
