import Glibc
import Synchronization
import Testing

@testable import EventLoop

@Suite(.timeLimit(.minutes(1)))
struct EventLoopTests {
    private let loop = EventLoop.spawn(name: "test-loop")

    private func onLoop<Value: Sendable>(_ body: @escaping @Sendable (EventLoop) async throws -> Value) async throws -> Value {
        let loop = loop
        return try await Task(executorPreference: loop) { try await body(loop) }.value
    }

    @Test func `a task that prefers the loop runs on its thread, before and after a wait`() async throws {
        let places = try await onLoop { loop in
            let before = loop.isCurrent && EventLoop.current === loop
            try await loop.sleep(for: .milliseconds(1))
            return [before, loop.isCurrent]
        }
        #expect(places == [true, true])
        #expect(!loop.isCurrent)
    }

    @Test func `jobs of several threads run on the loop, each thread's in its order`() async throws {
        let (threads, each) = (4, 5_000)
        let seen = Mutex<[[Int]]>(Array(repeating: [], count: threads))
        let done = Promise<Void>(on: loop)
        let left = Atomic(threads * each)
        let loop = loop
        for thread in 0..<threads {
            spawnThread(name: "sender-\(thread)") {
                for number in 0..<each {
                    loop.execute {
                        loop.preconditionCurrent()
                        seen.withLock { $0[thread].append(number) }
                        if left.subtract(1, ordering: .relaxed).newValue == 0 { done.succeed(()) }
                    }
                }
            }
        }
        try await done.value()
        #expect(seen.withLock { $0 } == Array(repeating: Array(0..<each), count: threads))
    }

    @Test func `timers fire by time, then by order of scheduling, and never early`() async throws {
        let order = try await onLoop { loop in
            let start = MonotonicInstant.current()
            let fired = Mutex<[String]>([])
            let done = Promise<Void>(on: loop)
            for (name, delay) in [("late", 20), ("early", 5), ("early too", 5)] {
                loop.schedule(after: .milliseconds(delay)) {
                    let isEarly = MonotonicInstant.current() - start < .milliseconds(delay)
                    fired.withLock { $0.append(isEarly ? "\(name) came early" : name) }
                    if name == "late" { done.succeed(()) }
                }
            }
            try await done.value()
            return fired.withLock { $0 }
        }
        #expect(order == ["early", "early too", "late"])
    }

    @Test func `a timer cancelled by another of the same moment does not fire`() async throws {
        let fired = try await onLoop { loop in
            let fired = Mutex<[String]>([])
            let second = Mutex<TimerID?>(nil)
            loop.schedule(after: .milliseconds(2)) {
                fired.withLock { $0.append("first") }
                if let timer = second.withLock({ $0 }) { loop.cancel(timer) }
            }
            second.withLock { $0 = loop.schedule(after: .milliseconds(2)) { fired.withLock { $0.append("second") } } }
            try await loop.sleep(for: .milliseconds(10))
            return fired.withLock { $0 }
        }
        #expect(fired == ["first"])
    }

    @Test func `a sleep ends at once when its task is cancelled`() async throws {
        let loop = loop
        let sleeper = Task(executorPreference: loop) { try await loop.sleep(for: .seconds(3_600)) }
        sleeper.cancel()
        await #expect(throws: CancellationError.self) { try await sleeper.value }
    }

    @Test func `a flush follows the event and the tasks that it woke`() async throws {
        final class Reader: IOHandler {
            let loop: EventLoop
            let descriptor: Int32
            var log: [String] = []
            let done: Promise<[String]>
            init(_ loop: EventLoop, _ descriptor: Int32, _ done: Promise<[String]>) {
                (self.loop, self.descriptor, self.done) = (loop, descriptor, done)
            }
            override func ready(_ events: IOEvents) {
                loop.unwatch(descriptor)
                log.append("event")
                loop.flushSoon(self)
                // Confined to the loop, like this handler.
                nonisolated(unsafe) let handler = self
                let loop = loop
                Task(executorPreference: loop) {
                    handler.log.append("task")
                    loop.flushSoon(handler)
                }
            }
            override func flushDue() {
                log.append("flush")
                if log.count == 4 { done.succeed(log) }
            }
        }
        let log = try await onLoop { loop in
            var ends: [Int32] = [0, 0]
            pipe(&ends)
            defer { ends.forEach { close($0) } }
            let done = Promise<[String]>(on: loop)
            loop.watch(ends[0], for: .readable, Reader(loop, ends[0], done))
            _ = write(ends[1], "x", 1)
            return try await done.value()
        }
        #expect(log == ["event", "task", "flush", "flush"])
    }

