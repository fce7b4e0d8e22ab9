package import JSON
package import Values

/// Asks the ledger to reserve credits before a model call. RPC: answered by ``HoldReply``.
///
/// Idempotent on `chargeID`: a granted hold is the answer to every repetition. A refusal is final
/// for its id and leaves no row, so the proxy never asks again with a refused id. It may ask again
/// only after `awaiting_funds` and `busy`.
package struct PlaceHold: Message {
    package static let name = "hold.place.v1"
    package static let exchange = Topology.ledgerRPC
    package var routingKey: String { "hold" }

    package var chargeID: ChargeID
    package var accountID: AccountID
    package var amounts: HoldAmounts
    /// True if the client set no limit for the answer. The hold then takes a share of what is
    /// available: a quarter, or a sixteenth if the account has other holds. The share is never less
    /// than `amounts.usual`, or than all there is if that is less.
    package var takesShare: Bool
    /// An interval, not a time, so that clocks need not agree; the ledger's database counts it from the decision.
    package var timeToLiveMilliseconds: Int64
    /// The replica that asks, for people who read the journal.
    package var replica: String
    package var apiKeyID: APIKeyID?
    /// The limits of `apiKeyID`, from auth. The ledger knows the account's own limits itself. A key's spending is counted from
    /// its first hold that carries limits.
    package var keyLimits: SpendingLimits?
    /// The server of ours that calls for the user, by name. Nil for a call of the user.
    package var service: String?

    package init(
        chargeID: ChargeID, accountID: AccountID, amounts: HoldAmounts, takesShare: Bool = false, timeToLiveMilliseconds: Int64,
        replica: String, apiKeyID: APIKeyID?, keyLimits: SpendingLimits? = nil, service: String? = nil
    ) {
        self.chargeID = chargeID
        self.accountID = accountID
        self.amounts = amounts
        self.takesShare = takesShare
        self.timeToLiveMilliseconds = timeToLiveMilliseconds
        self.replica = replica
        self.apiKeyID = apiKeyID
        self.keyLimits = keyLimits
        self.service = service
    }

    package func encode(into json: inout JSONWriter) {
        json.field("charge_id", chargeID)
        json.field("account_id", accountID)
        amounts.encode(into: &json)
        json.field("takes_share", takesShare)
        json.field("time_to_live_ms", timeToLiveMilliseconds)
        json.field("replica", replica)
        json.field(optional: "api_key_id", apiKeyID?.rawValue)
        json.field(optional: "key_limits", keyLimits)
        json.field(optional: "service", service)
    }

    package init(from json: JSONObject) throws {
        chargeID = try json.id("charge_id")
        accountID = try json.id("account_id")
        amounts = try HoldAmounts(from: json)
        takesShare = try json.bool("takes_share")
        timeToLiveMilliseconds = try json.integer("time_to_live_ms")
        replica = try json.string("replica")
        apiKeyID = try json.optionalString("api_key_id").map(APIKeyID.init(rawValue:))
        keyLimits = try json.optionalSpendingLimits("key_limits")
        service = try json.optionalString("service")
    }
}

/// The credits that a hold or an extension asks for, from the most it can use to the least that is
/// of use.
package struct HoldAmounts: Sendable, Hashable {
    /// The most credits that are of use: for a hold the upper bound of the price of the call.
    package var most: Credits
    /// The price of the model's usual answer, or of the client's limit if that is less. While other
    /// holds of the account reserve the rest, the ledger grants this amount or more, or nothing
    /// yet.
    package var usual: Credits
    /// The price of the shortest useful answer. The ledger grants it if no other hold reserves the
    /// rest, or on the last question.
    package var least: Credits
    /// True for the last question of a call that has waited. It takes what there is, down to
    /// `least`.
    package var isLastQuestion: Bool

    /// Takes `least <= usual <= most`, all above zero. The ledger refuses other amounts as invalid.
    package init(most: Credits, usual: Credits, least: Credits, isLastQuestion: Bool = false) {
        self.most = most
        self.usual = usual
        self.least = least
        self.isLastQuestion = isLastQuestion
    }

    func encode(into json: inout JSONWriter) {
        json.field("amount", nano: most)
        json.field("amount_usual", nano: usual)
        json.field("minimum_amount", nano: least)
        json.field("is_last_question", isLastQuestion)
    }

    init(from json: JSONObject) throws {
        most = try json.nanoCredits("amount")
        usual = try json.nanoCredits("amount_usual")
        least = try json.nanoCredits("minimum_amount")
        isLastQuestion = try json.bool("is_last_question")
    }
}

