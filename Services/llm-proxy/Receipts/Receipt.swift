import Contracts
import Values

/// The record of one call that had a hold: its usage, its price and its times.
struct Receipt: Sendable, Equatable {
    var charge: ChargeID
    var account: AccountID
    var apiKeyID: APIKeyID?
    var requestID: String
    var model: String
    var provider: String
    /// The provider's own id of the request, from its `x-request-id` or `request-id` field.
    var providerRequestID: String?
    /// The feature that asked (`x-operation`).
    var operation: String?
    var usage: Usage
    /// True if the proxy counted the usage, because the provider did not report it.
    var isEstimated: Bool
    var isStream: Bool
    var end: CallFacts.End
    var priceVersion: Int64
    /// The provider's cost; nil for a unit without a price.
    var costPicoUSD: Int64?
    /// The credits that the hold and its extensions reserved.
    var held: Credits
    var charged: Credits
    var startedAt: Instant
    /// The time from the start of the call to the first byte of the answer; nil if none came.
    var firstTokenMilliseconds: Int64?
    var durationMilliseconds: Int64
}
