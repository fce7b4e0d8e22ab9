import CRabbitMQ
import EventLoop
import Glibc
import Synchronization

/// The purpose of a channel. Every call comes on the thread of the connection, except ``hasWork``.
protocol ChannelRole: Sendable {
    /// Declares what the role needs on a fresh channel.
    func setUp(_ channel: Channel) throws(ConnectionFailure)
    /// The channel is ready: callers may be let in.
    func opened()
    /// Turns what callers asked for into frames in `channel.output`.
    func pump(_ channel: Channel, now: MonotonicInstant)
    func received(_ event: Channel.Event, _ channel: Channel) throws(ConnectionFailure)
    /// After each batch of events: the moment to hand results over.
    func batchEnded()
    func blocked(_ isBlocked: Bool)
    /// Ends what is past its deadline. Returns the next deadline.
    /// - Throws: if the connection is of no use.
    func expire(now: MonotonicInstant) throws(ConnectionFailure) -> MonotonicInstant
    /// The channel is gone, and with it every confirm still to come.
    func lost(_ failure: ConnectionFailure)
    /// Asked to stop: no more is accepted. Called once while connected.
    func stopping(_ channel: Channel)
    /// Nothing is under way: the connection may be closed.
    var isDrained: Bool { get }
    /// The thread ends: waiting tasks get an error.
    func ended()
    /// Asked just before the thread sleeps, by the thread itself; what callers add later wakes it.
    var hasWork: Bool { get }
}

/// Runs one role over one connection on one thread of its own, and connects again, for ever, until stopped.
///
/// Callers put their request into the role's mailbox and call ``wake()``. While connected the thread never blocks in anything
/// but `poll`; while it connects, roles refuse requests at once.
final class ChannelThread: Sendable {
    private let configuration: AMQPConfiguration
    private let role: any ChannelRole
    private let log: ConnectionLog
    private let wakeup: Int32
    private let isAsleep = Atomic(false)
    private let state = Mutex(State())

    private enum Phase { case idle, running, stopping, ended }

    private struct State {
        var phase = Phase.idle
        var drainUntil = MonotonicInstant.never
        var isSuspended = false
        var ending: [CheckedContinuation<Void, Never>] = []
        var isConnected = false
        var connecting: [(until: MonotonicInstant, CheckedContinuation<Bool, Never>)] = []
    }

    init(_ configuration: AMQPConfiguration, role: any ChannelRole, log: ConnectionLog) {
        self.configuration = configuration
        self.role = role
        self.log = log
        wakeup = eventfd(0, Int32(EFD_NONBLOCK | EFD_CLOEXEC))
        precondition(wakeup >= 0, "out of file descriptors")
    }

    deinit { Glibc.close(wakeup) }

    // MARK: For callers, on any thread

    /// Call after adding to the mailbox. Costs a system call only when the thread sleeps.
    func wake() {
        guard isAsleep.exchange(false, ordering: .sequentiallyConsistent) else { return }
        var one: UInt64 = 1
        _ = write(wakeup, &one, 8)
    }

    /// Starts the thread and waits for its end; cancellation stops it.
    func run() async {
        let starts = state.withLock { state in
            guard state.phase == .idle else { return false }
            state.phase = .running
            return true
        }
        if starts { spawnThread(name: configuration.connectionName) { self.main() } }
        await withTaskCancellationHandler {
            await ended()
        } onCancel: {
            requestStop(drainWithin: .seconds(5))
        }
    }

    /// Lets the role finish what it has, for at most `limit`, and closes the connection. Idempotent.
    func stop(within limit: Duration) async {
        requestStop(drainWithin: limit)
        await ended()
    }

    private func requestStop(drainWithin limit: Duration) {
        let neverRan = state.withLock { state in
            switch state.phase {
            case .idle:
                state.phase = .ended
                return true
            case .running:
                state.phase = .stopping
                state.drainUntil = .current() + limit
            case .stopping, .ended: break
            }
            return false
        }
        if neverRan { finish() } else { wake() }
    }

    /// While true the connection is closed, undrained, and none is made.
    func setSuspended(_ isSuspended: Bool) {
        let isNew = state.withLock { state in
            defer { state.isSuspended = isSuspended }
            return state.isSuspended != isSuspended
        }
        if isNew { wake() }
    }

