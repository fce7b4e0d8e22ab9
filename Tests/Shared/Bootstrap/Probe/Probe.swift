import Bootstrap
import Configuration
import EventLoop
import Glibc
import HTTP
import HTTPWire
import Telemetry

/// The smallest service: what `BootstrapTests` starts as a process of its own.
@main
struct Probe {
    static func main() {
        let fail = Runtime.Command("fail", parameters: "WITH STATUS", statusOfFailure: 2) { runtime, arguments in
            guard arguments.first == "with", let status = arguments.last.flatMap({ Int32($0) }) else { return nil }
            runtime.log.info("failing as told")
            print("failing")
            guard status > 0 else { throw CancellationError() }
            return status
        }
        let wait = Runtime.Command("wait") { runtime, arguments in
            guard arguments.isEmpty else { return nil }
            print("waiting")
            fflush(nil)
            try await runtime.loop.sleep(for: .seconds(3_600))
            return 0
        }
        Runtime.main(service: "probe", port: 0, loops: .perCore, commands: [fail, wait]) { runtime in
            if try runtime.environment.bool("PROBE_EXIT_HANDLER", default: false) {
                atexit {
                    let line: StaticString = "an exit handler ran\n"
                    _ = write(STDERR_FILENO, line.utf8Start, line.utf8CodeUnitCount)
                }
            }
            if try runtime.environment.bool("PROBE_DATABASE", default: false) { _ = try runtime.database() }
            if try runtime.environment.bool("PROBE_BROKER", default: false) { _ = try runtime.publisher() }
            runtime.serve { context in
                context.loop.preconditionCurrent()
                context.add("worker", run: { try await context.loop.sleep(for: .seconds(3_600)) })
                return ProbeRoutes(context: context).router
            }
        }
    }
}

struct ProbeRoutes: HTTPDoor {
    typealias Caller = Never

    let context: LoopContext

    static let table: [Route<ProbeRoutes>] = [
        Route(.get, ["/loop"], access: .public, ProbeRoutes.sayLoop),
        Route(.get, ["/until-draining"], access: .public, ProbeRoutes.waitForDrain),
        Route(.get, ["/until-released"], access: .public, ProbeRoutes.waitForFile),
        Route(.get, ["/block"], access: .public, ProbeRoutes.block),
    ]

    private var runtime: Runtime { context.runtime }

    private func sayLoop(_ request: Request) async -> Response {
        await Tracer.shared.withSpan("say the loop") { _ in .text(200, EventLoop.current?.name ?? "none") }
    }

    private func waitForDrain(_ request: Request) async throws -> Response {
        context.log.info("waiting for the drain")
        while !runtime.readiness.isDraining { try await context.loop.sleep(for: .milliseconds(5)) }
        return .text(200, "finished")
    }

    private func waitForFile(_ request: Request) async throws -> Response {
        let file = try runtime.environment.string("PROBE_FOLDER") + "/released"
        context.log.info("waiting for the file")
        while access(file, F_OK) != 0 { try await context.loop.sleep(for: .milliseconds(5)) }
        return .text(200, "released")
    }

    private func block(_ request: Request) async throws -> Response {
        let pipe = try runtime.environment.string("PROBE_FOLDER") + "/pipe"
        context.log.info("blocking the loop")
        // Returns when the test opens the other end.
        close(open(pipe, O_RDONLY))
        return .text(200, "unblocked")
    }
}
