import Contracts
import EventLoop
import Postgres
import Telemetry

/// Items of messages that cannot take effect, while other items of their messages can. Each becomes
/// a row of `dead_letter` in state `parked`, with its own body. The message is acknowledged after
/// that.
///
/// Confined to the store's loop. The consumers limit the items that wait here.
final class BadItems: @unchecked Sendable {
    // @unchecked Sendable: confined to the store's loop.
    private typealias Item = (row: RowToKeep, then: (Bool) -> Void)

    private let store: LedgerStore
    private let log: Logger
    private var waiting: [Item] = []
    /// Items whose rows another transaction has locked, and the time to try them again.
    private var later: [Item] = []
    private var laterFrom = MonotonicInstant.never
    private var arrival: Promise<Void>?

    /// The most rows of one transaction.
    private static let rowsMax = 100
    private static let pause = Duration.seconds(1)

    init(store: LedgerStore, log: Logger) { (self.store, self.log) = (store, log) }

    /// - Parameter then: called with true when the row is durable, with false if Postgres refuses it.
    ///   Never called if the runner stops first: the broker then redelivers the message.
    func add(_ row: RowToKeep, then: @escaping (Bool) -> Void) {
        waiting.append((row, then))
        arrival?.succeed(())
    }

    /// Writes rows until cancelled. While the database is unavailable it tries again every second.
    func run() async throws {
        while true {
            if laterFrom <= .current() {
                waiting += later
                (later, laterFrom) = ([], .never)
            }
            guard !waiting.isEmpty else {
                let wait = Promise<Void>(on: store.pool.loop)
                arrival = wait
                defer { arrival = nil }
                try await wait.value(within: Self.pause, elseReturn: ())
                continue
            }
            let batch = Array(waiting.prefix(Self.rowsMax))
            waiting.removeFirst(batch.count)
            if try await !write(batch) { try await store.pool.loop.sleep(for: Self.pause) }
        }
    }

    /// Writes the rows in one transaction. Halves them if it fails, so that an error names its row.
    /// - Returns: false if the database is unavailable. The items are then waiting again.
    private func write(_ items: [Item]) async throws -> Bool {
        do {
            try await store.keep(items.map(\.row))
            for item in items { item.then(true) }
        } catch let error as PostgresError {
            log.warning("storing an item failed", ["items": .integer(items.count)], error: error)
            if error.fault == .database {
                waiting = items + waiting
                return false
            }
            guard items.count == 1 else {
                let half = items.count / 2
                guard try await write(Array(items[..<half])) else {
                    waiting += items[half...]
                    return false
                }
                return try await write(Array(items[half...]))
            }
            if error.fault == .command {
                items[0].then(false)
            } else {
                later.append(items[0])
                laterFrom = min(laterFrom, .current() + Self.pause)
            }
        }
        return true
    }
}
