package import EventLoop

/// Something long-lived in a ``ServiceGroup``: a pool, a consumer, a server.
package struct Component: Sendable {
    package typealias Step = @Sendable () async -> Void
    package typealias ThrowingStep = @Sendable () async throws -> Void

    package let name: String
    /// Where `start`, `run` and `stop` run; nil is the group's own loop.
    package let loop: EventLoop?
    /// Done before the next component starts; an error ends the group. Short: it does not wait for peers.
    package let start: ThrowingStep
    /// Runs until stopped. Ending before that, with an error or without, stops the whole group.
    package let run: ThrowingStep?
    /// Asks `run` to finish and waits for what must be finished; nil cancels the task of `run` instead.
    package let stop: Step?
    /// The time for `stop` and the end of `run` together. After it the task is cancelled and left behind.
    package let stopWithin: Duration

    package init(
        _ name: String, on loop: EventLoop? = nil, stopWithin: Duration = .seconds(5), start: @escaping ThrowingStep = {},
        run: ThrowingStep? = nil, stop: Step? = nil
    ) {
        (self.name, self.loop, self.stopWithin, self.start, self.run, self.stop) = (name, loop, stopWithin, start, run, stop)
    }
}

/// The exit status of the process.
package enum ExitStatus: Int32, Sendable {
    case success = 0
    case failure = 1
}
