import Contracts
import EventLoop
import Postgres
import Telemetry

/// Settles expired holds and lots that no command came by to settle. Only tidiness depends on its punctuality: for every decision they
/// are expired from their very moment on.
final class Sweeper: @unchecked Sendable {
    // @unchecked Sendable: confined to the store's loop.
    private let store: LedgerStore
    private let interval: Duration
    private let expiry: ExpiryGate
    private let isHearing: @Sendable () -> Bool
    private let log: Logger
    private let limit: Int
    private var isFailing = false
    /// Until when.
    private var failing: [AccountID: MonotonicInstant] = [:]
    private var looksDeaf = 0
    private let expired = Metrics.shared.counter("ledger_expired_swept_total", help: "Expired holds and lots that the sweep settled.")

    /// - Parameter isHearing: false while reports and settlements cannot come in.
    init(
        store: LedgerStore, interval: Duration, expiry: ExpiryGate, isHearing: @escaping @Sendable () -> Bool, log: Logger, limit: Int = 500
    ) {
        (self.store, self.interval, self.expiry, self.isHearing, self.log) = (store, interval, expiry, isHearing, log)
        self.limit = limit
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

    /// Until nothing is due that can be settled now.
    func sweep() async {
        let now = MonotonicInstant.current()
        failing = failing.filter { $0.value > now }
        do {
            var settled = 0
            var passedOver: [AccountID] = []
            while failing.count + passedOver.count < Self.passedOverMax {
                let sweep = try await store.sweepExpired(limit: limit, except: failing.keys + passedOver)
                settled += sweep.settled
                passedOver += sweep.passedOver
                for (account, error) in sweep.failed {
                    log.error("what has expired cannot be settled", ["account.id": .describing(account)], error: error)
                    failing[account] = now + Self.untilTriedAgain
                }
                guard sweep.mayBeMore else { break }
            }
            if settled > 0 { log.info("expired holds and lots settled", ["entries": .integer(settled)]) }
            expired.add(Int64(settled))
            isFailing = false
        } catch {
            // Should no batch be under way here, nobody else notices that the database is away, and reports wait.
            expiry.outage()
            // Once for each time it begins to fail: the pool's own log says when the database goes and comes.
            if !isFailing { log.warning("what has expired is not settled", error: error) }
            isFailing = true
        }
    }

    /// Accounts that cannot be written or are locked are left alone for a while. So many are no accident: then the sweep rests.
    private static let passedOverMax = 1_000
    private static let untilTriedAgain = Duration.seconds(60)
}
