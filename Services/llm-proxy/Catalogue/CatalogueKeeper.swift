import Jobs
import Synchronization
import Telemetry

/// Writes the operator's file and the list of models into the tables once, then follows the tables. It
/// looks twice a second whether they changed, or whether the time of a price has come, and loads them
/// then. So a change is in force in all replicas within a second.
final class CatalogueKeeper: Sendable {
    static let every = Duration.milliseconds(500)

    /// The rows that the operator's configuration asks for.
    struct Wanted: Sendable {
        var file: ProvidersFile
        var list: ModelList?
        /// The providers that sell the models of the list: their key is set.
        var sellers: Set<String> = []
        var rules: PricingRules
    }

    private let store: CatalogueStore
    private let wanted: Wanted
    private let catalogue: CurrentCatalogue
    private let log: Logger
    private let isApplied = Atomic(false)
    private let state = Mutex(State())

    private struct State {
        var loadsBegun = 0
        /// The number of the load that is in force.
        var loadInForce = 0
        /// The state of the tables before the load that is in force.
        var loaded: CatalogueState?
        /// The offers that can lose money, as they were logged.
        var losses: Set<Margin> = []
        /// The versions whose routes are being switched off.
        var switching: Set<Int64> = []
    }

    init(store: CatalogueStore, wanted: Wanted, catalogue: CurrentCatalogue, log: Logger) {
        (self.store, self.wanted, self.catalogue, self.log) = (store, wanted, catalogue, log)
    }

    /// After a failure the catalogue that was loaded last stays in force.
    var job: Job {
        Job("catalogue", every: Self.every) {
            if !self.isApplied.load(ordering: .relaxed) { try await self.apply() }
            guard try await self.store.state() != self.state.withLock({ $0.loaded }) else { return }
            try await self.load()
        }
    }

    private func apply() async throws {
        try await store.apply(wanted.file, wanted.rules, list: wanted.list, sellers: wanted.sellers)
        isApplied.store(true, ordering: .relaxed)
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
        // Read first: rows that are newer than it only lead to one load more.
        let now = try await store.state()
        let (loaded, offers) = (try await store.load(), try await store.offers())
        let losses = Margin.check(offers, loaded.prices).filter(\.isNegative)
        state.withLock { state in
            // A load that began earlier and ends later has older rows.
            guard number > state.loadInForce else { return }
            (state.loadInForce, state.loaded) = (number, now)
            replace(with: loaded)
            for loss in losses where !state.losses.contains(loss) { warn(loss) }
            state.losses = Set(losses)
        }
    }

    private func warn(_ loss: Margin) {
        log.warning(
            "margin negative",
            [
                "offer": .string(loss.offer.name), "model": .string(loss.model),
                "earned.usd_per_credit": .string(loss.offer.earned?.description ?? ""),
                "provider.usd_per_credit": .string(loss.cost?.description ?? ""),
            ])
    }

    /// Logs each route without a price once, when it appears.
    private func replace(with loaded: Catalogue) {
        for route in loaded.unpricedRoutes.subtracting(catalogue.current.unpricedRoutes) {
            log.error("route refused: no price", ["model": .string(route.model), "provider": .string(route.provider)])
        }
        catalogue.replace(with: loaded)
    }
}
