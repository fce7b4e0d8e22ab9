import EventLoop
import HTTP
import Lifecycle
import Synchronization
import Telemetry

/// The servers of all loops on the serving port. They open together when the service can serve, and drain together.
final class HTTPFront: Sendable {
    private let runtime: Runtime
    private let routers: [Router]
    private let servers = Mutex<[HTTPServer]>([])

    /// - Parameter routers: one for each loop, in the loops' order.
    init(runtime: Runtime, routers: [Router]) { (self.runtime, self.routers) = (runtime, routers) }

    var component: Component {
        let grace = runtime.configuration.shutdownGrace
        let delay = runtime.configuration.shutdownDelay
        return Component(
            "http", stopWithin: delay + grace + HTTPServer.brokenOffWithin + .seconds(2),
            stop: { await self.stop(after: delay, within: grace) })
    }

    /// Opens the serving port. Opens nothing once the drain has begun: each loop starts its server before it drains it, or
    /// sees the drain and does not start it.
    func open() async throws {
        var settings = HTTPServerConfiguration(host: runtime.configuration.httpHost, port: runtime.configuration.httpPort)
        settings.reusePort = routers.count > 1
        settings.trustedProxies = runtime.configuration.trustedProxies
        for (loop, router) in zip(runtime.loops, routers) {
            let handler = router.handler(log: runtime.log, service: runtime.service)
            let server = HTTPServer(
                loop: loop, configuration: settings, admit: router.admit, handler: handler, log: runtime.log)
            servers.withLock { $0.append(server) }
            // A port that the system chose for the first server is the port of all.
            settings.port = try await Task(executorPreference: loop) { [runtime] in
                if !runtime.readiness.isDraining { try server.open(variable: "HTTP_PORT") }
                return server.port
            }.value
        }
        guard !runtime.readiness.isDraining else { return }
        runtime.log.info(
            "listening", ["host": .string(settings.host), "port": .integer(settings.port), "loops": .integer(routers.count)])
    }

    private func stop(after delay: Duration, within grace: Duration) async {
        runtime.readiness.drain()
        // Still accepting: a load balancer finds /readyz 503 first.
        if delay > .zero { try? await runtime.loop.sleep(for: delay) }
        await withTaskGroup(of: Void.self) { group in
            for server in servers.withLock({ $0 }) {
                group.addTask(executorPreference: server.loop) { await server.drain(within: grace) }
            }
        }
    }
}
