import Synchronization

/// One value that one task waits for and any thread may bring, once, with a deadline on the loop's timer heap.
///
/// The first of value, error, deadline and cancellation wins; what comes later is dropped. Bring the value from any thread.
package final class Promise<Value: Sendable>: Sendable {
    private enum State {
        case idle
        case waiting(CheckedContinuation<Value, any Error>)
        case done(Result<Value, any Error>)
        case taken
    }

    private let loop: EventLoop
    private let state = Mutex(State.idle)

    package init(on loop: EventLoop) { self.loop = loop }

    /// True when this call decided the outcome.
    @discardableResult
    package func resolve(_ result: Result<Value, any Error>) -> Bool {
        // The continuation is resumed after the lock is released: resuming may run the waiting task at once.
        let (decided, waiter): (Bool, CheckedContinuation<Value, any Error>?) = state.withLock { state in
            switch state {
            case .idle:
                state = .done(result)
                return (true, nil)
            case .waiting(let continuation):
                state = .taken
                return (true, continuation)
            case .done, .taken:
                return (false, nil)
            }
        }
        waiter?.resume(with: result)
        return decided
    }

    @discardableResult
    package func succeed(_ value: Value) -> Bool { resolve(.success(value)) }

    @discardableResult
    package func fail(_ error: any Error) -> Bool { resolve(.failure(error)) }

    /// Waits without a deadline.
    package func value() async throws -> Value {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let ready: Result<Value, any Error>? = state.withLock { state in
                    switch state {
                    case .idle:
                        state = .waiting(continuation)
                        return nil
                    case .done(let result):
                        state = .taken
                        return result
                    case .waiting, .taken:
                        preconditionFailure("a promise is awaited once")
                    }
                }
                if let ready { continuation.resume(with: ready) }
            }
        } onCancel: {
            fail(CancellationError())
        }
    }

    /// Waits at most `limit`, then throws `error`. Loop thread only.
    package func value(within limit: Duration, elseThrow error: @autoclosure @escaping () -> any Error) async throws -> Value {
        let timer = loop.schedule(after: limit) { self.fail(error()) }
        defer { loop.cancel(timer) }
        return try await value()
    }

    /// Waits at most `limit`, then answers `fallback`. Loop thread only.
    package func value(within limit: Duration, elseReturn fallback: Value) async throws -> Value {
        let timer = loop.schedule(after: limit) { self.succeed(fallback) }
        defer { loop.cancel(timer) }
        return try await value()
    }
}
