package import EventLoop
import Glibc
import Synchronization
package import Telemetry

/// Starts components in order, runs them side by side, stops them in reverse order, each within its time.
///
/// SIGTERM or SIGINT begins the stop, and a second one ends the process at once. A component that ends or throws by itself
/// stops the group with ``ExitStatus/failure``: half a service is worse than none, and the supervisor of the process starts it
/// again. The signals must be blocked beforehand: `Signals.takeOver()`.
package final class ServiceGroup: Sendable {
    private enum Event: Sendable {
        case stop(String)
        case ended(String, (any Error)?)
    }

    private struct Running {
        let component: Component
        let task: Task<Void, Never>?
    }

    private let loop: EventLoop
    private let components: [Component]
    private let log: Logger
    private let events: AsyncStream<Event>
    private let happened: AsyncStream<Event>.Continuation
    private let stopping = Atomic<Bool>(false)

    package init(loop: EventLoop, components: [Component], log: Logger) {
        (self.loop, self.components, self.log) = (loop, components, log)
        (events, happened) = AsyncStream.makeStream(of: Event.self)
    }

    /// Begins the stop, from any thread. Only the first reason counts.
    package func stop(_ reason: String) { happened.yield(.stop(reason)) }

    /// Returns when everything has stopped. Once; on the group's loop.
    package func run() async -> ExitStatus {
        let signals = watchSignals()
        defer { signals.cancel() }
        var running: [Running] = []
        for component in components {
            do {
                try await onLoop(of: component, component.start).value
            } catch {
                log.error("component failed to start", ["component": .string(component.name)], error: error)
                await stop(running)
                return .failure
            }
            running.append(Running(component: component, task: runTask(component)))
        }
        let status = await firstEvent()
        await stop(running)
        return status
    }

    private func watchSignals() -> SignalWatch {
        var count = 0
        return SignalWatch([SIGTERM, SIGINT], on: loop) { [self] signal in
            count += 1
            guard count > 1 else { return stop(signal == SIGINT ? "SIGINT" : "SIGTERM") }
            log.warning("second signal: leaving at once")
            log.flush()
            _exit(128 + signal)
        }
    }

    private func runTask(_ component: Component) -> Task<Void, Never>? {
        guard let run = component.run else { return nil }
        return Task(executorPreference: component.loop ?? loop) { [self] in
            do {
                try await run()
                happened.yield(.ended(component.name, nil))
            } catch {
                // The first event decides. Without this line an error that comes while stopping would be lost.
                if stopping.load(ordering: .relaxed), !(error is CancellationError) {
                    log.warning("component failed while stopping", ["component": .string(component.name)], error: error)
                }
                happened.yield(.ended(component.name, error))
            }
        }
    }

    private func firstEvent() async -> ExitStatus {
        for await event in events {
            switch event {
            case .stop(let reason):
                log.info("stopping", ["reason": .string(reason)])
                return .success
            case .ended(let name, let error):
                log.error("component ended by itself: stopping", ["component": .string(name)], error: error)
                return .failure
            }
        }
        preconditionFailure("the stream of events is never finished")
    }

    // MARK: Stopping

    private func stop(_ running: [Running]) async {
        stopping.store(true, ordering: .relaxed)
        for one in running.reversed() {
            let name = one.component.name
            guard await stop(one) else {
                log.warning(
                    "component did not stop in time",
                    ["component": .string(name), "limit_ms": .milliseconds(one.component.stopWithin)])
                continue
            }
            log.debug("component stopped", ["component": .string(name)])
        }
    }

    private func stop(_ one: Running) async -> Bool {
        let stopped = Promise<Bool>(on: loop)
        let stopping = Task(executorPreference: one.component.loop ?? loop) {
            if let stop = one.component.stop { await stop() } else { one.task?.cancel() }
            await one.task?.value
            stopped.succeed(true)
        }
        let inTime = (try? await stopped.value(within: one.component.stopWithin, elseReturn: false)) ?? false
        if !inTime {
            one.task?.cancel()
            stopping.cancel()
        }
        return inTime
    }

    private func onLoop(of component: Component, _ step: @escaping Component.ThrowingStep) -> Task<Void, any Error> {
        Task(executorPreference: component.loop ?? loop) { try await step() }
    }
}
