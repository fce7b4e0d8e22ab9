import AMQP
import Contracts
import EventLoop
import Foundation
import Telemetry

/// The ledger next to pgbench's TPC-B on the same Postgres: on the database path alone, and as the proxies use it; then what a hold's
/// round trip takes, what an operation leaves on the disk, and where the time goes.
struct LedgerBench {
    let stack: BenchStack
    let loop: EventLoop
    private let settings: Settings

    init(stack: BenchStack, loop: EventLoop) throws {
        (self.stack, self.loop) = (stack, loop)
        settings = try Settings()
    }

    /// | variable | default | |
    /// |---|---|---|
    /// | `BENCH_SECONDS` | `3` | of one run |
    /// | `BENCH_REPETITIONS` | `3` | alternating runs a figure is the median of |
    /// | `BENCH_CALLERS` | `1,16,64,256,1024` | at once |
    /// | `BENCH_ACCOUNTS` | `100000,1000,1` | on the database path, each chosen as often as any other |
    /// | `BENCH_DISK_OPERATIONS` | `100000` | between two looks at the disk |
    struct Settings {
        let seconds: Int
        let repetitions: Int
        let callers: [Int]
        let accounts: [Int]
        let diskOperations: Int

        init() throws {
            seconds = try BenchSetting.number("BENCH_SECONDS", 3)
            repetitions = try BenchSetting.number("BENCH_REPETITIONS", 3)
            callers = try BenchSetting.numbers("BENCH_CALLERS", [1, 16, 64, 256, 1_024])
            accounts = try BenchSetting.numbers("BENCH_ACCOUNTS", [100_000, 1_000, 1])
            diskOperations = try BenchSetting.number("BENCH_DISK_OPERATIONS", 100_000)
        }
    }

    func run() async throws {
        try Machine(stack).describe()
        let pgbench = try Pgbench(stack)
        let store = try StorePath(stack, accounts: settings.accounts.max() ?? 1)
        let broker = try await BrokerPath.connected(to: stack, accounts: Self.brokerAccounts, on: loop)
        defer { broker.disconnect() }

        let peak = try await throughput(store, broker, pgbench)
        try await latency(broker, peak: peak)
        try disk(store)
        try await cpu(store, broker)
    }

    /// The number of accounts of a run through RabbitMQ.
    private static let brokerAccounts = 1_000

    // MARK: Operations a second

    /// - Returns: the most that went through the broker on many accounts.
    private func throughput(_ store: StorePath, _ broker: BrokerPath, _ pgbench: Pgbench) async throws -> Double {
        print(
            """

            Operations a second, each a hold or a settlement with a journal entry of its own; pgbench's transactions beside them.
            Medians of \(settings.repetitions) alternating runs of \(settings.seconds) s; pgbench -M prepared, scale \(Pgbench.scale), \
            at most \(Pgbench.clientsMax) clients.

            """)
        var table = Table(header: [
            "callers", "path", "accounts", "operations/s", "/ pgbench", "commands a batch", "ms a batch", "hold p50 ms", "p99 ms",
            "refused",
        ])
        var peak = 0.0
        for callers in settings.callers {
            var stores: [Int: [PathResult]] = [:]
            var brokers: [Int: [PathResult]] = [:]
            var transactions: [Double] = []
            for _ in 0..<settings.repetitions {
                for accounts in settings.accounts {
                    stores[accounts, default: []].append(try store.run(accounts: accounts, callers: callers, seconds: settings.seconds))
                }
                for accounts in [Self.brokerAccounts, 1] {
                    brokers[accounts, default: []].append(
                        try await broker.run(accounts: accounts, callers: callers, for: .seconds(settings.seconds)))
                    try await Backlog(stack).drained(on: loop)
                }
                transactions.append(try pgbench.run(clients: callers, seconds: settings.seconds))
            }
            let tps = transactions.median
            for accounts in settings.accounts {
                table.rows.append(["\(callers)", "database", "\(accounts)"] + cells(stores[accounts] ?? [], beside: tps))
            }
            for accounts in [Self.brokerAccounts, 1] {
                table.rows.append(["\(callers)", "RabbitMQ", "\(accounts)"] + cells(brokers[accounts] ?? [], beside: tps))
            }
            table.rows.append(
                ["\(callers)", "pgbench", "\(Pgbench.scale * 100_000)", rounded(tps, 0), "1.00"] + Array(repeating: "", count: 6))
            peak = max(peak, (brokers[Self.brokerAccounts] ?? []).map(\.perSecond).median)
        }
        table.print()
        return peak
    }

    private func cells(_ runs: [PathResult], beside tps: Double) -> [String] {
        let rate = runs.map(\.perSecond).median
        let holds = runs.flatMap(\.holdMilliseconds)
        return [
            rounded(rate, 0), rounded(rate / tps), rounded(runs.map(\.commandsPerBatch).median, 1),
            rounded(runs.map(\.millisecondsPerBatch).median), holds.isEmpty ? "" : rounded(runs.map(\.holdMilliseconds.median).median),
            holds.isEmpty ? "" : rounded(runs.map { $0.holdMilliseconds.percentile(99) }.median),
            rounded(runs.map(\.refusedShare).median * 100, 1) + " %", "\(runs.map(\.failed).reduce(0, +))",
        ]
    }

    // MARK: A hold's round trip

