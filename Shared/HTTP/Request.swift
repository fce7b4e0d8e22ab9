package import HTTPWire
package import JSON
package import Telemetry
import Text

/// A request in values, for handlers that answer in one piece.
package struct Request: Sendable {
    package let method: Method
    /// The path as sent: not percent-decoded, without the query.
    package let path: String
    package let query: Query
    package let headers: HeaderBlock
    package let body: [UInt8]
    package let pathParameters: PathParameters
    /// The client's, or a new one; the answer carries it.
    package let requestID: String
    /// This request's span; `TraceContext.current` while the handler runs.
    package let trace: TraceContext
    private let peerAddress: String
    private let trustedProxies: TrustedProxies

    /// The path and the query as sent.
    package let target: [UInt8]

    init(_ exchange: Exchange, _ context: RequestContext) throws(Problem) {
        method = exchange.method
        path = exchange.path
        query = try Query(exchange.queryBytes)
        headers = exchange.headers
        body = exchange.body
        pathParameters = context.pathParameters
        requestID = context.requestID
        trace = context.trace
        peerAddress = exchange.peerAddress
        trustedProxies = exchange.trustedProxies
        target = exchange.target
    }

    /// The address of the client, as the trusted proxies report it. Nil if the connection had ended
    /// before.
    package var clientAddress: IPAddress? { trustedProxies.client(headers, peer: peerAddress) }

    /// The procedures that the request calls.
    var trpc: TRPCCall { TRPCCall(target: target) }

    /// The body as a checked JSON object.
    /// - Throws: `Problem` 400 `invalid_json`.
    package func json() throws(Problem) -> JSONObject {
        do throws(JSONError) { return try JSONObject(body) } catch { throw Problem(error) }
    }
}

extension JSONObject {
    /// Returns a text of 1 to `lengthMax` Unicode scalars, none of them a control character: so many
    /// bytes at most four times over.
    package func text(_ name: String, lengthMax: Int) throws -> String {
        let text = try string(name)
        guard (1...lengthMax).contains(text.unicodeScalars.count), text.unicodeScalars.allSatisfy(\.isVisible) else {
            throw Problem.invalidRequest("`\(name)` must have 1 to \(lengthMax) characters, all of them visible.", param: name)
        }
        return text
    }
}

extension HeaderBlock {
    /// True if the body is a form of a page.
    package var isForm: Bool {
        string(for: "content-type")?.prefix { $0 != ";" && $0 != " " }.lowercased() == "application/x-www-form-urlencoded"
    }
}

/// The values of `{name}` in a route's pattern, percent-decoded.
package struct PathParameters: Sendable, ExpressibleByDictionaryLiteral {
    private var pairs: [(name: String, value: String)]

    package init() { pairs = [] }
    package init(dictionaryLiteral elements: (String, String)...) { pairs = elements.map { ($0.0, $0.1) } }

    mutating func add(_ name: String, _ value: String) { pairs.append((name, value)) }

    /// The pattern names it, so it is there: another name is a mistake in the route.
    package subscript(name: String) -> String {
        guard let pair = pairs.first(where: { $0.name == name }) else { preconditionFailure("no {\(name)} in the route's pattern") }
        return pair.value
    }
}

/// The facts that a router knows about an exchange.
package struct RequestContext: Sendable {
    package let requestID: String
    package let trace: TraceContext
    package internal(set) var pathParameters: PathParameters
    /// The route's pattern: a label for metrics.
    package internal(set) var pattern: String
}

extension Problem {
    /// Makes the problem of a malformed body: `invalid_json` for its syntax, else the missing or wrong
    /// member in `param`.
    package init(_ error: JSONError) {
        self =
            switch error {
            case .missing(let name): .missingParameter(name)
            case .wrongType(let name, _), .duplicateKey(let name): .invalidRequest("\(error).", param: name)
            case .notAnObject, .syntax, .depth, .tooManyMembers, .nameTooLong, .tooManyValues:
                .invalidJSON("The request body is no valid JSON object: \(error).")
            }
    }

    /// Makes the problem of bytes that are no request.
    init(_ error: HTTPSyntaxError, limits: HTTPServerConfiguration) {
        self =
            switch error {
            case .malformed(let reason): .invalidRequest("Malformed HTTP request: \(reason).")
            case .targetTooLong: .uriTooLong(limit: limits.targetBytesMax)
            case .headTooLarge: .headersTooLarge(bytes: limits.headBytesMax, fields: limits.headersMax)
            case .bodyTooLarge: .payloadTooLarge(limit: limits.bodyBytesMax)
            case .endedEarly, .stopped: .invalidRequest("Malformed HTTP request: it ended early.")
            }
    }
}
