package import JSON

/// Credits were bought or are due (a plan's month, a bonus): the ledger grants them, once per `chargeID`.
///
/// Published by billing through its outbox, in the transaction that records why.
package struct PurchaseFulfilled: Message {
    package static let name = "purchase.fulfilled.v1"
    package static let exchange = Topology.ledgerCommands

    package enum Kind: String, CaseIterable, Sendable {
        case purchase
        case planGrant = "plan_grant"
        case bonus
    }

    package var chargeID: ChargeID
    package var accountID: AccountID
    package var kind: Kind
    package var amount: Credits
    package var description: String
    /// When unspent credits of this grant end; nil: never.
    package var expiresAt: Instant?

    package init(
        chargeID: ChargeID, accountID: AccountID, kind: Kind, amount: Credits, description: String, expiresAt: Instant?
    ) {
        self.chargeID = chargeID
        self.accountID = accountID
        self.kind = kind
        self.amount = amount
        self.description = description
        self.expiresAt = expiresAt
    }

    package func encode(into json: inout JSONWriter) {
        json.field("charge_id", chargeID)
        json.field("account_id", accountID)
        json.field("kind", kind.rawValue)
        json.field("amount", nano: amount)
        json.field("description", description)
        json.field(optional: "expires_at", expiresAt?.microseconds)
    }

    package init(from json: JSONObject) throws {
        chargeID = try json.id("charge_id")
        accountID = try json.id("account_id")
        kind = try json.oneOf("kind")
        amount = try json.nanoCredits("amount")
        description = try json.string("description")
        expiresAt = try json.optionalInstant("expires_at")
    }
}
