import Contracts
import EventLoop
import Postgres
import Telemetry

/// Turns commands that arrive one by one into batches: while one batch is with the database, the next gathers; no timer.
///
/// Confined to the store's loop. Whatever the database does, a command is answered when its decision is durable, and not before:
/// a database that is away is waited for, a batch with a command that cannot be written is halved until that command stands alone, and
/// an account that keeps its batch waiting past the statement's time, again and again, is set apart from the others.
final class BatchRunner: @unchecked Sendable {
    // @unchecked Sendable: confined to the store's loop.
    private let store: LedgerStore
    let loop: EventLoop
    private let expiry: ExpiryGate
    private let log: Logger
    private let commandsMax: Int
    private var groups: [Group] = []
    private var groupsTaken = 0
    private var arrival: Wait<Void>?
    private var stopping = false
    private var unavailableSince: MonotonicInstant?
    /// Of these times the one in which no server answered, or none that can be written to.
    private var unreachableSince: MonotonicInstant?

    private let batchSize = Metrics.shared.histogram(
        "ledger_batch_commands", help: "Commands decided in one transaction.", buckets: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000])
    private let batchSeconds = Metrics.shared.histogram("ledger_batch_seconds", help: "Duration of one transaction.")

    private struct Group {
        let commands: [Command]
        let deadline: MonotonicInstant
        let answer: Wait<[Verdict]>
    }

    /// - Parameter commandsMax: of one batch; a group is never torn, so one batch may hold a little more.
    init(store: LedgerStore, expiry: ExpiryGate = ExpiryGate(grace: .zero), log: Logger, commandsMax: Int = 1_000) {
        self.store = store
        self.expiry = expiry
        loop = store.pool.loop
        self.log = log
        self.commandsMax = commandsMax
    }

    /// Queues `commands`, which are decided in their order, and answers when they are durable.
    /// - Parameter deadline: when it passes before they are taken up, they are dropped undecided.
    /// - Throws: only when the runner stops before they are decided.
    func decide(_ commands: [Command], before deadline: MonotonicInstant = .never) async throws -> [Verdict] {
        loop.preconditionCurrent()
        guard !commands.isEmpty else { return [] }
        guard !stopping else { throw CancellationError() }
        let group = Group(commands: commands, deadline: deadline, answer: Wait(on: loop))
        groups.append(group)
        arrival?.succeed(())
        return try await group.answer.value()
    }

    /// True while the last attempt to reach the database failed.
    var isDatabaseAway: Bool { unavailableSince != nil }

    /// A database that answers, even that it ran out of time or lacks a table, is reached.
    func isDatabaseUnreachable(for duration: Duration) -> Bool {
        unreachableSince.map { MonotonicInstant.current() - $0 >= duration } ?? false
    }

    /// Decides until ``stop()``.
    /// - Throws: what is not the database's fault; everybody who waits is told first.
    func run() async throws {
        do {
            while true {
                while !groups.isEmpty { try await settle(take()) }
                if stopping { return }
                if isDatabaseAway { try await look() }
                guard groups.isEmpty, !stopping else { continue }
                let wait = Wait<Void>(on: loop)
                arrival = wait
                defer { arrival = nil }
                if isDatabaseAway { try await wait.value(within: .milliseconds(500), elseReturn: ()) } else { try await wait.value() }
            }
        } catch {
            stopping = true
            for group in groups { group.answer.fail(error) }
            groups = []
            if error is CancellationError { return }
            throw error
        }
    }

    /// Lets ``run()`` end once everything that was queued is decided.
    func stop() {
        stopping = true
        arrival?.succeed(())
    }

    /// With nothing left to decide, and nothing coming in, nobody else would see that the database is back.
    private func look() async throws {
        let started = MonotonicInstant.current()
        do {
            _ = try await store.pool.one(ReadClock())
            noteAvailable()
        } catch let error as PostgresError {
            noteUnavailable(error, since: started)
        }
    }

    /// - Parameter already: commands that the batch has.
    private func take(besides already: Int = 0) -> [Group] {
        var count = already
        let end = groups.firstIndex { group in
            defer { count += group.commands.count }
            return count > 0 && count + group.commands.count > commandsMax
        }
        let taken = Array(groups[..<(end ?? groups.endIndex)])
        groups.removeFirst(taken.count)
        return taken
    }

    private func settle(_ groups: [Group]) async throws {
        expiry.deciding()
        defer { expiry.decided() }
        var waiting = groups
        do {
            try await settle(&waiting)
        } catch {
            for group in waiting { group.answer.fail(error) }
            throw error
        }
    }

    /// Tries until the batch is decided. What has passed its deadline between two tries is dropped.
    /// - Parameter waiting: those without an answer yet; others may join.
    private func settle(_ waiting: inout [Group]) async throws {
        var delay = Duration.milliseconds(50)
        var timeouts = 0
        while true {
            let now = MonotonicInstant.current()
            for group in waiting where group.deadline <= now {
                group.answer.succeed(group.commands.map { _ in .dropped })
            }
            waiting.removeAll { $0.deadline <= now }
            guard !waiting.isEmpty else { return }
            do {
                let commands = waiting.flatMap(\.commands)
                let verdicts = timeouts < Self.timeoutsMax ? try await decided(commands[...]) : try await decidedApart(commands)
                noteAvailable()
                var rest = verdicts[...]
                for group in waiting {
                    group.answer.succeed(Array(rest.prefix(group.commands.count)))
                    rest = rest.dropFirst(group.commands.count)
                }
                return
            } catch let error as PostgresError where error.mayPass {
                noteUnavailable(error, since: now)
                if error.isTimeout {
                    timeouts += 1
                    // Whoever came meanwhile waits for no account but his own.
                    waiting += take(besides: waiting.reduce(0) { $0 + $1.commands.count })
                }
                // A month left the journal, or one was not made in time: learn where it begins now, and the next try refuses those ids.
                if error.lacksMonth { try? await store.prepareJournal() }
            }
            try await loop.sleep(for: delay)
            delay = min(delay * 2, .seconds(2))
        }
    }

    /// So often a batch may run out of time before its accounts are tried apart.
    private static let timeoutsMax = 3

    /// Decides what can be decided of `commands` while some of their accounts run out of time: their locks are with somebody else, or
    /// their rows are out of all proportion. Those commands fail.
    /// - Throws: the time-out, when no account gets through: then it is the database, which is waited for.
    private func decidedApart(_ commands: [Command]) async throws -> [Verdict] {
        var verdicts = [Verdict?](repeating: nil, count: commands.count)
        var stuck: [AccountID: PostgresError] = [:]
        var isAnyDecided = false
        var parts = [Set(commands.map(\.account)).sorted()[...]]
        while let accounts = parts.popLast() {
            let members = Set(accounts)
            let part = commands.indices.filter { members.contains(commands[$0].account) }
            do {
                for (index, verdict) in zip(part, try await decided(part.map { commands[$0] }[...])) { verdicts[index] = verdict }
                isAnyDecided = true
            } catch let error as PostgresError where error.isTimeout {
                if accounts.count > 1 {
                    let middle = accounts.startIndex + accounts.count / 2
                    parts += [accounts[middle...], accounts[..<middle]]
                } else {
                    stuck[accounts[accounts.startIndex]] = error
                    if !isAnyDecided, stuck.count >= Self.stuckMax || parts.isEmpty { throw error }
                }
            }
        }
        return commands.indices.map { index in
            if let verdict = verdicts[index] { return verdict }
            guard let error = stuck[commands[index].account] else { preconditionFailure("a part was neither decided nor stuck") }
            return .failed(error)
        }
    }

    /// With no other getting through, so many stuck accounts are enough to say that it is not they.
    private static let stuckMax = 3

    /// Decides `commands` in one transaction; where that is refused for good, in two of half the size, down to the one at fault.
    private func decided(_ commands: ArraySlice<Command>) async throws -> [Verdict] {
        do {
            let started = MonotonicInstant.current()
            let decisions = try await decidedOnce(Array(commands))
            batchSize.observe(Double(commands.count))
            batchSeconds.observe(MonotonicInstant.current() - started)
            return decisions.map(Verdict.decided)
        } catch let error as PostgresError where !error.mayPass {
            guard commands.count > 1 else { return [.failed(error)] }
            let middle = commands.startIndex + commands.count / 2
            return try await decided(commands[..<middle]) + decided(commands[middle...])
        }
    }

    /// A charge that two ledgers begin at once under two accounts meets the journal's key: the second look finds it decided.
    private func decidedOnce(_ commands: [Command]) async throws -> [Decision] {
        do {
            return try await store.decide(commands)
        } catch let error as PostgresError where error.isRace {
            return try await store.decide(commands)
        }
    }

    /// - Parameter started: when the attempt began.
    private func noteUnavailable(_ error: PostgresError, since started: MonotonicInstant) {
        expiry.outage()
        unreachableSince = error.isDatabaseUnavailable ? unreachableSince ?? started : nil
        guard unavailableSince == nil else { return }
        unavailableSince = started
        log.warning("waiting for the database", error: error)
    }

    private func noteAvailable() {
        guard let since = unavailableSince else { return }
        (unavailableSince, unreachableSince) = (nil, nil)
        log.info("the database is back", ["away_ms": .milliseconds(MonotonicInstant.current() - since)])
    }
}

/// What came of a command that was handed to the runner.
enum Verdict: Sendable {
    case decided(Decision)
    /// The deadline passed before an answer was there, and none will come. If the database went away at the COMMIT, the decision may be
    /// written nevertheless: whoever asks again with the same id is told.
    case dropped
    /// This command alone cannot be written, now or ever; or its account alone could not be worked on in time, try after try.
    case failed(PostgresError)
}

extension PostgresError {
    /// The same commands may succeed later; a lost COMMIT is asked for again, since every command carries its id. What the server
    /// lacks is not the commands' fault: memory, a right, a table, a partition (which has no constraint's name).
    var mayPass: Bool {
        guard !isRetriable, !isDatabaseUnavailable else { return true }
        guard let sqlState else { return false }
        return ["42", "53", "58"].contains(sqlState.prefix(2)) || lacksMonth
    }

    /// `statement_timeout` or `lock_timeout`.
    var isTimeout: Bool { sqlState == "57014" || sqlState == "55P03" }

    fileprivate var lacksMonth: Bool { sqlState == "23514" && constraint == nil }

    fileprivate var isRace: Bool { sqlState == "23505" || sqlState == "40001" || sqlState == "40P01" }
}
