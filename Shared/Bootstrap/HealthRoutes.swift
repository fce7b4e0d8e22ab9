import HTTP
import HTTPWire
import JSON
import Telemetry

extension Router {
    /// `/livez` depends on nothing but this loop; `/readyz` also on what the service needs, and is 503 while draining.
    mutating func addHealthRoutes(_ readiness: Readiness, openAPI: [UInt8]?) {
        on(.get, "/livez") { _ in .text(200, "alive\n") }
        on(.get, "/readyz") { _ in
            let isReady = readiness.isReady
            return .json(isReady ? 200 : 503) { json in
                json.object { json in
                    json.field("status", isReady ? "ready" : readiness.isDraining ? "draining" : "waiting")
                    json.object("dependencies") { json in
                        for (name, isThere) in readiness.states { json.field(name, isThere ? "there" : "away") }
                    }
                }
            }
        }
        on(.get, "/metrics") { _ in
            Response(status: 200, headers: ["content-type": "text/plain; version=0.0.4"], body: Metrics.shared.render())
        }
        on(.get, "/openapi.json") { _ in
            guard let openAPI else { throw Problem.notFound }
            return Response(status: 200, headers: ["content-type": "application/json"], body: openAPI)
        }
        for pattern in ["/livez", "/readyz", "/metrics"] { makeQuiet(pattern) }
    }
}
