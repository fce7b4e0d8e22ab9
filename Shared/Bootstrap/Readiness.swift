import EventLoop
import Synchronization
import Telemetry

/// The dependencies of the service and whether each is up: the answer of `/readyz`, and one log line at each change. The
/// first time that all are there, it opens the serving port.
///
/// A dependency is asked on its own loop, every 50 ms until the port is open, then twice a second. Each serving loop has to
/// answer too. `/readyz` answers from what was found last and never waits. What was found more than five seconds ago says
/// that a loop hangs: then it is not ready.
package final class Readiness: Sendable {
    package typealias Check = @Sendable () -> Bool

    private struct Dependency {
        let name: String
        let loop: EventLoop
        let check: Check
        var isUp: Bool?
    }

    private let dependencies = Mutex<[Dependency]>([])
    private let opened = Atomic<Bool>(false)
    private let draining = Atomic<Bool>(false)
    /// When all loops had last answered, in nanoseconds of ``MonotonicInstant``.
    private let lookedAt = Atomic<UInt64>(0)
    private let loops: [EventLoop]
    private let log: Logger

    /// - Parameter loops: the serving loops, the main loop first.
    init(loops: [EventLoop], log: Logger) { (self.loops, self.log) = (loops, log) }

    func require(_ name: String, on loop: EventLoop, _ check: @escaping Check) {
        dependencies.withLock { dependencies in
            precondition(!dependencies.contains { $0.name == name }, "dependency \(name) is named twice")
            dependencies.append(Dependency(name: name, loop: loop, check: check))
        }
    }

    package var isDraining: Bool { draining.load(ordering: .relaxed) }
    /// True while the serving port is open, every dependency is up and no loop hangs.
    package var isReady: Bool { opened.load(ordering: .relaxed) && !isDraining && !isStuck && allAreUp }

    /// The time in which all loops must have answered.
    private static let loopsAnswerWithin = Duration.seconds(5)

    /// True if a loop has not answered for longer than it may take.
    var isStuck: Bool {
        MonotonicInstant(nanoseconds: lookedAt.load(ordering: .relaxed)) + Self.loopsAnswerWithin < MonotonicInstant.current()
    }

    private var allAreUp: Bool { dependencies.withLock { $0.allSatisfy { $0.isUp == true } } }

    /// Name and presence of each dependency, in the order they were required.
    var states: [(name: String, isUp: Bool)] { dependencies.withLock { $0.map { ($0.name, $0.isUp == true) } } }

    func drain() { draining.store(true, ordering: .relaxed) }

    /// The time in which a missing dependency is not logged yet.
    private static let patience = Duration.seconds(1)

    /// - Parameter openPort: called once, when all dependencies are there.
    /// - Throws: what `openPort` throws; `CancellationError`.
    func run(openPort: () async throws -> Void) async throws {
        let began = MonotonicInstant.current()
        while true {
            await look(isPatient: MonotonicInstant.current() - began < Self.patience)
            if !opened.load(ordering: .relaxed), allAreUp {
                try await openPort()
                opened.store(true, ordering: .relaxed)
                if !isDraining { log.info("ready") }
            }
            try await loops[0].sleep(for: opened.load(ordering: .relaxed) ? .milliseconds(500) : .milliseconds(50))
        }
    }

    private func look(isPatient: Bool) async {
        for (index, dependency) in dependencies.withLock({ $0 }).enumerated() {
            let isUp = await Task(executorPreference: dependency.loop) { dependency.check() }.value
            guard isUp != dependency.isUp, isUp || !isPatient else { continue }
            dependencies.withLock { $0[index].isUp = isUp }
            let fields: LogFields = ["dependency": .string(dependency.name)]
            switch (dependency.isUp, isUp) {
            case (_, true): log.info("dependency up", fields)
            case (nil, false): log.warning("waiting for dependency", fields)
            case (_, false): if !isDraining { log.warning("dependency down", fields) }
            }
        }
        for loop in loops { await Task(executorPreference: loop) {}.value }
        lookedAt.store(MonotonicInstant.current().nanoseconds, ordering: .relaxed)
    }
}
