import AMQP
import Contracts
import EventLoop

/// Plays the stories of all customers and keeps the book of what was asked and answered.
final class Driver: @unchecked Sendable {
    // @unchecked Sendable: confined to its loop, which every task of a soak prefers.
    private(set) var book = Book()
    private let wire: Wire
    private let loop: EventLoop
    private var customers: [Customer]
    private var storiesPlaying = 0

    init(_ customers: [Customer], on wire: Wire, loop: EventLoop) {
        (self.customers, self.wire, self.loop) = (customers, wire, loop)
        for customer in customers { book.accounts.insert(customer.account) }
    }

    /// A story more is not begun while so many play: a broker that is away must not gather a flood.
    private static let storiesMax = 800

    func note(deadLetter id: MessageID?) {
        loop.execute { if let id { self.book.note(deadLetter: id) } }
    }

    func note(limits: SpendingLimits, of account: AccountID) { book.accountLimits[account] = limits }

    /// What everybody starts with.
    func open() async {
        await withDiscardingTaskGroup { group in
            for customer in customers {
                guard let grant = customer.initialGrant else { continue }
                group.addTask { await GrantStory(of: customer.account, grant).play(on: self) }
            }
        }
    }

    /// Limits that some accounts are to have, drawn once.
    func drawLimits() -> [AccountID: SpendingLimits] {
        var limits: [AccountID: SpendingLimits] = [:]
        for index in customers.indices { limits[customers[index].account] = customers[index].drawLimits() }
        return limits
    }

    /// Stories of everybody for `time`; returns when the last has come to its end.
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

    /// Asks once. Nil: no answer, and nobody knows.
    func ask(_ ask: Ask, within patience: Duration, after pause: Duration = .zero) async -> HoldReply? {
        await self.pause(for: pause)
        let id = book.note(sending: ask)
        let reply = await wire.ask(ask, as: id, within: patience)
        if let reply { book.note(reply, to: ask) }
        return reply
    }

    /// Sends until the broker has confirmed it, as an outbox does.
    func send(_ ask: Ask, after pause: Duration) async {
        await self.pause(for: pause)
        let id = book.note(sending: ask)
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
}
