import Synchronization
import Testing

@testable import EventLoop

@Suite(.timeLimit(.minutes(1)))
struct BlockingPoolTests {
    /// Holds pool threads until it is opened.
    private final class Gate: Sendable {
        private let opened = Mutex(false)
        func open() { opened.withLock { $0 = true } }
        func pass() { while !opened.withLock({ $0 }) { relax() } }
        private func relax() { _ = opened.withLock { $0 } }
    }

    @Test func `jobs beyond the threads and the queue are refused, and taken again when one is done`() async throws {
        let pool = BlockingPool(name: "pool", threads: 2, queueMax: 1)
        let gate = Gate()
        let outcomes = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<5 {
                group.addTask {
                    do {
                        try await pool.run { gate.pass() }
                        return true
                    } catch { return false }
                }
            }
            // Two are refused at once; the others end when the gate opens.
            var outcomes: [Bool] = []
            for await outcome in group {
                outcomes.append(outcome)
                if outcomes == [false, false] { gate.open() }
            }
            return outcomes
        }
        #expect(outcomes == [false, false, true, true, true])
        #expect(try await pool.run { 42 } == 42)
    }

    @Test func `a job's error is the caller's`() async throws {
        struct Failed: Error {}
        let pool = BlockingPool(name: "pool", threads: 1, queueMax: 0)
        await #expect(throws: Failed.self) { try await pool.run { throw Failed() } }
    }

    @Test func `a job that has started ends even when its task is cancelled`() async throws {
        let pool = BlockingPool(name: "pool", threads: 1, queueMax: 0)
        let gate = Gate()
        let ended = Atomic(false)
        let (started, start) = AsyncStream.makeStream(of: Void.self)
        let caller = Task {
            try await pool.run {
                start.yield(())
                gate.pass()
                ended.store(true, ordering: .relaxed)
            }
        }
        var iterator = started.makeAsyncIterator()
        await iterator.next()
        caller.cancel()
        gate.open()
        try await caller.value
        let hasEnded = ended.load(ordering: .relaxed)
        #expect(hasEnded)
    }
}
