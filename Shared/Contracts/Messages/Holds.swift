package import JSON

/// Asks the ledger to reserve credits before a model call. RPC: answered by ``HoldReply``.
///
/// Idempotent on `chargeID`: asked again with the same content, the first answer comes back; with other content, `conflict`.
/// A refusal is final for its id: a new try needs a new id.
package struct PlaceHold: Message {
    package static let name = "hold.place.v1"
    package static let exchange = Topology.ledgerRPC
    package var routingKey: String { "hold.\(accountID.shard)" }

    package var chargeID: ChargeID
    package var accountID: AccountID
    /// What the call is estimated to cost.
    package var amount: Credits
    /// The least that still buys a useful answer: the ledger grants between this and `amount`, as much as is available.
    package var amountLeast: Credits
    /// An interval, not a time, so that clocks need not agree; the ledger's database counts it from the decision.
    package var timeToLiveMilliseconds: Int64
    /// The replica that asks, for people who read the journal.
    package var holder: String
    package var apiKeyID: APIKeyID?
    /// When credits are short only because running calls hold them: true asks for `awaiting_funds`, which decides nothing, so
    /// that the proxy may ask again with the same id; false asks for a final refusal.
    package var awaitsFunds: Bool
    /// What `apiKeyID` may spend, as auth says; the account's own limits the ledger knows itself. A key's spending is counted from its
    /// first hold that carries limits.
    package var keyLimits: SpendingLimits?

    package init(
        chargeID: ChargeID, accountID: AccountID, amount: Credits, amountLeast: Credits, timeToLiveMilliseconds: Int64, holder: String,
        apiKeyID: APIKeyID?, awaitsFunds: Bool = false, keyLimits: SpendingLimits? = nil
    ) {
        self.chargeID = chargeID
        self.accountID = accountID
        self.amount = amount
        self.amountLeast = amountLeast
        self.timeToLiveMilliseconds = timeToLiveMilliseconds
        self.holder = holder
        self.apiKeyID = apiKeyID
        self.awaitsFunds = awaitsFunds
        self.keyLimits = keyLimits
    }

    package func encode(into json: inout JSONWriter) {
        json.field("charge_id", chargeID)
        json.field("account_id", accountID)
        json.field("amount", nano: amount)
        json.field("amount_least", nano: amountLeast)
        json.field("time_to_live_ms", timeToLiveMilliseconds)
        json.field("holder", holder)
        json.field(optional: "api_key_id", apiKeyID?.rawValue)
        json.field("awaits_funds", awaitsFunds)
        json.field(optional: "key_limits", keyLimits)
    }

    package init(from json: JSONObject) throws {
        chargeID = try json.id("charge_id")
        accountID = try json.id("account_id")
        amount = try json.nanoCredits("amount")
        amountLeast = try json.nanoCredits("amount_least")
        timeToLiveMilliseconds = try json.integer("time_to_live_ms")
        holder = try json.string("holder")
        apiKeyID = try json.optionalString("api_key_id").map(APIKeyID.init(rawValue:))
        awaitsFunds = try json.optionalBool("awaits_funds") ?? false
        keyLimits = try json.optionalSpendingLimits("key_limits")
    }
}

/// Asks for more on a running hold before it is used up, and reports usage and prolongs like ``ReportUsage`` (RFC 8506's UPDATE). RPC:
/// answered by ``HoldReply``, whose `granted` is what this step added.
///
/// Idempotent on (`chargeID`, `step`). A refusal is final for its step and leaves what is held as it was; the report counts.
package struct ExtendHold: Message {
    package static let name = "hold.extend.v1"
    package static let exchange = Topology.ledgerRPC
    package var routingKey: String { "hold.\(accountID.shard)" }

    package var chargeID: ChargeID
    package var accountID: AccountID
    /// 1, 2, … 9999: counted by the asker for this charge.
    package var step: Int64
    /// On top of what is held.
    package var amount: Credits
    /// The least that is of use; the ledger adds between this and `amount`.
    package var amountLeast: Credits
    package var usedSoFar: Credits
    package var timeToLiveMilliseconds: Int64

    package init(
        chargeID: ChargeID, accountID: AccountID, step: Int64, amount: Credits, amountLeast: Credits, usedSoFar: Credits,
        timeToLiveMilliseconds: Int64
    ) {
        self.chargeID = chargeID
        self.accountID = accountID
        self.step = step
        self.amount = amount
        self.amountLeast = amountLeast
        self.usedSoFar = usedSoFar
        self.timeToLiveMilliseconds = timeToLiveMilliseconds
    }

    package func encode(into json: inout JSONWriter) {
        json.field("charge_id", chargeID)
        json.field("account_id", accountID)
        json.field("step", step)
        json.field("amount", nano: amount)
        json.field("amount_least", nano: amountLeast)
        json.field("used_so_far", nano: usedSoFar)
        json.field("time_to_live_ms", timeToLiveMilliseconds)
    }

    package init(from json: JSONObject) throws {
        chargeID = try json.id("charge_id")
        accountID = try json.id("account_id")
        step = try json.integer("step")
        amount = try json.nanoCredits("amount")
        amountLeast = try json.nanoCredits("amount_least")
        usedSoFar = try json.nanoCredits("used_so_far")
        timeToLiveMilliseconds = try json.integer("time_to_live_ms")
    }
}

