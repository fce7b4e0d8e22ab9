import EventLoop
import Postgres
import Telemetry

/// Settles expired holds that no command came by to settle. Only tidiness depends on its punctuality: for every decision a hold is
/// expired from its very moment on.
final class Sweeper: @unchecked Sendable {
    // @unchecked Sendable: confined to the store's loop.
    private let store: LedgerStore
    private let interval: Duration
    private let expiry: ExpiryGate
    private let isHearing: @Sendable () -> Bool
    private let log: Logger
    private var isFailing = false
    private var looksDeaf = 0
    private let expired = Metrics.shared.counter("ledger_holds_swept_total", help: "Expired holds that the sweep came to.")

    /// - Parameter isHearing: false while reports and settlements cannot come in.
    init(store: LedgerStore, interval: Duration, expiry: ExpiryGate, isHearing: @escaping @Sendable () -> Bool, log: Logger) {
        (self.store, self.interval, self.expiry, self.isHearing, self.log) = (store, interval, expiry, isHearing, log)
    }

    /// Until cancelled.
    func run() async throws {
        while true {
            if isHearing() {
                looksDeaf = 0
                await sweep()
            } else {
                expiry.outage()
                noteDeaf()
            }
            try await store.pool.loop.sleep(for: interval)
        }
    }

    /// Once for each time, and not for the moment that a start or a reconnection takes.
    private func noteDeaf() {
        looksDeaf += 1
        if looksDeaf == Self.looksUntilDeaf { log.warning("no hold expires while a command queue is out of reach") }
    }

    private static let looksUntilDeaf = 3

    private func sweep() async {
        do {
            var count = 0
            while true {
                let sweep = try await store.sweepExpired(limit: Self.holdsPerBatch)
                count += sweep.due
                for (account, error) in sweep.failed {
                    log.error("expired hold cannot be settled", ["account.id": .describing(account)], error: error)
                }
                if sweep.due < Self.holdsPerBatch || !sweep.failed.isEmpty || !expiry.isOpen { break }
            }
            if count > 0 { log.info("expired holds settled", ["holds": .integer(count)]) }
            expired.add(Int64(count))
            isFailing = false
        } catch {
            // Once for each time it begins to fail: the pool's own log says when the database goes and comes.
            if !isFailing { log.warning("expired holds not settled", error: error) }
            isFailing = true
        }
    }

    private static let holdsPerBatch = 500
}
