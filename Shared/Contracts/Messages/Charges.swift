package import JSON
package import Values

/// Model calls that ended and must be paid for. Each item captures the hold of its call and frees
/// the rest.
///
/// Published with confirms before a client sees the end of its answer. The ledger decides each item
/// by itself, once for its `charge_id`, and acknowledges the message when all items are durable.
/// An item that is malformed or a mistake becomes a dead letter; the others are decided.
package struct SettleCharges: Message {
    package static let name = "charge.settle.v2"
    package static let exchange = Topology.ledgerCommands

    package static let itemsMax = 100
    package static let bytesMax = 48 << 10

    package var items: [SettleCharge]

    package init(_ items: [SettleCharge]) { self.items = items }

    package func encode(into json: inout JSONWriter) {
        json.array("items") { json in
            for item in items { json.object { item.encode(into: &$0) } }
        }
    }

    package init(from json: JSONObject) throws {
        items = try Self.items(json).map { try SettleCharge(from: JSONObject($0)) }
    }

    /// Returns the bytes of each item, so that one malformed item does not spoil the others.
    /// - Throws: an error about the message as a whole.
    package static func items(in body: [UInt8]) throws -> [[UInt8]] {
        guard body.count <= bytesMax else { throw MessageError(field: "message", expected: "at most \(bytesMax) bytes") }
        return try items(JSONObject(body))
    }

    private static func items(_ json: JSONObject) throws -> [[UInt8]] {
        let items = try json.rawArray("items")
        guard 1...itemsMax ~= items.count else { throw MessageError(field: "items", expected: "1 to \(itemsMax) items") }
        return items
    }
}

/// One item of ``SettleCharges``. The facts about the call go into the journal row's metadata; the
/// proxy computed the amount at the named price version.
package struct SettleCharge: Sendable, Hashable {
    package var chargeID: ChargeID
    package var accountID: AccountID
    /// The price of the call. The ledger takes less if the hold and the balance do not pay it, and
    /// records the rest as overage. ``ChargeReply/charged`` is what it took.
    package var amount: Credits
    package var call: CallFacts
    /// The lease to draw from, which is a hold and has its id. No ledger grants leases yet.
    package var lease: ChargeID?

    package init(chargeID: ChargeID, accountID: AccountID, amount: Credits, call: CallFacts, lease: ChargeID? = nil) {
        self.chargeID = chargeID
        self.accountID = accountID
        self.amount = amount
        self.call = call
        self.lease = lease
    }

    package func encode(into json: inout JSONWriter) {
        json.field("charge_id", chargeID)
        json.field("account_id", accountID)
        json.field("amount", nano: amount)
        if let lease { json.field("lease", lease) }
        json.object("call") { call.encode(into: &$0) }
    }

    package init(from json: JSONObject) throws {
        chargeID = try json.id("charge_id")
        accountID = try json.id("account_id")
        amount = try json.nanoCredits("amount")
        lease = try json.has("lease") ? json.id("lease") : nil
        call = try CallFacts(from: json.object("call"))
    }
}

/// The usage of one call and its price, kept with its charge.
///
/// The price version names unit prices, rule, markup, credits per USD and minimum. Usage and version
/// therefore suffice to compute the amount again.
package struct CallFacts: Sendable, Hashable {
    package enum End: String, CaseIterable, Sendable {
        case completed
        case clientDisconnected = "client_disconnected"
        case providerError = "provider_error"
        case timedOut = "timed_out"
        /// A stream came to the end of its hold, and the hold could not be extended.
        case holdExhausted = "hold_exhausted"
    }

    package var model: String
    package var provider: String
    package var usage: UnitQuantities
    /// True when the provider never said what was used and the proxy counted what it delivered.
    package var isEstimated: Bool
    package var end: End
    package var priceVersion: Int64
    /// The provider's cost; nil if a unit has no price.
    package var costPicoUSD: Int64?
    /// The feature that asked (`x-operation`).
    package var operation: String?
    package var apiKeyID: APIKeyID?
    /// The server of ours that called for the user, by name. Nil for a call of the user.
    package var service: String?

    package init(
        model: String, provider: String, usage: UnitQuantities, isEstimated: Bool, end: End, priceVersion: Int64, costPicoUSD: Int64?,
        operation: String?, apiKeyID: APIKeyID?, service: String? = nil
    ) {
        self.model = model
        self.provider = provider
        self.usage = usage
        self.isEstimated = isEstimated
        self.end = end
        self.priceVersion = priceVersion
        self.costPicoUSD = costPicoUSD
        self.operation = operation
        self.apiKeyID = apiKeyID
        self.service = service
    }

    package func encode(into json: inout JSONWriter) {
        json.field("model", model)
        json.field("provider", provider)
        json.object("usage") { usage.encode(into: &$0) }
        json.field("estimated", isEstimated)
        json.field("end", end.rawValue)
        json.field("price_version", priceVersion)
        json.field(optional: "cost_pico_usd", costPicoUSD)
        json.field(optional: "operation", operation)
        json.field(optional: "api_key_id", apiKeyID?.rawValue)
        json.field(optional: "service", service)
    }

    package init(from json: JSONObject) throws {
        model = try json.string("model")
        provider = try json.string("provider")
        usage = try UnitQuantities(from: json.object("usage"))
        isEstimated = try json.bool("estimated")
        end = try json.oneOf("end")
        priceVersion = try json.integer("price_version")
        costPicoUSD = try json.optionalInteger("cost_pico_usd")
        guard costPicoUSD ?? 0 >= 0 else { throw MessageError(field: "cost_pico_usd", expected: "0 or more") }
        operation = try json.optionalString("operation")
        apiKeyID = try json.optionalString("api_key_id").map(APIKeyID.init(rawValue:))
        service = try json.optionalString("service")
    }
}
