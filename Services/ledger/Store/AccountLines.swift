import EventLoop
import Postgres
import Telemetry
import Values

/// The waiting commands of accounts that a batch could not lock, in a line for each account.
///
/// The lines take turns on a connection of their own. One account at a time waits for its lock,
/// behind the transactions that already wait, so that two ledgers share a busy account fairly. A
/// line ends when its commands are decided; later commands go to the next batch.
///
/// - Commands keep their order.
/// - Of the waiting reports of a charge only the largest stays.
/// - Expiries do not wait, because the sweep asks again.
/// - Questions do not wait after one try to get the lock has failed.
/// - Durable commands become rows after ``keepAfter`` (``KeptCommand``). Later commands of the
///   account are decided after its rows.
///
/// Confined to the store's loop.
final class AccountLines: @unchecked Sendable {
    // @unchecked Sendable: confined to the store's loop.
    private let store: LedgerStore
    private let log: Logger
    private let commandsMax: Int
    private var lines: [AccountID: AccountLine] = [:]
    /// The accounts in the order of their turns.
    private var turn: [AccountID] = []
    private var arrival: Promise<Void>?
    /// Takes the accounts' commands out of the queue of the next batch. They are older than the
    /// later commands of the new lines.
    var claim: (Set<AccountID>) -> [WaitingCommand] = { _ in [] }
    /// Puts commands at the head of the queue of the next batch.
    var release: ([WaitingCommand]) -> Void = { _ in }
    var isBeingDecided: (AccountID) -> Bool = { _ in false }
    private var looksForRowsFrom = MonotonicInstant.current()
    /// The last account that was found to have rows. The next look begins after it.
    private var lastWithRows = ""
    private var keepsFrom = MonotonicInstant.current()

    /// The time after which a waiting durable command becomes a row. The broker closes a channel
    /// that has an unsettled delivery for 30 minutes.
    private let keepAfter: Duration
    /// The number of waiting commands above which durable commands become rows at once. It is half
    /// of the prefetch, so that messages of other accounts still arrive.
    private let waitingMax: Int
    /// The time between two looks for accounts that have rows.
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
        // Waiting questions would use up the prefetch, which questions of other accounts need.
        if command.command.isQuestion, let line = lines[account], line.timeouts > 0 || line.commands.count >= Self.questionsUpTo {
            return command.answer(.undecided)
        }
        if let needless = lines[account]?.append(command) { needless.answer(.decided(.noted)) }
    }

    /// The length at which a line takes no more questions.
    private static let questionsUpTo = 1_000

    /// Puts the commands of a batch that could not lock their accounts in front of later commands.
    func putBack(_ commands: [WaitingCommand]) {
        guard !commands.isEmpty else { return }
        open(Set(commands.map(\.command.account)))
        for command in commands where command.command.isHousekeeping { command.answer(.decided(.noted)) }
        let kept = Dictionary(grouping: commands.filter { !$0.command.isHousekeeping }, by: \.command.account)
        for (account, commands) in kept { lines[account]?.putBack(commands) }
    }

    /// Takes out the questions whose proxies give up soon, unless they are being decided.
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
        for account in new { lines[account] = AccountLine() }
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
        let wait = Promise<Void>(on: store.pool.loop)
        arrival = wait
        defer { arrival = nil }
        try await wait.value(within: lines.isEmpty ? rowsEvery : min(rowsEvery, .milliseconds(100)), elseReturn: ())
    }

    /// Waits for the lock of an account and decides its line. The commands stay in the line until
    /// the lock is there: meanwhile a question may be given up, and a report may be replaced.
    private func tryLine(of account: AccountID) async throws {
        guard let line = lines[account] else { return }
        let countMax = line.isCareful ? 1 : commandsMax
        var rows: [KeptCommand] = []
        var commands: [WaitingCommand] = []
        var hasRows = false
        do {
            let decisions = try await store.commitInLine(of: account, lockWithin: patience(with: line), rowsMax: countMax) {
                kept, areMore in
                // One command or one row at a time, so that an error names the one that cannot be
                // written.
                (rows, hasRows) = (kept, areMore || line.isCareful && !kept.isEmpty)
                let now = MonotonicInstant.current()
                for overdue in lines[account]?.take(where: { $0.isOverdue(now) }) ?? [] { overdue.answer(.undecided) }
                commands = hasRows ? [] : lines[account]?.takeFirst(countMax) ?? []
                return commands.map(\.command)
            }
            for (command, decision) in zip(commands, decisions) { command.answer(.decided(decision)) }
            for row in rows {
                guard let flaw = row.flaw else { continue }
                log.error(
                    "row refused",
                    ["message.id": .describing(row.messageID), "account.id": .describing(account), "reason": .string(flaw.reason)])
            }
            lines[account]?.hasRows = hasRows
            lines[account]?.timeouts = 0
            if !hasRows { end(account, wasCareful: line.isCareful) }
        } catch let error as PostgresError {
            if error.mayHaveCommitted { for command in commands { command.answer.noteMayBeWritten() } }
            lines[account]?.putBack(commands)
            try await failed(account, commands, rows, error)
        } catch {
            lines[account]?.putBack(commands)
            throw error
        }
    }

    /// Returns the time to wait for the lock. It is shorter while other lines are ready.
    private func patience(with line: AccountLine) -> Duration {
        let now = MonotonicInstant.current()
        guard lines.count > 1, lines.values.count(where: { $0.tryFrom <= now }) > 1 else { return LedgerStore.lineWithin }
        return line.timeouts > 0 ? .milliseconds(20) : LedgerStore.lockWithin
    }

    /// Ends a line whose commands are decided. The next batch decides the commands that came
    /// meanwhile. While the ledger looks for a command that cannot be written, the line stays until
    /// it is empty.
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

    /// Turns commands that waited too long, or are too many, into rows. Opens lines for accounts
    /// that have rows.
    private func keepOverdue() async throws {
        let now = MonotonicInstant.current()
        guard keepsFrom <= now else { return }
        keepsFrom = now + .milliseconds(100)
        if looksForRowsFrom <= now {
            looksForRowsFrom = now + rowsEvery
            let accounts = try await store.someAccountsKept(after: lastWithRows)
            lastWithRows = accounts.last ?? ""
            // A running batch that skipped the account opens the line itself, with the commands
            // that it took.
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
                log.warning("storing commands failed", ["account.id": .describing(account)], error: error)
            }
        }
    }

    /// Writes the selected commands as rows. The caller leaves young reports in memory: the next
    /// report of the charge replaces them, and reports need no order among other commands.
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
