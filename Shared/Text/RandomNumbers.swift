import Glibc
import Synchronization

/// Numbers of the system's generator, drawn 32 at a time (getentropy gives at most 256 bytes). They
/// cannot be predicted. The system's own generator costs a system call for each number.
package struct RandomNumbers: RandomNumberGenerator, Sendable {
    private struct Store {
        var numbers = InlineArray<32, UInt64>(repeating: 0)
        var left = 0
    }

    private static let store = Mutex(Store())

    package init() {}

    package mutating func next() -> UInt64 {
        Self.store.withLock { store in
            if store.left == 0 {
                let status = getentropy(&store.numbers, MemoryLayout.size(ofValue: store.numbers))
                precondition(status == 0, "the system has no random numbers")
                store.left = 32
            }
            store.left -= 1
            return store.numbers[store.left]
        }
    }
}
