import Contracts
import Values

/// The record of one call that was held or skipped: its facts, its price and its times.
struct Receipt: Sendable, Equatable {
    var charge: ChargeID
    var account: AccountID
    /// The facts that the ledger got with the charge. It gets none of a skipped call.
    var call: CallFacts
    var requestID: String
    /// The provider's own id of the request, from its `x-request-id` or `request-id` field.
    var providerRequestID: String?
    var isStream: Bool
    /// True if no account paid for the call. Then ``held`` and ``price`` are zero.
    var isSkipped: Bool
    /// The credits that the hold and its extensions reserved.
    var held: Credits
    /// The price of the call. If it is above ``held``, the ledger may take less.
    var price: Credits
    var startedAt: Instant
    /// The time from the start of the call to the first byte of the answer; nil if none came.
    var firstTokenMilliseconds: Int64?
    var durationMilliseconds: Int64
}
