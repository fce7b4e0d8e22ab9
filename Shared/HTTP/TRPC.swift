import HTTPWire
package import JSON
import Text

/// The procedures that a request calls (trpc.io, HTTP RPC specification). With `batch=1` the last
/// segment of the path names several procedures, separated by commas.
struct TRPCCall: Sendable {
    let isBatch: Bool
    let names: [String]

    /// A longer batch is refused as a whole.
    static let namesMax = 10

    init(target: [UInt8]) {
        let parts = target.split(separator: UInt8(ascii: "?"), maxSplits: 1, omittingEmptySubsequences: false)
        let query = parts.count > 1 ? parts[1] : []
        isBatch = query.split(separator: UInt8(ascii: "&")).contains { $0.elementsEqual("batch=1".utf8) }
        let segment = parts[0].split(separator: UInt8(ascii: "/")).last ?? []
        let name = PercentEncoding.decode(segment) ?? String(decoding: segment, as: UTF8.self)
        names = isBatch ? name.split(separator: ",").map(String.init) : [name]
    }

    /// True if the count of names is within its bounds.
    var isWithinBounds: Bool { (1...Self.namesMax).contains(names.count) }

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

extension HTTPDoor {
    /// Answers the procedures that a request calls with `{"result":{"data":…}}`, or an error in tRPC's
    /// shape. `?input=` is a JSON object; in a batch it has the inputs under "0", "1", …
    ///
    /// A batch is answered 207 if its calls differ in status, otherwise with their common status.
    /// - Parameter procedure: returns the data of one procedure as JSON. It throws `not_found` for a
    ///   name that it does not know.
    package func answer(
        proceduresOf request: Request, by procedure: (_ name: String, _ input: JSONObject?) async throws -> [UInt8]
    ) async throws -> Response {
        let call = request.trpc
        guard call.isWithinBounds else {
            throw Problem.invalidRequest("A batch must name 1 to \(TRPCCall.namesMax) procedures.", param: "batch")
        }
        guard [nil, "1"].contains(try request.query.optionalString("batch")) else {
            throw Problem.invalidRequest("`batch` must be 1 or absent.", param: "batch")
        }
        let input = try call.input(request.query)
        var answers: [Result<[UInt8], TRPCError>] = []
        for (index, name) in call.names.enumerated() {
            do {
                let own = call.isBatch ? try input.optionalObject("\(index)") : input
                answers.append(.success(try await procedure(name, own)))
            } catch let problem as Problem {
                answers.append(.failure(TRPCError(problem, path: name)))
            } catch let error as JSONError {
                answers.append(.failure(TRPCError(.invalidRequest("The input is malformed: \(error)."), path: name)))
            } catch {
                guard let problem = problem(for: error, in: request.trace) else { throw error }
                answers.append(.failure(TRPCError(problem, path: name)))
            }
        }
        guard call.isBatch else { return try answers[0].response }
        return .trpc(answers)
    }
}

extension TRPCCall {
    fileprivate func input(_ query: Query) throws(Problem) -> JSONObject {
        let text = try query.optionalString("input") ?? ""
        do throws(JSONError) {
            return try JSONObject(Array((["", "null"].contains(text) ? "{}" : text).utf8))
        } catch {
            throw .invalidJSON("The input is no valid JSON object: \(error).")
        }
    }
}

extension Response {
    /// A batch has the headers of a single call if all its calls failed with one status.
    fileprivate static func trpc(_ answers: [Result<[UInt8], TRPCError>]) -> Response {
        let statuses = Set(answers.map(\.status))
        var response = Response.json(statuses.count == 1 ? statuses.first ?? 200 : 207) { json in
            json.array { json in for answer in answers { answer.encode(into: &json) } }
        }
        if statuses.count == 1, case .failure(let error) = answers.first { response.headers.add(error.problem.headers) }
        return response
    }
}

extension Result<[UInt8], TRPCError> {
    fileprivate var status: Int { if case .failure(let error) = self { error.problem.status } else { 200 } }

    /// The answer to a single call.
    fileprivate var response: Response {
        get throws(Problem) {
            if case .failure(let error) = self { throw error.problem }
            return .json(200) { encode(into: &$0) }
        }
    }

    fileprivate func encode(into json: inout JSONWriter) {
        switch self {
        case .success(let data): json.object { $0.object("result") { $0.field("data", raw: data) } }
        case .failure(let error): error.encode(into: &json)
        }
    }
}

/// A problem in tRPC's envelope. The members `reason` and `param` are ours.
struct TRPCError: Error {
    let problem: Problem
    /// The name of the procedure. Nil if the request as a whole is wrong.
    let path: String?

    init(_ problem: Problem, path: String?) { (self.problem, self.path) = (problem, path) }

    func encode(into json: inout JSONWriter) {
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
