import Contracts
import HTTP
import Identity
import JSON
import Values

/// `GET /api/v1/llm/balance`: the credits of the caller, as the ledger has them.
struct AccountBalance: Sendable {
    let ask: @Sendable (AccountID) async throws -> BalanceReply

    func show(_ request: Request, caller: Principal) async throws -> Response {
        let balance = try await ask(caller.accountID)
        return .object(200) { json in
            json.field("balance", raw: balance.posted.description.utf8)
            json.field("held", raw: balance.held.description.utf8)
            json.field("available", raw: balance.available.description.utf8)
            json.field("currency", "credits")
        }
    }
}
