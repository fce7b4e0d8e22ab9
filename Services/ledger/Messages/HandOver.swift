import EventLoop
import LedgerCore
import Telemetry

/// Gives the command queues to another ledger while this one cannot reach the database. Also before
/// this ledger has found its database for the first time.
///
/// The broker feeds a consumer as long as it is connected, so settlements would wait here. After
/// ``patience`` this ledger closes its connections. The broker then gives the open messages,
/// in order, to the next ledger. When the database answers, this ledger connects again and stands
/// by. Without another ledger the queues keep the messages. This ledger may still decide a message
/// that it had taken, and the other ledger may decide it too. The journal's key makes that
/// harmless.
final class HandOver: Sendable {
    private let runner: BatchRunner
    private let consumers: [CommandConsumer]
    private let log: Logger

    /// Long enough for a restart of the database, short compared to a hold's life.
    static let patience = Duration.seconds(5)
    private static let interval = Duration.milliseconds(250)

    init(runner: BatchRunner, consumers: [CommandConsumer], log: Logger) {
        (self.runner, self.consumers, self.log) = (runner, consumers, log)
    }

    /// Runs until cancelled.
    func run() async throws {
        var wasSuspended = false
        while true {
            let isSuspended = !runner.hasBegun || runner.isDatabaseUnreachable(for: Self.patience)
            if isSuspended, !wasSuspended { log.warning("command queues released: database unavailable") }
            wasSuspended = isSuspended
            for consumer in consumers { consumer.setSuspended(isSuspended) }
            try await runner.loop.sleep(for: Self.interval)
        }
    }
}
