import Jobs
import Synchronization

/// Writes the operator's list into the tables once, then follows the tables. A price or a switch that
/// is changed there is in force on every replica within ``every``.
final class CatalogueKeeper: Sendable {
    static let every = Duration.seconds(10)

    private let store: CatalogueStore
    private let file: ProvidersFile
    private let rule: PricingRule
    private let catalogue: CurrentCatalogue
    private let isApplied = Atomic(false)

    init(store: CatalogueStore, file: ProvidersFile, rule: PricingRule, catalogue: CurrentCatalogue) {
        (self.store, self.file, self.rule, self.catalogue) = (store, file, rule, catalogue)
    }

    /// After a failure the catalogue that was loaded last stays in force.
    var job: Job {
        Job("catalogue", every: Self.every) {
            if !self.isApplied.load(ordering: .relaxed) { try await self.store.apply(self.file, self.rule) }
            self.isApplied.store(true, ordering: .relaxed)
            self.catalogue.replace(with: try await self.store.load())
        }
    }
}
