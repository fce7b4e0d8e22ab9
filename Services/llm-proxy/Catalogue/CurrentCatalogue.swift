import Synchronization

/// The catalogue in force: replaced as a whole, read by every loop.
final class CurrentCatalogue: Sendable {
    private let snapshot: Mutex<Catalogue>

    init(_ catalogue: Catalogue) { snapshot = Mutex(catalogue) }

    var current: Catalogue { snapshot.withLock { $0 } }
    func replace(with catalogue: Catalogue) { snapshot.withLock { $0 = catalogue } }
}
