import EventLoop
import HTTPWire
import JSON
package import Telemetry

/// Finds the row of a request, checks its access, and runs its handler. Every answer gets what all
/// answers have: `x-request-id`, the row's error shape, one access log line, metrics, a server span
/// in the client's trace.
///
/// An unknown path is 404. A known path with another method is 405 with `Allow`; GET answers HEAD
/// too. A `Problem` (or `JSONError`) that a handler throws is its answer. Any other error is logged
/// with its cause and answered with 500, unless the door knows a problem for it.
///
/// An answer is not cached unless its handler sets `cache-control`.
package struct Router: Sendable {
    private struct Entry: Sendable {
        let row: RouteRow
        /// Decides by the head about the caller of a row that needs one.
        let admit: (@Sendable (HeaderBlock) throws(Problem) -> Admission.Check?)?
        let handler: @Sendable (Exchange, RequestContext) async -> Void
        /// Encodes a refusal before the handler.
        let refuse: @Sendable (Problem, Exchange) -> Response
    }

    private struct Path: Sendable {
        var entries: [Entry] = []
        var metrics: RouteMetrics?

        func entry(for method: Method) -> Entry? {
            if let found = entries.first(where: { $0.row.method == method }) { return found }
            return method == .head ? entry(for: .get) : nil
        }

        var allow: String {
            var methods = entries.map(\.row.method.rawValue)
            if methods.contains("GET"), !methods.contains("HEAD") { methods.append("HEAD") }
            return methods.joined(separator: ", ")
        }

        /// The answer to another method. A person who opens the address of a form gets a page.
        func refusal(of exchange: Exchange) -> Response {
            let problem = Problem.methodNotAllowed(allow: allow)
            return entries.first { $0.row.isPage || $0.row.errors == .anthropic }?.refuse(problem, exchange) ?? problem.response
        }

        /// True for a path of Anthropic's API, whose clients read the id of a request from another
        /// field.
        var isAnthropic: Bool { entries.contains { $0.row.errors == .anthropic } }
    }

    private var paths = RouteTable<Path>()

    package init() {}

    // MARK: Rows

    /// Adds all rows of a door.
    package mutating func add<Door: HTTPDoor>(_ door: Door) {
        for route in Door.table { add(route, of: door) }
    }

    package mutating func add<Door: HTTPDoor>(_ route: Route<Door>, of door: Door) {
        let entry = Entry(row: route.row, admit: Self.admit(of: route, door), handler: Self.handler(of: route, door)) {
            [row = route.row] problem, exchange in
            door.refusal(problem, row.errors, to: exchange)
        }
        for pattern in route.row.paths {
            precondition(
                !paths[pattern, default: Path()].entries.contains { $0.row.method == route.row.method },
                "two rows for \(route.row.method.rawValue) \(pattern)")
            paths[pattern, default: Path()].entries.append(entry)
            if paths[pattern, default: Path()].metrics == nil { paths[pattern, default: Path()].metrics = RouteMetrics(pattern) }
        }
    }

    private static func admit<Door: HTTPDoor>(
        of route: Route<Door>, _ door: Door
    ) -> (@Sendable (HeaderBlock) throws(Problem) -> Admission.Check?)? {
        let gate = door.gate
        switch route.row.access {
        case .public, .sessionOrBody: return nil
        case .serviceWithoutUser:
            return { headers throws(Problem) in
                try gate.checkService(headers)
                return nil
            }
        case .caller(let access):
            let demand = CallerDemand(access, cookie: route.row.cookie)
            return { headers throws(Problem) in try gate.admit(demand, headers) }
        }
    }

    private static func handler<Door: HTTPDoor>(
        of route: Route<Door>, _ door: Door
    ) -> @Sendable (Exchange, RequestContext) async -> Void {
        let (gate, cookie) = (door.gate, route.row.cookie)
        switch route.handler {
        case .public(let method):
            let answer = method(door)
            return answering(route.row, door) { request, _ in try await answer(request()) }
        case .optional(let method):
            let answer = method(door)
            let demand = CallerDemand(.credential(), cookie: cookie)
            return answering(route.row, door) { request, exchange in
                let caller: Result<Door.Caller, Problem>
                do throws(Problem) {
                    caller = .success(try await gate.caller(demand, exchange.headers, body: exchange.body))
                } catch {
                    caller = .failure(error)
                }
                return try await answer(request(), caller)
            }
        case .service(let method):
            let answer = method(door)
            return answering(route.row, door) { request, exchange in
                try gate.checkService(exchange.headers)
                return try await answer(request())
            }
        case .caller(let access, let method):
            let answer = method(door)
            let demand = CallerDemand(access, cookie: cookie)
            return answering(route.row, door) { request, exchange in
                let caller = try await gate.caller(demand, exchange.headers, body: exchange.body)
                return try await answer(request(), caller)
            }
        case .exchange(let access, let method):
            let answer = method(door)
            let demand = CallerDemand(access, cookie: cookie)
            return refusing(route.row, door) { exchange, context in
                try await answer(exchange, context, gate.caller(demand, exchange.headers, body: exchange.body))
            }
        }
    }

    /// Sends what `answer` returns. `answer` makes its request after the check of the credential, so
    /// that a malformed query does not hide a missing credential.
    private static func answering<Door: HTTPDoor>(
        _ row: RouteRow, _ door: Door,
        _ answer: @escaping @Sendable (_ request: () throws(Problem) -> Request, Exchange) async throws -> Response
    ) -> @Sendable (Exchange, RequestContext) async -> Void {
        refusing(row, door) { exchange, context in
            try await TraceContext.$current.withValue(context.trace) {
                var response = try await answer({ () throws(Problem) in try Request(exchange, context) }, exchange)
                if !response.headers.contains("cache-control") { response.headers.add("cache-control", "no-store") }
                await exchange.send(response)
            }
        }
    }

    /// Answers an error of `handle` in the row's shape.
    private static func refusing<Door: HTTPDoor>(
        _ row: RouteRow, _ door: Door, _ handle: @escaping @Sendable (Exchange, RequestContext) async throws -> Void
    ) -> @Sendable (Exchange, RequestContext) async -> Void {
        { exchange, context in
            let refusal: Problem
            do {
                return try await handle(exchange, context)
            } catch let problem as Problem {
                refusal = problem
            } catch let error as JSONError {
                refusal = Problem(error)
            } catch {
                let problem = door.problem(for: error, in: context.trace)
                if problem == nil { exchange.failure = error }
                refusal = problem ?? .internalError
            }
            guard exchange.status == 0 else { return exchange.abort() }
            exchange.respond(door.refusal(refusal, row.errors, to: exchange))
        }
    }

    // MARK: Requests

    /// The decision of a server by the head of a request: 404, 405, or the refusal of its caller. It
    /// is asked only where a body follows.
    package var admit: HTTPServer.Admit {
        let paths = paths
        return { method, path, headers throws(Problem) in
            switch paths.match(path) {
            case .none: throw .notFound
            case .malformed: throw Self.malformedPath
            case .found(let path, _, _):
                guard let entry = path.entry(for: method) else { throw .methodNotAllowed(allow: path.allow) }
                return Admission(
                    bodyBytesMax: entry.row.bodyBytesMax, isUpload: entry.row.isUpload, check: try entry.admit?(headers))
            }
        }
    }

    private static let malformedPath = Problem.invalidRequest("The path is not properly percent-encoded UTF-8.")

    /// Returns the handler of a server. The same router serves every loop.
    package func handler(log: Logger, service: String) -> HTTPServer.Handler {
        let paths = paths
        let unmatched = RouteMetrics("(none)")
        return { exchange in
            let found = Self.find(exchange, in: paths)
            let metrics = found.metrics ?? unmatched
            if let entry = found.entry {
                metrics.began()
                await entry.handler(exchange, found.context)
                exchange.handlerReturned()
                metrics.ended()
            }
            Self.note(exchange, found, metrics, log)
        }
    }

    /// The row of a request and the context of its handler.
    private struct Found {
        /// Nil if the request has its answer already.
        var entry: Entry?
        var metrics: RouteMetrics?
        let parent: TraceContext?
        var context: RequestContext
    }

    // Not inlined, like `note`: the frame of a task keeps the temporaries of inlined code while its
    // stream lives.
    @inline(never)
    private static func find(_ exchange: Exchange, in paths: RouteTable<Path>) -> Found {
        let requestID = RequestID.of(exchange.headers)
        exchange.commonHeaders.add(RequestID.header, requestID)
        let parent = exchange.headers.string(for: TraceContext.headerName).flatMap(TraceContext.init(traceparent:))
        var found = Found(
            parent: parent,
            context: RequestContext(requestID: requestID, trace: parent?.child() ?? .new(), pathParameters: [:], pattern: "(none)"))
        switch paths.match(exchange.pathBytes) {
        case .none: exchange.respond(.notFound)
        case .malformed: exchange.respond(malformedPath)
        case .found(let path, let pattern, let parameters):
            found.metrics = path.metrics
            (found.context.pattern, found.context.pathParameters) = (pattern, parameters)
            if path.isAnthropic { exchange.commonHeaders.add(RequestID.anthropicHeader, requestID) }
            switch (path.entry(for: exchange.method), exchange.refusal) {
            case (nil, _): exchange.respond(path.refusal(of: exchange))
            case (let entry?, let refusal?): exchange.respond(entry.refuse(refusal, exchange))
            case (let entry?, nil): found.entry = entry
            }
        }
        return found
    }

    @inline(never)
    private static func note(_ exchange: Exchange, _ found: Found, _ metrics: RouteMetrics, _ log: Logger) {
        let duration = MonotonicInstant.current() - exchange.startedAt
        let context = found.context
        metrics.observe(exchange.method, status: exchange.status, seconds: Double(duration.nanoseconds) / 1e9)
        let isQuiet = found.entry?.row.isQuiet ?? false
        logAccess(exchange, context.requestID, context.pattern, duration, context.trace, log, isQuiet: isQuiet)
        if !isQuiet { recordSpan(exchange, context.pattern, duration, context.trace, found.parent) }
    }

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
                "http.response.status_code": .integer(exchange.status), "network.peer.address": .string(exchange.peerAddress),
            ], failure: exchange.status >= 500 ? "status \(exchange.status)" : nil)
    }
}
