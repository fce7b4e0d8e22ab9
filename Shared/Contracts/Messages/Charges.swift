package import JSON
package import Values

/// A model call ended and must be paid for: captures its hold and frees the rest.
///
/// Published with confirms before the caller's answer is finished. Idempotent on `chargeID`. The facts about the call go into the
/// journal row's metadata; the amount was computed by the proxy at the named price version.
package struct SettleCharge: Message {
    package static let name = "charge.settle.v1"
    package static let exchange = Topology.ledgerCommands

    package var chargeID: ChargeID
    package var accountID: AccountID
    package var amount: Credits
    package var call: CallFacts

    package init(chargeID: ChargeID, accountID: AccountID, amount: Credits, call: CallFacts) {
        self.chargeID = chargeID
        self.accountID = accountID
        self.amount = amount
        self.call = call
    }

    package func encode(into json: inout JSONWriter) {
        json.field("charge_id", chargeID)
        json.field("account_id", accountID)
        json.field("amount", nano: amount)
        json.object("call") { call.encode(into: &$0) }
    }

    package init(from json: JSONObject) throws {
        chargeID = try json.id("charge_id")
        accountID = try json.id("account_id")
        amount = try json.nanoCredits("amount")
        call = try CallFacts(from: json.object("call"))
    }
}

/// The usage of one call and its price, kept with its charge.
package struct CallFacts: Sendable, Hashable {
    package enum End: String, CaseIterable, Sendable {
        case completed
        case clientGone = "client_gone"
        case providerDied = "provider_died"
        case timedOut = "timed_out"
        /// A stream came to the end of its hold, and the hold could not be extended.
        case holdExhausted = "hold_exhausted"
    }

    package var model: String
    package var provider: String
    package var promptTokens: Int64
    package var completionTokens: Int64
    /// True when the provider never said what was used and the proxy counted what it delivered.
    package var isEstimated: Bool
    package var end: End
    package var priceVersion: Int64
    package var costPicoUSD: Int64
    package var markupBasisPoints: Int64
    /// The feature that asked (`x-operation`).
    package var operation: String?
    package var apiKeyID: APIKeyID?

    package init(
        model: String, provider: String, promptTokens: Int64, completionTokens: Int64, isEstimated: Bool, end: End, priceVersion: Int64,
        costPicoUSD: Int64, markupBasisPoints: Int64, operation: String?, apiKeyID: APIKeyID?
    ) {
        self.model = model
        self.provider = provider
        self.promptTokens = promptTokens
        self.completionTokens = completionTokens
        self.isEstimated = isEstimated
        self.end = end
        self.priceVersion = priceVersion
        self.costPicoUSD = costPicoUSD
        self.markupBasisPoints = markupBasisPoints
        self.operation = operation
        self.apiKeyID = apiKeyID
    }

    package func encode(into json: inout JSONWriter) {
        json.field("model", model)
        json.field("provider", provider)
        json.field("prompt_tokens", promptTokens)
        json.field("completion_tokens", completionTokens)
        json.field("estimated", isEstimated)
        json.field("end", end.rawValue)
        json.field("price_version", priceVersion)
        json.field("cost_pico_usd", costPicoUSD)
        json.field("markup_basis_points", markupBasisPoints)
        json.field(optional: "operation", operation)
        json.field(optional: "api_key_id", apiKeyID?.rawValue)
    }

    package init(from json: JSONObject) throws {
        model = try json.string("model")
        provider = try json.string("provider")
        promptTokens = try json.integer("prompt_tokens")
        completionTokens = try json.integer("completion_tokens")
        isEstimated = try json.bool("estimated")
        end = try json.oneOf("end")
        priceVersion = try json.integer("price_version")
        costPicoUSD = try json.integer("cost_pico_usd")
        markupBasisPoints = try json.integer("markup_basis_points")
        operation = try json.optionalString("operation")
        apiKeyID = try json.optionalString("api_key_id").map(APIKeyID.init(rawValue:))
    }
}
