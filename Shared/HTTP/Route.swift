package import HTTPWire
package import Telemetry

/// The HTTP door of a service: a table of routes, and the object whose methods the rows name.
///
/// The table is static, so that tests and documents read it without a running service.
package protocol HTTPDoor: Sendable {
    /// The checked caller that the handlers receive.
    associatedtype Caller: Sendable

    static var table: [Route<Self>] { get }

    /// Finds the caller of a request, and checks it against a row.
    var gate: CallerGate<Caller> { get }

    /// Returns the problem that an error of a dependency is to a client. Nil stands for a fault of
    /// this service: 500 `internal_error`.
    func problem(for error: any Error, in trace: TraceContext) -> Problem?

    /// Returns the page of a refusal, for the rows whose error shape has one.
    func page(for problem: Problem, to exchange: Exchange) -> Response
}

extension HTTPDoor {
    package func problem(for error: any Error, in trace: TraceContext) -> Problem? { nil }

    package func page(for problem: Problem, to exchange: Exchange) -> Response { problem.response }

    /// Encodes the refusal of a request to a row.
    func refusal(_ problem: Problem, _ shape: ErrorShape, to exchange: Exchange) -> Response {
        switch shape {
        case .openAI: problem.response
        case .anthropic: problem.anthropicResponse(to: exchange)
        case .trpc: TRPCCall(target: exchange.target).response(problem)
        case .oauth: problem.oauthResponse
        case .page: page(for: problem, to: exchange)
        case .pageOrOpenAI:
            [.get, .head].contains(exchange.method) || exchange.headers.isForm ? page(for: problem, to: exchange) : problem.response
        }
    }

    /// A router with the rows of this door.
    package var router: Router {
        var router = Router()
        router.add(self)
        return router
    }
}

extension HTTPDoor where Caller == Never {
    /// A gate that admits no caller. All rows of this door are public.
    package var gate: CallerGate<Never> {
        CallerGate(known: { _, _ in nil }, check: { _, _, _ throws(Problem) in throw .invalidAPIKey })
    }
}

/// The facts of a row. Tests compare them with the documents and with the configuration of nginx.
package struct RouteRow: Sendable {
    package let method: Method
    /// Patterns such as `/api/keys/{id}`. `{file...}` at the end takes the rest of a path.
    package let paths: [String]
    package let access: Access
    /// A longer body is refused with 413.
    package let bodyBytesMax: Int
    /// True if the body is received into a file: ``Exchange/upload``.
    package let isUpload: Bool
    package let rate: RateClass
    package let errors: ErrorShape
    /// True for a route that a probe asks every few seconds. It has no spans, and its access log
    /// lines have the level debug.
    package let isQuiet: Bool

    /// The body limit of a row that names none, in bytes.
    package static let bodyBytesMaxByDefault = 8_192

    /// True for a row that only browsers use. The OpenAPI document leaves it out.
    package var isPage: Bool { errors == .page }

    /// The method and the pattern of every path: `GET /api/keys/{id}`.
    package var operations: [String] { paths.map { "\(method.rawValue) \($0)" } }
}

/// The class of a route for rate limits.
package enum RateClass: String, Sendable, CaseIterable {
    /// Attempts to prove or change an identity: a limit slows down guessing.
    case credentials
    /// Polls of devices. A refusal by a limit is `slow_down` (RFC 8628 §3.5).
    case polls
    /// Calls of models.
    case calls
    case general
}

