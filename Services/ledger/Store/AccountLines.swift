import Contracts
import EventLoop
import Postgres
import Telemetry

/// Commands of accounts that a batch could not lock, in a line for each account.
///
/// The lines are worked on in turn, over a connection of their own. One account at a time waits for its lock, behind the transactions that
/// wait already, so that two ledgers share a busy account fairly. Once that was decided, the line ends, and what came meanwhile goes to the
/// next batch. Commands keep their order. Of the waiting reports of a charge only the largest stays. What the sweep asks for does not wait,
/// since it asks again. Once the lock was not to be had, questions do not wait either. After ``keepAfter`` the durable commands become rows
/// (``KeptCommand``); while an account has rows, its later commands follow them. Confined to the store's loop.
final class AccountLines: @unchecked Sendable {
    // @unchecked Sendable: confined to the store's loop.
    private struct Line {
        private(set) var commands: [WaitingCommand] = []
        /// Where the waiting report of a charge stands.
        private var reports: [ChargeID: Int] = [:]
        var tryFrom = MonotonicInstant.current()
        /// The tries in a row that ended without the lock.
        var timeouts = 0
        var hasRows = false
        /// A command cannot be written: until the line is empty, one at a time is decided.
        var isCareful = false

        /// - Returns: the smaller of two reports of a charge, which need not wait.
        mutating func append(_ command: WaitingCommand) -> WaitingCommand? {
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
    private var lines: [AccountID: Line] = [:]
    /// The accounts in turn.
    private var turn: [AccountID] = []
    private var arrival: Wait<Void>?
    /// Takes the accounts' commands out of the queue for the next batch: they are older than those that their new lines will get.
    var claim: (Set<AccountID>) -> [WaitingCommand] = { _ in [] }
    /// Puts commands at the head of that queue.
    var release: ([WaitingCommand]) -> Void = { _ in }
    var isBeingDecided: (AccountID) -> Bool = { _ in false }
    private var looksForRowsFrom = MonotonicInstant.current()
    /// The last account that was found to have rows; the next look begins behind it.
    private var lastWithRows = ""
    private var keepsFrom = MonotonicInstant.current()

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
        let account = command.command.account
        if command.command.isHousekeeping { return command.answer(.decided(.noted)) }
        // They would take the places of other accounts' questions, of which the broker sends only so many at once.
        if command.command.isQuestion, let line = lines[account], line.timeouts > 0 || line.commands.count >= Self.questionsUpTo {
            return command.answer(.undecided)
        }
        if let needless = lines[account]?.append(command) { needless.answer(.decided(.noted)) }
    }

    /// A line of this length takes no more questions.
    private static let questionsUpTo = 1_000

    /// Puts the commands of a batch that could not lock their accounts in front of those that came after them.
    func putBack(_ commands: [WaitingCommand]) {
        guard !commands.isEmpty else { return }
        open(Set(commands.map(\.command.account)))
        for command in commands where command.command.isHousekeeping { command.answer(.decided(.noted)) }
        let kept = Dictionary(grouping: commands.filter { !$0.command.isHousekeeping }, by: \.command.account)
        for (account, commands) in kept { lines[account]?.putBack(commands) }
    }

    /// Takes the questions out whose askers give up soon, unless they are being decided.
    func removeOverdue(_ now: MonotonicInstant) -> [WaitingCommand] {
        lines.filter { $1.commands.contains { $0.isOverdue(now) } }.flatMap { lines[$0.key]?.take { $0.isOverdue(now) } ?? [] }
    }

    func removeAll() -> [WaitingCommand] {
        defer { (lines, turn) = ([:], []) }
        return turn.flatMap { lines[$0]?.commands ?? [] }
    }

