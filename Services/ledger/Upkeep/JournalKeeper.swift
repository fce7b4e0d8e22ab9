import EventLoop
import Postgres
import Telemetry

/// Keeps the journal's months made ahead of time. Nothing is decided before it has looked once: an id without a month would be refused
/// for good.
final class JournalKeeper: @unchecked Sendable {
    // @unchecked Sendable: confined to the store's loop.
    private let store: LedgerStore
    private let log: Logger
    private let first: Wait<Void>

    init(store: LedgerStore, log: Logger) {
        (self.store, self.log) = (store, log)
        first = Wait(on: store.pool.loop)
    }

    /// Returns when the months are there. Awaited once, by the batch runner's start.
    func prepared() async throws { try await first.value() }

    /// Ends the wait of ``prepared()``: the service stops before the database came.
    func giveUp() { first.fail(CancellationError()) }

    /// Makes partitions until it is cancelled.
    func run() async throws {
        var delay = Duration.milliseconds(50)
        var isFailing = false
        while true {
            do {
                try await store.prepareJournal()
                first.succeed(())
                delay = .seconds(6 * 3_600)
                isFailing = false
            } catch {
                if !isFailing, (error as? PostgresError)?.isDatabaseUnavailable != true {
                    (error as? PostgresError)?.sqlState == .lockNotAvailable
                        ? log.warning("journal months not made: lock held, retry follows", error: error)
                        : log.error("making journal months failed: is the schema migrated?", error: error)
                    isFailing = true
                }
                delay = min(delay * 2, .seconds(5))
            }
            try await store.pool.loop.sleep(for: delay)
        }
    }
}
