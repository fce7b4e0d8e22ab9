import AMQP
package import EventLoop
import Postgres
package import Telemetry
package import Values

/// Turns commands that arrive one by one into batches: while one batch is with the database, the
/// next gathers; no timer.
///
/// A batch decides the commands of the accounts that it can lock at once. Commands of a locked
/// account wait in a line (``AccountLines``) and delay no other account. Questions are decided
/// before durable commands. Confined to the store's loop.
///
/// A command is answered when its decision is durable. If the database is unavailable, the batch is
/// repeated. If one account or command makes a batch fail, the batch is halved until it stands
/// alone.
package final class BatchRunner: @unchecked Sendable {
    // @unchecked Sendable: confined to the store's loop.
    package let loop: EventLoop
    private let store: LedgerStore
    private let log: Logger
    private let commandsMax: Int
    private let lines: AccountLines
    private let badItems: BadItems
    private var holds: [WaitingCommand] = []
    private var durable: [WaitingCommand] = []
    private var isolated: [Group] = []
    /// The accounts of the running batch.
    private var inBatch: Set<AccountID> = []
    private var arrival: Promise<Void>?
    private var stopping = false
    private var unavailableSince: MonotonicInstant?
    /// The part of that time in which no server answered, or none that can be written to.
    private var unreachableSince: MonotonicInstant?

    private let metrics = BatchMetrics()

    /// Commands that are decided in a batch of their own.
    private struct Group {
        let commands: [WaitingCommand]
        let tried: Promise<Void>
    }

    /// - Parameters:
    ///   - commandsMax: the most commands of one batch.
    ///   - lines: the lines of locked accounts; by default with the usual bounds.
    init(store: LedgerStore, log: Logger, commandsMax: Int = 1_000, lines: AccountLines?) {
        self.store = store
        loop = store.pool.loop
        self.log = log
        self.commandsMax = commandsMax
        self.lines = lines ?? AccountLines(store: store, log: log, commandsMax: commandsMax)
        badItems = BadItems(store: store, log: log)
        self.lines.claim = { [unowned self] in takeQueued(of: $0) }
        self.lines.release = { [unowned self] in putFirst($0) }
        self.lines.isBeingDecided = { [unowned self] in inBatch.contains($0) }
    }

    package convenience init(store: LedgerStore, log: Logger, commandsMax: Int = 1_000) {
        self.init(store: store, log: log, commandsMax: commandsMax, lines: nil)
    }

    // MARK: Commands come in

    /// Queues `commands`. Each one is answered by its own callback. Durable commands of one account
    /// keep their order, and so do its questions.
    package func submit(_ commands: [WaitingCommand]) {
        loop.preconditionCurrent()
        guard !stopping else { return commands.forEach { $0.answer(.givenBack) } }
        for command in commands where !lines.take(command) {
            if command.isDurable || command.command.isHousekeeping { durable.append(command) } else { holds.append(command) }
        }
        arrival?.succeed(())
    }

    /// Decides `commands` in a batch of their own. Returns when each is answered or waits in a
    /// line. Drops expiries, because earlier commands of the account may still be queued; the sweep
    /// asks again.
    package func isolate(_ commands: [WaitingCommand]) async throws {
        loop.preconditionCurrent()
        guard !stopping else { throw CancellationError() }
        for command in commands where command.command.isHousekeeping { command.answer(.decided(.noted)) }
        let group = Group(commands: commands.filter { !$0.command.isHousekeeping }, tried: Promise(on: loop))
        guard !group.commands.isEmpty else { return }
        isolated.append(group)
        arrival?.succeed(())
        try await group.tried.value()
    }

    /// Makes an item that cannot take effect a dead letter of its own. Its message stays whole for
    /// the other items.
    /// - Parameters:
    ///   - account: the account of its command; nil if none can be read.
    ///   - then: called with true when the dead letter is durable, with false if Postgres refuses it.
    package func park(
        _ item: DurableMessage, of account: AccountID?, errorClass: String, because reason: String, then: @escaping (Bool) -> Void
    ) {
        loop.preconditionCurrent()
        badItems.add(RowToKeep(message: item, account: account, state: "parked", errorClass: errorClass, reason: reason), then: then)
    }

    /// Decides one command that came over HTTP.
    package func result(of command: Command, within patience: Duration = .seconds(10)) async throws -> CommandResult {
        let wait = Promise<CommandResult>(on: loop)
        submit([WaitingCommand(command, deadline: .current() + patience) { wait.succeed($0) }])
        // One second more, because a batch that has the command can pass its deadline while the
        // database is unavailable.
        return try await wait.value(within: patience + .seconds(1), elseReturn: .unknown)
    }

    // MARK: The state of the database

    /// False until ``run()``, which starts when the ledger has found its database.
    package private(set) var hasBegun = false

    /// True while the last attempt to reach the database failed.
    package var isDatabaseAway: Bool { unavailableSince != nil }

    /// True while commands wait for locked accounts.
    package var hasLines: Bool { !lines.isEmpty }

    /// Returns true if no database answered for `duration`. A database that answers with a time-out
    /// or a missing table counts as reached.
    package func isDatabaseUnreachable(for duration: Duration) -> Bool {
        unreachableSince.map { MonotonicInstant.current() - $0 >= duration } ?? false
    }

    // MARK: Running

    /// Decides until ``stop()``.
    /// - Throws: an error that the database did not cause. Every waiting command is given back
    ///   first.
    package func run() async throws {
        hasBegun = true
        defer { giveBackAll() }
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                let (lines, badItems) = (lines, badItems)
                group.addTask(executorPreference: loop) { try await lines.run() }
                group.addTask(executorPreference: loop) { try await badItems.run() }
                group.addTask(executorPreference: loop) { try await self.dropOverdue() }
                try await runBatches()
                group.cancelAll()
            }
        } catch is CancellationError {
            return
        }
    }

    /// Lets ``run()`` end once the queued commands are decided. Commands that wait for locked
    /// accounts are given back.
    package func stop() {
        stopping = true
        arrival?.succeed(())
    }

    private func runBatches() async throws {
        while true {
            while let group = isolated.first {
                isolated.removeFirst()
                defer { group.tried.succeed(()) }
                try await work(on: group.commands.filter { !lines.take($0) })
            }
            if !holds.isEmpty || !durable.isEmpty {
                try await work(on: take())
                continue
            }
            if stopping { return }
            if isDatabaseAway { try await look() }
            guard holds.isEmpty, durable.isEmpty, isolated.isEmpty, !stopping else { continue }
            let wait = Promise<Void>(on: loop)
            arrival = wait
            defer { arrival = nil }
            if isDatabaseAway { try await wait.value(within: .milliseconds(500), elseReturn: ()) } else { try await wait.value() }
        }
    }

    private func giveBackAll() {
        stopping = true
        for group in isolated { group.tried.fail(CancellationError()) }
        for command in holds + durable + isolated.flatMap(\.commands) + lines.removeAll() { command.answer(.givenBack) }
        (holds, durable, isolated) = ([], [], [])
    }

    /// Asks the database for its time. Without commands nothing else shows that it is available
    /// again.
    private func look() async throws {
        let started = MonotonicInstant.current()
        do {
            _ = try await store.pool.one(ReadClock())
            noteAvailable()
        } catch let error as PostgresError {
            noteUnavailable(error, since: started)
        }
    }

    private func take() -> [WaitingCommand] {
        // Questions take at most three quarters of the places, so that settlements are decided
        // under any load.
        let first = holds.prefix(durable.isEmpty ? commandsMax : max(1, commandsMax * 3 / 4))
        let rest = durable.prefix(commandsMax - first.count)
        holds.removeFirst(first.count)
        durable.removeFirst(rest.count)
        return Array(first) + rest
    }

    private func takeQueued(of accounts: Set<AccountID>) -> [WaitingCommand] {
        let taken = (holds + durable).filter { accounts.contains($0.command.account) }
        guard !taken.isEmpty else { return [] }
        holds.removeAll { accounts.contains($0.command.account) }
        durable.removeAll { accounts.contains($0.command.account) }
        return taken
    }

    private func putFirst(_ commands: [WaitingCommand]) {
        guard !commands.isEmpty else { return }
        holds.insert(contentsOf: commands.filter { !$0.isDurable }, at: 0)
        durable.insert(contentsOf: commands.filter(\.isDurable), at: 0)
        arrival?.succeed(())
    }

    /// Answers questions whose proxies give up soon, while they wait for a batch or a lock.
    private func dropOverdue() async throws {
        while true {
            try await loop.sleep(for: .milliseconds(100))
            let now = MonotonicInstant.current()
            for command in holds.removeOverdue(now) + lines.removeOverdue(now) { command.answer(.undecided) }
        }
    }

    // MARK: One batch

    /// Repeats the batch until each command is answered or waits in a line.
    private func work(on commands: [WaitingCommand]) async throws {
        inBatch = Set(commands.map(\.command.account))
        defer { inBatch = [] }
        do {
            try await persevere(commands)
        } catch {
            for command in commands { command.answer(.givenBack) }
            throw error
        }
    }

    private func persevere(_ commands: [WaitingCommand]) async throws {
        var batch = HalvingBatch(commands, store: store, log: log, metrics: metrics)
        var delay = Duration.milliseconds(50)
        var losses = 0
        while true {
            let now = MonotonicInstant.current()
            // An empty batch shows nothing about the database.
            for command in batch.waiting.removeOverdue(now) { command.answer(.undecided) }
            guard !batch.waiting.isEmpty else { return }
            let error = try await batch.attempt(losses: losses)
            lines.putBack(batch.takeSkipped())
            guard let error else { return noteAvailable() }
            losses = error.code == .connectionLost || error.code == .commitUnknown ? losses + 1 : 0
            noteUnavailable(error, since: now)
            // A month was detached, or was not made in time. Reads where the journal begins, so
            // that the next try refuses older ids.
            if error.lacksMonth { try? await store.prepareJournal() }
            try await loop.sleep(for: delay)
            delay = min(delay * 2, .seconds(2))
        }
    }

    /// - Parameter started: when the attempt began.
    private func noteUnavailable(_ error: PostgresError, since started: MonotonicInstant) {
        unreachableSince = error.isDatabaseUnavailable ? unreachableSince ?? started : nil
        guard unavailableSince == nil else { return }
        unavailableSince = started
        log.warning("database unavailable", error: error)
    }

    private func noteAvailable() {
        guard let since = unavailableSince else { return }
        (unavailableSince, unreachableSince) = (nil, nil)
        log.info("database recovered", ["away_ms": .milliseconds(MonotonicInstant.current() - since)])
    }
}
