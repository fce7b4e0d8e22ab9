import AMQP
import EventLoop
import Postgres

/// A command that waits for its decision.
struct WaitingCommand: Sendable {
    var command: Command
    /// The time after which a command that no batch took is answered ``Verdict/undecided``.
    let deadline: MonotonicInstant
    /// The message of a durable command, which can become a row.
    let message: DurableMessage?
    /// True when the broker may have given the message to another ledger.
    let isStale: @Sendable () -> Bool
    let answer: Answer
    let since = MonotonicInstant.current()

    var isReport: Bool { if case .report = command.action { true } else { false } }
    var isDurable: Bool { message != nil }

    init(
        _ command: Command, deadline: MonotonicInstant = .never, message: DurableMessage? = nil,
        isStale: @escaping @Sendable () -> Bool = { false }, _ answer: @escaping @Sendable (Verdict) -> Void
    ) {
        (self.command, self.deadline, self.message, self.isStale) = (command, deadline, message, isStale)
        self.answer = Answer(isStale: isStale, answer)
        // Another ledger may be writing the decision about the first delivery.
        self.answer.mayBeWritten = command.isRedelivered
    }

    /// True if the proxy has given up, or another ledger may decide the command. A durable command
    /// is never overdue, except an expiry.
    func isOverdue(_ now: MonotonicInstant) -> Bool { deadline <= now || isStale() }

    /// Calls back once, on the runner's loop, however often it is called.
    final class Answer: @unchecked Sendable {
        // @unchecked Sendable: confined to the runner's loop.
        private var body: ((Verdict) -> Void)?
        private let isStale: @Sendable () -> Bool
        /// True after a try with an unknown outcome, here or in another ledger.
        var mayBeWritten = false

        fileprivate init(isStale: @escaping @Sendable () -> Bool, _ body: @escaping @Sendable (Verdict) -> Void) {
            (self.isStale, self.body) = (isStale, body)
        }

        func callAsFunction(_ verdict: Verdict) {
            let body = self.body
            self.body = nil
            switch verdict {
            // Another ledger has the message now, and answers it.
            case .undecided where isStale(), .decided(.undecided) where isStale(): body?(.givenBack)
            case .undecided where mayBeWritten: body?(.unknown)
            default: body?(verdict)
            }
        }
    }
}

/// A message of a durable queue.
struct DurableMessage: Sendable {
    let delivery: Delivery
    let queue: String
}

/// The outcome of a command that was handed to the runner.
enum Verdict: Sendable {
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
