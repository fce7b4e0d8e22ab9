import EventLoop
import Postgres
import Synchronization
import Telemetry

/// Writes receipts after their answers: 500 at once, or all that came within 100 ms.
///
/// A call only appends to a list. The list holds at most ``pendingMax`` receipts; the next ones are
/// dropped and counted. The ledger's journal has the charge of a receipt that was dropped or died
/// with its process.
final class ReceiptWriter: Sendable {
    private struct State {
        var pending: [Receipt] = []
        var isStopping = false
        /// The task that waits for receipts; nil while it writes.
        var waiting: Promise<Void>?
    }

    static let batchMax = 500
    static let pendingMax = 20_000
    private static let pause = Duration.milliseconds(100)

    private let pool: PostgresPool
    private let log: Logger
    private let state = Mutex(State())
    private let written: Counter
    private let dropped: Counter

    init(pool: PostgresPool, log: Logger, metrics: Metrics = .shared) {
        self.pool = pool
        self.log = log
        written = metrics.counter("receipts_written_total", help: "Receipts written")
        dropped = metrics.counter(
            "receipts_dropped_total", help: "Receipts dropped because too many waited to be written")
    }

    /// Callable from any thread.
    func add(_ receipt: Receipt) {
        let (isDropped, woken) = state.withLock { state -> (Bool, Promise<Void>?) in
            guard state.pending.count < Self.pendingMax else { return (true, nil) }
            state.pending.append(receipt)
            return (false, state.pending.count == 1 || state.pending.count == Self.batchMax ? state.waiting : nil)
        }
        if isDropped { dropped.add() }
        woken?.succeed(())
    }

    /// Writes until ``stop()``. Runs on the pool's loop.
    func run() async throws {
        while true {
            try await wait(isEnough: { !$0.pending.isEmpty }, within: nil)
            try await wait(isEnough: { $0.pending.count >= Self.batchMax }, within: Self.pause)
            let isLast = state.withLock { $0.isStopping }
            let batch = state.withLock { Array($0.pending.prefix(Self.batchMax)) }
            do {
                if !batch.isEmpty { _ = try await pool.withConnection { try await $0.execute(WriteReceipts(receipts: batch)) } }
                state.withLock { $0.pending.removeFirst(batch.count) }
                written.add(Int64(batch.count))
                if isLast, state.withLock({ $0.pending.isEmpty }) { return }
            } catch is CancellationError {
                throw CancellationError()
            } catch let error as PostgresError where !error.isTransient {
                // The same rows would fail again, and hold up all later ones.
                log.error("receipts refused", ["receipts": .integer(batch.count)], error: error)
                state.withLock { $0.pending.removeFirst(batch.count) }
                dropped.add(Int64(batch.count))
            } catch {
                log.warning("receipts failed", ["receipts": .integer(batch.count)], error: error)
                if isLast { return }
                try await pool.loop.sleep(for: .seconds(1))
            }
        }
    }

    /// Ends ``run()`` after what waits is written, or after one failure.
    func stop() {
        let woken = state.withLock { state in
            state.isStopping = true
            return state.waiting
        }
        woken?.succeed(())
    }

    private func wait(isEnough: @escaping (borrowing State) -> Bool, within limit: Duration?) async throws {
        let wait = Promise<Void>(on: pool.loop)
        let mustWait = state.withLock { state in
            guard !state.isStopping, !isEnough(state) else { return false }
            state.waiting = wait
            return true
        }
        guard mustWait else { return }
        defer { state.withLock { $0.waiting = nil } }
        if let limit { try await wait.value(within: limit, elseReturn: ()) } else { try await wait.value() }
    }
}
