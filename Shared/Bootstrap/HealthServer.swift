import EventLoop
import HTTP
import Lifecycle
import Telemetry

/// The server of `/livez`, `/readyz` and `/metrics`, on a port and a loop of its own. It starts before every other
/// component and stops after all of them. A scrape takes no time of the loops that serve requests.
enum HealthServer {
    /// Connections beyond this are refused: a probe and a scraper need one each.
    private static let connectionsMax = 64
    /// The time in which the answers of a stopping process may end.
    private static let grace = Duration.seconds(1)

    static func component(_ runtime: Runtime) -> Component {
        let configuration = runtime.configuration
        let loop = EventLoop.spawn(name: "health")
        var settings = HTTPServerConfiguration(host: configuration.httpHost, port: configuration.healthPort)
        settings.connectionsMax = connectionsMax
        settings.bodyBytesMax = 0
        let handler = HealthRoutes(readiness: runtime.readiness).router.handler(log: runtime.log, service: runtime.service)
        let server = HTTPServer(loop: loop, configuration: settings, handler: handler, log: runtime.log)
        return Component(
            "health", on: loop, stopWithin: grace + HTTPServer.brokenOffWithin + .seconds(1),
            start: {
                try server.open(variable: "HEALTH_PORT")
                runtime.log.info("health port opened", ["host": .string(configuration.httpHost), "port": .integer(server.port)])
            }, stop: { await server.drain(within: grace) })
    }
}

extension HTTPServer {
    /// Starts the server. A failure names the variable of the port.
    func open(variable: String) throws(PortUnavailable) {
        do {
            try start()
        } catch {
            throw PortUnavailable(variable: variable, host: configuration.host, port: configuration.port, cause: error)
        }
    }
}

/// The port that a variable names cannot be listened on.
struct PortUnavailable: Error, CustomStringConvertible {
    let variable: String
    let host: String
    let port: Int
    let cause: SocketError

    var description: String {
        "cannot listen on \(host):\(port) (\(cause)): set \(variable) to a free port, or HTTP_HOST to an address of this machine"
    }
}
