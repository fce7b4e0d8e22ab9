/// Names a scheduled timer; cancelling one that has fired does nothing.
package struct TimerID: Hashable, Sendable {
    fileprivate let value: UInt64
}

/// Binary min-heap by time, then by order of insertion. A cancelled entry stays until its time comes; when those are more
/// than half, the heap is rebuilt, so its size is bound by twice the live timers.
struct TimerHeap {
    private struct Entry {
        var at: MonotonicInstant
        var id: UInt64
    }

    private var heap: [Entry] = []
    private var actions: [UInt64: () -> Void] = [:]
    private var lastID: UInt64 = 0

    mutating func insert(at: MonotonicInstant, _ action: @escaping () -> Void) -> TimerID {
        lastID += 1
        actions[lastID] = action
        heap.append(Entry(at: at, id: lastID))
        siftUp(heap.count - 1)
        return TimerID(value: lastID)
    }

    mutating func cancel(_ timer: TimerID) {
        guard actions.removeValue(forKey: timer.value) != nil else { return }
        if heap.count > 64, heap.count > actions.count * 2 {
            heap.removeAll { actions[$0.id] == nil }
            for index in stride(from: heap.count / 2 - 1, through: 0, by: -1) { siftDown(index) }
        }
    }

    /// The next action that is due, for the caller to run after this call has returned: actions add and cancel timers. One
    /// that an earlier action cancelled does not come.
    mutating func takeDue(at now: MonotonicInstant) -> (() -> Void)? {
        while let first = heap.first, first.at <= now {
            removeFirst()
            if let action = actions.removeValue(forKey: first.id) { return action }
        }
        return nil
    }

    /// Milliseconds until the next timer, rounded up so that it is due when epoll returns.
    mutating func timeoutMilliseconds(from now: MonotonicInstant, atMost limit: Int32) -> Int32 {
        while let first = heap.first, actions[first.id] == nil { removeFirst() }
        guard let first = heap.first else { return limit }
        guard first.at > now else { return 0 }
        let milliseconds = (first.at.nanoseconds - now.nanoseconds + 999_999) / 1_000_000
        return milliseconds > UInt64(limit) ? limit : Int32(milliseconds)
    }

    private mutating func removeFirst() {
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        siftDown(0)
    }

    private func precedes(_ left: Int, _ right: Int) -> Bool {
        (heap[left].at, heap[left].id) < (heap[right].at, heap[right].id)
    }

    private mutating func siftUp(_ start: Int) {
        var child = start
        while child > 0 {
            let parent = (child - 1) / 2
            guard precedes(child, parent) else { return }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    private mutating func siftDown(_ start: Int) {
        var parent = start
        while true {
            var first = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && precedes(child, first) { first = child }
            guard first != parent else { return }
            heap.swapAt(first, parent)
            parent = first
        }
    }
}
