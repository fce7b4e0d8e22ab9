import Contracts
import Outbox

/// | message | from | effect |
/// |---|---|---|
/// | `user.verified.v1` | auth | the user becomes a customer and gets the free credits of the month |
func subscriptions(_ freeMonths: FreeMonths) -> [Subscription] {
    [.on(UserVerified.self, from: Topology.billingUsers) { user, _, transaction in try await freeMonths.welcome(user, in: transaction) }]
}
