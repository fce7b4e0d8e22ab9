import Contracts
import EventLoop
import Values

/// The waiting commands of one locked account, in their order.
struct AccountLine {
    private(set) var commands: [WaitingCommand] = []
    /// The index of the waiting report of each charge.
    private var reports: [ChargeID: Int] = [:]
    var tryFrom = MonotonicInstant.current()
    /// The tries in a row that ended without the lock.
    var timeouts = 0
    var hasRows = false
    /// True after a command of the line could not be written. One command at a time is then
    /// decided until the line is empty.
    var isCareful = false

    /// - Returns: the smaller of two reports of a charge. It needs no decision.
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
