import Contracts
import EventLoop
import Postgres
import Telemetry

/// Commands of accounts that a batch could not lock, in a line for each account.
///
/// The lines are worked on in turn, over a connection of their own. One account at a time waits for its lock, behind the transactions that
/// wait already, so that two ledgers share a busy account fairly. Commands keep their order. Of the waiting reports of a charge only the
/// largest stays. An expiry does not wait: the sweep asks again. After ``keepAfter`` the durable commands become rows (``KeptCommand``);
/// while an account has rows, its later commands follow them. Confined to the store's loop.
final class AccountLines: @unchecked Sendable {
    // @unchecked Sendable: confined to the store's loop.
    private struct Line {
        private(set) var commands: [WaitingCommand] = []
        /// Where the waiting report of a charge stands.
        private var reports: [ChargeID: Int] = [:]
        var tryFrom = MonotonicInstant.current()
        var hasRows = false
        /// A command cannot be written: until the line is empty, one at a time is decided.
        var isCareful = false

        /// - Returns: a command that need not wait: an expiry, or the smaller of two reports of a charge.
        mutating func append(_ command: WaitingCommand) -> WaitingCommand? {
            guard command.command.action != .expire else { return command }
            guard case .report(let used, _) = command.command.action else {
                commands.append(command)
                return nil
            }
            guard let index = reports[command.command.id], case .report(let usedBefore, _) = commands[index].command.action else {
                reports[command.command.id] = commands.count
                commands.append(command)
                return nil
            }
            guard used > usedBefore else { return command }
            defer { commands[index] = command }
            return commands[index]
        }

        mutating func takeFirst(_ count: Int) -> [WaitingCommand] {
            let taken = Array(commands.prefix(count))
            set(commands.dropFirst(count))
            return taken
        }

        mutating func take(where isTaken: (WaitingCommand) -> Bool) -> [WaitingCommand] {
            let taken = commands.filter(isTaken)
            if !taken.isEmpty { set(commands.filter { !isTaken($0) }) }
            return taken
        }

        mutating func putBack(_ taken: [WaitingCommand]) { set(taken + commands) }

        private mutating func set(_ commands: some Sequence<WaitingCommand>) {
            self.commands = Array(commands)
            reports = [:]
            for (index, command) in self.commands.enumerated() {
                if case .report = command.command.action { reports[command.command.id] = index }
            }
        }
    }

    private let store: LedgerStore
    private let log: Logger
    private let commandsMax: Int
    private var lines: [AccountID: Line] = [:] { didSet { waiting.set(Int64(count)) } }
    /// The accounts in turn.
    private var turn: [AccountID] = []
    private var arrival: Wait<Void>?
    /// Takes an account's commands out of the queue for the next batch: they are older than those that its new line will get.
    var claim: (AccountID) -> [WaitingCommand] = { _ in [] }
    private var looksForRowsFrom = MonotonicInstant.current()

    /// A durable command waits this long in memory, and then as a row. The broker ends a channel that has a delivery out for 30 minutes.
    private let keepAfter: Duration
    /// More waiting commands than this become rows at once. It is half of the prefetch, so that other accounts' messages still come in.
    private let waitingMax: Int
    /// The time between two tries of an account that has rows only, and between two looks for such accounts.
    private let rowsEvery: Duration

    private let waiting = Metrics.shared.gauge("ledger_locked_account_commands", help: "Commands that wait for locked accounts.")
    private let kept = Metrics.shared.counter("ledger_commands_kept_total", help: "Commands of locked accounts that became rows.")

    init(
        store: LedgerStore, log: Logger, commandsMax: Int, keepAfter: Duration = .seconds(30), waitingMax: Int = 2_000,
        rowsEvery: Duration = .seconds(5)
    ) {
        (self.store, self.log, self.commandsMax) = (store, log, commandsMax)
        (self.keepAfter, self.waitingMax, self.rowsEvery) = (keepAfter, waitingMax, rowsEvery)
    }

    var isEmpty: Bool { lines.isEmpty }

    private var count: Int { lines.values.reduce(0) { $0 + $1.commands.count } }

    // MARK: Commands come and go

    /// Takes `command` if its account has a line.
    func take(_ command: WaitingCommand) -> Bool {
        guard lines[command.command.account] != nil else { return false }
        add(command)
        return true
    }

    private func add(_ command: WaitingCommand) {
        if let needless = lines[command.command.account]?.append(command) { needless.answer(.decided(.noted)) }
    }

    /// Puts the commands of a batch that could not lock their accounts in front of those that came after them.
    func putBack(_ commands: [WaitingCommand]) {
        for (account, commands) in Dictionary(grouping: commands, by: \.command.account) {
            open(account)
            lines[account]?.putBack(commands.filter { $0.command.action != .expire })
            for command in commands where command.command.action == .expire { command.answer(.decided(.noted)) }
        }
    }

    /// Takes the questions out whose askers give up soon, unless they are being decided.
    func removeOverdue(_ now: MonotonicInstant) -> [WaitingCommand] {
        turn.flatMap { lines[$0]?.take { $0.deadline <= now } ?? [] }
    }

