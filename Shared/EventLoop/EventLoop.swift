import CLinux
import Glibc
import Synchronization

/// One thread, one epoll set, one timer heap, one Swift executor.
///
/// A loop is the `TaskExecutor` of the requests it serves. It is no `SerialExecutor`: a job would then run isolated to the
/// loop, and each return to a nonisolated function would queue the task again. Everything that hangs from a loop
/// (connections, pools, caches) is confined to its thread and needs no lock; code that reaches it from elsewhere goes
/// through ``execute(_:)`` or by awaiting a task that prefers this loop.
///
/// Loops live as long as the process: executors are held unowned by jobs.
package final class EventLoop: TaskExecutor, @unchecked Sendable {
    // @unchecked Sendable: `inbox` is a Mutex; every other stored variable is touched by the loop's own thread only.

    package let name: String
    private let epoll: Int32
    private let wakeup: Int32
    private let inbox = Mutex(Inbox())

    // Exclusivity is unchecked where only the loop's own thread has access, and no access spans a call of other code.
    @exclusivity(unchecked) private var jobs: [UnownedJob] = []
    @exclusivity(unchecked) private var jobsRunning: [UnownedJob] = []
    private var handlers: [Registration?] = Array(repeating: nil, count: 256)
    private var generation: UInt32 = 0
    private var timers = TimerHeap()
    @exclusivity(unchecked) private var flushes: [IOHandler] = []
    private var sweptAt: MonotonicInstant
    private var stopping = false

    /// Monotonic time, read once a turn: cheap, and late by at most one turn.
    @exclusivity(unchecked) package private(set) var now: MonotonicInstant

    /// 64 KiB of scratch for reads: one a loop, not one a connection. Valid only until the handler returns.
    package let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 64)

    private struct Inbox {
        var jobs: [UnownedJob] = []
        var actions: [@Sendable () -> Void] = []
        var isEmpty: Bool { jobs.isEmpty && actions.isEmpty }
    }

    private struct Registration {
        var handler: IOHandler
        var generation: UInt32
    }

    package init(name: String) {
        self.name = name
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        wakeup = eventfd(0, Int32(EFD_NONBLOCK | EFD_CLOEXEC))
        precondition(epoll >= 0 && wakeup >= 0, "out of file descriptors while making loop \(name)")
        now = .current()
        sweptAt = now
        let added = clinux_epoll_ctl(epoll, EPOLL_CTL_ADD, wakeup, IOEvents.readable.rawValue, UInt64(UInt32.max))
        precondition(added == 0, "epoll refused the wake-up descriptor")
    }

    /// Starts a loop on a thread of its own.
    package static func spawn(name: String) -> EventLoop {
        let loop = EventLoop(name: name)
        spawnThread(name: name) { loop.run() }
        return loop
    }

    /// Runs `body` as the program: on a loop that owns the calling (main) thread, until `body` ends.
    package static func runMain(name: String, _ body: @escaping @Sendable (EventLoop) async -> Void) {
        let loop = EventLoop(name: name)
        // Owned by this function: run() returns only after the task has ended.
        Task(executorPreference: loop) {
            await body(loop)
            loop.stop()
        }
        loop.run()
    }

    // MARK: Where am I

    package static var current: EventLoop? {
        clinux_thread_loop_get().map { Unmanaged<EventLoop>.fromOpaque($0).takeUnretainedValue() }
    }

    package var isCurrent: Bool { clinux_thread_loop_get() == Unmanaged.passUnretained(self).toOpaque() }

    package func preconditionCurrent(_ what: StaticString = #function) {
        precondition(isCurrent, "\(what) is confined to loop \(name)")
    }

    // MARK: Executor

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        if isCurrent {
            jobs.append(job)
            return
        }
        let wasEmpty = inbox.withLock { inbox in
            let wasEmpty = inbox.isEmpty
            inbox.jobs.append(job)
            return wasEmpty
        }
        if wasEmpty { wake() }
    }

    package func asUnownedTaskExecutor() -> UnownedTaskExecutor { UnownedTaskExecutor(ordinary: self) }

    /// Runs `action` on the loop: soon, in the order given. Callable from any thread.
    package func execute(_ action: @escaping @Sendable () -> Void) {
        let wasEmpty = inbox.withLock { inbox in
            let wasEmpty = inbox.isEmpty
            inbox.actions.append(action)
            return wasEmpty
        }
        if wasEmpty { wake() }
    }

    /// Ends ``run()`` after the current turn. Callable from any thread.
    package func stop() {
        execute { self.stopping = true }
    }

    private func wake() {
        var one: UInt64 = 1
        // EAGAIN means the counter is full, so the loop is awake already.
        _ = write(wakeup, &one, 8)
    }

    private func takeInbox() {
        var counter: UInt64 = 0
        _ = read(wakeup, &counter, 8)
        var actions: [@Sendable () -> Void] = []
        inbox.withLock { inbox in
            jobs.append(contentsOf: inbox.jobs)
            inbox.jobs.removeAll(keepingCapacity: true)
            swap(&actions, &inbox.actions)
        }
        for action in actions { action() }
    }

    /// Runs what is queued, and what that enqueues, and so on for a few rounds: a task that resumes another on this loop costs
    /// no system call between the two. What comes later waits for the next call, so that I/O and timers get their turn.
    private func runJobs() {
        var rounds = 0
        while !jobs.isEmpty, rounds < Self.roundsPerCallMax {
            rounds += 1
            swap(&jobs, &jobsRunning)
            for job in jobsRunning {
                job.runSynchronously(on: asUnownedTaskExecutor())
            }
            jobsRunning.removeAll(keepingCapacity: true)
        }
    }

    private static let roundsPerCallMax = 16

    /// Calls the handler's ``IOHandler/flushDue()`` once the event being handled, and the jobs it woke, are through: several
    /// writes to one socket become one system call and none of them waits for other sockets' events.
    package func flushSoon(_ handler: IOHandler) {
        flushes.append(handler)
    }

    private func runFlushes() {
        guard !flushes.isEmpty else { return }
        var index = 0
        while index < flushes.count {
            flushes[index].flushDue()
            index += 1
        }
        flushes.removeAll(keepingCapacity: true)
    }

    // MARK: The loop

    /// Serves descriptors, timers and jobs on the calling thread until ``stop()``.
    package func run() {
        clinux_thread_loop_set(Unmanaged.passUnretained(self).toOpaque())
        defer { clinux_thread_loop_set(nil) }
        let events = UnsafeMutablePointer<epoll_event>.allocate(capacity: Self.eventsPerTurnMax)
        defer { events.deallocate() }
        now = .current()
        takeInbox()
        while !stopping {
            runJobs()
            while let action = timers.takeDue(at: now) { action() }
            runFlushes()
            let timeout = jobs.isEmpty ? timers.timeoutMilliseconds(from: .current(), atMost: 1_000) : 0
            let count = epoll_wait(epoll, events, Int32(Self.eventsPerTurnMax), timeout)
            now = .current()
            for index in 0..<Int(max(0, count)) {
                dispatch(token: clinux_epoll_token(events + index), events: clinux_epoll_events(events + index))
            }
            // After the events: bytes that arrived while the loop was busy are in time.
            if now >= sweptAt + .seconds(1) {
                sweptAt = now
                sweepDeadlines()
            }
        }
    }

    private static let eventsPerTurnMax = 512

    private func dispatch(token: UInt64, events: UInt32) {
        let descriptor = UInt32(truncatingIfNeeded: token)
        if descriptor == UInt32.max {
            takeInbox()
            runJobs()
            runFlushes()
            return
        }
        // A handler earlier in this turn may have closed the descriptor, and the kernel may have given its number to
        // another one since: the generation tells the two apart.
        guard let registration = handlers[Int(descriptor)],
            registration.generation == UInt32(truncatingIfNeeded: token >> 32)
        else { return }
        registration.handler.ready(IOEvents(rawValue: events))
        runJobs()
        runFlushes()
    }

    private func sweepDeadlines() {
        for registration in handlers {
            guard let handler = registration?.handler, handler.deadline != .never, handler.deadline <= now else { continue }
            handler.deadline = .never
            handler.deadlineReached()
        }
    }

    // MARK: Descriptors

    /// Watches `descriptor` (level-triggered) and keeps `handler` alive until ``unwatch(_:)``.
    package func watch(_ descriptor: Int32, for interest: IOEvents, _ handler: IOHandler) {
        preconditionCurrent()
        let index = Int(descriptor)
        while index >= handlers.count { handlers.append(contentsOf: repeatElement(nil, count: handlers.count)) }
        generation &+= 1
        handlers[index] = Registration(handler: handler, generation: generation)
        let status = clinux_epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, interest.rawValue, token(descriptor, generation))
        precondition(status == 0, "epoll_ctl add \(descriptor): errno \(errno)")
    }

    package func modify(_ descriptor: Int32, for interest: IOEvents) {
        guard let registration = handlers[Int(descriptor)] else { return }
        let token = token(descriptor, registration.generation)
        let status = clinux_epoll_ctl(epoll, EPOLL_CTL_MOD, descriptor, interest.rawValue, token)
        precondition(status == 0, "epoll_ctl modify \(descriptor): errno \(errno)")
    }

    /// Call before closing the descriptor.
    package func unwatch(_ descriptor: Int32) {
        preconditionCurrent()
        guard handlers[Int(descriptor)] != nil else { return }
        handlers[Int(descriptor)] = nil
        // ENOENT or EBADF: a C library closed it first, which took it out of the set already.
        _ = clinux_epoll_ctl(epoll, EPOLL_CTL_DEL, descriptor, 0, 0)
    }

    private func token(_ descriptor: Int32, _ generation: UInt32) -> UInt64 {
        UInt64(generation) << 32 | UInt64(UInt32(bitPattern: descriptor))
    }

    // MARK: Timers

    /// Runs `action` on the loop once, not before `delay`. O(log n). Loop thread only.
    @discardableResult
    package func schedule(after delay: Duration, _ action: @escaping () -> Void) -> TimerID {
        preconditionCurrent()
        return timers.insert(at: .current() + delay, action)
    }

    package func cancel(_ timer: TimerID) {
        timers.cancel(timer)
    }

    /// Sleeps on the loop's own timer heap: no hop to another thread.
    /// - Throws: `CancellationError`, at once when the task is cancelled.
    package func sleep(for delay: Duration) async throws {
        try await Promise(on: self).value(within: delay, elseReturn: ())
    }
}

/// Where a descriptor stands; the raw value is epoll's.
public struct IOEvents: OptionSet, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    package static let readable = IOEvents(rawValue: 0x001)
    package static let writable = IOEvents(rawValue: 0x004)
    package static let error = IOEvents(rawValue: 0x008)
    package static let hangup = IOEvents(rawValue: 0x010)
    package static let peerClosed = IOEvents(rawValue: 0x2000)
}

/// Owns a descriptor on a loop. Subclasses are confined to the loop's thread.
///
/// `open`, and so public: a `package` class cannot be subclassed in another module.
open class IOHandler {
    /// Looked at once a second; `.never` switches it off.
    // Unchecked: a plain value, confined to the loop.
    @exclusivity(unchecked) package final var deadline: MonotonicInstant = .never

    package init() {}
    open func ready(_ events: IOEvents) {}
    /// Called once for each ``EventLoop/flushSoon(_:)``.
    open func flushDue() {}
    open func deadlineReached() {}
}
