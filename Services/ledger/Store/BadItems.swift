import Contracts
import EventLoop
import Postgres
import Telemetry

/// Items of messages that cannot take effect, while other items of their messages can. Each becomes
/// a row of `dead_letter` in state `parked`, with its own body. The message is acknowledged after
/// that.
///
/// Confined to the store's loop. The prefetch of the queues limits the items that wait here.
final class BadItems: @unchecked Sendable {
    // @unchecked Sendable: confined to the store's loop.
    private let store: LedgerStore
    private let log: Logger
    private var waiting: [(row: RowToKeep, then: (Bool) -> Void)] = []
    private var arrival: Promise<Void>?

    init(store: LedgerStore, log: Logger) { (self.store, self.log) = (store, log) }

    /// - Parameter then: called with true when the row is durable, with false if Postgres refuses it.
    ///   Never called if the runner stops first: the broker then redelivers the message.
    func add(_ row: RowToKeep, then: @escaping (Bool) -> Void) {
        waiting.append((row, then))
        arrival?.succeed(())
    }

    /// Writes rows until cancelled, one at a time, so that an error names its row. While the database
    /// is unavailable it tries again every second.
    func run() async throws {
        while true {
            guard let next = waiting.first else {
                let wait = Promise<Void>(on: store.pool.loop)
                arrival = wait
                defer { arrival = nil }
                try await wait.value()
                continue
            }
            do {
                try await store.keep([next.row])
                waiting.removeFirst()
                next.then(true)
            } catch let error as PostgresError {
                log.warning("storing an item failed", error: error)
                if error.fault == .command {
                    waiting.removeFirst()
                    next.then(false)
                } else {
                    try await store.pool.loop.sleep(for: .seconds(1))
                }
            }
        }
    }
}
