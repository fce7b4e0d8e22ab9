import EventLoop
package import HTTPWire
import JSON
package import Telemetry

/// Finds the handler of a request and gives every answer what all answers have: `x-request-id`, the error shape, one access
/// log line, metrics, a server span in the caller's trace.
///
/// Unknown paths are 404, known ones asked with another method 405 with `Allow`; GET answers HEAD too. A `Problem` (or
/// `JSONError`) a handler throws is its answer; anything else it throws is logged with its cause and answered with 500.
package struct Router: Sendable {
    package typealias Handler = @Sendable (Request) async throws -> Response
    package typealias ExchangeHandler = @Sendable (Exchange, RequestContext) async -> Void

    /// The credential that a request must have before the server reads its body.
    package enum Access: Sendable {
        case open
        /// An `Authorization` or `x-api-key` field. The handler checks its value.
        case credential
    }

    private struct Entry: Sendable {
        let method: Method
        let access: Access
        let refusing: @Sendable (Problem) -> Response
        let handler: ExchangeHandler
    }

    private struct Route: Sendable {
        var entries: [Entry] = []
        var metrics: RouteMetrics?
        var isQuiet = false

        func entry(for method: Method) -> Entry? {
            if let found = entries.first(where: { $0.method == method }) { return found }
            return method == .head ? entry(for: .get) : nil
        }

        var allow: String {
            var methods = entries.map(\.method.rawValue)
            if methods.contains("GET"), !methods.contains("HEAD") { methods.append("HEAD") }
            return methods.joined(separator: ", ")
        }
    }

    private var routes = RouteTable<Route>()

    package init() {}

    /// - Parameters:
    ///   - pattern: `/api/keys/{id}`; `{file...}` at the end takes the rest of the path.
    ///   - refusal: how a problem is told here, where it is not in the one shape of ours.
    package mutating func on(
        _ method: Method, _ pattern: String, access: Access = .open,
        refusing refusal: @escaping @Sendable (Problem) -> Response = { $0.response }, _ handler: @escaping Handler
    ) {
        onExchange(method, pattern, access: access, refusing: refusal) { exchange, context in
            do {
                let request = try Request(exchange, context)
                try await TraceContext.$current.withValue(context.trace) { await exchange.send(try await handler(request)) }
            } catch let problem as Problem {
                exchange.respond(refusal(problem))
            } catch let error as JSONError {
                exchange.respond(refusal(Problem(error)))
            } catch {
                exchange.failure = error
                exchange.respond(refusal(.internalError))
            }
        }
    }

    /// Adds a streaming or hot route: the handler answers on the exchange itself.
    package mutating func onExchange(
        _ method: Method, _ pattern: String, access: Access = .open,
        refusing refusal: @escaping @Sendable (Problem) -> Response = { $0.response }, _ handler: @escaping ExchangeHandler
    ) {
        precondition(
            routes[pattern, default: Route()].entry(for: method) == nil || method == .head, "\(method.rawValue) \(pattern) stands twice")
        routes[pattern, default: Route()].entries.append(
            Entry(method: method, access: access, refusing: refusal, handler: handler))
        if routes[pattern, default: Route()].metrics == nil { routes[pattern, default: Route()].metrics = RouteMetrics(pattern) }
    }

    /// The decision of a server by the head of a request: 404, 405, or 401 without a credential. It
    /// is asked only where a body follows.
    package var admission: HTTPServer.Admission {
        let routes = routes
        return { method, path, headers in
            switch routes.match(path) {
            case .none: return .notFound
            case .malformed: return Self.malformedPath
            case .found(let route, _, _):
                guard let entry = route.entry(for: method) else { return .methodNotAllowed(allow: route.allow) }
                return entry.access == .credential && !headers.hasCredential ? .invalidAPIKey : nil
            }
        }
    }

    private static let malformedPath = Problem.invalidRequest("The path is not properly percent-encoded UTF-8.")

    /// The method and the pattern of every route: `GET /api/keys/{id}`.
    package var operations: [String] {
        routes.all.flatMap { pattern, route in route.entries.map { "\($0.method.rawValue) \(pattern)" } }
    }

    /// Returns the handler of a server. The same router serves every loop.
    package func handler(log: Logger, service: String) -> HTTPServer.Handler {
        let routes = routes
        let unmatched = RouteMetrics("(none)")
        return { exchange in
            let requestID = RequestID.of(exchange.headers)
            exchange.standingHeaders.add(RequestID.header, requestID)
            var metrics = unmatched
            var pattern = "(none)"
            var isQuiet = false
            let parent = exchange.headers.string(for: TraceContext.headerName).flatMap(TraceContext.init(traceparent:))
            let trace = parent?.child() ?? .new()
            switch routes.match(exchange.pathBytes) {
            case .none: exchange.respond(.notFound)
            case .malformed: exchange.respond(Self.malformedPath)
            case .found(let route, let found, let parameters):
                pattern = found
                metrics = route.metrics ?? unmatched
                isQuiet = route.isQuiet
                switch (route.entry(for: exchange.method), exchange.refusal) {
                case (nil, _):
                    exchange.respond(.methodNotAllowed(allow: route.allow))
                case (let entry?, let refusal?):
                    exchange.respond(entry.refusing(refusal))
                case (let entry?, nil):
                    metrics.began()
                    await entry.handler(
                        exchange, RequestContext(requestID: requestID, trace: trace, pathParameters: parameters, pattern: found))
                    exchange.handlerReturned()
                    metrics.ended()
                }
            }
            let duration = MonotonicInstant.current() - exchange.startedAt
            metrics.observe(exchange.method, status: exchange.status, seconds: Double(duration.nanoseconds) / 1e9)
            Self.logAccess(exchange, requestID, pattern, duration, trace, log, isQuiet: isQuiet)
            if !isQuiet { Self.recordSpan(exchange, pattern, duration, trace, parent) }
        }
    }

    /// Keeps a route that is asked every few seconds out of the traces, and out of the log unless its level is debug. A failure
    /// is always logged.
    package mutating func makeQuiet(_ pattern: String) { routes[pattern, default: Route()].isQuiet = true }

    private static func logAccess(
        _ exchange: Exchange, _ requestID: String, _ pattern: String, _ duration: Duration, _ trace: TraceContext, _ log: Logger,
        isQuiet: Bool
    ) {
        // A client that left before its answer began has no status; nginx counts such as 499 and so do operators.
        let status = exchange.status == 0 ? 499 : exchange.status
        guard exchange.failure != nil || log.level <= (isQuiet ? .debug : .info) else { return }
        let fields: LogFields = [
            "http.method": .string(exchange.method.rawValue), "http.route": .string(pattern), "http.status": .integer(status),
            "duration_ms": .milliseconds(duration), "response.bytes": .integer(exchange.bodyBytesWritten),
            "request.id": .string(requestID), "outcome": exchange.hasEnded ? "complete" : "broken",
        ]
        if let failure = exchange.failure {
            log.error("request failed", fields, error: failure, trace: trace)
        } else if isQuiet {
            log.debug("request", fields, trace: trace)
        } else {
            log.info("request", fields, trace: trace)
        }
    }

    /// OpenTelemetry's HTTP server span: named by the route, failed when the status is 5xx.
    private static func recordSpan(
        _ exchange: Exchange, _ pattern: String, _ duration: Duration, _ trace: TraceContext, _ parent: TraceContext?
    ) {
        Tracer.shared.record(
            "\(exchange.method.rawValue) \(pattern)", kind: .server, context: trace, parent: parent, took: duration,
            attributes: [
                "http.request.method": .string(exchange.method.rawValue), "http.route": .string(pattern),
                "url.path": .string(exchange.path),
                "http.response.status_code": .integer(exchange.status), "network.peer.address": .string(exchange.peerAddress),
            ], failure: exchange.status >= 500 ? "status \(exchange.status)" : nil)
    }
}

extension HeaderBlock {
    /// True if a field that can name the caller has a value.
    fileprivate var hasCredential: Bool {
        [find("authorization"), find("x-api-key")].contains { $0.map { valueCount(at: $0) > 0 } ?? false }
    }
}
