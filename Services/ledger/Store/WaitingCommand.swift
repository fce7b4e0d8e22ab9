package import AMQP
import Contracts
package import EventLoop
package import Postgres
import Synchronization
import Values

/// A command that waits for its decision.
package struct WaitingCommand: Sendable {
    package var command: Command
    /// The time after which a command that no batch took is answered ``CommandResult/undecided``.
    package let deadline: MonotonicInstant
    /// The message of a durable command, which can become a row.
    package let message: DurableMessage?
    /// True when the broker may have given the message to another ledger.
    package let isStale: @Sendable () -> Bool
    package let answer: Answer
    package let since = MonotonicInstant.current()

    var isReport: Bool { if case .report = command.action { true } else { false } }
    var isDurable: Bool { message != nil }

    package init(
        _ command: Command, deadline: MonotonicInstant = .never, message: DurableMessage? = nil,
        isStale: @escaping @Sendable () -> Bool = { false }, _ answer: @escaping @Sendable (CommandResult) -> Void
    ) {
        (self.command, self.deadline, self.message, self.isStale) = (command, deadline, message, isStale)
        // Another ledger may be writing the decision about the first delivery.
        self.answer = Answer(isStale: isStale, mayBeWritten: command.isRedelivered, answer)
    }

    /// True if the proxy has given up, or another ledger may decide the command. A durable command
    /// is never overdue, except an expiry.
    package func isOverdue(_ now: MonotonicInstant) -> Bool { deadline <= now || isStale() }

    /// Calls back once, on the runner's loop, however often it is called.
    package final class Answer: Sendable {
        private struct State {
            var body: (@Sendable (CommandResult) -> Void)?
            /// True after a try with an unknown outcome, here or in another ledger.
            var mayBeWritten: Bool
        }

        private let state: Mutex<State>
        private let isStale: @Sendable () -> Bool

        fileprivate init(
            isStale: @escaping @Sendable () -> Bool, mayBeWritten: Bool, _ body: @escaping @Sendable (CommandResult) -> Void
        ) {
            self.isStale = isStale
            state = Mutex(State(body: body, mayBeWritten: mayBeWritten))
        }

        func noteMayBeWritten() { state.withLock { $0.mayBeWritten = true } }

        func callAsFunction(_ result: CommandResult) {
            let last = state.withLock { state in
                defer { state.body = nil }
                return state
            }
            switch result {
            // Another ledger has the message now, and answers it.
            case .undecided where isStale(), .decided(.undecided) where isStale(): last.body?(.givenBack)
            case .undecided where last.mayBeWritten: last.body?(.unknown)
            default: last.body?(result)
            }
        }
    }
}

extension [WaitingCommand] {
    /// Takes out the commands that are overdue.
    mutating func removeOverdue(_ now: MonotonicInstant) -> [WaitingCommand] {
        let overdue = filter { $0.isOverdue(now) }
        if !overdue.isEmpty { removeAll { $0.isOverdue(now) } }
        return overdue
    }
}

/// A message of a durable queue, or one of its items.
package struct DurableMessage: Sendable {
    let delivery: Delivery
    let queue: String
    /// Nil: the message has one command.
    package let item: Item?

    /// One of several items of a message.
    package struct Item: Sendable {
        let index: Int
        /// The item as a message of its own.
        let body: [UInt8]

        package init(index: Int, body: [UInt8]) { (self.index, self.body) = (index, body) }
    }

    package init(delivery: Delivery, queue: String, item: Item? = nil) {
        (self.delivery, self.queue, self.item) = (delivery, queue, item)
    }

    var body: [UInt8] { item?.body ?? delivery.body }

    /// The id of a row for it, the same for each delivery. A message without a valid id gets a new
    /// one. A second row of it is harmless, because its command has the same charge id.
    var rowID: MessageID {
        let id = MessageID(delivery.properties.messageID) ?? .make()
        guard let item else { return id }
        return MessageID(rawValue: UUIDv7(high: id.rawValue.high, low: id.rawValue.low ^ UInt64(item.index)))
    }
}

/// The outcome of a command that was handed to the runner.
package enum CommandResult: Sendable {
    case decided(Decision)
    /// Nothing was decided, and nothing will be.
    case undecided
    /// The deadline passed after a try with an unknown outcome. The decision may be written.
    case unknown
    /// The account of a durable command is locked. The command is now a row and will be decided in
    /// its order.
    case kept
    /// Postgres refuses this command, now and later.
    case failed(PostgresError)
    /// The runner stops, or the broker has taken the message back. Nothing is decided here. The
    /// broker redelivers the message.
    case givenBack
}
