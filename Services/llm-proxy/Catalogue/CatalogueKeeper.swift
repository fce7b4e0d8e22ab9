import EventLoop
import Telemetry

/// Brings the operator's list into the tables once, then follows the tables: a price or a switch changed there is in force everywhere
/// within ``every``.
struct CatalogueKeeper: Sendable {
    static let every = Duration.seconds(10)

    let store: CatalogueStore
    let file: ProvidersFile
    let pricing: PricingRule
    let catalogue: CurrentCatalogue
    let loop: EventLoop
    let log: Logger

    func run() async throws {
        var isApplied = false
        while true {
            do {
                if !isApplied { try await store.apply(file) }
                isApplied = true
                catalogue.replace(with: try await store.load(pricing: pricing))
                try await loop.sleep(for: Self.every)
            } catch is CancellationError {
                throw CancellationError()
            } catch {
                // The catalogue that was loaded last stays in force.
                log.warning("catalogue load failed", error: error)
                try await loop.sleep(for: .seconds(1))
            }
        }
    }
}
