import EventLoop
import Telemetry

/// Gives the command queues to another ledger while this one cannot reach the database, at its start too.
///
/// The broker feeds a consumer as long as it is connected, and would keep settlements here, unread. So after ``patience`` the connections
/// are closed, which gives everything back in order, and made again, to stand by, when the database answers. Without another ledger the queues keep what they have. What was taken in before may be decided here all the same,
/// and a second time there: the journal's key makes that harmless.
final class HandOver: Sendable {
    private let runner: BatchRunner
    private let consumers: [CommandConsumer]
    private let log: Logger

    /// Long enough for a restart of the database, short beside a hold's life.
    static let patience = Duration.seconds(5)
    private static let interval = Duration.milliseconds(250)

    init(runner: BatchRunner, consumers: [CommandConsumer], log: Logger) {
        (self.runner, self.consumers, self.log) = (runner, consumers, log)
    }

    /// Until cancelled.
    func run() async throws {
        var wasSuspended = false
        while true {
            let isSuspended = !runner.hasBegun || runner.isDatabaseUnreachable(for: Self.patience)
            if isSuspended, !wasSuspended { log.warning("command queues given up until the database answers") }
            wasSuspended = isSuspended
            for consumer in consumers { consumer.setSuspended(isSuspended) }
            try await runner.loop.sleep(for: Self.interval)
        }
    }
}
