import EventLoop
import Outbox
import Postgres

/// The proxy's outbox, reached from any loop: its pool lives on one.
struct ChargeOutbox: Sendable {
    let pool: PostgresPool
    let loop: EventLoop
    /// The time for the database to commit a message.
    var enqueueWithin = Duration.seconds(10)

    struct NotEnqueuedInTime: Error, CustomStringConvertible {
        let limit: Duration
        var description: String { "no commit within \(limit)" }
    }

    /// - Throws: ``NotEnqueuedInTime`` after ``enqueueWithin``. The write goes on, so the row may still be
    ///   committed.
    func enqueue(_ message: OutboxMessage) async throws {
        // A task of its own on the pool's loop, awaited here: the transaction must not end with a caller who hangs up.
        try await Task(executorPreference: loop) {
            let enqueued = Promise<Void>(on: loop)
            Task(executorPreference: loop) {
                do {
                    try await pool.transaction { try await Outbox.add([message], in: $0) }
                    enqueued.succeed(())
                } catch {
                    enqueued.fail(error)
                }
            }
            try await enqueued.value(within: enqueueWithin, elseThrow: NotEnqueuedInTime(limit: enqueueWithin))
        }.value
    }
}
