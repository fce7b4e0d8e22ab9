import EventLoop
import Synchronization
import TestSupport
import Testing

@testable import Ledger

struct OpenCommandsTests {
    @Test func `a reader waits while too many commands are open`() async throws {
        try await TestDatabase.onLoop {
            let open = OpenCommands(max: 2, on: TestDatabase.loop)
            for _ in 0..<3 {
                try await open.room()
                open.begin()
                open.begin()
                #expect(!open.hasRoom)
                let hasRoom = Flag()
                let reader = Task(executorPreference: TestDatabase.loop) {
                    try await open.room()
                    hasRoom.raise()
                }
                // Lets the reader come to its wait.
                try await TestDatabase.loop.sleep(for: .zero)
                #expect(!hasRoom.isRaised)
                open.finish()
                try await reader.value
                open.finish()
            }
            #expect(open.hasRoom)
        }
    }

    @Test func `a reader that is cancelled does not wait`() async throws {
        try await TestDatabase.onLoop {
            let open = OpenCommands(max: 1, on: TestDatabase.loop)
            open.begin()
            let reader = Task(executorPreference: TestDatabase.loop) { try await open.room() }
            reader.cancel()
            await #expect(throws: CancellationError.self) { try await reader.value }
            open.finish()
            #expect(open.hasRoom)
        }
    }
}
