import AMQP
import Bootstrap
import Configuration
import Contracts
import EventLoop
import Identity
import Lifecycle
import Postgres
import Telemetry

/// Accounts, holds and the journal.
///
/// | variable | default | |
/// |---|---|---|
/// | `HOLD_TTL_MAX` | `10m` | 1s…1h; a hold asked for longer is cut to this |
/// | `EXPIRY_SWEEP_INTERVAL` | `1s` | 50ms…1m between looks for expired holds |
/// | `EXPIRY_GRACE` | `30s` | 1s…10m between the expiry that marks an overdue hold and the one that ends it: a proxy's longest reconnection (15 s + 5 s), one report (5 s), and 5 s more |
/// | `LOW_BALANCE_LEVEL` | `1` | credits, 0…1000000; below it an account that set no level of its own is told `balance.low`; 0: never |
/// | `BATCH_COMMANDS_MAX` | `1000` | 1…5000 commands in one transaction |
/// | `AUDIT_AT` | `03:30` | hour and minute of UTC of the nightly audit; `off`: none |
///
/// and what every service reads (`CommonConfiguration`), and the tokens of our own servers
/// (`ServiceTokens`).
@main
struct LedgerService {
    static func main() {
        Runtime.main(service: "ledger", port: 8102, commands: [auditCommand, detachMonthCommand]) { runtime in
            let environment = runtime.environment
            var limits = Limits()
            limits.timeToLiveMax = try environment.duration("HOLD_TTL_MAX", default: .seconds(600), in: .seconds(1) ... .seconds(3_600))
            let level = try environment.integer("LOW_BALANCE_LEVEL", default: 1, in: 0...1_000_000)
            limits.lowBalanceLevel = level > 0 ? Credits(whole: Int64(level)) : nil
            let sweepInterval = try environment.duration(
                "EXPIRY_SWEEP_INTERVAL", default: .seconds(1), in: .milliseconds(50) ... .seconds(60))
            limits.expiryGrace = try environment.duration("EXPIRY_GRACE", default: .seconds(30), in: .seconds(1) ... .seconds(600))
            let commandsMax = try environment.integer("BATCH_COMMANDS_MAX", default: 1_000, in: 1...5_000)
            let auditTime = try auditTime(environment)

            let log = runtime.log
            let pool = try runtime.database(connectionsMax: 6)
            let reads = try runtime.database(connectionsMax: 3, statementTimeout: .seconds(5), name: "reading database")
            let store = LedgerStore(pool: pool, reads: reads, limits: limits)
            let keeper = JournalKeeper(store: store, log: log)
            let runner = BatchRunner(store: store, log: log, commandsMax: commandsMax)
            runtime.add(Component("journal", run: { try await keeper.run() }))
            runtime.add(
                Component(
                    "batches",
                    run: {
                        try await keeper.prepared()
                        try await runner.run()
                    },
                    stop: {
                        keeper.giveUp()
                        runner.stop()
                    }))

            let events = try runtime.publisher("events")
            _ = runtime.outbox(pool, events)

            let messages = try LedgerMessages(runner: runner, store: store, log: log) { queue, prefetch in
                try runtime.consumer(queue.name, from: .queue(queue.name), prefetch: prefetch)
            }
            for consumer in messages.consumers {
                runtime.add(
                    Component(
                        consumer.name, stopWithin: .seconds(12), run: { try await consumer.run() },
                        stop: { await consumer.stop(within: runner.isDatabaseAway ? .zero : .seconds(runner.hasLines ? 2 : 10)) }))
            }
            let consumers = messages.consumers
            let handOver = HandOver(runner: runner, consumers: consumers, log: log)
            runtime.add(Component("hand-over", run: { try await handOver.run() }))
            let sweeper = Sweeper(store: store, runner: runner, publisher: events, interval: sweepInterval, log: log)
            runtime.add(Component("expiry", run: { try await sweeper.run() }))
            let balances = messages.balances
            runtime.add(
                Component(
                    "balances", stopWithin: .seconds(4), run: { try await balances.run() },
                    stop: { await balances.stop(within: .seconds(3)) }))

            let rpc = try runtime.rpcClient("identity", answeredBy: "auth")
            let authenticator = Authenticator(
                service: "ledger", publicURL: runtime.configuration.publicURL.description,
                serviceTokens: try ServiceTokens(environment), amqp: try runtime.broker("revocations"), rpc: rpc, log: log)
            runtime.add(
                Component(
                    "identity", run: { try await authenticator.run() }, stop: { await authenticator.stop() }))
            runtime.require("revocations") { authenticator.isListening }
            runtime.require("signing keys") { authenticator.hasSigningKeys }
            // A loop and connections of its own: see Auditor.
            let auditLoop = EventLoop.spawn(name: "audit")
            let auditor = Auditor(pool: try runtime.database(connectionsMax: 2, on: auditLoop, name: "audit database"), log: log)
            if let auditTime {
                let nightly = NightlyAudit(auditor, at: auditTime, log: log)
                runtime.add(Component("audit", on: auditLoop, run: { try await nightly.run() }))
            }

            let slots = CallerSlots(of: "reads of history or usage", loop: runtime.loop)
            let settingSlots = CallerSlots(of: "changes of settings", loop: runtime.loop)
            let topUpURL = "\(runtime.configuration.publicURL)/billing"
            runtime.serve { _ in
                Routes(
                    store: store, runner: runner, auditor: auditor, slots: slots, settingSlots: settingSlots,
                    authenticate: { try await authenticator.principal($0) }, topUpURL: topUpURL, log: log
                ).router
            }
        }
    }

    private static func auditTime(_ environment: Environment) throws(ConfigurationError) -> TimeOfDay? {
        let text = environment.string("AUDIT_AT", default: "03:30")
        guard text != "off" else { return nil }
        guard let time = TimeOfDay(text) else {
            throw .malformed("AUDIT_AT", found: text, expected: "an hour and minute of UTC such as 03:30, or off")
        }
        return time
    }
}
