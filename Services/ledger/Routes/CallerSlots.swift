import EventLoop
import HTTP
import Synchronization
import Values

/// The slots for long requests of one kind. In one process a caller runs ``runningMax`` of them at
/// once, and ``waitingMax`` more wait, because a page asks for four sums at once. A further request,
/// or one that waits longer than `patience`, is refused with 429. A caller cannot take the reading
/// connections from other callers.
///
/// The table has callers with running requests only, at most ``callersMax``. A further caller is
/// refused.
final class CallerSlots: Sendable {
    static let runningMax = 2
    static let waitingMax = 8
    static let callersMax = 1_000

    private struct Line {
        var running = 0
        var waiting: [Promise<CallerSlot>] = []
    }

    /// The plural noun of an error.
    private let what: String
    private let loop: EventLoop
    private let patience: Duration
    private let lines = Mutex<[AccountID: Line]>([:])

    /// - Parameters:
    ///   - what: names in an error what the slots are for, in the plural.
    ///   - patience: the longest wait of a request for a slot.
    init(of what: String, loop: EventLoop, patience: Duration = .seconds(2)) {
        self.what = what
        self.loop = loop
        self.patience = patience
    }

    func during<Value>(_ caller: AccountID, _ request: () async throws -> Value) async throws -> Value {
        let slot = try await take(for: caller)
        defer { withExtendedLifetime(slot) {} }
        return try await request()
    }

    /// Returns a slot. It is free again when its last reference is released.
    /// - Throws: 429 `rate_limited`.
    func take(for caller: AccountID) async throws -> CallerSlot {
        let wait: Promise<CallerSlot>? = try lines.withLock { lines throws(Problem) in
            var line = lines[caller] ?? Line()
            guard line.running == Self.runningMax else {
                guard line.running > 0 || lines.count < Self.callersMax else { throw tooMany }
                line.running += 1
                lines[caller] = line
                return nil
            }
            guard line.waiting.count < Self.waitingMax else { throw tooMany }
            let wait = Promise<CallerSlot>(on: loop)
            line.waiting.append(wait)
            lines[caller] = line
            return wait
        }
        guard let wait else { return CallerSlot(caller, of: self) }
        do {
            return try await wait.value(within: patience, elseThrow: self.tooMany)
        } catch {
            lines.withLock { $0[caller]?.waiting.removeAll { $0 === wait } }
            throw error
        }
    }

    /// Gives the slot to the next request in line. A request that has stopped waiting releases it, and
    /// the request after it gets the slot.
    fileprivate func passOn(from caller: AccountID) {
        let next: Promise<CallerSlot>? = lines.withLock { lines in
            guard var line = lines[caller] else { preconditionFailure("a slot was given back that nobody had") }
            defer { lines[caller] = line.running > 0 ? line : nil }
            guard line.waiting.isEmpty else { return line.waiting.removeFirst() }
            line.running -= 1
            return nil
        }
        next?.succeed(CallerSlot(caller, of: self))
    }

    private var tooMany: Problem {
        .rateLimited("At most \(Self.runningMax) \(what) run at once for one caller. Try again in a second.", retryAfter: .seconds(1))
    }
}

/// The right to run one request. It is given back when it is released, also by an answer that is
/// never sent.
final class CallerSlot: Sendable {
    private let caller: AccountID
    private let slots: CallerSlots

    fileprivate init(_ caller: AccountID, of slots: CallerSlots) {
        self.caller = caller
        self.slots = slots
    }

    deinit { slots.passOn(from: caller) }
}