/// A row of a service's table: its facts, and the method of the door that answers.
///
/// The type of the handler follows from the access. A handler behind a credential receives the
/// checked caller. A public handler, and one for our own servers without a user, receive none.
package struct Route<Door: HTTPDoor>: Sendable {
    package let row: RouteRow
    let handler: Handler

    enum Handler: Sendable {
        case `public`(@Sendable (Door) -> PublicHandler)
        case optional(@Sendable (Door) -> OptionalHandler)
        case service(@Sendable (Door) -> PublicHandler)
        case caller(CallerAccess, @Sendable (Door) -> CallerHandler)
        case exchange(CallerAccess, @Sendable (Door) -> CallerExchangeHandler)
    }

    package typealias PublicHandler = @Sendable (Request) async throws -> Response
    package typealias OptionalHandler = @Sendable (Request, Result<Door.Caller, Problem>) async throws -> Response
    package typealias CallerHandler = @Sendable (Request, Door.Caller) async throws -> Response
    package typealias CallerExchangeHandler = @Sendable (Exchange, RequestContext, Door.Caller) async throws -> Void

    private init(
        _ method: Method, _ paths: [String], _ access: Access, _ bodyBytesMax: Int, isUpload: Bool = false, _ rate: RateClass,
        _ errors: ErrorShape, isQuiet: Bool = false, _ handler: Handler
    ) {
        row = RouteRow(
            method: method, paths: paths, access: access, bodyBytesMax: bodyBytesMax, isUpload: isUpload, rate: rate, errors: errors,
            isQuiet: isQuiet)
        self.handler = handler
    }

    package init(
        _ method: Method, _ paths: [String], access: PublicAccess, bodyBytesMax: Int = RouteRow.bodyBytesMaxByDefault,
        rate: RateClass = .general, errors: ErrorShape = .openAI, isQuiet: Bool = false,
        _ handler: @escaping @Sendable (Door) -> PublicHandler
    ) {
        self.init(method, paths, .public, bodyBytesMax, rate, errors, isQuiet: isQuiet, .public(handler))
    }

    package init(
        _ method: Method, _ paths: [String], access: OptionalAccess, bodyBytesMax: Int = RouteRow.bodyBytesMaxByDefault,
        rate: RateClass = .general, errors: ErrorShape = .openAI, _ handler: @escaping @Sendable (Door) -> OptionalHandler
    ) {
        self.init(method, paths, .sessionOrBody, bodyBytesMax, rate, errors, .optional(handler))
    }

    package init(
        _ method: Method, _ paths: [String], access: ServiceAccess, bodyBytesMax: Int = RouteRow.bodyBytesMaxByDefault,
        rate: RateClass = .general, errors: ErrorShape = .openAI, _ handler: @escaping @Sendable (Door) -> PublicHandler
    ) {
        self.init(method, paths, .serviceWithoutUser, bodyBytesMax, rate, errors, .service(handler))
    }

    package init(
        _ method: Method, _ paths: [String], access: CallerAccess, bodyBytesMax: Int = RouteRow.bodyBytesMaxByDefault,
        rate: RateClass = .general, errors: ErrorShape = .openAI, _ handler: @escaping @Sendable (Door) -> CallerHandler
    ) {
        self.init(method, paths, .caller(access), bodyBytesMax, rate, errors, .caller(access, handler))
    }

    /// Makes a streaming or hot route: the handler answers on the exchange itself.
    package init(
        _ method: Method, _ paths: [String], access: CallerAccess, bodyBytesMax: Int = RouteRow.bodyBytesMaxByDefault,
        rate: RateClass = .general, errors: ErrorShape = .openAI, exchange handler: @escaping @Sendable (Door) -> CallerExchangeHandler
    ) {
        self.init(method, paths, .caller(access), bodyBytesMax, rate, errors, .exchange(access, handler))
    }

    /// Makes a route whose body is received into a file, and never as a whole into memory. The handler
    /// finds it in ``Exchange/upload``. The gate does not read it: what names or proves the caller must
    /// be in the head.
    /// - Parameter uploadBytesMax: the limit of the body. The limit of the server does not lower it.
    package init(
        _ method: Method, _ paths: [String], access: CallerAccess, uploadBytesMax: Int, rate: RateClass = .general,
        errors: ErrorShape = .openAI, exchange handler: @escaping @Sendable (Door) -> CallerExchangeHandler
    ) {
        self.init(method, paths, .caller(access), uploadBytesMax, isUpload: true, rate, errors, .exchange(access, handler))
    }
}