    func removeAll() -> [WaitingCommand] {
        defer { (lines, turn) = ([:], []) }
        return turn.flatMap { lines[$0]?.commands ?? [] }
    }

    private func open(_ account: AccountID) {
        guard lines[account] == nil else { return }
        lines[account] = Line()
        turn.append(account)
        for command in claim(account) { add(command) }
        arrival?.succeed(())
    }

    private func close(_ account: AccountID) {
        lines[account] = nil
        turn.removeAll { $0 == account }
    }

    // MARK: Running

    /// Works on the lines until cancelled.
    func run() async throws {
        while true {
            do {
                try await keepOverdue()
                guard let account = next() else {
                    try await pause()
                    continue
                }
                try await tryLine(of: account)
            } catch let error as PostgresError {
                log.warning("lines of locked accounts failed", error: error)
                try await store.pool.loop.sleep(for: .seconds(1))
            }
        }
    }

    private func next() -> AccountID? {
        let now = MonotonicInstant.current()
        guard let account = turn.first(where: { lines[$0].map { $0.tryFrom <= now } ?? false }) else { return nil }
        turn.removeAll { $0 == account }
        turn.append(account)
        return account
    }

    private func pause() async throws {
        let wait = Wait<Void>(on: store.pool.loop)
        arrival = wait
        defer { arrival = nil }
        try await wait.value(within: lines.isEmpty ? rowsEvery : min(rowsEvery, .milliseconds(100)), elseReturn: ())
    }

    /// The commands stay in the line until the lock is there: a question may be given up meanwhile, a report may be replaced.
    private func tryLine(of account: AccountID) async throws {
        guard let line = lines[account] else { return }
        let countMax = line.isCareful ? 1 : commandsMax
        var commands: [WaitingCommand] = []
        do {
            let decisions = try await store.decideInLine(of: account, rowsMax: countMax) {
                commands = lines[account]?.takeFirst(countMax) ?? []
                return commands.map(\.command)
            }
            lines[account]?.hasRows = decisions == nil
            guard let decisions else { return }
            for (command, decision) in zip(commands, decisions) { command.answer(.decided(decision)) }
            if lines[account]?.commands.isEmpty ?? true { close(account) }
        } catch let error as PostgresError {
            try await failed(account, commands, error)
        } catch {
            lines[account]?.putBack(commands)
            throw error
        }
    }

    private func failed(_ account: AccountID, _ commands: [WaitingCommand], _ error: PostgresError) async throws {
        guard error.fault == .command, lines[account]?.isCareful == true else {
            lines[account]?.putBack(commands)
            if error.fault == .command { lines[account]?.isCareful = true }
            rest(account, after: error)
            return
        }
        // One row or one command is left, and it cannot be written.
        do {
            if try await store.parkFirstKept(of: account, because: error) { return lines[account]?.putBack(commands) ?? () }
        } catch {
            lines[account]?.putBack(commands)
            throw error
        }
        for command in commands { command.answer(.failed(error)) }
        if lines[account]?.commands.isEmpty ?? true { close(account) }
    }

    /// A time-out was a wait in the line, so the next try follows in turn. Any other fault is given time to pass.
    private func rest(_ account: AccountID, after error: PostgresError) {
        let hasRowsOnly = lines[account]?.commands.isEmpty ?? true
        lines[account]?.tryFrom = .current() + (hasRowsOnly ? rowsEvery : error.isTimeout ? .zero : .seconds(1))
        if !error.isTimeout { log.warning("account unavailable", ["account.id": .describing(account)], error: error) }
    }

    // MARK: Rows

    /// Turns commands into rows that have waited too long, or are too many, and opens lines for the accounts that have rows.
    private func keepOverdue() async throws {
        let now = MonotonicInstant.current()
        if looksForRowsFrom <= now {
            looksForRowsFrom = now + rowsEvery
            for account in try await store.someAccountsKept() { open(account) }
        }
        var left = count
        for (account, line) in lines.sorted(by: { $0.value.commands.count > $1.value.commands.count }) {
            let isOver = left > waitingMax
            let isOld = line.hasRows || line.commands.contains { $0.isDurable && now - $0.since >= keepAfter }
            guard isOver || isOld else { continue }
            left -= line.commands.count
            try await keep(account) { $0.isDurable && (isOver || !$0.isReport || now - $0.since >= self.keepAfter) }
        }
    }

    /// A young report stays in memory: the next one of its charge replaces it, and no order is kept between reports and other commands.
    private func keep(_ account: AccountID, where isKept: (WaitingCommand) -> Bool) async throws {
        let commands = lines[account]?.take(where: isKept) ?? []
        guard !commands.isEmpty else { return }
        lines[account]?.hasRows = true
        do {
            try await store.keep(commands)
        } catch {
            lines[account]?.putBack(commands)
            throw error
        }
        for command in commands { command.answer(.kept) }
        kept.add(Int64(commands.count))
        log.warning(
            "commands of a locked account kept as rows", ["account.id": .describing(account), "commands": .integer(commands.count)])
    }
}