/// The ledger's answer to ``PlaceHold`` and ``ExtendHold``.
package struct HoldReply: Message {
    package static let name = "hold.reply.v1"
    package static let exchange = Topology.rpcReply

    package enum Status: String, CaseIterable, Sendable {
        case granted
        /// Not even `amountLeast` is available. Final for this charge id.
        case insufficientFunds = "insufficient_funds"
        /// Not enough now, but running calls hold credits that may come free (`posted - held < amountLeast <= posted`), and the
        /// request said `awaitsFunds`. Nothing was decided or written: ask again with the same id.
        case awaitingFunds = "awaiting_funds"
        /// A spending limit leaves less than `amountLeast`: see `limit`. Final for this charge id.
        case limitReached = "limit_reached"
        /// There is no hold to extend. Final for this step.
        case notHeld = "not_held"
        /// The charge was captured, voided or expired before the hold arrived. Final.
        case alreadyResolved = "already_resolved"
        /// The id is known with other content. Nothing was changed.
        case conflict
        /// A field is out of range. Nothing was changed.
        case invalid
    }

    package var chargeID: ChargeID
    package var status: Status
    /// What is reserved: between `amountLeast` and `amount`; zero unless granted.
    package var granted: Credits
    /// What the account can still spend after this decision.
    package var available: Credits
    package var message: String?
    /// With `limit_reached`: which limit stood in the way.
    package var limit: Limit?

    package struct Limit: Sendable, Hashable {
        package enum Scope: String, CaseIterable, Sendable {
            case account
            case apiKey = "api_key"
        }

        package enum Period: String, CaseIterable, Sendable { case day, month }

        package var scope: Scope
        package var period: Period
        /// When the period ends (UTC).
        package var resetsAt: Instant

        package init(scope: Scope, period: Period, resetsAt: Instant) {
            self.scope = scope
            self.period = period
            self.resetsAt = resetsAt
        }
    }

    package init(
        chargeID: ChargeID, status: Status, granted: Credits, available: Credits, message: String? = nil, limit: Limit? = nil
    ) {
        self.limit = limit
        self.chargeID = chargeID
        self.status = status
        self.granted = granted
        self.available = available
        self.message = message
    }

    package func encode(into json: inout JSONWriter) {
        json.field("charge_id", chargeID)
        json.field("status", status.rawValue)
        json.field("granted", nano: granted)
        json.field("available", nano: available)
        json.field(optional: "message", message)
        guard let limit else { return }
        json.object("limit") { json in
            json.field("scope", limit.scope.rawValue)
            json.field("period", limit.period.rawValue)
            json.field("resets_at", limit.resetsAt)
        }
    }

    package init(from json: JSONObject) throws {
        chargeID = try json.id("charge_id")
        status = try json.oneOf("status")
        granted = try json.nanoCredits("granted")
        available = try json.nanoCredits("available")
        message = try json.optionalString("message")
        limit = try json.optionalObject("limit").map { limit in
            Limit(scope: try limit.oneOf("scope"), period: try limit.oneOf("period"), resetsAt: try limit.instant("resets_at"))
        }
    }
}

/// Drops a hold whose call cost nothing: it failed before its first token. Idempotent; a void that overtakes its hold wins.
package struct VoidHold: Message {
    package static let name = "hold.void.v1"
    package static let exchange = Topology.ledgerCommands
    package var routingKey: String { "\(Self.name).\(accountID.shard)" }

    package var chargeID: ChargeID
    package var accountID: AccountID
    package var reason: String

    package init(chargeID: ChargeID, accountID: AccountID, reason: String) {
        self.chargeID = chargeID
        self.accountID = accountID
        self.reason = reason
    }

    package func encode(into json: inout JSONWriter) {
        json.field("charge_id", chargeID)
        json.field("account_id", accountID)
        json.field("reason", reason)
    }

    package init(from json: JSONObject) throws {
        chargeID = try json.id("charge_id")
        accountID = try json.id("account_id")
        reason = try json.string("reason")
    }
}

/// What a running call has used so far (RFC 8506's UPDATE): should its proxy die, the hold expires at this amount.
///
/// Cumulative: of several reports the largest counts, so order and duplicates do not matter. Also prolongs the hold.
package struct ReportUsage: Message {
    package static let name = "hold.report.v1"
    package static let exchange = Topology.ledgerCommands
    package var routingKey: String { "\(Self.name).\(accountID.shard)" }

    package var chargeID: ChargeID
    package var accountID: AccountID
    package var usedSoFar: Credits
    package var timeToLiveMilliseconds: Int64

    package init(chargeID: ChargeID, accountID: AccountID, usedSoFar: Credits, timeToLiveMilliseconds: Int64) {
        self.chargeID = chargeID
        self.accountID = accountID
        self.usedSoFar = usedSoFar
        self.timeToLiveMilliseconds = timeToLiveMilliseconds
    }

    package func encode(into json: inout JSONWriter) {
        json.field("charge_id", chargeID)
        json.field("account_id", accountID)
        json.field("used_so_far", nano: usedSoFar)
        json.field("time_to_live_ms", timeToLiveMilliseconds)
    }

    package init(from json: JSONObject) throws {
        chargeID = try json.id("charge_id")
        accountID = try json.id("account_id")
        usedSoFar = try json.nanoCredits("used_so_far")
        timeToLiveMilliseconds = try json.integer("time_to_live_ms")
    }
}