    @Test func `an event for a closed descriptor does not reach the next owner of its number`() async throws {
        /// Replaces both pipes by a new, empty one when the first of them is readable.
        final class Replacer: IOHandler {
            let loop: EventLoop
            let stranger: Stranger
            var readers: [Int32] = []
            var writer: Int32 = -1
            init(_ loop: EventLoop, _ stranger: Stranger) { (self.loop, self.stranger) = (loop, stranger) }
            override func ready(_ events: IOEvents) {
                guard writer < 0 else { return }
                var ends: [Int32] = [0, 0]
                pipe(&ends)
                _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
                writer = ends[1]
                for reader in readers {
                    loop.unwatch(reader)
                    // Closes the old pipe and gives its number to the new one.
                    dup2(ends[0], reader)
                    loop.watch(reader, for: .readable, stranger)
                }
                close(ends[0])
                // Sent after all events of this turn: the first event that is meant for the stranger.
                let descriptor = writer
                loop.execute { _ = write(descriptor, "x", 1) }
            }
        }
        final class Stranger: IOHandler {
            let loop: EventLoop
            let arrived: Promise<[UInt8]>
            init(_ loop: EventLoop, _ arrived: Promise<[UInt8]>) { (self.loop, self.arrived) = (loop, arrived) }
            var descriptors: [Int32] = []
            override func ready(_ events: IOEvents) {
                // Without a byte to read, the event was meant for the old pipe.
                var byte: UInt8 = 0
                let count = read(descriptors[0], &byte, 1)
                descriptors.forEach { loop.unwatch($0) }
                arrived.succeed(count == 1 ? [byte] : [])
            }
        }
        let bytes = try await onLoop { loop in
            let arrived = Promise<[UInt8]>(on: loop)
            let stranger = Stranger(loop, arrived)
            let replacer = Replacer(loop, stranger)
            var writers: [Int32] = []
            for _ in 0..<2 {
                var ends: [Int32] = [0, 0]
                pipe(&ends)
                replacer.readers.append(ends[0])
                writers.append(ends[1])
                _ = write(ends[1], "x", 1)
            }
            stranger.descriptors = replacer.readers
            for descriptor in replacer.readers { loop.watch(descriptor, for: .readable, replacer) }
            defer { (replacer.readers + writers + [replacer.writer]).forEach { close($0) } }
            return try await arrived.value()
        }
        #expect(bytes == [UInt8(ascii: "x")])
    }

    @Test func `arrived data is handled before a deadline that passed meanwhile`() async throws {
        final class Late: IOHandler {
            var told: [String] = []
            override func ready(_ events: IOEvents) {
                told.append("ready")
                deadline = .never
            }
            override func deadlineReached() { told.append("deadline") }
        }
        let told = try await onLoop { loop in
            var ends: [Int32] = [0, 0]
            socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends)
            defer { ends.forEach { close($0) } }
            let late = Late()
            late.deadline = loop.now + .milliseconds(100)
            loop.watch(ends[0], for: .readable, late)
            _ = write(ends[1], "x", 1)
            // The loop looks at deadlines once a second, so the next turn does.
            poll(nil, 0, 1_100)
            try await loop.sleep(for: .zero)
            loop.unwatch(ends[0])
            return late.told
        }
        #expect(told.first == "ready")
        #expect(!told.contains("deadline"))
    }

    @Test func `a passed deadline is reported once`() async throws {
        /// Its first deadline sets that of a second handler, which a later sweep reaches.
        final class Late: IOHandler {
            var told = 0
            let whenTold: () -> Void
            init(whenTold: @escaping () -> Void) { self.whenTold = whenTold }
            override func deadlineReached() {
                told += 1
                whenTold()
            }
        }
        let told = try await onLoop { loop in
            var ends: [Int32] = [0, 0]
            pipe(&ends)
            defer { ends.forEach { close($0) } }
            let swept = Promise<Void>(on: loop)
            let second = Late { swept.succeed(()) }
            let first = Late { if second.deadline == .never { second.deadline = loop.now + .nanoseconds(1) } }
            first.deadline = loop.now
            for (descriptor, handler) in zip(ends, [first, second]) { loop.watch(descriptor, for: .readable, handler) }
            try await swept.value()
            ends.forEach { loop.unwatch($0) }
            return first.told
        }
        #expect(told == 1)
    }
}
