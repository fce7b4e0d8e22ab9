import AMQP
import HTTP
import HTTPWire
import Identity
import Postgres
import Telemetry

/// The HTTP door of the proxy. `Endpoints/` has the handlers.
struct Routes: HTTPDoor {
    let chat: ChatCompletions
    let receipts: ReceiptReader

    static let table: [Route<Routes>] = [
        Route(
            .post, ["/v1/chat/completions"], access: .credential(scope: "llm"), bodyBytesMax: 16 << 20, rate: .calls,
            exchange: Routes.complete),
        Route(.get, ["/v1/generation"], access: .credential(scope: "llm"), Routes.showReceipt),
        Route(.get, ["/v1/models"], access: .credential(scope: "models"), Routes.listModels),
        Route(.get, ["/v1/models/{id...}"], access: .credential(scope: "models"), Routes.showModel),
    ]

    var gate: CallerGate<Principal> { chat.authenticator.gate }

    /// Maps a lost database, and a ledger that does not answer, to 503.
    func problem(for error: any Error, in trace: TraceContext) -> Problem? {
        switch error {
        case let error as PostgresError where error.isTransient:
            chat.services.log.warning("request failed: database unavailable", error: error, trace: trace)
            return .unavailable("The database is unavailable; retry later.")
        case is RPCError: return .ledgerUnavailable
        default: return nil
        }
    }

    func complete(_ exchange: Exchange, _ context: RequestContext, caller: Principal) async {
        await chat.complete(exchange, context, caller: caller)
    }
}
