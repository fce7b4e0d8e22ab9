import Jobs
import Synchronization
import Telemetry

/// Writes the operator's list into the tables once, then follows the tables. A changed price or
/// switch is in force with the next load that succeeds. A load follows the one before after 9 to
/// 11 s.
final class CatalogueKeeper: Sendable {
    static let every = Duration.seconds(10)

    private let store: CatalogueStore
    private let file: ProvidersFile
    private let rule: PricingRule
    private let catalogue: CurrentCatalogue
    private let log: Logger
    private let isApplied = Atomic(false)

    init(store: CatalogueStore, file: ProvidersFile, rule: PricingRule, catalogue: CurrentCatalogue, log: Logger) {
        (self.store, self.file, self.rule, self.catalogue, self.log) = (store, file, rule, catalogue, log)
    }

    /// After a failure the catalogue that was loaded last stays in force.
    var job: Job {
        Job("catalogue", every: Self.every) {
            if !self.isApplied.load(ordering: .relaxed) { try await self.store.apply(self.file, self.rule) }
            self.isApplied.store(true, ordering: .relaxed)
            self.replace(with: try await self.store.load())
        }
    }

    /// Switches a route off in the tables, and then in this replica. Other replicas follow with their
    /// next load. A failure is logged, and the next call of the route tries again.
    func switchOff(_ route: Catalogue.Model) async {
        do {
            try await store.switchOff(route)
            replace(with: try await store.load())
        } catch {
            log.error("switching off a route failed", ["model": .string(route.id), "provider": .string(route.provider.name)], error: error)
        }
    }

    /// Logs each route without a price once, when it appears.
    private func replace(with loaded: Catalogue) {
        for route in loaded.unpricedRoutes.subtracting(catalogue.current.unpricedRoutes) {
            log.error("route refused: no price", ["model": .string(route.model), "provider": .string(route.provider)])
        }
        catalogue.replace(with: loaded)
    }
}