    private func latency(_ broker: BrokerPath, peak: Double) async throws {
        print(
            """

            A hold's round trip. Idle: one caller, who settles and asks again. Else holds arrive evenly and each is settled when it is \
            answered, so that hold and settlement together make a share of the \(rounded(peak, 0)) operations/s above; nobody waits for the \
            one before, and time counts from the moment a hold was due ("sent late": the sender's own part of it).

            """)
        var table = Table(header: ["load", "holds/s", "p50 ms", "p99 ms", "p99.9 ms", "sent late p99 ms", "failed"])
        var idle: [LatencyResult] = []
        var shared: [Double: [LatencyResult]] = [:]
        for _ in 0..<settings.repetitions {
            let alone = try await broker.run(accounts: Self.brokerAccounts, callers: 1, for: .seconds(settings.seconds))
            idle.append(LatencyResult(milliseconds: alone.holdMilliseconds, failed: alone.failed, seconds: alone.seconds))
            for share in Self.shares {
                try await Backlog(stack).drained(on: loop)
                let rate = peak * share / 2
                shared[share, default: []].append(await broker.arrivals(perSecond: rate, for: .seconds(settings.seconds)))
            }
            try await Backlog(stack).drained(on: loop)
        }
        for (name, runs) in [("idle", idle)] + Self.shares.map({ (rounded($0 * 100, 0) + " %", shared[$0] ?? []) }) {
            let late = runs.allSatisfy(\.lateMilliseconds.isEmpty) ? "" : rounded(runs.map { $0.lateMilliseconds.percentile(99) }.median)
            table.rows.append([
                name, rounded(runs.map { Double($0.milliseconds.count) / $0.seconds }.median, 0),
                rounded(runs.map(\.milliseconds.median).median), rounded(runs.map { $0.milliseconds.percentile(99) }.median),
                rounded(runs.map { $0.milliseconds.percentile(99.9) }.median), late, "\(runs.map(\.failed).reduce(0, +))",
            ])
        }
        table.print()
    }

    private static let shares = [0.1, 0.25, 0.5]

    // MARK: Disk

    private func disk(_ store: StorePath) throws {
        print(
            """

            Bytes an operation: \(settings.diskOperations) operations of 64 callers on the database path, tables with their indexes after \
            a VACUUM. The WAL begins at a checkpoint; whole pages are those written in full because they were touched first after it.

            """)
        var table = Table(header: ["accounts"] + DiskUse.tables + ["all tables", "WAL", "whole pages/1,000 operations"])
        for accounts in settings.accounts {
            let before = try store.diskUse()
            let count = try store.run(accounts: accounts, callers: 64, operations: settings.diskOperations).operations
            let written = try store.diskUse(tidied: false)
            let after = try store.diskUse()
            func share(_ sum: Int) -> String { rounded(Double(sum) / Double(count), 0) }
            let growth = DiskUse.tables.map { (after.tables[$0] ?? 0) - (before.tables[$0] ?? 0) }
            table.rows.append(
                ["\(accounts)"] + growth.map(share) + [
                    share(growth.reduce(0, +)), share(written.wal - before.wal), share((written.fullPages - before.fullPages) * 1_000),
                ])
        }
        table.print()
    }

    // MARK: Where the time goes

    private func cpu(_ store: StorePath, _ broker: BrokerPath) async throws {
        let (callers, seconds) = (64, settings.seconds * 2)
        print("\nCPU µs an operation, \(callers) callers, \(Self.brokerAccounts) accounts:\n")
        var table = Table(header: ["path", "operations/s", "ledger", "Postgres", "RabbitMQ", "callers", "ms a batch", "commands a batch"])
        let postgres = try CPUClock(tree: stack.pid("postgres"))
        let alone = try store.run(accounts: Self.brokerAccounts, callers: callers, seconds: seconds)
        table.rows.append([
            "database", rounded(alone.perSecond, 0), rounded(alone.cpuMicroseconds / Double(alone.operationsInAll), 1),
            rounded(try postgres.microseconds() / Double(alone.operationsInAll), 1), "", "in the ledger",
            rounded(alone.millisecondsPerBatch), rounded(alone.commandsPerBatch, 1),
        ])
        let clocks = try ["ledger", "postgres", "rabbitmq"].map { try CPUClock(tree: stack.pid($0)) } + [CPUClock(tree: getpid())]
        let through = try await broker.run(accounts: Self.brokerAccounts, callers: callers, for: .seconds(seconds))
        try await Backlog(stack).drained(on: loop)
        let costs = try clocks.map { rounded(try $0.microseconds() / Double(through.operationsInAll), 1) }
        table.rows.append(
            ["RabbitMQ", rounded(through.perSecond, 0)] + costs + [
                rounded(through.millisecondsPerBatch), rounded(through.commandsPerBatch, 1),
            ])
        table.print()
    }
}

/// The result of one run on one path.
struct PathResult {
    /// Decided while the run was measured; `operationsInAll` has those before and after, which cost CPU too.
    var operations = 0
    var operationsInAll = 0
    var refused = 0
    var failed = 0
    var seconds = 0.0
    var batches = 0
    var batchSeconds = 0.0
    /// The CPU time of the callers' process; on the database path that process is the ledger.
    var cpuMicroseconds = 0.0
    /// One for each hold, where it was measured.
    var holdMilliseconds: [Double] = []

    var perSecond: Double { Double(operations) / seconds }
    var refusedShare: Double { Double(refused) / Double(max(1, operations)) }
    var commandsPerBatch: Double { Double(operations) / Double(max(1, batches)) }
    var millisecondsPerBatch: Double { batchSeconds * 1_000 / Double(max(1, batches)) }
}

struct LatencyResult {
    var milliseconds: [Double]
    var lateMilliseconds: [Double] = []
    var failed: Int
    var seconds: Double
}
