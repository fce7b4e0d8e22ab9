import AMQP
import Contracts
import EventLoop
import Values

/// Plays the stories of all customers and keeps the book of what was asked and answered.
final class Driver: @unchecked Sendable {
    // @unchecked Sendable: confined to its loop, which every task of a soak prefers.
    private(set) var book = Book()
    private let wire: Wire
    private let loop: EventLoop
    private var customers: [Customer] = []
    private var storiesPlaying = 0

    /// The longest time for which a row is locked.
    private let lockMax: Duration

    init(on wire: Wire, loop: EventLoop, lockMax: Duration) {
        (self.wire, self.loop, self.lockMax) = (wire, loop, lockMax)
    }

    /// Replaces the customers. The oracle goes through the whole past of an account at each
    /// question, so an account lives for one round.
    func serve(_ customers: [Customer]) {
        self.customers = customers
        book.accounts.formUnion(customers.map(\.account))
    }

    /// The most stories that run at a time, so that an outage of the broker does not collect too
    /// many messages.
    private static let storiesMax = 800

    func note(deadLetter id: MessageID?) {
        loop.execute { if let id { self.book.note(deadLetter: id) } }
    }

    func note(limits: SpendingLimits, of account: AccountID) { book.accountLimits[account] = limits }

    /// Grants the credits that customers start with.
    func open() async {
        await withDiscardingTaskGroup { group in
            for customer in customers {
                guard let grant = customer.initialGrant else { continue }
                group.addTask { await GrantStory(of: customer.account, grant).play(on: self) }
            }
        }
    }

    /// Draws the limits that some accounts have.
    func drawLimits() -> [AccountID: SpendingLimits] {
        var limits: [AccountID: SpendingLimits] = [:]
        for index in customers.indices { limits[customers[index].account] = customers[index].drawLimits() }
        return limits
    }

    /// Plays the stories of all customers for `time`. Returns when the last story has ended.
    func play(for time: Duration) async {
        let deadline = MonotonicInstant.current() + time
        await withDiscardingTaskGroup { group in
            for index in customers.indices { group.addTask { await self.play(index, until: deadline) } }
        }
    }

    private func play(_ index: Int, until deadline: MonotonicInstant) async {
        await withDiscardingTaskGroup { group in
            while true {
                await pause(for: customers[index].drawPause())
                guard MonotonicInstant.current() < deadline else { return }
                guard storiesPlaying < Self.storiesMax else { continue }
                storiesPlaying += 1
                switch customers[index].drawStory() {
                case .call:
                    let story = CallStory(of: &customers[index])
                    group.addTask { await self.playing { await story.play(on: self) } }
                case .grant:
                    let story = GrantStory(of: &customers[index])
                    group.addTask { await self.playing { await story.play(on: self) } }
                case .refusal:
                    let story = RefusalStory(of: &customers[index])
                    group.addTask { await self.playing { await story.play(on: self) } }
                case .lock:
                    let story = LockStory(of: &customers[index], lockMax: lockMax)
                    group.addTask { await self.playing { await story.play(on: self) } }
                }
            }
        }
    }

    private func playing(_ story: () async -> Void) async {
        await story()
        storiesPlaying -= 1
    }

    // MARK: What stories do

    func pause(for time: Duration) async {
        if time > .zero { try? await loop.sleep(for: time) }
    }

    /// Asks once.
    /// - Returns: nil if no answer came. The ledger may or may not have decided.
    func ask(_ ask: Ask, isLast: Bool = false, within patience: Duration, after pause: Duration = .zero) async -> HoldReply? {
        await self.pause(for: pause)
        let (_, question) = book.note(sending: ask, isLast: isLast)
        // A new message id, because a late answer to an earlier question must not be taken for the
        // answer to this one.
        let reply = await wire.ask(ask, isLast: isLast, as: .make(), within: patience)
        if let reply { book.note(reply, to: ask, question: question) }
        return reply
    }

    /// Sends until the broker has confirmed it, as an outbox does.
    func send(_ ask: Ask, after pause: Duration) async {
        await self.pause(for: pause)
        let (id, _) = book.note(sending: ask)
        while true {
            do {
                try await wire.send(ask, as: id)
                book.note(confirmed: ask)
                return
            } catch {
                await self.pause(for: .milliseconds(200))
            }
        }
    }

    /// Asks up to six times, as a server does after a 503 or no answer.
    /// - Parameter ledger: the first ledger to ask. A repetition asks the other ledger.
    func deduct(_ deduction: Deduction, at ledger: Int, after pause: Duration) async {
        await self.pause(for: pause)
        for number in 0..<6 {
            book.note(deduction, answered: nil)
            let status = await wire.deduct(deduction, at: ledger + number)
            if let status { book.note(deduction, answered: status) }
            guard status == nil || status == 503 else { return }
            await self.pause(for: .milliseconds(500))
        }
    }

    /// Closes the connections that bring the messages of the queue to the ledgers. The broker
    /// redelivers unacknowledged messages.
    func closeDeliveries(of queue: Queue, after pause: Duration) async {
        await self.pause(for: pause)
        await wire.closeDeliveries(of: queue)
    }

    func lock(_ account: AccountID, for time: Duration) async { await wire.lock(account, for: time, on: loop) }
}
