import Contracts
import Outbox
import Postgres
import Values

/// | message | from | what happens |
/// |---|---|---|
/// | `user.verified.v1` | auth | the plan's first credits become due: `purchase.fulfilled.v1` to the ledger |
func subscriptions() -> [Subscription] {
    [
        .on(UserVerified.self, from: Topology.billingUsers) { user, _, transaction in
            try await grantFirstPeriod(to: user, in: transaction)
        }
    ]
}

/// Grants the first period. Idempotent by user and period for ever, unlike the inbox, which forgets after two weeks.
func grantFirstPeriod(to user: UserVerified, in transaction: PostgresTransaction) async throws {
    guard let grant = firstGrant(for: user, chargeID: .make()), try await transaction.first(InsertPlanGrant(grant: grant)) != nil else {
        return
    }
    try await Outbox.add(grant.fulfilment, orderingKey: user.userID.description, in: transaction)
}