    private func open(_ accounts: Set<AccountID>) {
        let new = accounts.filter { lines[$0] == nil }
        guard !new.isEmpty else { return }
        for account in new { lines[account] = Line() }
        turn += new
        for command in claim(new) { add(command) }
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
        var rows: [KeptCommand] = []
        var commands: [WaitingCommand] = []
        var hasRows = false
        do {
            let decisions = try await store.decideInLine(of: account, lockWithin: patience(with: line), rowsMax: countMax) {
                kept, areMore in
                // One command or one row at a time: the one that cannot be written is then known.
                (rows, hasRows) = (kept, areMore || line.isCareful && !kept.isEmpty)
                let now = MonotonicInstant.current()
                for overdue in lines[account]?.take(where: { $0.isOverdue(now) }) ?? [] { overdue.answer(.undecided) }
                commands = hasRows ? [] : lines[account]?.takeFirst(countMax) ?? []
                return commands.map(\.command)
            }
            for (command, decision) in zip(commands, decisions) { command.answer(.decided(decision)) }
            lines[account]?.hasRows = hasRows
            lines[account]?.timeouts = 0
            if !hasRows { end(account, wasCareful: line.isCareful) }
        } catch let error as PostgresError {
            if error.mayHaveCommitted { for command in commands { command.answer.mayBeWritten = true } }
            lines[account]?.putBack(commands)
            try await failed(account, commands, rows, error)
        } catch {
            lines[account]?.putBack(commands)
            throw error
        }
    }

    /// Nobody waits long behind an account that stays locked.
    private func patience(with line: Line) -> Duration {
        let now = MonotonicInstant.current()
        guard lines.count > 1, lines.values.count(where: { $0.tryFrom <= now }) > 1 else { return LedgerStore.lineWithin }
        return line.timeouts > 0 ? .milliseconds(20) : LedgerStore.lockWithin
    }

    /// The lock is there: the next batch decides what came meanwhile. Commands of which one cannot be written stay until it is known.
    private func end(_ account: AccountID, wasCareful: Bool) {
        let left = lines[account]?.commands ?? []
        guard left.isEmpty || !wasCareful else { return }
        close(account)
        release(left)
    }

    private func failed(_ account: AccountID, _ commands: [WaitingCommand], _ rows: [KeptCommand], _ error: PostgresError) async throws {
        guard error.fault == .command, lines[account]?.isCareful == true, rows.count + commands.count == 1 else {
            if error.fault == .command { lines[account]?.isCareful = true }
            return rest(account, after: error)
        }
        if let row = rows.first { return try await store.park(row, because: error) }
        for command in lines[account]?.takeFirst(1) ?? [] { command.answer(.failed(error)) }
        if lines[account]?.commands.isEmpty ?? true { close(account) }
    }

    private func rest(_ account: AccountID, after error: PostgresError) {
        let timeouts = error.isTimeout ? (lines[account]?.timeouts ?? 0) + 1 : 0
        lines[account]?.timeouts = timeouts
        lines[account]?.tryFrom = .current() + (error.isTimeout ? .milliseconds(min(1_000, 25 << min(timeouts, 6))) : .seconds(1))
        guard error.isTimeout else {
            return log.warning("account unavailable", ["account.id": .describing(account)], error: error)
        }
        for question in lines[account]?.take(where: \.command.isQuestion) ?? [] { question.answer(.undecided) }
    }

    // MARK: Rows

    /// Turns commands into rows that have waited too long, or are too many, and opens lines for the accounts that have rows.
    private func keepOverdue() async throws {
        let now = MonotonicInstant.current()
        guard keepsFrom <= now else { return }
        keepsFrom = now + .milliseconds(100)
        if looksForRowsFrom <= now {
            looksForRowsFrom = now + rowsEvery
            let accounts = try await store.someAccountsKept(after: lastWithRows)
            lastWithRows = accounts.last ?? ""
            // The batch under way may have skipped the account: it opens the line itself, with the commands it took.
            open(Set(accounts.compactMap { AccountID($0) }.filter { !isBeingDecided($0) }))
        }
        var left = count
        waiting.set(Int64(left))
        for (account, line) in lines.sorted(by: { $0.value.commands.count > $1.value.commands.count }) {
            let isOver = left > waitingMax
            let isOld = line.hasRows || line.commands.contains { $0.isDurable && now - $0.since >= keepAfter }
            guard isOver || isOld else { continue }
            left -= line.commands.count
            do {
                try await keep(account) { $0.isDurable && (isOver || !$0.isReport || now - $0.since >= self.keepAfter) }
            } catch let error as PostgresError {
                keepsFrom = now + .seconds(1)
                log.warning("commands not kept", ["account.id": .describing(account)], error: error)
            }
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
