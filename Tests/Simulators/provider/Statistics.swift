import Synchronization

/// Chat calls by how they ended. `calls` = `finished` + `aborted` + `active`.
///
/// Aborted is a call whose client hung up before the end of its answer. A call the simulator itself breaks off (`sim-dies`) has
/// done what was asked of it: finished.
final class Statistics: Sendable {
    private let finished = Atomic(0)
    private let aborted = Atomic(0)
    private let active = Atomic(0)
    private let promptTokens = Atomic(0)
    private let completionTokens = Atomic(0)

    /// The tokens of answers that were made whole.
    var tokens: (prompt: Int, completion: Int) {
        (promptTokens.load(ordering: .relaxed), completionTokens.load(ordering: .relaxed))
    }

    var counts: (finished: Int, aborted: Int, active: Int) {
        (finished.load(ordering: .relaxed), aborted.load(ordering: .relaxed), active.load(ordering: .relaxed))
    }

    func reset() {
        finished.store(0, ordering: .relaxed)
        aborted.store(0, ordering: .relaxed)
        promptTokens.store(0, ordering: .relaxed)
        completionTokens.store(0, ordering: .relaxed)
    }

    func made(prompt: Int, completion: Int) {
        promptTokens.add(prompt, ordering: .relaxed)
        completionTokens.add(completion, ordering: .relaxed)
    }

    func begin() -> Call {
        active.add(1, ordering: .relaxed)
        return Call(self)
    }

    /// One call; the first end counts.
    final class Call {
        private let statistics: Statistics
        private var hasEnded = false

        fileprivate init(_ statistics: Statistics) { self.statistics = statistics }

        func finish() { end(statistics.finished) }
        func abort() { end(statistics.aborted) }

        private func end(_ counter: borrowing Atomic<Int>) {
            guard !hasEnded else { return }
            hasEnded = true
            counter.add(1, ordering: .relaxed)
            statistics.active.subtract(1, ordering: .relaxed)
        }
    }
}
