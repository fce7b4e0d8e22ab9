import EventLoop
import Synchronization
import Telemetry

/// The dependencies of the service and whether each is there: the answer of `/readyz`, and one log line at each change. The
/// first time that all are there, it opens the serving port.
///
/// A dependency is asked on its own loop, every 50 ms until the port is open, then twice a second. `/readyz` answers from what
/// was found last and never waits.
package final class Readiness: Sendable {
    package typealias Check = @Sendable () -> Bool

    private struct Dependency {
        let name: String
        let loop: EventLoop
        let check: Check
        var isThere: Bool?
    }

    private let dependencies = Mutex<[Dependency]>([])
    private let opened = Atomic<Bool>(false)
    private let draining = Atomic<Bool>(false)
    private let log: Logger

    init(log: Logger) { self.log = log }

    func require(_ name: String, on loop: EventLoop, _ check: @escaping Check) {
        dependencies.withLock { $0.append(Dependency(name: name, loop: loop, check: check)) }
    }

    package var isDraining: Bool { draining.load(ordering: .relaxed) }
    /// True while the serving port is open and every dependency is there.
    package var isReady: Bool { opened.load(ordering: .relaxed) && !isDraining && allAreThere }

    private var allAreThere: Bool { dependencies.withLock { $0.allSatisfy { $0.isThere == true } } }

    /// Name and presence of each dependency, in the order they were required.
    var states: [(name: String, isThere: Bool)] { dependencies.withLock { $0.map { ($0.name, $0.isThere == true) } } }

    func drain() { draining.store(true, ordering: .relaxed) }

    /// What comes within the first second was not waited for.
    private static let patience = Duration.seconds(1)

    /// - Parameter openPort: called once, when all dependencies are there.
    /// - Throws: what `openPort` throws; `CancellationError`.
    func run(on loop: EventLoop, openPort: () async throws -> Void) async throws {
        let began = MonotonicInstant.current()
        while true {
            await look(isPatient: MonotonicInstant.current() - began < Self.patience)
            if !opened.load(ordering: .relaxed), allAreThere {
                try await openPort()
                opened.store(true, ordering: .relaxed)
                if !isDraining { log.info("ready") }
            }
            try await loop.sleep(for: opened.load(ordering: .relaxed) ? .milliseconds(500) : .milliseconds(50))
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
