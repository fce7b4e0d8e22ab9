import AMQP
import Bootstrap
import Configuration
import Contracts
import EventLoop
import HTTP
import Identity
import Jobs
import LedgerCore
import Lifecycle
import Web

/// Accounts, holds and the journal. ``LedgerSettings`` has its variables.
@main
struct LedgerService {
    static func main() {
        Runtime.main(service: "ledger", port: 8102, commands: [auditCommand, detachMonthCommand]) { runtime in try wire(runtime) }
    }

    private static func wire(_ runtime: Runtime) throws {
        let settings = try LedgerSettings(runtime.environment)
        let log = runtime.log
        let pool = try runtime.database(connectionsMax: 6)
        let reads = try runtime.database(connectionsMax: 3, statementTimeout: .seconds(5), name: "reading database")
        let store = LedgerStore(pool: pool, reads: reads, limits: settings.limits)
        let runner = batches(of: store, settings, runtime)
        let events = try runtime.publisher("events")
        runtime.outbox(pool, events)
        try consume(runner, store, runtime)
        let sweeper = Sweeper(store: store, runner: runner, publisher: events, log: log)
        runtime.add(sweeper.job(every: settings.sweepInterval))
        let authenticator = try runtime.authenticator()
        let auditor = try audits(at: settings.auditTime, runtime)

        let slots = CallerSlots(of: "reads of history or usage", loop: runtime.loop)
        let settingSlots = CallerSlots(of: "changes of settings", loop: runtime.loop)
        let topUpURL = runtime.configuration.topUpURL
        let site = Site(service: "ledger", publicURL: runtime.configuration.publicURL.reveal())
        runtime.serve { _ in
            Routes(
                store: store, runner: runner, auditor: auditor, slots: slots, settingSlots: settingSlots,
                gate: authenticator.gate, topUpURL: topUpURL, site: site, log: log
            ).router
        }
    }

    /// The batches begin once the months of the journal are made: an id without a month would be
    /// refused for good.
    private static func batches(of store: LedgerStore, _ settings: LedgerSettings, _ runtime: Runtime) -> BatchRunner {
        let journal = Promise<Void>(on: runtime.loop)
        let runner = BatchRunner(store: store, log: runtime.log, commandsMax: settings.commandsMax)
        runtime.add(
            Job("journal months", every: .seconds(6 * 3_600)) {
                try await store.prepareJournal()
                journal.succeed(())
            })
        runtime.add(
            Component(
                "batches",
                run: {
                    try await journal.value()
                    try await runner.run()
                },
                stop: {
                    journal.fail(CancellationError())
                    runner.stop()
                }))
        return runner
    }

    private static func consume(_ runner: BatchRunner, _ store: LedgerStore, _ runtime: Runtime) throws {
        let messages = try LedgerMessages(runner: runner, store: store, log: runtime.log) { queue, prefetch in
            try runtime.consumer(queue.name, from: .queue(queue.name), prefetch: prefetch)
        }
        for consumer in messages.consumers {
            runtime.add(
                Component(
                    consumer.name, stopWithin: .seconds(12), run: { try await consumer.run() },
                    stop: { await consumer.stop(within: runner.isDatabaseAway ? .zero : .seconds(runner.hasLines ? 2 : 10)) }))
        }
        let handOver = HandOver(runner: runner, consumers: messages.consumers, log: runtime.log)
        runtime.add(Component("hand-over", run: { try await handOver.run() }))
        let queries = messages.queries
        runtime.add(
            Component(
                "queries", stopWithin: .seconds(4), run: { try await queries.run() },
                stop: { await queries.stop(within: .seconds(3)) }))
    }

    /// Audits have a loop and connections of their own: see ``Auditor``.
    private static func audits(at time: TimeOfDay?, _ runtime: Runtime) throws -> Auditor {
        let loop = EventLoop.spawn(name: "audit")
        let auditor = Auditor(pool: try runtime.database(connectionsMax: 2, on: loop, name: "audit database"), log: runtime.log)
        if let time {
            runtime.add(NightlyAudit(auditor, at: time).job, on: loop)
        }
        return auditor
    }
}
