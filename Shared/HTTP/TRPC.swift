import HTTPWire
package import JSON
import Text

/// The procedures that a request calls (trpc.io, HTTP RPC specification). With `batch=1` the last
/// segment of the path names several procedures, separated by commas.
package struct TRPCCall: Sendable {
    package let isBatch: Bool
    package let names: [String]

    /// A longer batch is refused as a whole.
    package static let namesMax = 10

    package init(target: [UInt8]) {
        let parts = target.split(separator: UInt8(ascii: "?"), maxSplits: 1, omittingEmptySubsequences: false)
        let query = parts.count > 1 ? parts[1] : []
        isBatch = query.split(separator: UInt8(ascii: "&")).contains { $0.elementsEqual("batch=1".utf8) }
        let segment = parts[0].split(separator: UInt8(ascii: "/")).last ?? []
        let name = PercentEncoding.decode(segment) ?? String(decoding: segment, as: UTF8.self)
        names = isBatch ? name.split(separator: ",").map(String.init) : [name]
    }

    /// True if the count of names is within its bounds.
    package var isWithinBounds: Bool { (1...Self.namesMax).contains(names.count) }

    /// Encodes the refusal of the whole request. A batch gets the refusal once for each procedure,
    /// as its client expects.
    func response(_ problem: Problem) -> Response {
        var json = JSONWriter()
        if isBatch, isWithinBounds {
            json.array { json in for name in names { TRPCError(problem, path: name).encode(into: &json) } }
        } else {
            TRPCError(problem, path: isWithinBounds ? names[0] : nil).encode(into: &json)
        }
        var headers = problem.headers
        headers.add("content-type", "application/json")
        return Response(status: problem.status, headers: headers, body: json.bytes)
    }
}

/// A problem in tRPC's envelope. The members `reason` and `param` are ours.
package struct TRPCError: Error {
    package let problem: Problem
    /// The name of the procedure. Nil if the request as a whole is wrong.
    package let path: String?

    package init(_ problem: Problem, path: String?) { (self.problem, self.path) = (problem, path) }

    package func encode(into json: inout JSONWriter) {
        let (name, number) = code
        json.object { json in
            json.object("error") { json in
                json.field("message", problem.message)
                json.field("code", number)
                json.object("data") { json in
                    json.field("code", name)
                    json.field("httpStatus", problem.status)
                    if let path { json.field("path", path) }
                    json.field("reason", problem.code.rawValue)
                    json.field("param", problem.param)
                }
            }
        }
    }

    /// tRPC's name and JSON-RPC's number (its `TRPC_ERROR_CODES_BY_KEY`).
    private var code: (String, Int) {
        switch problem.status {
        case 400: problem.code == .invalidJSON ? ("PARSE_ERROR", -32_700) : ("BAD_REQUEST", -32_600)
        case 401: ("UNAUTHORIZED", -32_001)
        case 402: ("PAYMENT_REQUIRED", -32_002)
        case 403: ("FORBIDDEN", -32_003)
        case 404: ("NOT_FOUND", -32_004)
        case 405: ("METHOD_NOT_SUPPORTED", -32_005)
        case 409: ("CONFLICT", -32_009)
        case 413: ("PAYLOAD_TOO_LARGE", -32_013)
        case 429: ("TOO_MANY_REQUESTS", -32_029)
        case 503: ("SERVICE_UNAVAILABLE", -32_603)
        default: ("INTERNAL_SERVER_ERROR", -32_603)
        }
    }
}
