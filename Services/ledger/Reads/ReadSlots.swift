import Contracts
import EventLoop
import HTTP
import Synchronization

/// How many long reads one caller has under way at once in this process: ``runningMax``. The next few wait in line, for a page that asks
/// for four sums at once; who comes after them, or has waited too long, is refused with 429. So nobody's searches take the reading
/// connections from the others.
///
/// Only who reads stands in the table, at most ``callersMax`` at a time; beyond, nobody new begins.
final class ReadSlots: Sendable {
    static let runningMax = 2
    static let waitingMax = 8
    static let callersMax = 1_000

    private struct Line {
        var running = 0
        var waiting: [Wait<ReadSlot>] = []
    }

    /// The plural noun of an error.
    private let what: String
    private let loop: EventLoop
    private let patience: Duration
    private let lines = Mutex<[AccountID: Line]>([:])

    /// - Parameters:
    ///   - what: names in an error what the slots are for, in the plural.
    ///   - patience: how long somebody waits for a slot.
    init(of what: String, loop: EventLoop, patience: Duration = .seconds(2)) {
        self.what = what
        self.loop = loop
        self.patience = patience
    }

    func during<Value>(_ caller: AccountID, _ read: () async throws -> Value) async throws -> Value {
        let slot = try await take(for: caller)
        defer { withExtendedLifetime(slot) {} }
        return try await read()
    }

    /// A slot is held until nobody refers to it any more.
    /// - Throws: 429 `rate_limited`.
    func take(for caller: AccountID) async throws -> ReadSlot {
        let wait: Wait<ReadSlot>? = try lines.withLock { lines throws(Problem) in
            var line = lines[caller] ?? Line()
            guard line.running == Self.runningMax else {
                guard line.running > 0 || lines.count < Self.callersMax else { throw tooMany }
                line.running += 1
                lines[caller] = line
                return nil
            }
            guard line.waiting.count < Self.waitingMax else { throw tooMany }
            let wait = Wait<ReadSlot>(on: loop)
            line.waiting.append(wait)
            lines[caller] = line
            return wait
        }
        guard let wait else { return ReadSlot(caller, of: self) }
        do {
            return try await wait.value(within: patience, elseThrow: self.tooMany)
        } catch {
            lines.withLock { $0[caller]?.waiting.removeAll { $0 === wait } }
            throw error
        }
    }

    /// One that has just stopped waiting drops the slot it is handed, and the next in line gets it.
    fileprivate func passOn(from caller: AccountID) {
        let next: Wait<ReadSlot>? = lines.withLock { lines in
            guard var line = lines[caller] else { preconditionFailure("a slot was given back that nobody had") }
            defer { lines[caller] = line.running > 0 ? line : nil }
            guard line.waiting.isEmpty else { return line.waiting.removeFirst() }
            line.running -= 1
            return nil
        }
        next?.succeed(ReadSlot(caller, of: self))
    }

    private var tooMany: Problem {
        .rateLimited("At most \(Self.runningMax) \(what) run at once for one caller. Try again in a second.", retryAfter: .seconds(1))
    }
}

/// The right to read, given back when it is let go of: an answer that is never sent gives it back too.
final class ReadSlot: Sendable {
    private let caller: AccountID
    private let slots: ReadSlots

    fileprivate init(_ caller: AccountID, of slots: ReadSlots) {
        self.caller = caller
        self.slots = slots
    }

    deinit { slots.passOn(from: caller) }
}