    private func ended() async {
        await withCheckedContinuation { continuation in
            let hasEnded = state.withLock { state in
                if state.phase != .ended { state.ending.append(continuation) }
                return state.phase == .ended
            }
            if hasEnded { continuation.resume() }
        }
    }

    var isConnected: Bool { state.withLock { $0.isConnected } }

    /// Waits until the channel is ready. False when that took longer than `limit`, or it was stopped.
    func connected(within limit: Duration) async -> Bool {
        await withCheckedContinuation { continuation in
            let answer: Bool? = state.withLock { state in
                if state.isConnected { return true }
                if state.phase == .ended || state.phase == .stopping { return false }
                state.connecting.append((.current() + limit, continuation))
                return nil
            }
            if let answer { continuation.resume(returning: answer) } else { wake() }
        }
    }

    // MARK: The thread

    private func main() {
        var failures = 0
        var hostIndex = Int.random(in: 0..<configuration.hosts.count)
        while !isStopping {
            if orders.isSuspended {
                rest(for: .milliseconds(100))
                continue
            }
            let started = MonotonicInstant.current()
            do throws(ConnectionFailure) {
                let channel = try Channel(configuration, host: configuration.hosts[hostIndex])
                try serve(channel)
            } catch {
                disconnected(error)
                hostIndex = (hostIndex + 1) % configuration.hosts.count
                failures = MonotonicInstant.current() - started > .seconds(5) ? 1 : failures + 1
                let delay = isStopping ? nil : retryDelay(failures)
                log.disconnected(error, retryIn: delay)
                if let delay { rest(for: delay) }
            }
        }
        finish()
    }

    private func finish() {
        let (ending, connecting) = state.withLock { state in
            state.phase = .ended
            defer { (state.ending, state.connecting) = ([], []) }
            return (state.ending, state.connecting)
        }
        role.ended()
        for (_, continuation) in connecting { continuation.resume(returning: false) }
        for continuation in ending { continuation.resume() }
    }

    /// Full jitter: replicas that lost one broker do not return to it in step.
    private func retryDelay(_ failures: Int) -> Duration {
        let limit = min(configuration.reconnectWithin, .milliseconds(200) * (1 << min(failures - 1, 12)))
        return .nanoseconds(Int64.random(in: 0...limit.nanoseconds))
    }

    /// The orders that the thread has got from outside.
    private struct Orders: Equatable {
        var isStopping: Bool
        var isSuspended: Bool
    }

    private var orders: Orders { state.withLock { Orders(isStopping: $0.phase == .stopping, isSuspended: $0.isSuspended) } }
    private var isStopping: Bool { orders.isStopping }

    /// Serves the role until the connection is lost (throws) or closed in good order (returns). A channel the broker closed is
    /// opened again on the same connection.
    private func serve(_ channel: Channel) throws(ConnectionFailure) {
        while true {
            do throws(ConnectionFailure) {
                try role.setUp(channel)
                connected()
                try exchange(channel)
                return
            } catch {
                guard case .channelClosed(let code) = error.kind else {
                    channel.abandon(error)
                    throw error
                }
                disconnected(error)
                log.channelClosed(code: code, error)
                try channel.openChannel()
            }
        }
    }

    private func exchange(_ channel: Channel) throws(ConnectionFailure) {
        var readable = true
        var toldToStop = false
        while true {
            var now = MonotonicInstant.current()
            role.pump(channel, now: now)
            try channel.flush()
            if readable {
                // Typed throws: the closure's error is the method's own.
                try channel.receive { event throws(ConnectionFailure) in
                    switch event {
                    case .blocked(let reason):
                        log.blocked(reason)
                        role.blocked(true)
                    case .unblocked:
                        log.unblocked()
                        role.blocked(false)
                    default: try role.received(event, channel)
                    }
                }
            }
            role.batchEnded()
            now = .current()
            var next = min(try role.expire(now: now), try channel.beat(now: now))
            let orders = orders
            if orders.isStopping {
                let drainUntil = state.withLock { $0.drainUntil }
                if !toldToStop {
                    toldToStop = true
                    role.stopping(channel)
                }
                if role.isDrained || now >= drainUntil { return close(channel) }
                next = min(next, drainUntil)
            } else if orders.isSuspended {
                return close(channel)
            }
            readable = try sleep(channel, until: next, while: orders)
        }
    }

