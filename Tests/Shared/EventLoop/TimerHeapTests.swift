import TestSupport
import Testing

@testable import EventLoop

struct TimerHeapTests {
    /// Against an array that is sorted whole each time.
    @Test func `insertions, cancellations and firings agree with a sorted list`() {
        let seed = drawSeed()
        var random = SplitMix64(seed: seed)
        var heap = TimerHeap()
        var model: [(at: UInt64, order: Int, timer: TimerID)] = []
        var fired: [Int] = []
        var expected: [Int] = []
        var now: UInt64 = 0
        for order in 0..<20_000 {
            switch random.next() % 10 {
            case 0..<5:
                let at = now + random.next() % 1_000
                let timer = heap.insert(at: MonotonicInstant(nanoseconds: at)) { fired.append(order) }
                model.append((at, order, timer))
            case 5..<8 where !model.isEmpty:
                let victim = model.remove(at: Int(random.next() % UInt64(model.count)))
                heap.cancel(victim.timer)
                heap.cancel(victim.timer)
            default:
                now += random.next() % 100
                while let action = heap.takeDue(at: MonotonicInstant(nanoseconds: now)) { action() }
                let due = model.filter { $0.at <= now }.sorted { ($0.at, $0.order) < ($1.at, $1.order) }
                expected.append(contentsOf: due.map(\.order))
                model.removeAll { $0.at <= now }
            }
        }
        #expect(fired == expected, "seed \(seed)")
    }

    @Test func `the wait until the next timer is rounded up and ignores cancelled ones`() {
        var heap = TimerHeap()
        let zero = MonotonicInstant(nanoseconds: 0)
        #expect(heap.timeoutMilliseconds(from: zero, atMost: 1_000) == 1_000)
        let first = heap.insert(at: MonotonicInstant(nanoseconds: 1)) {}
        _ = heap.insert(at: MonotonicInstant(nanoseconds: 2_000_001)) {}
        #expect(heap.timeoutMilliseconds(from: zero, atMost: 1_000) == 1)
        heap.cancel(first)
        #expect(heap.timeoutMilliseconds(from: zero, atMost: 1_000) == 3)
        #expect(heap.timeoutMilliseconds(from: MonotonicInstant(nanoseconds: 5_000_000), atMost: 1_000) == 0)
    }
}
