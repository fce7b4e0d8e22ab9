import Contracts
import Values

/// Credits that the ledger grants to an account, once for ever.
struct Effect: Hashable, Sendable {
    /// The event that gives the credits, whatever told of it.
    struct Key: Hashable, Sendable {
        let text: String
    }

    var key: Key
    var accountID: AccountID
    var kind: PurchaseFulfilled.Kind
    var amount: Credits
    var description: String
    /// The end of what is unspent; nil: never.
    var expiresAt: Instant?
    /// Drawn once. It is stored with the effect, and sent with each delivery.
    var chargeID: ChargeID
    /// The paid thing that gives the credits, `purchase:{id}` or `invoice:{id}`; nil for free credits.
    var source: String?

    var message: PurchaseFulfilled {
        PurchaseFulfilled(
            chargeID: chargeID, accountID: accountID, kind: kind, amount: amount, description: description, expiresAt: expiresAt)
    }
}
