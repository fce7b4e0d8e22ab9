import EventLoop
import Synchronization

/// The number of commands of a queue that are not decided or stored yet.
final class OpenCommands: Sendable {
    private struct State {
        var count = 0
        var room: Promise<Void>?
    }

    private let state = Mutex(State())
    private let max: Int
    private let loop: EventLoop

    init(max: Int, on loop: EventLoop) { (self.max, self.loop) = (max, loop) }

    var hasRoom: Bool { state.withLock { $0.count < max } }

    func begin() { state.withLock { $0.count += 1 } }

    func finish() {
        let room = state.withLock { state -> Promise<Void>? in
            state.count -= 1
            guard state.count < max else { return nil }
            defer { state.room = nil }
            return state.room
        }
        room?.succeed(())
    }

    /// Waits until there is room for a command. One task waits at a time.
    func room() async throws {
        let room = state.withLock { state -> Promise<Void>? in
            guard state.count >= max else { return nil }
            state.room = Promise(on: loop)
            return state.room
        }
        try await room?.value()
    }
}
