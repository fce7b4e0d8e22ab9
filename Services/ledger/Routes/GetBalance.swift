import Contracts
import HTTP
import Identity
import JSON
import LedgerCore
import Values

extension Routes {
    /// {balance, held, available, owed?, currency, plan, lots, next_expiry}
    func balance(_ request: Request, caller: Principal) async throws -> Response { try await balance(of: caller) }

    func balance(of caller: Principal) async throws -> Response {
        let standing = try await standing(of: caller.accountID)
        return .object(200) { json in
            standing.encode(into: &json)
            json.field("plan", caller.plan)
        }
    }

    /// Returns the balance of any account, with the members that only operators need. The plan is not among them: auth has it.
    func anyBalance(_ request: Request, administrator: Principal) async throws -> Response {
        let account = try request.query.account()
        let standing = try await standing(of: account)
        return .object(200) { json in
            json.field("user_id", account)
            json.field("is_open", standing.account.isOpen)
            standing.encode(into: &json)
            json.field("overdraft", credits: standing.account.overdraft)
            json.field("daily_limit", credits: standing.account.limits.daily)
            json.field("monthly_limit", credits: standing.account.limits.monthly)
            json.field("transactions", standing.account.seq)
        }
    }

    /// Returns an empty standing for an account that was never granted anything.
    func standing(of account: AccountID) async throws -> Standing {
        try await store.standing(of: account, lots: true) ?? Standing(account: Account(id: account), lots: [])
    }
}

extension Standing {
    fileprivate func encode(into json: inout JSONWriter) {
        json.field("balance", credits: account.posted)
        json.field("held", credits: account.held)
        json.field("available", credits: account.available)
        if account.posted < .zero { json.field("owed", credits: -account.posted) }
        json.field("currency", "credits")
        json.array("lots") { json in
            for lot in lots { json.object { lot.encode(into: &$0) } }
        }
        json.key("next_expiry")
        guard let next = lots.compactMap(\.expiresAt).min() else { return json.null() }
        json.object { json in
            json.field("credits", credits: lots.filter { $0.expiresAt == next }.reduce(.zero) { $0 + $1.remaining })
            json.field("expires_at", next.description)
        }
    }
}
