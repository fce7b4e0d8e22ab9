package import JSON

/// Asks the ledger what an account holds. RPC: answered by ``BalanceReply``. Reads only.
package struct QueryBalance: Message {
    package static let name = "balance.query.v1"
    package static let exchange = Topology.ledgerQueries
    package static let routingKey = "balance"

    package var accountID: AccountID

    package init(accountID: AccountID) { self.accountID = accountID }

    package func encode(into json: inout JSONWriter) { json.field("account_id", accountID) }
    package init(from json: JSONObject) throws { accountID = try json.id("account_id") }
}

/// An account that the ledger has never heard of has zero of everything.
package struct BalanceReply: Message {
    package static let name = "balance.reply.v1"
    package static let exchange = Topology.rpcReply

    package var accountID: AccountID
    /// Settled credits.
    package var posted: Credits
    /// Reserved by running calls.
    package var held: Credits
    package var available: Credits

    package init(accountID: AccountID, posted: Credits, held: Credits, available: Credits) {
        self.accountID = accountID
        self.posted = posted
        self.held = held
        self.available = available
    }

    package func encode(into json: inout JSONWriter) {
        json.field("account_id", accountID)
        json.field("posted", nano: posted)
        json.field("held", nano: held)
        json.field("available", nano: available)
    }

    package init(from json: JSONObject) throws {
        accountID = try json.id("account_id")
        posted = try json.nanoCredits("posted")
        held = try json.nanoCredits("held")
        available = try json.nanoCredits("available")
    }
}