/// Asks for more on a running hold before it is used up, and reports usage and prolongs like ``ReportUsage`` (RFC 8506's UPDATE). RPC:
/// answered by ``HoldReply``, whose `granted` is what this step added.
///
/// Idempotent on (`chargeID`, `step`). A refusal leaves the hold as it was, and leaves no row. Its
/// usage report counts.
package struct ExtendHold: Message {
    package static let name = "hold.extend.v1"
    package static let exchange = Topology.ledgerRPC
    package var routingKey: String { "hold" }

    package var chargeID: ChargeID
    package var accountID: AccountID
    /// 1, 2, … 9999: counted by the asker for this charge.
    package var step: Int64
    /// On top of what is held.
    package var amounts: HoldAmounts
    package var usedSoFar: Credits
    package var timeToLiveMilliseconds: Int64

    package init(
        chargeID: ChargeID, accountID: AccountID, step: Int64, amounts: HoldAmounts, usedSoFar: Credits, timeToLiveMilliseconds: Int64
    ) {
        self.chargeID = chargeID
        self.accountID = accountID
        self.step = step
        self.amounts = amounts
        self.usedSoFar = usedSoFar
        self.timeToLiveMilliseconds = timeToLiveMilliseconds
    }

    package func encode(into json: inout JSONWriter) {
        json.field("charge_id", chargeID)
        json.field("account_id", accountID)
        json.field("step", step)
        amounts.encode(into: &json)
        json.field("used_so_far", nano: usedSoFar)
        json.field("time_to_live_ms", timeToLiveMilliseconds)
    }

    package init(from json: JSONObject) throws {
        chargeID = try json.id("charge_id")
        accountID = try json.id("account_id")
        step = try json.integer("step")
        amounts = try HoldAmounts(from: json)
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
        /// The balance would not pay `least` even with no other call running (402). The answer is
        /// final; nothing was written.
        case insufficientFunds = "insufficient_funds"
        /// Other holds reserve the missing credits. Nothing was decided or written, also on the
        /// last question. The same id may ask again.
        case awaitingFunds = "awaiting_funds"
        /// A spending limit would not leave `least` even with no other call running (see `limit`).
        /// The answer is final; nothing was written.
        case limitReached = "limit_reached"
        /// There is no hold to extend. Nothing was written.
        case notHeld = "not_held"
        /// The charge was captured, voided or expired before this question. Nothing was written.
        case alreadyResolved = "already_resolved"
        /// The id is known with other content. Nothing was changed.
        case conflict
        /// A field is out of range. Nothing was changed.
        case invalid
        /// The question was not decided and will not be: the account could not be locked in time,
        /// or the broker redelivered the question. It needs no void; the same id may ask again.
        case busy
    }

    package var chargeID: ChargeID
    package var status: Status
    /// The credits that are reserved, between `least` and `most`; zero unless granted.
    package var granted: Credits
    /// The credits that the balance with its overdraft leaves after this decision. Limits are not
    /// counted. Clients see it.
    package var available: Credits
    /// The credits that the balance with its overdraft and every limit leave for the next hold.
    package var spendable: Credits
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
        chargeID: ChargeID, status: Status, granted: Credits = .zero, available: Credits = .zero, spendable: Credits = .zero,
        message: String? = nil, limit: Limit? = nil
    ) {
        self.limit = limit
        self.chargeID = chargeID
        self.status = status
        self.granted = granted
        self.available = available
        self.spendable = spendable
        self.message = message
    }

    package func encode(into json: inout JSONWriter) {
        json.field("charge_id", chargeID)
        json.field("status", status.rawValue)
        json.field("granted", nano: granted)
        json.field("available", nano: available)
        json.field("spendable", nano: spendable)
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
        // Proxies subtract it from prices, so it must not be near the least integer.
        guard granted >= .zero else { throw MessageError(field: "granted", expected: "0 or more") }
        available = try json.nanoCredits("available")
        spendable = try json.nanoCredits("spendable")
        message = try json.optionalString("message")
        limit = try json.optionalObject("limit").map { limit in
            Limit(scope: try limit.oneOf("scope"), period: try limit.oneOf("period"), resetsAt: try limit.instant("resets_at"))
        }
    }
}

