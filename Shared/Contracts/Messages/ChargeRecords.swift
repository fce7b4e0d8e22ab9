package import JSON
package import Values

/// Asks the ledger for its record of one charge. RPC: answered by ``ChargeReply``. Reads only.
///
/// A proxy asks it for a receipt that no proxy wrote, billing for a grant that a page waits for.
package struct QueryCharge: Message {
    package static let name = "charge.query.v1"
    package static let exchange = Topology.ledgerQueries
    package var routingKey: String { "charge" }

    package var chargeID: ChargeID
    /// The account that asks. The charge of another account is answered as unknown.
    package var accountID: AccountID

    package init(chargeID: ChargeID, accountID: AccountID) {
        self.chargeID = chargeID
        self.accountID = accountID
    }

    package func encode(into json: inout JSONWriter) {
        json.field("charge_id", chargeID)
        json.field("account_id", accountID)
    }

    package init(from json: JSONObject) throws {
        chargeID = try json.id("charge_id")
        accountID = try json.id("account_id")
    }
}

/// The entries of one charge in the journal, summed up.
package struct ChargeReply: Message {
    package static let name = "charge.reply.v1"
    package static let exchange = Topology.rpcReply

    package enum State: String, CaseIterable, Sendable {
        /// The account has no entry of this charge.
        case unknown
        /// A hold without an end.
        case open
        case settled
        case voided
        case expired
        /// The charge is a grant: credits that were bought, or that a plan or a bonus gave.
        case granted
    }

    package var chargeID: ChargeID
    package var state: State
    /// The credits that were granted by the hold and its extensions.
    package var held: Credits
    /// The credits that the charge took from the balance, less what came back after an expiry. It
    /// can be less than the price (``SettleCharge/amount``).
    package var charged: Credits
    /// The times of the first entry and of the end, by the database's clock.
    package var openedAt: Instant?
    package var endedAt: Instant?
    /// The facts of a settled call; nil for a charge that no model call made.
    package var call: CallFacts?

    package init(
        chargeID: ChargeID, state: State, held: Credits = .zero, charged: Credits = .zero, openedAt: Instant? = nil,
        endedAt: Instant? = nil, call: CallFacts? = nil
    ) {
        self.chargeID = chargeID
        self.state = state
        self.held = held
        self.charged = charged
        self.openedAt = openedAt
        self.endedAt = endedAt
        self.call = call
    }

    package func encode(into json: inout JSONWriter) {
        json.field("charge_id", chargeID)
        json.field("state", state.rawValue)
        json.field("held", nano: held)
        json.field("charged", nano: charged)
        json.field(optional: "opened_at", openedAt?.microseconds)
        json.field(optional: "ended_at", endedAt?.microseconds)
        if let call { json.object("call") { call.encode(into: &$0) } }
    }

    package init(from json: JSONObject) throws {
        chargeID = try json.id("charge_id")
        state = try json.oneOf("state")
        held = try json.nanoCredits("held")
        charged = try json.nanoCredits("charged")
        openedAt = try json.optionalInstant("opened_at")
        endedAt = try json.optionalInstant("ended_at")
        call = try json.optionalObject("call").map { try CallFacts(from: $0) }
    }
}
