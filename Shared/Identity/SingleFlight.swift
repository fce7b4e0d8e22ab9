import EventLoop
import Synchronization

/// Lets many tasks that want the same answer at the same time share one question. Callable from any loop.
package final class SingleFlight<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    package struct Saturated: Error {}

    private let flights = Mutex<[Key: [Promise<Value>]]>([:])
    private let flightsMax: Int

    package init(flightsMax: Int) { self.flightsMax = flightsMax }

    /// - Parameter ask: must have a deadline of its own. It runs to its end even if all waiting tasks
    ///   were cancelled, because another task may join.
    package func value(for key: Key, _ ask: @escaping @Sendable () async throws -> Value) async throws -> Value {
        guard let loop = EventLoop.current else { preconditionFailure("questions are asked on a loop") }
        let wait = Promise<Value>(on: loop)
        let (isFirst, isRefused) = flights.withLock { flights in
            if flights[key] != nil {
                flights[key]?.append(wait)
                return (false, false)
            }
            guard flights.count < flightsMax else { return (false, true) }
            flights[key] = [wait]
            return (true, false)
        }
        if isRefused { throw Saturated() }
        if isFirst { start(key, on: loop, ask) }
        return try await wait.value()
    }

    /// Asks without waiting for the answer, unless the same question is under way or `flightsMax`
    /// questions are.
    func ask(for key: Key, _ ask: @escaping @Sendable () async throws -> Value) {
        guard let loop = EventLoop.current else { preconditionFailure("questions are asked on a loop") }
        let isFirst = flights.withLock { flights in
            guard flights[key] == nil, flights.count < flightsMax else { return false }
            flights[key] = []
            return true
        }
        if isFirst { start(key, on: loop, ask) }
    }

    private func start(_ key: Key, on loop: EventLoop, _ ask: @escaping @Sendable () async throws -> Value) {
        Task(executorPreference: loop) {
            let result: Result<Value, any Error>
            do { result = .success(try await ask()) } catch { result = .failure(error) }
            let waiting = self.flights.withLock { $0.removeValue(forKey: key) ?? [] }
            for wait in waiting { wait.resolve(result) }
        }
    }
}
