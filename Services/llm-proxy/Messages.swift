import Contracts
import Outbox
import Postgres

/// | message | from | what happens |
/// |---|---|---|
/// | `catalogue.changed.v1` | billing | the proxy has a copy of what credits are sold for, for the margin check |
func subscriptions() -> [Subscription] {
    [
        .on(CatalogueChanged.self, from: Topology.proxyOffers) { change, _, transaction in
            try await transaction.execute(PutCreditOffers(change: change))
        }
    ]
}
