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
        /// The receipts that wait, at most ``batchMax`` in each element.
        var batches: [ReceiptRows] = []
        /// The receipts that wait or are being written.
        var count = 0
        var isStopping = false
        /// The task that waits for receipts; nil while it writes.
        var waiting: Promise<Void>?

        mutating func append(_ receipt: Receipt) {
            if batches.last.map({ $0.count == batchMax }) ?? true { batches.append(ReceiptRows()) }
            batches[batches.count - 1].append(receipt)
            count += 1
        }

        /// - Returns: the number of receipts that are left.
        mutating func forget(_ batch: ReceiptRows) -> Int {
            count -= batch.count
            return count
        }
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
            guard state.count < Self.pendingMax else { return (true, nil) }
            state.append(receipt)
            return (false, state.count == 1 || state.count == Self.batchMax ? state.waiting : nil)
        }
        if isDropped { dropped.add() }
        woken?.succeed(())
    }

    /// Writes until ``stop()``. Runs on the pool's loop.
    func run() async throws {
        while true {
            try await wait(isEnough: { $0.count > 0 }, within: nil)
            try await wait(isEnough: { $0.count >= Self.batchMax }, within: Self.pause)
            let isLast = state.withLock { $0.isStopping }
            guard let batch = state.withLock({ $0.batches.isEmpty ? nil : $0.batches.removeFirst() }) else { return }
            do {
                _ = try await pool.withConnection { try await $0.execute(WriteReceipts(rows: batch)) }
                written.add(Int64(batch.count))
                if state.withLock({ $0.forget(batch) }) == 0, isLast { return }
            } catch is CancellationError {
                throw CancellationError()
            } catch let error as PostgresError where !error.isTransient {
                // The same rows would fail again, and hold up all later ones.
                log.error("receipts refused", ["receipts": .integer(batch.count)], error: error)
                dropped.add(Int64(batch.count))
                _ = state.withLock { $0.forget(batch) }
            } catch {
                log.warning("receipts failed", ["receipts": .integer(batch.count)], error: error)
                if isLast { return }
                state.withLock { $0.batches.insert(batch, at: 0) }
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
