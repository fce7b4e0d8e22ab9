import Jobs
import Synchronization

/// Brings the operator's list into the tables once, then follows the tables: a price or a switch changed there is in force everywhere
/// within ``every``.
final class CatalogueKeeper: Sendable {
    static let every = Duration.seconds(10)

    private let store: CatalogueStore
    private let file: ProvidersFile
    private let pricing: PricingRule
    private let catalogue: CurrentCatalogue
    private let isApplied = Atomic(false)

    init(store: CatalogueStore, file: ProvidersFile, pricing: PricingRule, catalogue: CurrentCatalogue) {
        (self.store, self.file, self.pricing, self.catalogue) = (store, file, pricing, catalogue)
    }

    /// After a failure the catalogue that was loaded last stays in force.
    var job: Job {
        Job("catalogue", every: Self.every) {
            if !self.isApplied.load(ordering: .relaxed) { try await self.store.apply(self.file) }
            self.isApplied.store(true, ordering: .relaxed)
            self.catalogue.replace(with: try await self.store.load(pricing: self.pricing))
        }
    }
}
