package import JSON
package import Values

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

/// How much of a grant is taken back, because its payment was refunded or disputed. A target and not a step: `target` is what should be
/// taken back in all, so that repeated and reordered news of refunds, failed refunds and won disputes add up to the right thing.
///
/// Idempotent on `chargeID`. The ledger takes (or gives back) the difference to what it took before; of several the highest `version`
/// counts. It may come before the grant itself. The balance may go below zero by it.
package struct PurchaseReversed: Message {
    package static let name = "purchase.reversed.v1"
    package static let exchange = Topology.ledgerCommands

    package enum Reason: String, CaseIterable, Sendable { case refund, dispute }

    /// The id of this reversal.
    package var chargeID: ChargeID
    package var accountID: AccountID
    /// The id of the ``PurchaseFulfilled`` that gave the credits.
    package var grantID: ChargeID
    /// Cumulative; zero undoes every earlier reversal.
    package var target: Credits
    /// Rises with each statement about the same grant.
    package var version: Int64
    package var reason: Reason
    package var description: String

    package init(
        chargeID: ChargeID, accountID: AccountID, grantID: ChargeID, target: Credits, version: Int64, reason: Reason, description: String
    ) {
        self.chargeID = chargeID
        self.accountID = accountID
        self.grantID = grantID
        self.target = target
        self.version = version
        self.reason = reason
        self.description = description
    }

    package func encode(into json: inout JSONWriter) {
        json.field("charge_id", chargeID)
        json.field("account_id", accountID)
        json.field("grant_id", grantID)
        json.field("target", nano: target)
        json.field("version", version)
        json.field("reason", reason.rawValue)
        json.field("description", description)
    }

    package init(from json: JSONObject) throws {
        chargeID = try json.id("charge_id")
        accountID = try json.id("account_id")
        grantID = try json.id("grant_id")
        target = try json.nanoCredits("target")
        version = try json.integer("version")
        reason = try json.oneOf("reason")
        description = try json.string("description")
    }
}