/// Ends a hold that is overdue. The ledger's own sweep sends it, and it is decided in the order of
/// its queue.
///
/// The first expiry that finds the hold overdue marks it and grants `EXPIRY_GRACE` for late
/// reports. The second one ends the hold at the largest report. An expiry names the end of the
/// hold's time that the sweep saw. It changes nothing once that time was moved, by the mark or by a
/// report, so duplicates are harmless.
package struct ExpireHold: Message {
    package static let name = "hold.expire.v1"
    package static let exchange = Topology.ledgerCommands

    package var chargeID: ChargeID
    package var accountID: AccountID
    package var expiresAt: Instant

    package init(chargeID: ChargeID, accountID: AccountID, expiresAt: Instant) {
        self.chargeID = chargeID
        self.accountID = accountID
        self.expiresAt = expiresAt
    }

    package func encode(into json: inout JSONWriter) {
        json.field("charge_id", chargeID)
        json.field("account_id", accountID)
        json.field("expires_at", expiresAt)
    }

    package init(from json: JSONObject) throws {
        chargeID = try json.id("charge_id")
        accountID = try json.id("account_id")
        expiresAt = try json.instant("expires_at")
    }
}

/// Drops a hold whose call cost nothing: it failed before its first token.
///
/// Idempotent. A void that overtakes its hold wins. A void after the expiry of the hold gives back
/// what the expiry took.
package struct VoidHold: Message {
    package static let name = "hold.void.v1"
    package static let exchange = Topology.ledgerCommands

    package var chargeID: ChargeID
    package var accountID: AccountID
    package var reason: String
    /// The API key of the call. Its sums get back what an expiry has counted.
    package var apiKeyID: APIKeyID?

    package init(chargeID: ChargeID, accountID: AccountID, reason: String, apiKeyID: APIKeyID? = nil) {
        self.chargeID = chargeID
        self.accountID = accountID
        self.reason = reason
        self.apiKeyID = apiKeyID
    }

    package func encode(into json: inout JSONWriter) {
        json.field("charge_id", chargeID)
        json.field("account_id", accountID)
        json.field("reason", reason)
        json.field(optional: "api_key_id", apiKeyID?.rawValue)
    }

    package init(from json: JSONObject) throws {
        chargeID = try json.id("charge_id")
        accountID = try json.id("account_id")
        reason = try json.string("reason")
        apiKeyID = try json.optionalString("api_key_id").map(APIKeyID.init(rawValue:))
    }
}

/// The credits that a running call has used so far (RFC 8506's UPDATE). If its proxy dies, the hold expires at this amount.
///
/// Cumulative: of several reports the largest counts, so order and duplicates do not matter. Also prolongs the hold.
package struct ReportUsage: Message {
    package static let name = "hold.report.v1"
    package static let exchange = Topology.ledgerCommands

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