    /// Sleeps until the socket, a caller or the clock has something. Returns whether there is input.
    private func sleep(_ channel: Channel, until: MonotonicInstant, while orders: Orders) throws(ConnectionFailure) -> Bool {
        if channel.hasBufferedInput { return true }
        let interest = Int16(POLLIN) | (channel.output.pending > 0 ? Int16(POLLOUT) : 0)
        return withUnsafeTemporaryAllocation(of: pollfd.self, capacity: 2) { descriptors in
            descriptors[0] = pollfd(fd: channel.socket, events: interest, revents: 0)
            descriptors[1] = pollfd(fd: wakeup, events: Int16(POLLIN), revents: 0)
            isAsleep.store(true, ordering: .sequentiallyConsistent)
            // A caller that saw the flag still down has added to the mailbox before: look once more, then sleep.
            let isIdle = !role.hasWork && orders == self.orders
            poll(descriptors.baseAddress, 2, isIdle ? milliseconds(until: until) : 0)
            isAsleep.store(false, ordering: .sequentiallyConsistent)
            if descriptors[1].revents != 0 { clearWakeup() }
            return descriptors[0].revents & ~Int16(POLLOUT) != 0
        }
    }

    private func clearWakeup() {
        var counter: UInt64 = 0
        _ = read(wakeup, &counter, 8)
    }

    private func milliseconds(until: MonotonicInstant) -> Int32 {
        let now = MonotonicInstant.current()
        guard until > now else { return 0 }
        return Int32(min(1_000, (until.nanoseconds - now.nanoseconds + 999_999) / 1_000_000))
    }

    /// Waits out a retry delay, while deadlines of those who wait for a connection are kept.
    private func rest(for delay: Duration) {
        let until = MonotonicInstant.current() + delay
        while !isStopping {
            let now = MonotonicInstant.current()
            guard now < until else { return }
            expireConnecting(now)
            var descriptor = pollfd(fd: wakeup, events: Int16(POLLIN), revents: 0)
            isAsleep.store(true, ordering: .sequentiallyConsistent)
            let wait = isStopping ? 0 : min(milliseconds(until: until), 100)
            poll(&descriptor, 1, wait)
            isAsleep.store(false, ordering: .sequentiallyConsistent)
            if descriptor.revents != 0 { clearWakeup() }
        }
    }

    /// connection.close and its answer, within a second.
    private func close(_ channel: Channel) {
        disconnected(ConnectionFailure(kind: .connectionClosed(code: 200), description: "closed by us"))
        log.closed()
        channel.output.connectionClose()
        let until = MonotonicInstant.current() + .seconds(1)
        while MonotonicInstant.current() < until {
            do throws(ConnectionFailure) {
                try channel.flush()
                var descriptor = pollfd(fd: channel.socket, events: Int16(POLLIN), revents: 0)
                poll(&descriptor, 1, 50)
                if descriptor.revents != 0 || channel.hasBufferedInput { try channel.receive { _ throws(ConnectionFailure) in } }
            } catch {
                return  // close-ok arrives as the end of the connection
            }
        }
    }

    // MARK: Connected or not

    private func connected() {
        role.opened()
        let waiting = state.withLock { state in
            state.isConnected = true
            defer { state.connecting = [] }
            return state.connecting
        }
        for (_, continuation) in waiting { continuation.resume(returning: true) }
        log.connected(configuration)
    }

    private func disconnected(_ failure: ConnectionFailure) {
        state.withLock { $0.isConnected = false }
        role.lost(failure)
        expireConnecting(.current())
    }

    private func expireConnecting(_ now: MonotonicInstant) {
        let expired = state.withLock { state in
            let expired = state.connecting.filter { $0.until <= now }
            state.connecting.removeAll { $0.until <= now }
            return expired
        }
        for (_, continuation) in expired { continuation.resume(returning: false) }
    }
}
