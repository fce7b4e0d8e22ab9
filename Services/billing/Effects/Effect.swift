import Contracts
import Values

/// Credits that the ledger grants to an account, once for ever.
struct Effect: Hashable, Sendable {
    /// The event that gives the credits, whatever told of it: ``freeMonth(of:_:)``.
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

    var message: PurchaseFulfilled {
        PurchaseFulfilled(
            chargeID: chargeID, accountID: accountID, kind: kind, amount: amount, description: description, expiresAt: expiresAt)
    }
}

extension Effect.Key {
    /// The free credits of a user in a month: `free:{user}:2026-11`.
    static func freeMonth(of user: UserID, _ month: CalendarMonth) -> Effect.Key { Effect.Key(text: "free:\(user):\(month)") }
}
