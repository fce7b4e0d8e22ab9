package import JSON
package import Values

/// Asks the ledger what an account holds. RPC: answered by ``BalanceReply``. Reads only.
package struct QueryBalance: Message {
    package static let name = "balance.query.v1"
    package static let exchange = Topology.ledgerQueries
    package var routingKey: String { "balance" }

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
    /// The level at which the owner is warned. Nil for an account that never had credits.
    package var alertLevel: Credits?

    package init(accountID: AccountID, posted: Credits, held: Credits, available: Credits, alertLevel: Credits? = nil) {
        self.accountID = accountID
        self.posted = posted
        self.held = held
        self.available = available
        self.alertLevel = alertLevel
    }

    package func encode(into json: inout JSONWriter) {
        json.field("account_id", accountID)
        json.field("posted", nano: posted)
        json.field("held", nano: held)
        json.field("available", nano: available)
        json.field(optional: "alert_level", alertLevel?.nano)
    }

    package init(from json: JSONObject) throws {
        accountID = try json.id("account_id")
        posted = try json.nanoCredits("posted")
        held = try json.nanoCredits("held")
        available = try json.nanoCredits("available")
        alertLevel = try json.optionalInteger("alert_level").map(Credits.init(nano:))
    }
}

/// The balance fell through the level its owner asked to be told of. Once per crossing: told again only after it has been at or above it.
package struct BalanceLow: Message {
    package static let name = "balance.low.v1"
    package static let exchange = Topology.ledgerEvents

    package var accountID: AccountID
    /// Settled credits, running calls not subtracted.
    package var balance: Credits
    package var level: Credits
    package var at: Instant

    package init(accountID: AccountID, balance: Credits, level: Credits, at: Instant) {
        self.accountID = accountID
        self.balance = balance
        self.level = level
        self.at = at
    }

    package func encode(into json: inout JSONWriter) {
        json.field("account_id", accountID)
        json.field("balance", nano: balance)
        json.field("level", nano: level)
        json.field("at", at)
    }

    package init(from json: JSONObject) throws {
        accountID = try json.id("account_id")
        balance = try json.nanoCredits("balance")
        level = try json.nanoCredits("level")
        at = try json.instant("at")
    }
}

/// Nothing is left, or a call was refused that the account could not pay even with no other running. Once, until credits come in.
package struct BalanceExhausted: Message {
    package static let name = "balance.exhausted.v1"
    package static let exchange = Topology.ledgerEvents

    package var accountID: AccountID
    /// Settled credits, running calls not subtracted.
    package var balance: Credits
    package var at: Instant

    package init(accountID: AccountID, balance: Credits, at: Instant) {
        self.accountID = accountID
        self.balance = balance
        self.at = at
    }

    package func encode(into json: inout JSONWriter) {
        json.field("account_id", accountID)
        json.field("balance", nano: balance)
        json.field("at", at)
    }

    package init(from json: JSONObject) throws {
        accountID = try json.id("account_id")
        balance = try json.nanoCredits("balance")
        at = try json.instant("at")
    }
}
