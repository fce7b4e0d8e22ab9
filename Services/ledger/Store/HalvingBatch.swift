import EventLoop
import Postgres
import Telemetry
import Values

/// The commands of a batch while transactions decide them. A batch that fails is halved until the
/// account or the command that makes it fail stands alone.
struct HalvingBatch {
    /// The undecided commands, in their order.
    var waiting: [WaitingCommand]
    private var skipped: [WaitingCommand] = []
    private var accounts: Set<AccountID> = []
    private let store: LedgerStore
    private let log: Logger
    private let metrics: BatchMetrics

    /// The number of lost connections in a row after which the batch is the suspect, if the
    /// database answers otherwise.
    private static let lossesMax = 6

    init(_ waiting: [WaitingCommand], store: LedgerStore, log: Logger, metrics: BatchMetrics) {
        (self.waiting, self.store, self.log, self.metrics) = (waiting, store, log, metrics)
    }

    /// Takes the commands of accounts that could not be locked, in their order.
    mutating func takeSkipped() -> [WaitingCommand] {
        skipped += waiting.filter { accounts.contains($0.command.account) }
        waiting.removeAll { accounts.contains($0.command.account) }
        defer { (skipped, accounts) = ([], []) }
        return skipped
    }

    /// Decides the commands. Splits them in two if a part of them fails.
    /// - Returns: nil if all are answered or skipped. Otherwise an error that concerns all; the
    ///   undecided commands are in ``waiting`` again.
    mutating func attempt(losses: Int) async throws -> PostgresError? {
        var parts = [waiting.count]
        while let count = parts.popLast() {
            let commands = take(count)
            switch try await attempt(commands, losses: losses) {
            case .done(let skipped): skip(skipped)
            case .unavailable(let error):
                waiting = commands + waiting
                return error
            case .heldUp(let first, let second):
                waiting = first + second + waiting
                parts += [second.count, first.count]
            }
        }
        return nil
    }

    /// Takes the first `count` commands. Leaves out commands of skipped accounts; they go to
    /// the line, after earlier commands of the account.
    private mutating func take(_ count: Int) -> [WaitingCommand] {
        defer { waiting.removeFirst(count) }
        let taken = waiting.prefix(count)
        skipped += taken.filter { accounts.contains($0.command.account) }
        return taken.filter { !accounts.contains($0.command.account) }
    }

    private mutating func skip(_ commands: [WaitingCommand]) {
        skipped += commands
        accounts.formUnion(commands.map(\.command.account))
    }

    private enum Outcome {
        /// All commands are answered, except those of locked accounts.
        case done(skipped: [WaitingCommand])
        case unavailable(PostgresError)
        case heldUp([WaitingCommand], [WaitingCommand])
    }

    private func attempt(_ given: [WaitingCommand], losses: Int) async throws -> Outcome {
        var commands = given
        let started = MonotonicInstant.current()
        for command in commands.removeOverdue(started) { command.answer(.undecided) }
        guard !commands.isEmpty else { return .done(skipped: []) }
        do {
            let decisions = try await transact(commands)
            metrics.size.observe(Double(commands.count))
            metrics.seconds.observe(MonotonicInstant.current() - started)
            for (command, decision) in zip(commands, decisions) {
                if let decision { command.answer(.decided(decision)) }
            }
            return .done(skipped: zip(commands, decisions).filter { $0.1 == nil }.map(\.0))
        } catch let error as PostgresError {
            if error.mayHaveCommitted { for command in commands { command.answer.noteMayBeWritten() } }
            switch await fault(of: error, losses: losses) {
            case .database: return .unavailable(error)
            case .account:
                let accounts = Set(commands.map(\.command.account)).sorted()
                guard accounts.count > 1 else {
                    log.warning("account set aside", ["account.id": .describing(accounts[0])], error: error)
                    return .done(skipped: commands)
                }
                let first = Set(accounts[..<(accounts.count / 2)])
                return .heldUp(
                    commands.filter { first.contains($0.command.account) }, commands.filter { !first.contains($0.command.account) })
            case .command:
                guard commands.count > 1 else {
                    commands[0].answer(.failed(error))
                    return .done(skipped: [])
                }
                return .heldUp(Array(commands[..<(commands.count / 2)]), Array(commands[(commands.count / 2)...]))
            }
        }
    }

    /// Decides once more if two ledgers began one charge under two accounts. The journal's key
    /// refuses the second, and the second try finds the entry.
    private func transact(_ waiting: [WaitingCommand]) async throws -> [Decision?] {
        let commands = waiting.map(\.command)
        func isOverdue(_ index: Int) -> Bool { waiting[index].isOverdue(.current()) }
        do {
            return try await store.commit(commands, isOverdue: isOverdue)
        } catch let error as PostgresError where error.isRace {
            return try await store.commit(commands, isOverdue: isOverdue)
        }
    }

    private func fault(of error: PostgresError, losses: Int) async -> PostgresError.Fault {
        guard error.code == .connectionLost, losses >= Self.lossesMax else { return error.fault }
        return (try? await store.pool.one(ReadClock())) == nil ? .database : .account
    }
}

/// The metrics of batches.
struct BatchMetrics: Sendable {
    let size = Metrics.shared.histogram(
        "ledger_batch_commands", help: "Commands decided in one transaction.", buckets: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000])
    let seconds = Metrics.shared.histogram("ledger_batch_seconds", help: "Duration of one transaction.")
}
