import HTTP
import HTTPWire
import JSON
import Telemetry

/// The door of the serving port that every service has.
struct CommonRoutes: HTTPDoor {
    typealias Caller = Never

    /// Nil for a service without a document.
    let openAPI: [UInt8]?

    static let table: [Route<CommonRoutes>] = [
        Route(.get, ["/livez"], access: .public, isQuiet: true, CommonRoutes.alive),
        Route(.get, ["/openapi.json"], access: .public, CommonRoutes.document),
    ]

    private func alive(_ request: Request) async -> Response { .text(200, "alive\n") }

    private func document(_ request: Request) async throws -> Response {
        guard let openAPI else { throw Problem.notFound }
        return Response(status: 200, headers: ["content-type": "application/json"], body: openAPI)
    }
}

/// The door of the health port.
struct HealthRoutes: HTTPDoor {
    typealias Caller = Never

    let readiness: Readiness

    static let table: [Route<HealthRoutes>] = [
        Route(.get, ["/livez"], access: .public, isQuiet: true, HealthRoutes.alive),
        Route(.get, ["/readyz"], access: .public, isQuiet: true, HealthRoutes.ready),
        Route(.get, ["/metrics"], access: .public, isQuiet: true, HealthRoutes.metrics),
    ]

    /// Depends on nothing.
    private func alive(_ request: Request) async -> Response { .text(200, "alive\n") }

    /// Answers 503 until the serving port is open, while a dependency is unavailable or a loop hangs,
    /// and from the start of the drain.
    private func ready(_ request: Request) async -> Response {
        let isReady = readiness.isReady
        return .json(isReady ? 200 : 503) { json in
            json.object { json in
                json.field("status", isReady ? "ready" : readiness.isDraining ? "draining" : readiness.isStuck ? "stuck" : "waiting")
                json.object("dependencies") { json in
                    for (name, isUp) in readiness.states { json.field(name, isUp ? "up" : "down") }
                }
            }
        }
    }

    private func metrics(_ request: Request) async -> Response {
        Response(status: 200, headers: ["content-type": "text/plain; version=0.0.4"], body: Metrics.shared.render())
    }
}
