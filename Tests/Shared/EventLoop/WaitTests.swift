import Synchronization
import Testing

@testable import EventLoop

@Suite(.timeLimit(.minutes(1)))
struct WaitTests {
    private let loop = EventLoop.spawn(name: "test-wait")

    private struct TooLate: Error {}

    @Test func `a value that is set before the wait is not lost`() async throws {
        let wait = Promise<Int>(on: loop)
        #expect(wait.succeed(1))
        #expect(!wait.succeed(2))
        #expect(try await wait.value() == 1)
    }

    @Test func `exactly one of several threads that set a value wins`() async throws {
        let loop = loop
        for _ in 0..<200 {
            let wait = Promise<Int>(on: loop)
            let decided = Atomic(0)
            let winner = Atomic(-1)
            let finished = Promise<Void>(on: loop)
            for index in 0..<4 {
                spawnThread(name: "racer") {
                    if wait.succeed(index) { winner.store(index, ordering: .relaxed) }
                    if decided.add(1, ordering: .sequentiallyConsistent).newValue == 4 { finished.succeed(()) }
                }
            }
            let value = try await wait.value()
            try await finished.value()
            let expected = winner.load(ordering: .relaxed)
            #expect(value == expected)
        }
    }

    @Test func `a deadline ends the wait and a later value is dropped`() async throws {
        let loop = loop
        let late = try await Task(executorPreference: loop) {
            let wait = Promise<Int>(on: loop)
            await #expect(throws: TooLate.self) { try await wait.value(within: .milliseconds(5), elseThrow: TooLate()) }
            let fallback = Promise<Int>(on: loop)
            let value = try await fallback.value(within: .milliseconds(5), elseReturn: 7)
            #expect(value == 7)
            return wait.succeed(1)
        }.value
        #expect(!late)
    }

    @Test func `cancellation, deadline and value may race and the wait always ends`() async throws {
        let loop = loop
        for round in 0..<200 {
            let wait = Promise<Int>(on: loop)
            let waiter = Task(executorPreference: loop) { try await wait.value(within: .microseconds(round * 5), elseThrow: TooLate()) }
            spawnThread(name: "bringer") { wait.succeed(1) }
            if round % 2 == 0 { waiter.cancel() }
            switch await waiter.result {
            case .success(let value): #expect(value == 1)
            case .failure(let error): #expect(error is TooLate || error is CancellationError)
            }
        }
    }
}
