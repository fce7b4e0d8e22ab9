import Contracts
import EventLoop
import Foundation
import JSON
import LedgerCore
import Postgres
import Telemetry
import Values

/// A load like pgbench's for the ledger's database path: callers in one process, each holding and then settling through
/// `BatchRunner` and `LedgerStore` as fast as they are answered, with no broker.
///
///     ledger-store-load prepare URL MIGRATIONS ACCOUNTS        an empty database: its schema, and accounts with credits
///     ledger-store-load seconds URL ACCOUNTS CALLERS SECONDS   load on the first of those accounts; prints a line of JSON
///     ledger-store-load operations URL ACCOUNTS CALLERS COUNT  the same, about so many operations
@main
struct StoreLoad {
    static func main() {
        let arguments = Array(CommandLine.arguments.dropFirst())
        EventLoop.runMain(name: "store-load") { loop in
            do {
                try await run(arguments, on: loop)
                exit(0)
            } catch {
                print("ledger-store-load: \(error)")
                exit(1)
            }
        }
    }

    private static func run(_ arguments: [String], on loop: EventLoop) async throws {
        guard arguments.count > 3 else { throw Usage() }
        let numbers = arguments.suffix(from: 2).compactMap(Int.init)
        let log = Logger(service: "ledger", level: .error)
        var configuration = PostgresPool.Configuration(url: arguments[1], applicationName: "ledger-store-load")
        configuration.searchPath = "ledger"
        configuration.connectionsMax = 6
        let pool = PostgresPool(loop: loop, configuration: configuration, log: log)
        let store = LedgerStore(pool: pool)
        let runner = BatchRunner(store: store, log: log)
        switch arguments[0] {
        case "prepare" where numbers.count == 1:
            let folders = arguments[2].split(separator: ":").map(String.init)
            _ = try await Migrator(pool: pool).migrate(directories: folders, schema: "ledger")
            try await grant(to: numbers[0], by: store)
        case "seconds" where numbers.count == 3:
            try await store.prepareJournal()
            let batches = Task(executorPreference: loop) { try await runner.run() }
            defer { batches.cancel() }
            print(try await Load(runner: runner, accounts: numbers[0], callers: numbers[1]).line(for: .seconds(numbers[2]), on: loop))
        case "operations" where numbers.count == 3:
            try await store.prepareJournal()
            let batches = Task(executorPreference: loop) { try await runner.run() }
            defer { batches.cancel() }
            print(try await Load(runner: runner, accounts: numbers[0], callers: numbers[1]).line(operations: numbers[2]))
        default: throw Usage()
        }
    }

    private struct Usage: Error, CustomStringConvertible {
        let description = "prepare URL MIGRATIONS ACCOUNTS | seconds URL ACCOUNTS CALLERS SECONDS | operations URL ACCOUNTS CALLERS COUNT"
    }

    private static func grant(to accounts: Int, by store: LedgerStore) async throws {
        try await store.prepareJournal()
        for first in stride(from: 0, to: accounts, by: 1_000) {
            let grants = (first..<min(accounts, first + 1_000)).map { index in
                Command(id: .make(), account: account(index), action: .grant(.purchase, amount: Credits(whole: 1_000_000)))
            }
            _ = try await store.commit(grants)
        }
    }

    /// The same ids in every run.
    static func account(_ index: Int) -> AccountID {
        var random = Scramble(state: UInt64(index))
        return AccountID(rawValue: .make(milliseconds: 1_700_000_000_000 + Int64(index) * 1_000, using: &random))
    }

    /// SplitMix64.
    struct Scramble: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9e37_79b9_7f4a_7c15
            var mixed = (state ^ state >> 30) &* 0xbf58_476d_1ce4_e5b9
            mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
            return mixed ^ mixed >> 31
        }
    }
}

/// Confined to the runner's loop.
private final class Load: @unchecked Sendable {
    // @unchecked Sendable: every caller runs on the one loop.
    private let runner: BatchRunner
    private let accounts: Int
    private let callers: Int
    private var decided = 0
    private var refused = 0
    private var isOver = false

    init(runner: BatchRunner, accounts: Int, callers: Int) {
        (self.runner, self.accounts, self.callers) = (runner, accounts, callers)
    }

