import EventLoop
import Synchronization
import Telemetry

/// What the service needs and whether it is there: the answer of `/readyz`, and one log line at each change.
///
/// A dependency is asked on its own loop, every 50 ms until everything has been there once, then twice a second; `/readyz` answers
/// from what was found last and never waits.
package final class Readiness: Sendable {
    package typealias Check = @Sendable () -> Bool

    private struct Dependency {
        let name: String
        let loop: EventLoop
        let check: Check
        var isThere: Bool?
    }

    private let dependencies = Mutex<[Dependency]>([])
    private let draining = Atomic<Bool>(false)
    private let log: Logger

    init(log: Logger) { self.log = log }

    func require(_ name: String, on loop: EventLoop, _ check: @escaping Check) {
        dependencies.withLock { $0.append(Dependency(name: name, loop: loop, check: check)) }
    }

    package var isDraining: Bool { draining.load(ordering: .relaxed) }
    package var isReady: Bool { !isDraining && dependencies.withLock { $0.allSatisfy { $0.isThere == true } } }

    /// Name and presence of each dependency, in the order they were required.
    var states: [(name: String, isThere: Bool)] { dependencies.withLock { $0.map { ($0.name, $0.isThere == true) } } }

    func drain() { draining.store(true, ordering: .relaxed) }

    /// What comes within the first second was not waited for.
    private static let patience = Duration.seconds(1)

    func run(on loop: EventLoop) async throws {
        let began = MonotonicInstant.current()
        var hasBeenReady = false
        while true {
            await look(isPatient: MonotonicInstant.current() - began < Self.patience)
            if !hasBeenReady, isReady {
                hasBeenReady = true
                log.info("ready")
            }
            try await loop.sleep(for: hasBeenReady ? .milliseconds(500) : .milliseconds(50))
        }
    }

    private func look(isPatient: Bool) async {
        for (index, dependency) in dependencies.withLock({ $0 }).enumerated() {
            let isThere = await Task(executorPreference: dependency.loop) { dependency.check() }.value
            guard isThere != dependency.isThere, isThere || !isPatient else { continue }
            dependencies.withLock { $0[index].isThere = isThere }
            let fields: LogFields = ["dependency": .string(dependency.name)]
            switch (dependency.isThere, isThere) {
            case (_, true): log.info("dependency is there", fields)
            case (nil, false): log.warning("waiting for dependency", fields)
            case (_, false): if !isDraining { log.warning("dependency is gone: waiting for it", fields) }
            }
        }
    }
}
