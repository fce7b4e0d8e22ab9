import EventLoop
import Synchronization

/// Ends the pause of one task early. A ring before the pause ends it at once. Callable from any thread.
final class Alarm: Sendable {
    private struct State {
        var hasRung = false
        var pause: Promise<Void>?
    }

    private let state = Mutex(State())

    func ring() {
        let pause = state.withLock { state in
            state.hasRung = true
            return state.pause
        }
        pause?.succeed(())
    }

    /// Waits until a ring, at most `limit`.
    func pause(for limit: Duration, on loop: EventLoop) async throws {
        let pause = Promise<Void>(on: loop)
        let hasRung = state.withLock { state in
            state.pause = pause
            return state.hasRung
        }
        defer { state.withLock { $0 = State() } }
        if !hasRung { try await pause.value(within: limit, elseReturn: ()) }
    }
}
