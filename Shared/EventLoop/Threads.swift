import CLinux
import Glibc
import Synchronization

/// Runs `body` on a new detached thread: for loops and for the owners of blocking C libraries.
package func spawnThread(name: String, _ body: @escaping @Sendable () -> Void) {
    final class Box: Sendable {
        let name: String
        let body: @Sendable () -> Void
        init(_ name: String, _ body: @escaping @Sendable () -> Void) { (self.name, self.body) = (name, body) }
    }
    var thread = pthread_t()
    let box = Unmanaged.passRetained(Box(name, body)).toOpaque()
    let status = pthread_create(
        &thread, nil,
        { argument in
            let box = Unmanaged<Box>.fromOpaque(argument!).takeRetainedValue()
            clinux_thread_name(String(box.name.prefix(15)))
            box.body()
            return nil
        }, box)
    precondition(status == 0, "cannot start thread \(name): errno \(status)")
    pthread_detach(thread)
}

/// A fixed set of threads for calls that block or burn CPU (password hashing, name look-ups), with a bounded queue.
///
/// A started job runs to its end even if the task that asked for it is cancelled: a client that
/// hangs up must not make room for another hash while its own is still being computed.
package final class BlockingPool: Sendable {
    package struct Overloaded: Error {}

    private struct State {
        var waiting: [@Sendable () -> Void] = []
        var unfinished = 0
    }

    private let state = Mutex(State())
    private let wakeups = DispatchlessSemaphore()
    private let unfinishedMax: Int

    /// - Parameter queueMax: jobs waiting beyond those running; one more is refused with ``Overloaded``.
    package init(name: String, threads: Int, queueMax: Int) {
        unfinishedMax = threads + queueMax
        for index in 0..<threads {
            spawnThread(name: "\(name)-\(index)") { [self] in
                while true {
                    wakeups.wait()
                    let job = state.withLock { $0.waiting.isEmpty ? nil : $0.waiting.removeFirst() }
                    job?()
                }
            }
        }
    }

    package func run<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            let accepted = state.withLock { state in
                guard state.unfinished < unfinishedMax else { return false }
                state.unfinished += 1
                state.waiting.append { [self] in
                    let result = Result(catching: body)
                    // Before the caller goes on: it may come back with the next job at once.
                    self.state.withLock { $0.unfinished -= 1 }
                    continuation.resume(with: result)
                }
                return true
            }
            if accepted { wakeups.signal() } else { continuation.resume(throwing: Overloaded()) }
        }
    }
}

/// A counting semaphore over `sem_t`: Swift's own lives in Dispatch, which the services do not otherwise need.
private final class DispatchlessSemaphore: @unchecked Sendable {
    // @unchecked Sendable: sem_t is made for several threads; the pointer is set once and never freed while threads wait.
    private let raw = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

    init() { sem_init(raw, 0, 0) }
    func signal() { sem_post(raw) }
    func wait() { while sem_wait(raw) != 0 && errno == EINTR {} }
}