    /// The counters at one moment.
    private struct Count {
        var decided, refused: Int
        var batches = 0.0
        var commands = 0.0
        var seconds = 0.0
        var cpuMicroseconds = Int64(clock()) * 1_000_000 / Int64(CLOCKS_PER_SEC)
        var at = MonotonicInstant.current()
    }

    func line(for limit: Duration, on loop: EventLoop) async throws -> String {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for caller in 0..<callers { group.addTask { try await self.call(as: caller) } }
            // Connections are opened and statements planned in the first half second.
            try await loop.sleep(for: .milliseconds(500))
            let before = count()
            try await loop.sleep(for: limit)
            let after = count()
            isOver = true
            try await group.waitForAll()
            return line(from: before, to: after)
        }
    }

    func line(operations: Int) async throws -> String {
        try await withThrowingTaskGroup(of: Void.self) { group in
            let before = count()
            for caller in 0..<callers { group.addTask { try await self.call(as: caller, times: operations / self.callers / 2) } }
            try await group.waitForAll()
            return line(from: before, to: count())
        }
    }

    private func call(as caller: Int, times: Int = .max) async throws {
        var random = StoreLoad.Scramble(state: UInt64(caller) << 32)
        var time = 0
        while time < times, !isOver {
            time += 1
            let id = ChargeID.make()
            let account = StoreLoad.account(Int.random(in: 0..<accounts, using: &random))
            try await decide(.hold(id, of: account))
            try await decide(.settlement(id, of: account))
        }
    }

    private func decide(_ command: Command) async throws {
        guard case .decided(.decided(let entry, _)) = try await runner.result(of: command) else { throw Undecided() }
        decided += 1
        if entry.status != .applied { refused += 1 }
    }

    private struct Undecided: Error {}

    private func count() -> Count {
        var count = Count(decided: decided, refused: refused)
        for line in String(decoding: Metrics.shared.render(), as: UTF8.self).split(separator: "\n") {
            let parts = line.split(separator: " ")
            switch parts[0] {
            case "ledger_batch_commands_count": count.batches = Double(parts[1]) ?? 0
            case "ledger_batch_commands_sum": count.commands = Double(parts[1]) ?? 0
            case "ledger_batch_seconds_sum": count.seconds = Double(parts[1]) ?? 0
            default: break
            }
        }
        return count
    }

    private func line(from before: Count, to after: Count) -> String {
        var json = JSONWriter()
        json.object { json in
            json.field("operations", Int64(after.decided - before.decided))
            json.field("operations_in_all", Int64(decided))
            json.field("refused", Int64(after.refused - before.refused))
            json.field("microseconds", (after.at - before.at).nanoseconds / 1_000)
            json.field("batches", Int64(after.batches - before.batches))
            json.field("batch_commands", Int64(after.commands - before.commands))
            json.field("batch_microseconds", Int64((after.seconds - before.seconds) * 1e6))
            json.field("cpu_microseconds", count().cpuMicroseconds)
        }
        return String(decoding: json.bytes, as: UTF8.self)
    }
}

extension Command {
    fileprivate static func hold(_ id: ChargeID, of account: AccountID) -> Command {
        Command(
            id: id, account: account,
            action: .hold(
                HoldAmounts(most: Credits(nano: 2_000), usual: Credits(nano: 1_000), least: Credits(nano: 1_000)), timeToLive: .seconds(60)),
            context: .asOfACall(metadata: #"{"replica":"llm-proxy-1"}"#))
    }

    fileprivate static func settlement(_ id: ChargeID, of account: AccountID) -> Command {
        var command = Command(
            id: id, account: account, action: .settle(amount: Credits(nano: 1_500)), context: .asOfACall(metadata: facts))
        command.context.description = "sim-fast"
        command.context.usage = Usage(model: "sim-fast", units: [.input: 10, .output: 10])
        return command
    }

    /// The facts of a call, as long as a proxy's.
    private static let facts = {
        let facts = CallFacts(
            model: "sim-fast", provider: "simulator", usage: [.input: 10, .output: 10], isEstimated: false, end: .completed,
            priceVersion: 1, costPicoUSD: 50_000_000, operation: nil, apiKeyID: nil)
        var json = JSONWriter()
        json.object { facts.encode(into: &$0) }
        return String(decoding: json.bytes, as: UTF8.self)
    }()
}

extension Context {
    fileprivate static func asOfACall(metadata: String) -> Context {
        Context(metadata: metadata, trace: .make(), conversation: .make())
    }
}
