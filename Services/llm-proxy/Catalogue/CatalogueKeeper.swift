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
    private let state = Mutex(State())

    private struct State {
        var loadsBegun = 0
        /// The number of the load that is in force.
        var loadInForce = 0
        /// The versions whose routes are being switched off.
        var switching: Set<Int64> = []
    }

    init(store: CatalogueStore, file: ProvidersFile, rule: PricingRule, catalogue: CurrentCatalogue, log: Logger) {
        (self.store, self.file, self.rule, self.catalogue, self.log) = (store, file, rule, catalogue, log)
    }

    /// After a failure the catalogue that was loaded last stays in force.
    var job: Job {
        Job("catalogue", every: Self.every) {
            if !self.isApplied.load(ordering: .relaxed) { try await self.store.apply(self.file, self.rule) }
            self.isApplied.store(true, ordering: .relaxed)
            try await self.load()
        }
    }

    /// Switches a route off in the tables, and then in this replica. Other replicas follow with their
    /// next load. A failure is logged, and the next call of the route tries again. Many calls can end
    /// together, so one at a time writes.
    func switchOff(_ route: Catalogue.Model) async {
        guard state.withLock({ $0.switching.insert(route.price.version).inserted }) else { return }
        defer { _ = state.withLock { $0.switching.remove(route.price.version) } }
        do {
            try await store.switchOff(route)
            try await load()
        } catch {
            log.error("switching off a route failed", ["model": .string(route.id), "provider": .string(route.provider.name)], error: error)
        }
    }

    private func load() async throws {
        let number = state.withLock { state in
            state.loadsBegun += 1
            return state.loadsBegun
        }
        let loaded = try await store.load()
        state.withLock { state in
            // A load that began earlier and ends later has older rows.
            guard number > state.loadInForce else { return }
            state.loadInForce = number
            replace(with: loaded)
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
