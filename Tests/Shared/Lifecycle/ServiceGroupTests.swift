import EventLoop
import Glibc
import Synchronization
import Telemetry
import Testing

@testable import Lifecycle

struct ServiceGroupTests {
    private let loop = EventLoop.spawn(name: "group")
    private let log = Logger(service: "test", level: .error)
    private let journal = Journal()

    private func component(_ name: String, stopWithin: Duration = .seconds(5)) -> Component {
        let finish = Promise<Void>(on: loop)
        return Component(
            name, stopWithin: stopWithin, start: { journal.add("start \(name)") },
            run: {
                try await finish.value()
                journal.add("ended \(name)")
            },
            stop: {
                journal.add("stop \(name)")
                finish.succeed(())
            })
    }

    private func run(_ components: [Component], whileRunning: @escaping @Sendable (ServiceGroup) -> Void) async -> Lifecycle.ExitStatus {
        let group = ServiceGroup(loop: loop, components: components, log: log)
        return await Task(executorPreference: loop) {
            blockSignalsOfThisThread()
            loop.schedule(after: .zero) { whileRunning(group) }
            return await group.run()
        }.value
    }

    @Test func `components start in order and stop in reverse, each after the one before has ended`() async {
        let status = await run([component("a"), component("b")]) { $0.stop("test") }
        #expect(status == .success)
        #expect(journal.lines == ["start a", "start b", "stop b", "ended b", "stop a", "ended a"])
    }

    @Test func `a component that throws stops the group and fails the process`() async {
        struct Broken: Error {}
        let broken = Component("broken", run: { throw Broken() })
        let status = await run([component("a"), broken]) { _ in }
        #expect(status == .failure)
        #expect(journal.lines == ["start a", "stop a", "ended a"])
    }

    @Test func `a component that merely ends is a failure too`() async {
        #expect(await run([Component("short", run: {})]) { _ in } == .failure)
    }

    @Test func `a component that cannot start ends the group, and started components are stopped`() async {
        struct PortTaken: Error {}
        let status = await run([component("a"), Component("server", start: { throw PortTaken() }), component("never")]) { _ in }
        #expect(status == .failure)
        #expect(journal.lines == ["start a", "stop a", "ended a"])
    }

    @Test func `a component that does not stop is cancelled after its time, and the rest stops`() async {
        let stuck = Component(
            "stuck", stopWithin: .milliseconds(20),
            run: { [journal, loop] in
                try? await Promise<Void>(on: loop).value()
                journal.add("stuck was cancelled")
            },
            stop: { [loop] in try? await Promise<Void>(on: loop).value() })
        // That it ends at all shows the limit: nothing else would end the stuck component.
        let status = await run([component("a"), stuck]) { $0.stop("test") }
        #expect(status == .success)
        #expect(journal.lines.contains("stuck was cancelled"))
        #expect(journal.lines.filter { !$0.hasPrefix("stuck") } == ["start a", "stop a", "ended a"])
    }

    @Test func `without a stop the task is cancelled`() async {
        let plain = Component("plain", run: { [loop] in try await loop.sleep(for: .seconds(100)) })
        #expect(await run([plain]) { $0.stop("test") } == .success)
    }

    @Test(arguments: [SIGTERM, SIGINT]) func `a signal begins the stop`(_ signal: Int32) async {
        // Sent to the loop's thread, which blocks it; the rest of the test process does not.
        let status = await run([component("a")]) { _ in pthread_kill(pthread_self(), signal) }
        #expect(status == .success)
        #expect(journal.lines == ["start a", "stop a", "ended a"])
    }

    @Test func `a component runs on its own loop`() async {
        let other = EventLoop.spawn(name: "other")
        let onOther = Component(
            "other", on: other, start: { other.preconditionCurrent() }, run: { try await other.sleep(for: .seconds(100)) })
        #expect(await run([onOther]) { $0.stop("test") } == .success)
    }
}

private func blockSignalsOfThisThread() {
    var set = sigset_t()
    sigemptyset(&set)
    sigaddset(&set, SIGTERM)
    sigaddset(&set, SIGINT)
    pthread_sigmask(SIG_BLOCK, &set, nil)
}

private final class Journal: Sendable {
    private let entries = Mutex<[String]>([])

    func add(_ line: String) { entries.withLock { $0.append(line) } }
    var lines: [String] { entries.withLock { $0 } }
}
