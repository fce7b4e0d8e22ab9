import HTTP
import HTTPWire
import JSON
import Telemetry

extension Router {
    /// Returns the routes of the health port. `/livez` depends on nothing; `/readyz` is 503 until the
    /// serving port is open, while a dependency is away or a loop hangs, and from the start of the
    /// drain.
    static func health(_ readiness: Readiness) -> Router {
        var router = Router()
        router.addLiveness()
        router.on(.get, "/readyz") { _ in
            let isReady = readiness.isReady
            return .json(isReady ? 200 : 503) { json in
                json.object { json in
                    json.field(
                        "status", isReady ? "ready" : readiness.isDraining ? "draining" : readiness.isStuck ? "stuck" : "waiting")
                    json.object("dependencies") { json in
                        for (name, isThere) in readiness.states { json.field(name, isThere ? "there" : "away") }
                    }
                }
            }
        }
        router.on(.get, "/metrics") { _ in
            Response(status: 200, headers: ["content-type": "text/plain; version=0.0.4"], body: Metrics.shared.render())
        }
        for pattern in ["/readyz", "/metrics"] { router.makeQuiet(pattern) }
        return router
    }

    /// Adds what every serving port answers: `/livez` and `/openapi.json`.
    mutating func addCommonRoutes(openAPI: [UInt8]?) {
        addLiveness()
        on(.get, "/openapi.json") { _ in
            guard let openAPI else { throw Problem.notFound }
            return Response(status: 200, headers: ["content-type": "application/json"], body: openAPI)
        }
    }

    private mutating func addLiveness() {
        on(.get, "/livez") { _ in .text(200, "alive\n") }
        makeQuiet("/livez")
    }
}
